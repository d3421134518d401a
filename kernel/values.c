/* Texts that become values of a type. */
#include "kernel.h"

/* (characters, offsets, fewest, most, largest, values, irregular) -> how many are irregular */
const char *read_digits(const Argument *arguments, int64_t *results) {
    Text characters = text_of(&arguments[0]);
    Offsets offsets = offsets_of(&arguments[1]);
    int64_t fewest = arguments[2].number, most = arguments[3].number, largest = arguments[4].number, count = 0;
    Positions values = positions_of(&arguments[5]);
    Bytes irregular = bytes_of(&arguments[6]);
    if (offsets.length != values.length + 1 || irregular.size != values.length || most > 18)
        return BAD_SIZES;
    for (int64_t row = 0; row < values.length; row++) {
        int64_t place, end, value = 0;
        if (!text_at(offsets, row, characters.size, &place, &end))
            return BAD_PLACES;
        bool plain = place < end && fewest <= end - place && end - place <= most;
        for (; plain && place < end; place++) {
            plain = is_digit(byte_at(characters, place));
            value = 10 * value + byte_at(characters, place) - '0';
        }
        values.at[row] = value;
        irregular.at[row] = !plain || value > largest;
        count += irregular.at[row];
    }
    results[0] = count;
    return NULL;
}

static bool is_plain_ipv4(Text text, int64_t place, int64_t end) {
    for (int part = 0; part < 4; part++) {
        int64_t first = place, number = 0;
        for (; place < end && place - first < 4 && is_digit(byte_at(text, place)); place++)
            number = 10 * number + byte_at(text, place) - '0';
        /* As long as its shortest form: no digit before it. */
        if (number > 255 || place - first != 1 + (number > 9) + (number > 99))
            return false;
        if (part < 3) {
            if (place >= end || byte_at(text, place) != '.')
                return false;
            place++;
        }
    }
    return place == end;
}

static bool is_plain_ipv6(Text text, int64_t begin, int64_t end) {
    int64_t groups = 0, digits = 0;
    bool shortened = false;
    for (int64_t place = begin; place < end; place++) {
        uint8_t byte = byte_at(text, place);
        if (byte == ':') {
            bool doubled = place > begin && byte_at(text, place - 1) == ':';
            bool single_at_begin = place == begin && (end - begin < 2 || byte_at(text, begin + 1) != ':');
            bool single_at_end = place == end - 1 && !doubled;
            if ((doubled && shortened) || single_at_begin || single_at_end)
                return false;
            shortened |= doubled;
            digits = 0;
        } else if (is_digit(byte) || ('a' <= (byte | 0x20) && (byte | 0x20) <= 'f')) {
            groups += digits == 0;
            if (++digits > 4)
                return false;
        } else {
            return false;
        }
    }
    return shortened ? groups <= 7 : groups == 8;
}

/* (characters, offsets, doubtful) -> how many are no plain address */
const char *find_doubtful(const Argument *arguments, int64_t *results) {
    Text characters = text_of(&arguments[0]);
    Offsets offsets = offsets_of(&arguments[1]);
    Positions doubtful = positions_of(&arguments[2]);
    int64_t count = 0;
    if (offsets.length != doubtful.length + 1)
        return BAD_SIZES;
    for (int64_t row = 0; row < doubtful.length; row++) {
        int64_t begin, end;
        if (!text_at(offsets, row, characters.size, &begin, &end))
            return BAD_PLACES;
        if (begin < end && !is_plain_ipv4(characters, begin, end) && !is_plain_ipv6(characters, begin, end))
            doubtful.at[count++] = row;
    }
    results[0] = count;
    return NULL;
}

/* (characters, offsets, trimmed, ends, copied, firsts) */
const char *cut_lists(const Argument *arguments, int64_t *results) {
    (void)results;
    Text characters = text_of(&arguments[0]);
    Offsets offsets = offsets_of(&arguments[1]);
    bool trimmed = arguments[2].number != 0;
    Offsets ends = offsets_of(&arguments[3]);
    Bytes copied = bytes_of(&arguments[4]);
    Offsets firsts = offsets_of(&arguments[5]);
    int64_t count = 0, to = 0;
    if (offsets.length < 1 || firsts.length != offsets.length)
        return BAD_SIZES;
    for (int64_t row = 0; row < offsets.length - 1; row++) {
        int64_t begin, end;
        if (!text_at(offsets, row, characters.size, &begin, &end))
            return BAD_PLACES;
        bool is_null = begin == end;
        if (!is_null && !trimmed && byte_at(characters, end - 1) == ',')
            end--;
        for (int64_t stop = begin; !is_null && stop <= end; begin = ++stop) {
            stop = find_byte(characters, stop, end, ',');
            int64_t behind = stop;
            while (trimmed && begin < behind && is_blank(byte_at(characters, begin)))
                begin++;
            while (trimmed && begin < behind && is_blank(byte_at(characters, behind - 1)))
                behind--;
            if (behind - begin > copied.size - to || count + 1 >= ends.length)
                return "there is no room for the elements of a list";
            memcpy(copied.at + to, characters.at + begin, (size_t)(behind - begin));
            to += behind - begin;
            ends.at[++count] = (int32_t)to;
        }
        firsts.at[row + 1] = (int32_t)count;
    }
    return NULL;
}

/* Where a URL goes on after its scheme, if it has any. */
static int64_t behind_scheme(Text text, int64_t begin, int64_t end) {
    int64_t place = begin;
    for (; place < end; place++) {
        uint8_t byte = byte_at(text, place);
        bool further = is_digit(byte) || byte == '+' || byte == '.' || byte == '-';
        if (!is_letter(byte) && (place == begin || !further))
            break;
    }
    bool is_scheme = begin < place && place < end - 2 && byte_at(text, place) == ':' &&
                     byte_at(text, place + 1) == '/' && byte_at(text, place + 2) == '/';
    return is_scheme ? place + 3 : begin;
}

/* (characters, offsets, spans, firsts) */
const char *cut_urls(const Argument *arguments, int64_t *results) {
    (void)results;
    Text characters = text_of(&arguments[0]);
    Offsets offsets = offsets_of(&arguments[1]);
    Places spans = places_of(&arguments[2]);
    Positions firsts = positions_of(&arguments[3]);
    int64_t urls = offsets.length - 1, count = 0;
    if (urls < 0 || firsts.length != urls + 1 || spans.columns != SPAN_COLUMNS || spans.rows < 2 * urls)
        return BAD_SIZES;
    for (int64_t row = 0; row < urls; row++) {
        int64_t begin, end;
        if (!text_at(offsets, row, characters.size, &begin, &end))
            return BAD_PLACES;
        begin = behind_scheme(characters, begin, end);
        int64_t place = begin, port = begin, colons = 0;
        while (place < end && byte_at(characters, place) != '/' && byte_at(characters, place) != '?') {
            uint8_t byte = byte_at(characters, place);
            place++;
            if (byte == ':') {
                colons++;
                port = place;
            } else if (!is_digit(byte)) {
                port = begin;
                /* What stands in brackets, or before the host, has colons of its own. */
                colons = byte == ']' || byte == '@' ? 0 : colons;
            }
        }
        /* With more colons before it, what looks like a port is the end of an IPv6 address. */
        int64_t behind = port > begin && colons == 1 ? port - 1 : place;
        if (behind > begin)
            write_span(spans, count++, 0, begin, behind);
        int64_t query = find_byte(characters, place, end, '?');
        if (query > place)
            write_span(spans, count++, 1, place, query);
        firsts.at[row + 1] = count;
    }
    return NULL;
}

/* (text, depth) -> how many JSON values */
const char *count_values(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]);
    int64_t depth = arguments[1].number, count = 0;
    bool in_list = depth == 1, in_string = false, in_token = false;
    if (!within(0, depth, INT32_MAX))
        return BAD_PLACES;
    for (int64_t place = 0; place < text.size; place++) {
        uint8_t byte = text.at[place];
        if (in_string) {
            in_string = byte != '"';
            place += byte == '\\';
            continue;
        }
        bool opens = byte == '[' || byte == '{', closes = byte == ']' || byte == '}';
        bool between = byte <= ' ' || byte == ',' || byte >= 0x80, went_on = in_token;
        in_string = byte == '"';
        in_token = !(opens || closes || between || in_string);
        bool begins = opens || in_string || (in_token && !went_on);
        count += begins && ((depth == 1 && in_list) || (depth == 0 && byte != '['));
        depth += opens - closes;
        if (opens && depth == 1)
            in_list = byte == '[';
    }
    results[0] = count;
    return NULL;
}
