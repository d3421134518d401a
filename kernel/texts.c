/* Texts on their way from a block into columns. */
#include "kernel.h"

enum { PLAIN = 0, BACKSLASH = '\\', QUOTE = '"' };

/* (spans, column_of, sizes) */
const char *measure(const Argument *arguments, int64_t *results) {
    (void)results;
    Places spans = places_of(&arguments[0]);
    Positions column_of = positions_of(&arguments[1]), sizes = positions_of(&arguments[2]);
    if (spans.columns != SPAN_COLUMNS)
        return BAD_SIZES;
    for (int64_t row = 0; row < spans.rows; row++) {
        const int32_t *span = spans.at + SPAN_COLUMNS * row;
        int64_t number = span[NUMBER], length = (int64_t)span[END] - span[BEGIN];
        int64_t column = 0 <= number && number < column_of.length ? column_of.at[number] : -1;
        if (column < 0)
            continue;
        if (column >= sizes.length || length < 0)
            return BAD_PLACES;
        sizes.at[column] = (int64_t)((uint64_t)sizes.at[column] + (uint64_t)length);
    }
    return NULL;
}

typedef struct {
    Text text;
    uint8_t *copied; /* has room for the text at hand and SLACK */
    uint8_t escape;
} Copier;

/* Copy a text as it is; where the copy ends. */
static inline int64_t copy_plain(const Copier *copier, int64_t begin, int64_t end, int64_t to) {
    const uint8_t *from = copier->text.at;
    if (UNLIKELY(copier->text.size - end < VECTOR)) {
        memcpy(copier->copied + to, from + begin, (size_t)(end - begin));
    } else {
        /* Up to 31 bytes more than there are, which the next text goes over. */
        for (int64_t place = begin; place < end; place += VECTOR)
            memcpy(copier->copied + to + (place - begin), from + place, VECTOR);
    }
    return to + end - begin;
}

/* Copy a text without its escapes; where the copy ends. */
static inline int64_t copy_unescaped(const Copier *copier, int64_t begin, int64_t end, int64_t to) {
    Text text = copier->text;
    int64_t place = begin;
    while (place < end) {
        int64_t stop = end;
        if (LIKELY(text.size - place >= VECTOR)) {
            uint64_t found = bits_in_vector(text.at + place, copier->escape);
            memcpy(copier->copied + to, text.at + place, VECTOR);
            stop = place + (found ? lowest_bit(found) : VECTOR);
        } else {
            stop = find_byte(text, place, end, copier->escape);
            memcpy(copier->copied + to, text.at + place, (size_t)(stop - place));
        }
        if (stop >= end)
            return to + end - place;
        to += stop - place;
        place = stop;
        if (byte_at(text, place) != copier->escape)
            continue;
        uint8_t byte = copier->escape, following = place + 1 < end ? byte_at(text, place + 1) : 0;
        place++;
        if (copier->escape == BACKSLASH) {
            if (following == '=' || following == BACKSLASH || following == 'n' || following == 'r') {
                byte = following == 'n' ? '\n' : following == 'r' ? '\r' : following;
                place++;
            }
        } else if (place - 1 > begin && byte_at(text, place - 2) == BACKSLASH) {
            to--;
        } else if (following == QUOTE) {
            place++;
        }
        copier->copied[to] = byte;
        to++;
    }
    return to;
}

enum { REMEMBERED_BITS = 8, REMEMBERED = 1 << REMEMBERED_BITS };

/* A text as it stands in the block, and the code that it got. */
typedef struct {
    int32_t begin, length; /* length is 0 for none */
    int32_t code;
    bool plain; /* whether it was copied as it is: with escapes taken off, it may be another text */
} Memory;

/* Whether two texts of the same length that lie within a block are the same. */
static inline bool same_in_block(Text text, int64_t one, int64_t other, int64_t length) {
    const uint8_t *a = text.at + one, *b = text.at + other;
    uint64_t first, second;
    if (length < 8)
        return word_at(text, one, length) == word_at(text, other, length);
    for (int64_t place = 0; place < length - 8; place += 8) {
        memcpy(&first, a + place, 8);
        memcpy(&second, b + place, 8);
        if (first != second)
            return false;
    }
    memcpy(&first, a + length - 8, 8);
    memcpy(&second, b + length - 8, 8);
    return first == second;
}

/* Where a column remembers a text that lies within the block. Texts that share a place cost time and nothing else, so
 * that a look at their ends will do.
 */
static inline Memory *memory_of(Memory *memories, Text text, int64_t begin, int64_t end) {
    int64_t length = end - begin;
    uint64_t ends = word_at(text, begin, length) + (length > 8 ? word_at(text, end - 8, 8) : 0);
    return memories + (((ends + (uint64_t)length) * SECRET) >> (64 - REMEMBERED_BITS));
}

/* Slots of a column's distinct texts: the code of each and one, 0 for none. */
typedef struct {
    uint32_t *codes;
    uint64_t mask;
} Slots;

/* The code of a copied text, `count` if it is a new one; then it is kept for the next ones. */
static inline int64_t code_of(Text copied, Slots slots, const int32_t *ends, int64_t count, int64_t to, int64_t end) {
    uint64_t hash = (uint64_t)(end - to);
    for (int64_t place = to; place < end; place += 8)
        hash = mixed(hash, word_at(copied, place, end - place));
    uint64_t slot = hash & slots.mask;
    for (; slots.codes[slot]; slot = (slot + 1) & slots.mask) {
        int64_t code = (int64_t)slots.codes[slot] - 1;
        int64_t other = ends[code];
        if (ends[code + 1] - other == end - to && equal(copied, to, copied, other, end - to))
            return code;
    }
    slots.codes[slot] = (uint32_t)count + 1;
    return count;
}

/* (text, spans, firsts, rows, column_of, escape, escaped, copied, places, ends, codes, counts) */
const char *copy(const Argument *arguments, int64_t *results) {
    (void)results;
    Places spans = places_of(&arguments[1]);
    Positions firsts = positions_of(&arguments[2]), rows = positions_of(&arguments[3]);
    Positions column_of = positions_of(&arguments[4]);
    Bytes escaped = bytes_of(&arguments[6]), copied = bytes_of(&arguments[7]);
    Positions places = positions_of(&arguments[8]);
    Places ends = places_of(&arguments[9]), codes = places_of(&arguments[10]);
    Positions counts = positions_of(&arguments[11]);
    int64_t columns = ends.rows, coded = codes.rows;
    Copier copier = {text_of(&arguments[0]), copied.at, (uint8_t)arguments[5].number};
    if (spans.columns != SPAN_COLUMNS || firsts.length < 1 || escaped.size != firsts.length - 1 ||
        places.length != columns || ends.columns != rows.length + 1 || coded > columns || counts.length != coded ||
        (coded && codes.columns != rows.length) || copied.size > INT32_MAX)
        return BAD_SIZES;
    if (arguments[5].number != PLAIN && arguments[5].number != BACKSLASH && arguments[5].number != QUOTE)
        return "escape is neither PLAIN nor BACKSLASH nor QUOTE";
    /* Half of the slots stay empty at least, so that a text not found in its own is in one of the next. */
    uint64_t mask = 1;
    while (mask < 2 * (uint64_t)rows.length)
        mask = 2 * mask + 1;
    uint32_t *slots = calloc((size_t)coded * (mask + 1) + 1, sizeof *slots);
    Memory *memories = calloc((size_t)coded * REMEMBERED + 1, sizeof *memories);
    const char *refused = slots && memories ? NULL : NO_MEMORY;
    for (int64_t row = 0; !refused && row < rows.length; row++) {
        int64_t line = rows.at[row];
        if (line < 0 || line >= firsts.length - 1) {
            refused = BAD_PLACES;
            break;
        }
        int64_t which = firsts.at[line], after = firsts.at[line + 1];
        if (!within(which, after, spans.rows)) {
            refused = BAD_PLACES;
            break;
        }
        bool plain = !escaped.at[line] || copier.escape == PLAIN;
        for (; which < after; which++) {
            const int32_t *span = spans.at + SPAN_COLUMNS * which;
            int64_t number = span[NUMBER], begin = span[BEGIN], behind = span[END];
            int64_t column = 0 <= number && number < column_of.length ? column_of.at[number] : -1;
            if (column < 0)
                continue;
            if (column >= columns || !within(begin, behind, copier.text.size)) {
                refused = BAD_PLACES;
                break;
            }
            Memory *memory = NULL;
            if (column < coded && begin < behind) {
                memory = memory_of(memories + column * REMEMBERED, copier.text, begin, behind);
                if (LIKELY(memory->length == behind - begin && memory->plain == plain) &&
                    same_in_block(copier.text, memory->begin, begin, behind - begin)) {
                    codes.at[column * codes.columns + row] = memory->code;
                    continue;
                }
            }
            int64_t to = places.at[column];
            if (to < 0 || to > copied.size - SLACK || behind - begin > copied.size - SLACK - to) {
                refused = "there is no room for the texts of a column";
                break;
            }
            int64_t end = plain ? copy_plain(&copier, begin, behind, to) : copy_unescaped(&copier, begin, behind, to);
            int32_t *ends_of_column = ends.at + column * ends.columns;
            if (column >= coded) {
                ends_of_column[row + 1] = (int32_t)(end - to);
            } else {
                int64_t count = counts.at[column];
                if (count < 0 || count > row) {
                    refused = BAD_PLACES;
                    break;
                }
                Slots own = {slots + column * (int64_t)(mask + 1), mask};
                int64_t code = code_of((Text){copied.at, copied.size}, own, ends_of_column, count, to, end);
                codes.at[column * codes.columns + row] = (int32_t)code;
                if (memory != NULL)
                    *memory = (Memory){(int32_t)begin, (int32_t)(behind - begin), (int32_t)code, plain};
                if (code < count)
                    continue;
                counts.at[column] = count + 1;
                ends_of_column[count + 1] = (int32_t)end;
            }
            places.at[column] = end;
        }
    }
    free(slots);
    free(memories);
    return refused;
}

/* (codes, codes_used, new_codes) -> how many are used */
const char *recode(const Argument *arguments, int64_t *results) {
    Offsets codes = offsets_of(&arguments[0]), used = offsets_of(&arguments[1]), new_codes = offsets_of(&arguments[2]);
    int64_t count = 0;
    for (int64_t code = 0; code < new_codes.length; code++)
        new_codes.at[code] = -1;
    for (int64_t row = 0; row < codes.length; row++) {
        int32_t code = codes.at[row];
        if (code < 0)
            continue;
        if (code >= new_codes.length)
            return BAD_PLACES;
        if (UNLIKELY(new_codes.at[code] < 0)) {
            if (count >= used.length)
                return BAD_SIZES;
            used.at[count] = code;
            new_codes.at[code] = (int32_t)count++;
        }
        codes.at[row] = new_codes.at[code];
    }
    results[0] = count;
    return NULL;
}

/* Tell in a bit for each row whether there is a text: its number, a code or a length, is one of these. */
static inline void mark_valid(const int32_t *numbers, int64_t rows, int32_t least, uint8_t *bits) {
    for (int64_t row = 0; row < rows; row += 8) {
        int64_t eight = rows - row < 8 ? rows - row : 8;
        unsigned byte = 0;
        for (int64_t place = 0; place < eight; place++)
            byte |= (unsigned)(numbers[row + place] >= least) << place;
        bits[row / 8] = (uint8_t)byte;
    }
}

/* (codes, ends, valid) */
const char *finish(const Argument *arguments, int64_t *results) {
    (void)results;
    Places codes = places_of(&arguments[0]), ends = places_of(&arguments[1]);
    Bytes valid = bytes_of(&arguments[2]);
    int64_t rows = ends.columns - 1, size = (rows + 7) / 8;
    if (rows < 0 || (codes.rows && codes.columns != rows) || valid.size != (codes.rows + ends.rows) * size)
        return BAD_SIZES;
    uint8_t *bits = valid.at;
    for (int64_t column = 0; column < codes.rows; column++, bits += size) {
        int32_t *code = codes.at + column * rows;
        mark_valid(code, rows, 0, bits);
        for (int64_t row = 0; row < rows; row++)
            code[row] = code[row] < 0 ? 0 : code[row];
    }
    for (int64_t column = 0; column < ends.rows; column++, bits += size) {
        int32_t *length = ends.at + column * ends.columns + 1;
        mark_valid(length, rows, 1, bits);
        uint32_t end = 0;
        for (int64_t row = 0; row < rows; row++)
            length[row] = (int32_t)(end += (uint32_t)length[row]);
    }
    return NULL;
}
