/* HTTP headers in JSON that become maps of names to values. */
#include "kernel.h"

/* Headers of a text that may have two of one name; with more of them, to find those would take too long. */
enum { FEW = 64 };

/* Names that are remembered by their place in a text: most texts have the same ones in the same order. */
enum { REMEMBERED = 16 };

enum { SHORTEST = 8 }; /* bytes of a text for each of its headers, at least */

/* Where name and value of a header stand. */
typedef struct {
    int32_t name, name_end, value, value_end;
    int32_t code;
} Header;

typedef struct {
    int32_t name, length, code;
} Known;

/* The distinct names, in lower case. */
typedef struct {
    Offsets ends;
    Bytes names;
    uint32_t *slots; /* the code of a name and one, 0 for none */
    uint64_t mask;
    int64_t count;
} Names;

static bool is_ascii(Text text, int64_t begin, int64_t end) {
    for (int64_t place = begin; place < end; place += 8)
        if (word_at(text, place, end - place) & HIGH_BITS)
            return false;
    return true;
}

/* How many headers a text has that is nothing but `[{"name":"value"},...]`, without escapes and
 * with names in ASCII; 0 for any other.
 */
static int64_t find_headers(Text text, int64_t begin, int64_t end, Header *found, int64_t room) {
    int64_t count = 0, place = begin;
    if (end - begin < SHORTEST + 1 || byte_at(text, begin) != '[' || find_byte(text, begin, end, '\\') < end)
        return 0;
    do {
        int64_t name = place + 3, name_end = find_byte(text, name, end, '"');
        int64_t value = name_end + 3, value_end = find_byte(text, value, end, '"');
        if (value_end > end - 3 || byte_at(text, place + 1) != '{' || byte_at(text, place + 2) != '"' ||
            byte_at(text, name_end + 1) != ':' || byte_at(text, name_end + 2) != '"' ||
            byte_at(text, value_end + 1) != '}' || !is_ascii(text, name, name_end) || count >= room)
            return 0;
        found[count++] = (Header){(int32_t)name, (int32_t)name_end, (int32_t)value, (int32_t)value_end, -1};
        place = value_end + 2;
    } while (byte_at(text, place) == ',');
    return byte_at(text, place) == ']' && place == end - 1 ? count : 0;
}

/* The code of a name, whether new or known; -1 if there is no room for it. */
static int64_t code_of_name(Names *known, Text text, int64_t begin, int64_t end) {
    int64_t to = known->ends.at[known->count], length = end - begin;
    if (length > known->names.size - to || known->count + 1 >= known->ends.length)
        return -1;
    for (int64_t ahead = 0; ahead < length; ahead++) {
        uint8_t byte = byte_at(text, begin + ahead);
        known->names.at[to + ahead] = 'A' <= byte && byte <= 'Z' ? byte | 0x20 : byte;
    }
    Text names = {known->names.at, known->names.size};
    uint64_t hash = (uint64_t)length;
    for (int64_t ahead = 0; ahead < length; ahead += 8)
        hash = mixed(hash, word_at(names, to + ahead, length - ahead));
    uint64_t slot = hash & known->mask;
    for (; known->slots[slot]; slot = (slot + 1) & known->mask) {
        int64_t code = (int64_t)known->slots[slot] - 1, other = known->ends.at[code];
        if (known->ends.at[code + 1] - other == length && equal(names, to, names, other, length))
            return code;
    }
    known->slots[slot] = (uint32_t)known->count + 1;
    known->ends.at[known->count + 1] = (int32_t)(to + length);
    return known->count++;
}

/* Where names, values and texts that are written next go to. */
typedef struct {
    Text text;
    Offsets codes, value_firsts, ends;
    Bytes copied;
    int64_t named, valued, to;
} Maps;

/* Add a value to the last name; there is room for it in `ends`. Whether there is in `copied`. */
static inline bool add_value(Maps *maps, const Header *header) {
    int64_t length = header->value_end - header->value;
    if (length > maps->copied.size - maps->to)
        return false;
    uint8_t *to = maps->copied.at + maps->to;
    const uint8_t *from = maps->text.at + header->value;
    if (LIKELY(length <= VECTOR && maps->text.size - header->value >= VECTOR &&
               maps->copied.size - maps->to >= VECTOR))
        memcpy(to, from, VECTOR);
    else
        memcpy(to, from, (size_t)length);
    maps->to += length;
    maps->ends.at[++maps->valued] = (int32_t)maps->to;
    return true;
}

/* Add the headers of a text, each name once. Whether there is room for them. */
static bool add_headers(Maps *maps, Header *headers, int64_t count, bool repeats) {
    if (count >= maps->ends.length - maps->valued || count > maps->codes.length - maps->named ||
        count >= maps->value_firsts.length - maps->named)
        return false;
    for (int64_t which = 0; which < count; which++) {
        int32_t code = headers[which].code;
        if (code < 0)
            continue;
        maps->codes.at[maps->named] = code;
        if (!add_value(maps, &headers[which]))
            return false;
        for (int64_t later = which + 1; repeats && later < count; later++)
            if (headers[later].code == code) {
                if (!add_value(maps, &headers[later]))
                    return false;
                headers[later].code = -1;
            }
        maps->value_firsts.at[++maps->named] = (int32_t)maps->valued;
    }
    return true;
}

/* (characters, offsets, irregular, firsts, codes, value_firsts, ends, copied, name_ends, names)
 * -> how many names, values and distinct names
 */
const char *cut_headers(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]);
    Offsets offsets = offsets_of(&arguments[1]), firsts = offsets_of(&arguments[3]);
    Bytes irregular = bytes_of(&arguments[2]);
    Maps maps = {text, offsets_of(&arguments[4]), offsets_of(&arguments[5]), offsets_of(&arguments[6]),
                 bytes_of(&arguments[7]), 0, 0, 0};
    Names names = {offsets_of(&arguments[8]), bytes_of(&arguments[9]), NULL, 1, 0};
    int64_t room = maps.codes.length;
    Known remembered[REMEMBERED];
    if (offsets.length < 1 || irregular.size != offsets.length - 1 || firsts.length != offsets.length ||
        maps.value_firsts.length < 1 || maps.ends.length < 1 || names.ends.length < 1 || text.size > INT32_MAX ||
        maps.copied.size > INT32_MAX || names.names.size > INT32_MAX)
        return BAD_SIZES;
    for (int which = 0; which < REMEMBERED; which++)
        remembered[which] = (Known){0, -1, 0};
    maps.value_firsts.at[0] = maps.ends.at[0] = names.ends.at[0] = firsts.at[0] = 0;
    /* Half of the slots stay empty at least, so that a name not found in its own is in one of the next. */
    while (names.mask < 2 * (uint64_t)names.ends.length)
        names.mask = 2 * names.mask + 1;
    names.slots = calloc((size_t)names.mask + 1, sizeof *names.slots);
    /* The last text, counted from one, that has a name. */
    uint32_t *last = calloc((size_t)names.ends.length, sizeof *last);
    Header *headers = malloc(((size_t)room + 1) * sizeof *headers);
    const char *refused = names.slots && last && headers ? NULL : NO_MEMORY;
    for (int64_t row = 0; !refused && row < offsets.length - 1; row++) {
        int64_t begin, end, count = 0;
        if (!text_at(offsets, row, text.size, &begin, &end)) {
            refused = BAD_PLACES;
            break;
        }
        if (!irregular.at[row])
            count = find_headers(text, begin, end, headers, room);
        bool repeats = false, plain = count > 0;
        for (int64_t which = 0; which < count; which++) {
            Header *header = &headers[which];
            Known *known = &remembered[which % REMEMBERED];
            int64_t length = header->name_end - header->name;
            if (UNLIKELY(known->length != length || !equal(text, known->name, text, header->name, length))) {
                int64_t code = code_of_name(&names, text, header->name, header->name_end);
                if (code < 0) {
                    refused = "there is no room for the names of headers";
                    break;
                }
                *known = (Known){header->name, (int32_t)length, (int32_t)code};
            }
            header->code = known->code;
            repeats |= last[header->code] == (uint32_t)row + 1;
            last[header->code] = (uint32_t)row + 1;
        }
        plain &= !(repeats && count > FEW);
        irregular.at[row] = !plain;
        if (!refused && plain && !add_headers(&maps, headers, count, repeats))
            refused = "there is no room for headers";
        firsts.at[row + 1] = (int32_t)maps.named;
    }
    free(names.slots);
    free(last);
    free(headers);
    results[0] = maps.named;
    results[1] = maps.valued;
    results[2] = names.count;
    return refused;
}
