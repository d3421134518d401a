/* CEF and LEEF records, cut into keys and values. The rules are those of events/grammar/extension.py; a record that
 * they ask for more than is done here is left to the careful reader.
 */
#include "kernel.h"

enum { KEY_WORDS = (LONGEST_KEY + 8) / 8 };

/* A word as keys are compared: in lower case, with zeros after it. */
typedef struct {
    uint64_t words[KEY_WORDS];
    int64_t length;
} Word;

/* What is recorded of a key, checked. */
typedef struct {
    Word word;
    Word seen_as;  /* as it was spelled last */
    int64_t kind, label;
    Text expected; /* what its value must be; nothing for anything */
    int64_t seen;  /* the record in which it was seen last */
    int64_t next;  /* the key that followed it last: most often it does again */
} Key;

/* The signs and blanks of a chunk of the text, a bit for each of its bytes. */
typedef struct {
    int64_t begin; /* a multiple of CHUNK; -1 at first */
    uint64_t signs, blanks;
} Chunk;

typedef struct {
    Text text;
    Key *keys; /* by number; 0 is one that is not known */
    int64_t count;
    int32_t *slots;
    uint64_t mask;
    Places spans;
    Chunk chunk;
} Cutter;

/* A word in lower case: letters of ASCII only. */
static inline uint64_t lower(uint64_t word) {
    uint64_t low = word & ~HIGH_BITS;
    uint64_t from_a = low + EACH_BYTE(0x80 - 'A'), behind_z = low + EACH_BYTE(0x7F - 'Z');
    return word | (((from_a ^ behind_z) & ~word & HIGH_BITS) >> 2);
}

/* Read what stands between two places; its hash, or 0 if it is too long for a key, or empty. */
static inline uint64_t read_word(Text text, int64_t begin, int64_t end, Word *word) {
    int64_t length = end - begin;
    if (length <= 0 || length > LONGEST_KEY)
        return 0;
    uint64_t hash = (uint64_t)length;
    word->length = length;
    for (int part = 0; 8 * part < length; part++) {
        word->words[part] = lower(word_at(text, begin + 8 * part, length - 8 * part));
        hash = mixed(hash, word->words[part]);
    }
    return hash | UINT64_C(1) << 63;
}

static inline bool is_same(const Word *one, const Word *other) {
    bool same = one->length == other->length;
    for (int part = 0; same && 8 * part < one->length; part++)
        same = one->words[part] == other->words[part];
    return same;
}

/* Whether a key stands between two places, which are so far from one another as it is long. */
static inline bool is_key(Text text, Key *key, int64_t begin, int64_t end) {
    bool same = key->seen_as.length == end - begin;
    for (int part = 0; same && 8 * part < end - begin; part++)
        same = key->seen_as.words[part] == word_at(text, begin + 8 * part, end - begin - 8 * part);
    if (LIKELY(same))
        return true;
    same = true;
    for (int part = 0; same && 8 * part < end - begin; part++) {
        uint64_t word = word_at(text, begin + 8 * part, end - begin - 8 * part);
        key->seen_as.words[part] = word;
        same = key->word.words[part] == lower(word);
    }
    key->seen_as.length = same ? end - begin : 0;
    return same;
}

/* Number of the key that stands between two places, 0 if it is none; one of them may be expected. */
static inline int64_t number_of(const Cutter *cutter, int64_t begin, int64_t end, int64_t expected) {
    Word word;
    if (expected && cutter->keys[expected].word.length == end - begin &&
        is_key(cutter->text, &cutter->keys[expected], begin, end))
        return expected;
    uint64_t hash = read_word(cutter->text, begin, end, &word);
    if (!hash)
        return 0;
    for (uint64_t slot = hash & cutter->mask;; slot = (slot + 1) & cutter->mask) {
        int32_t number = cutter->slots[slot];
        if (!number || is_same(&cutter->keys[number].word, &word))
            return number;
    }
}

/* Whether what stands between two places could be a key. */
static inline bool is_word(Text text, int64_t begin, int64_t end) {
    if (begin >= end || end - begin > LONGEST_KEY || !(is_letter(byte_at(text, begin)) || byte_at(text, begin) == '_'))
        return false;
    for (int64_t place = begin + 1; place < end; place++) {
        uint8_t byte = byte_at(text, place);
        if (!is_letter(byte) && !is_digit(byte) && byte != '_' && byte != '.' && byte != '-')
            return false;
    }
    return true;
}

/* Look at the chunk that a place of the text is in. */
static inline const Chunk *chunk_at(Cutter *cutter, int64_t place) {
    Text text = cutter->text;
    Chunk *chunk = &cutter->chunk;
    int64_t begin = place & ~(int64_t)(CHUNK - 1);
    if (LIKELY(chunk->begin == begin))
        return chunk;
    uint8_t last[CHUNK] = {0};
    const uint8_t *at = last;
    if (LIKELY(text.size - begin >= CHUNK))
        at = text.at + begin;
    else if (begin < text.size)
        memcpy(last, text.at + begin, (size_t)(text.size - begin));
    *chunk = (Chunk){begin, 0, 0};
    for (int part = 0; part < CHUNK; part += 16) {
        Sixteen bytes = sixteen_at(at + part);
        chunk->signs |= bits_of(bytes, '=') << part;
        chunk->blanks |= (bits_of(bytes, ' ') | bits_of(bytes, '\t')) << part;
    }
    return chunk;
}

/* Where the next sign is; the end, if there is none before. */
static inline int64_t next_sign(Cutter *cutter, int64_t place, int64_t end) {
    while (place < end) {
        const Chunk *chunk = chunk_at(cutter, place);
        uint64_t signs = chunk->signs >> (place - chunk->begin) << (place - chunk->begin);
        if (signs) {
            place = chunk->begin + lowest_bit(signs);
            break;
        }
        place = chunk->begin + CHUNK;
    }
    return place < end ? place : end;
}

/* Where the word before a sign begins: after the last blank, or where no key is so long any more; not before a place. */
static inline int64_t begin_of_word(Cutter *cutter, int64_t earliest, int64_t sign) {
    if (earliest < sign - LONGEST_KEY - 1)
        earliest = sign - LONGEST_KEY - 1;
    const Chunk *chunk = chunk_at(cutter, sign);
    uint64_t blanks = chunk->blanks & ((UINT64_C(1) << (sign - chunk->begin)) - 1);
    if (blanks) {
        int64_t place = chunk->begin + highest_bit(blanks) + 1;
        return place > earliest ? place : earliest;
    }
    int64_t place = chunk->begin < sign ? chunk->begin : sign;
    while (place > earliest && !is_blank(byte_at(cutter->text, place - 1)))
        place--;
    return place > earliest ? place : earliest;
}

/* Where the bracket is that JSON begins with, maybe after the commas of empty slots; -1 if there is none. */
static inline int64_t json_begin(Text text, int64_t place, int64_t end) {
    while (place < end && (byte_at(text, place) == ' ' || byte_at(text, place) == ','))
        place++;
    return place < end && (byte_at(text, place) == '[' || byte_at(text, place) == '{') ? place : -1;
}

/* Where a quote or a backslash comes next before an end; the end, if neither does. */
static inline int64_t behind_text(Text text, int64_t place, int64_t end) {
    for (; place < end && text.size - place >= 16; place += 16) {
        Sixteen bytes = sixteen_at(text.at + place);
        uint64_t found = bits_of(bytes, '"') | bits_of(bytes, '\\');
        if (found) {
            place += lowest_bit(found);
            return place < end ? place : end;
        }
    }
    while (place < end && byte_at(text, place) != '"' && byte_at(text, place) != '\\')
        place++;
    return place < end ? place : end;
}

/* Where the brackets close that open at a place; -1 if they never do. */
static int64_t json_end(Text text, int64_t place, int64_t end) {
    int64_t depth = 0;
    bool in_string = false;
    while (place < end) {
        uint8_t byte = byte_at(text, place);
        place++;
        if (byte == '\\') {
            while (place < end && byte_at(text, place) == '\\')
                place++;
            place++;
        } else if (byte == '"') {
            in_string = !in_string;
        } else if (in_string) {
            place = behind_text(text, place, end);
        } else if (byte == '[' || byte == '{') {
            depth++;
        } else if (byte == ']' || byte == '}') {
            depth--;
            uint8_t after = place < end ? byte_at(text, place) : 0;
            bool more = after == '[' || after == '{' || (after == ',' && json_begin(text, place, end) >= 0);
            if (depth == 0 && !more)
                return place;
        }
    }
    return -1;
}

/* Whether a value of any key may begin as JSON does: with a bracket, but not as in [US]. */
static inline bool begins_json(Text text, int64_t begin, int64_t end) {
    uint8_t first = byte_at(text, begin);
    if (first != '[' || end - begin < 2)
        return first == '[' || first == '{';
    uint8_t second = byte_at(text, begin + 1);
    return second < 'A' || second > 'Z';
}

/* Keep a pair, trimmed, as the row `count`; the next row, or -1 if the pair is irregular. */
static inline int64_t keep(Cutter *cutter, int64_t record, int64_t key, int64_t begin, int64_t end, int64_t count) {
    Text text = cutter->text;
    while (begin < end && is_blank(byte_at(text, begin)))
        begin++;
    while (begin < end && is_blank(byte_at(text, end - 1)))
        end--;
    if (begin == end)
        return count;
    if (byte_at(text, begin) == '"' || count >= cutter->spans.rows)
        return -1;
    if (!(cutter->keys[key].kind & JSON) && begins_json(text, begin, end))
        return -1;
    if (key) {
        Key *known = &cutter->keys[key];
        if (known->seen == record || known->kind & UNEXPECTED)
            return -1;
        known->seen = record;
        if (known->expected.size) {
            bool is_expected =
                end - begin == known->expected.size && equal(text, begin, known->expected, 0, end - begin);
            return is_expected ? count : -1;
        }
    }
    write_span(cutter->spans, count, key, begin, end);
    return count + 1;
}

/* Whether a sign in the value of a known key is to be reported: one that is not escaped, in a value of the server's own. */
static inline bool is_strange_sign(const Cutter *cutter, int64_t key, int64_t sign) {
    return !(cutter->keys[key].kind & FREE_TEXT) && byte_at(cutter->text, sign - 1) != '\\';
}

/* Cut a record at its keys, the first of which was found; the next row, or -1 if the record is irregular. */
static int64_t cut_at_keys(Cutter *cutter, int64_t record, int64_t key, int64_t sign, int64_t end, int64_t count) {
    Text text = cutter->text;
    bool early = false; /* whether the pair is of a client's text, or after such */
    for (;;) {
        int64_t begin = sign + 1, place = begin, word = begin, next = 0;
        bool in_free_text = cutter->keys[key].kind & FREE_TEXT;
        if (cutter->keys[key].kind & JSON) {
            int64_t opening = json_begin(text, begin, end);
            if (opening >= 0) {
                place = json_end(text, opening, end);
                if (place < 0)
                    return -1;
                in_free_text = false;
            }
        }
        early = (cutter->keys[key].kind & EARLY) || (early && !key);
        for (place = next_sign(cutter, place, end); place < end; place = next_sign(cutter, place + 1, end)) {
            word = begin_of_word(cutter, begin, place);
            /* A blank before a sign may stand after a key. */
            if (word == place && place > begin)
                return -1;
            /* What begins right after the sign is the value's own. */
            bool is_own = word == begin && !is_blank(byte_at(text, word - 1));
            next = is_own ? 0 : number_of(cutter, word, place, cutter->keys[key].next);
            if (next || (!is_own && !in_free_text && is_word(text, word, place)))
                break;
            if (key && is_strange_sign(cutter, key, place))
                return -1;
        }
        if (early && (cutter->keys[next].kind & LATE))
            return -1;
        count = keep(cutter, record, key, begin, place < end ? word : end, count);
        if (count < 0 || place >= end)
            return count;
        cutter->keys[key].next = next;
        key = next;
        sign = place;
    }
}

/* Cut a record at its tabs, after each of which a key has to stand; the next row, or -1 if the record is irregular. */
static int64_t cut_at_tabs(Cutter *cutter, int64_t record, int64_t key, int64_t sign, int64_t end, int64_t count) {
    Text text = cutter->text;
    bool early = false, first = true;
    for (;;) {
        int64_t begin = sign + 1, place = find_byte(text, begin, end, '\t');
        sign = next_sign(cutter, begin, end);
        /* With another key in the first value that no client writes, there are blanks for tabs; a sign that is left in
         * any other value of the server's own is reported. */
        if (!(cutter->keys[key].kind & FREE_TEXT) && (key || first)) {
            first = false;
            if (sign < place)
                return -1;
        }
        int64_t opening = json_begin(text, begin, place);
        if (opening >= 0 && json_end(text, opening, place) < 0)
            return -1;
        early = (cutter->keys[key].kind & EARLY) || (early && !key);
        count = keep(cutter, record, key, begin, place, count);
        if (count < 0 || place >= end)
            return count;
        int64_t word = place + 1;
        if (sign < word)
            sign = next_sign(cutter, word, end);
        if (sign >= end)
            return -1;
        int64_t next = number_of(cutter, word, sign, cutter->keys[key].next);
        cutter->keys[key].next = next;
        key = next;
        if ((!key && !is_word(text, word, sign)) || (early && (cutter->keys[key].kind & LATE)))
            return -1;
    }
}

/* Whether a known key stands after the first bar: bars between pairs then. */
static bool has_bars(const Cutter *cutter, int64_t begin, int64_t end) {
    Text text = cutter->text;
    int64_t word = find_byte(text, begin, end, '|') + 1;
    while (word < end && is_blank(byte_at(text, word)))
        word++;
    if (word >= end)
        return false;
    int64_t sign = find_byte(text, word, end, '='), stop = sign;
    while (stop > word && is_blank(byte_at(text, stop - 1)))
        stop--;
    return sign < end && number_of(cutter, word, stop, 0) > 0;
}

/* Where the first key begins, which may follow the header's last bar, and the sign after it; false if nowhere. */
static bool first_key(Cutter *cutter, int64_t begin, int64_t end, int64_t *word, int64_t *sign, int64_t *key) {
    Text text = cutter->text;
    for (int64_t place = next_sign(cutter, begin, end); place < end; place = next_sign(cutter, place + 1, end)) {
        int64_t start = place, earliest = place - LONGEST_KEY - 1 > begin ? place - LONGEST_KEY - 1 : begin;
        while (start > earliest && !is_blank(byte_at(text, start - 1)) && byte_at(text, start - 1) != '|')
            start--;
        if (start <= earliest)
            continue;
        *key = number_of(cutter, start, place, cutter->keys[0].next);
        if (*key || is_word(text, start, place)) {
            cutter->keys[0].next = *key;
            *word = start;
            *sign = place;
            return true;
        }
    }
    return false;
}

/* Whether a label is missing among the pairs of a record. */
static bool lacks_label(const Cutter *cutter, int64_t record, int64_t first, int64_t after) {
    for (int64_t row = first; row < after; row++) {
        int64_t number = cutter->spans.at[SPAN_COLUMNS * row + NUMBER];
        int64_t label = 0 <= number && number < cutter->count ? cutter->keys[number].label : 0;
        if (label && cutter->keys[label].seen != record)
            return true;
    }
    return false;
}

/* Take in what is recorded of each key, so far as it is sound. */
static const char *index_keys(Cutter *cutter, Text words, const int64_t *known) {
    for (int64_t number = 0; number < cutter->count; number++, known += TOLD_OF_KEY) {
        Key *key = &cutter->keys[number];
        int64_t begin = known[KEY_BEGIN], end = known[KEY_END], from = known[TEXT_BEGIN], to = known[TEXT_END];
        key->kind = known[KIND];
        key->label = known[LABEL];
        key->seen = -1;
        if (!within(begin, end, words.size) || !within(from, to, words.size) || key->label < 0 ||
            key->label >= cutter->count)
            return BAD_PLACES;
        key->expected = (Text){words.at + from, to - from};
        if (number == 0)
            continue;
        uint64_t hash = read_word(words, begin, end, &key->word);
        if (!hash)
            return "a key is empty or too long";
        uint64_t slot = hash & cutter->mask;
        while (cutter->slots[slot])
            slot = (slot + 1) & cutter->mask;
        cutter->slots[slot] = (int32_t)number;
    }
    return NULL;
}

/* (text, begins, ends, words, known, tabs, irregular, spans, firsts, headers) */
const char *find_pairs(const Argument *arguments, int64_t *results) {
    (void)results;
    Positions begins = positions_of(&arguments[1]), ends = positions_of(&arguments[2]);
    bool tabs = arguments[5].number != 0;
    Bytes irregular = bytes_of(&arguments[6]);
    Positions firsts = positions_of(&arguments[8]), headers = positions_of(&arguments[9]);
    Cutter cutter = {.text = text_of(&arguments[0]), .count = arguments[4].rows, .spans = places_of(&arguments[7]), .chunk = {-1, 0, 0}};
    Text text = cutter.text;
    int64_t records = begins.length, count = 0;
    if (ends.length != records || irregular.size != records || headers.length != records || firsts.length != records + 1 ||
        arguments[4].columns != TOLD_OF_KEY || cutter.count < 1 || cutter.count > INT16_MAX ||
        cutter.spans.columns != SPAN_COLUMNS || text.size > INT32_MAX)
        return BAD_SIZES;
    /* Three of four slots stay empty at least. */
    for (cutter.mask = 1; cutter.mask < 4 * (uint64_t)cutter.count;)
        cutter.mask = 2 * cutter.mask + 1;
    cutter.keys = calloc((size_t)cutter.count, sizeof *cutter.keys);
    cutter.slots = calloc((size_t)cutter.mask + 1, sizeof *cutter.slots);
    const char *refused =
        cutter.keys && cutter.slots ? index_keys(&cutter, text_of(&arguments[3]), arguments[4].at) : NO_MEMORY;
    for (int64_t record = 0; !refused && record < records; record++) {
        firsts.at[record] = count;
        if (irregular.at[record])
            continue;
        irregular.at[record] = true;
        int64_t begin = begins.at[record], end = ends.at[record], word, sign, key;
        if (!within(begin, end, text.size)) {
            refused = BAD_PLACES;
            break;
        }
        if (!first_key(&cutter, begin, end, &word, &sign, &key))
            continue;
        headers.at[record] = word;
        while (end > sign + 1 && is_blank(byte_at(text, end - 1)))
            end--;
        bool at_tabs = tabs && find_byte(text, sign, end, '\t') < end;
        if (tabs && !at_tabs && has_bars(&cutter, sign, end))
            continue;
        int64_t after = at_tabs
                            ? cut_at_tabs(&cutter, record, key, sign, end, count)
                            : cut_at_keys(&cutter, record, key, sign, end, count);
        if (after < 0 || lacks_label(&cutter, record, count, after))
            continue;
        irregular.at[record] = false;
        count = after;
    }
    if (!refused)
        firsts.at[records] = count;
    free(cutter.keys);
    free(cutter.slots);
    return refused;
}
