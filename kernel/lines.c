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

/* Whether nowhere in a chunk that is there one byte stands so far before another. */
static inline bool none_in_chunk(const uint8_t *at, int64_t ahead, uint8_t first, uint8_t last) {
#if defined(__SSE2__)
    __m128i found = _mm_setzero_si128();
    for (int part = 0; part < CHUNK; part += 16)
        found = _mm_or_si128(found, _mm_and_si128(_mm_cmpeq_epi8(sixteen_at(at + part), _mm_set1_epi8((char)first)),
                                                  _mm_cmpeq_epi8(sixteen_at(at + part + ahead), _mm_set1_epi8((char)last))));
    return _mm_movemask_epi8(found) == 0;
#else
    for (int part = 0; part < CHUNK; part += 16)
        if (bits_of(sixteen_at(at + part), first) & bits_of(sixteen_at(at + part + ahead), last))
            return false;
    return true;
#endif
}

static int64_t count_byte(Text text, uint8_t sought) {
    int64_t count = 0;
    for (int64_t place = 0; place < text.size; place++, count++) {
        const uint8_t *found = memchr(text.at + place, sought, (size_t)(text.size - place));
        if (found == NULL)
            break;
        place = found - text.at;
    }
    return count;
}

/* (text, sought) -> how many times, none of them within another */
const char *count_text(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]), sought = text_of(&arguments[1]);
    int64_t count = 0, place = 0, last = sought.size - 1;
    if (sought.size < 1)
        return "nothing is sought";
    if (sought.size == 1) {
        results[0] = count_byte(text, sought.at[0]);
        return NULL;
    }
    while (text.size - place >= sought.size) {
        if (text.size - place - last >= CHUNK && none_in_chunk(text.at + place, last, sought.at[0], sought.at[last])) {
            place += CHUNK;
            continue;
        }
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

/* (text, one, other) -> how many times each, none within another of the same; both begin with the same two bytes */
const char *count_either(const Argument *arguments, int64_t *results) {
    Text text = text_of(&arguments[0]), soughts[2] = {text_of(&arguments[1]), text_of(&arguments[2])};
    for (int which = 0; which < 2; which++)
        if (soughts[which].size < 2 || soughts[which].at[0] != soughts[0].at[0] || soughts[which].at[1] != soughts[0].at[1])
            return "what is sought does not begin with the same two bytes";
    uint8_t first = soughts[0].at[0], second = soughts[0].at[1];
    int64_t behind[2] = {0, 0}; /* the last one found */
    for (int64_t place = 0; place < text.size - 1;) {
        if (text.size - place > CHUNK && none_in_chunk(text.at + place, 1, first, second)) {
            place += CHUNK;
            continue;
        }
        int64_t end = text.size - place > CHUNK ? place + CHUNK : text.size - 1;
        for (; place < end; place++) {
            if (LIKELY(text.at[place] != first || text.at[place + 1] != second))
                continue;
            for (int which = 0; which < 2; which++) {
                Text sought = soughts[which];
                if (place < behind[which] || text.size - place < sought.size ||
                    memcmp(text.at + place, sought.at, (size_t)sought.size) != 0)
                    continue;
                results[which]++;
                behind[which] = place + sought.size;
            }
        }
    }
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
