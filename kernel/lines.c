/* Where lines are, and how many there are by another count. */
#include "kernel.h"

/* (text, places) -> how many */
const char *find_line_ends(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]);
    Positions places = positions_of(&arguments[1]);
    int64_t count = 0;
    for (int64_t place = 0; place < text.size; place++) {
        const uint8_t *found = memchr(text.at + place, '\n', (size_t)(text.size - place));
        if (found == NULL)
            break;
        place = found - text.at;
        if (count < places.length)
            places.at[count] = place;
        count++;
    }
    results[0] = count;
    return NULL;
}

/* (text, sought) -> how many times, none of them within another */
const char *count_text(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]), sought = text_of(&arguments[1]);
    int64_t count = 0, place = 0, last = sought.size - 1;
    if (sought.size < 1)
        return "nothing is sought";
    while (text.size - place >= sought.size) {
        /* Places of the first byte that have the last one where it belongs. */
        if (LIKELY(text.size - place - last >= 16)) {
            uint64_t found = bits_of(sixteen_at(text.at + place), sought.at[0]) &
                             bits_of(sixteen_at(text.at + place + last), sought.at[last]);
            if (!found) {
                place += 16;
                continue;
            }
            place += lowest_bit(found);
        }
        bool same = text.size - place >= sought.size && memcmp(text.at + place, sought.at, (size_t)sought.size) == 0;
        count += same;
        place += same ? sought.size : 1;
    }
    results[0] = count;
    return NULL;
}

/* (text, prefix) -> line ends, lines, begun */
const char *tally(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]), prefix = text_of(&arguments[1]);
    int64_t line_ends = 0, lines = 0, begun = 0;
    for (int64_t begin = 0; begin < text.size;) {
        int64_t place = begin;
        while (place < text.size && text.at[place] != '\n' &&
               (text.at[place] == ' ' || ('\t' <= text.at[place] && text.at[place] <= '\r')))
            place++;
        const uint8_t *found = memchr(text.at + place, '\n', (size_t)(text.size - place));
        int64_t end = found == NULL ? text.size : found - text.at;
        begun += end - begin >= prefix.size && memcmp(text.at + begin, prefix.at, (size_t)prefix.size) == 0;
        lines += place < end;
        line_ends += end < text.size;
        begin = end + 1;
    }
    results[0] = line_ends;
    results[1] = lines;
    results[2] = begun;
    return NULL;
}
