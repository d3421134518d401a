/* What the parts of the kernel share: arrays that know how long they are, and reads that stay within them.
 *
 * Nothing here and in the loops calls Python, so that they run without its lock. Whatever an array holds, positions
 * among it, comes from outside: it is read once into a variable and checked there before anything is read or written
 * with it.
 */
#ifndef IMPERVA_KERNEL_H
#define IMPERVA_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define LIKELY(condition) (condition)
#define UNLIKELY(condition) (condition)
#endif

/* What is recorded of a text, in a row of int32. */
enum { NUMBER, BEGIN, END, SPAN_COLUMNS };

/* What is recorded of a key, in a row of int64. */
enum { KEY_BEGIN, KEY_END, KIND, LABEL, TEXT_BEGIN, TEXT_END, TOLD_OF_KEY };
enum { FREE_TEXT = 1, JSON = 2, UNEXPECTED = 4, EARLY = 8, LATE = 16 };
enum { LONGEST_KEY = 63, SLACK = 32 };

/* Arrays of Python, as they are handed in. */
typedef struct {
    const uint8_t *at;
    int64_t size;
} Text;

typedef struct {
    uint8_t *at;
    int64_t size;
} Bytes;

typedef struct {
    int32_t *at;
    int64_t length;
} Offsets;

typedef struct {
    int64_t *at;
    int64_t length;
} Positions;

typedef struct {
    int32_t *at;
    int64_t rows, columns;
} Places;

/* One argument of a function: an array, or a number. */
typedef struct {
    void *at;
    int64_t rows, columns, number;
} Argument;

static inline Text text_of(const Argument *argument) { return (Text){argument->at, argument->rows}; }
static inline Bytes bytes_of(const Argument *argument) { return (Bytes){argument->at, argument->rows}; }
static inline Offsets offsets_of(const Argument *argument) { return (Offsets){argument->at, argument->rows}; }
static inline Positions positions_of(const Argument *argument) { return (Positions){argument->at, argument->rows}; }
static inline Places places_of(const Argument *argument) {
    return (Places){argument->at, argument->rows, argument->columns};
}

/* A function gives NULL, or why it refused; its results go to a place that it is given. */
typedef const char *(*Loop)(const Argument *arguments, int64_t *results);

extern const char NO_MEMORY[];
extern const char BAD_SIZES[];
extern const char BAD_PLACES[];
extern uint64_t SECRET; /* odd; another one in each process, so that texts that collide cannot be made up */

const char *find_line_ends(const Argument *arguments, int64_t *results);
const char *count_text(const Argument *arguments, int64_t *results);
const char *count_either(const Argument *arguments, int64_t *results);
const char *tally(const Argument *arguments, int64_t *results);
const char *find_pairs(const Argument *arguments, int64_t *results);
const char *cut_rows(const Argument *arguments, int64_t *results);
const char *measure(const Argument *arguments, int64_t *results);
const char *copy(const Argument *arguments, int64_t *results);
const char *recode(const Argument *arguments, int64_t *results);
const char *finish(const Argument *arguments, int64_t *results);
const char *read_digits(const Argument *arguments, int64_t *results);
const char *find_doubtful(const Argument *arguments, int64_t *results);
const char *cut_lists(const Argument *arguments, int64_t *results);
const char *cut_urls(const Argument *arguments, int64_t *results);
const char *cut_headers(const Argument *arguments, int64_t *results);
const char *count_values(const Argument *arguments, int64_t *results);

/* Whether a stretch lies within so many bytes. */
static inline bool within(int64_t begin, int64_t end, int64_t size) { return 0 <= begin && begin <= end && end <= size; }

/* A text of an Arrow array; whether its offsets lie within what there is. */
static inline bool text_at(Offsets offsets, int64_t row, int64_t size, int64_t *begin, int64_t *end) {
    *begin = offsets.at[row];
    *end = offsets.at[row + 1];
    return within(*begin, *end, size);
}

/* The byte at a place; 0 outside of the text. */
static inline uint8_t byte_at(Text text, int64_t place) {
    return LIKELY((uint64_t)place < (uint64_t)text.size) ? text.at[place] : 0;
}

/* Up to eight bytes from a place on, the first of which is the lowest; 0 for those outside of the text. */
static inline uint64_t word_at(Text text, int64_t place, int64_t count) {
    uint64_t word = 0;
    if (LIKELY(place >= 0 && text.size - place >= 8)) {
        memcpy(&word, text.at + place, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        return count >= 8 ? word : count <= 0 ? 0 : word & ((UINT64_C(1) << (8 * count)) - 1);
    }
    for (int64_t ahead = 0; ahead < 8 && ahead < count; ahead++)
        word |= (uint64_t)byte_at(text, place + ahead) << (8 * ahead);
    return word;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint8_t)(byte))
#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Mark each byte of a word that is the one sought, by its high bit. */
static inline uint64_t marks(uint64_t word, uint8_t sought) {
    uint64_t differ = word ^ EACH_BYTE(sought);
    return ~(((differ & ~HIGH_BITS) + ~HIGH_BITS) | differ | ~HIGH_BITS);
}

/* The number of the lowest, or the highest, bit that is set; one has to be. */
static inline int lowest_bit(uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
    return __builtin_ctzll(bits);
#else
    int place = 0;
    for (; !(bits & 1); bits >>= 1)
        place++;
    return place;
#endif
}

static inline int highest_bit(uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
    return 63 - __builtin_clzll(bits);
#else
    int place = 63;
    for (; !(bits >> 63); bits <<= 1)
        place--;
    return place;
#endif
}

enum { VECTOR = 32, CHUNK = 64 };

/* Sixteen bytes that are there. */
#if defined(__SSE2__)
typedef __m128i Sixteen;
static inline Sixteen sixteen_at(const uint8_t *at) { return _mm_loadu_si128((const __m128i *)at); }
static inline uint64_t bits_of(Sixteen bytes, uint8_t sought) {
    return (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)sought)));
}
#else
typedef struct {
    uint64_t words[2];
} Sixteen;
static inline Sixteen sixteen_at(const uint8_t *at) {
    Text text = {at, 16};
    return (Sixteen){{word_at(text, 0, 8), word_at(text, 8, 8)}};
}
static inline uint64_t bits_of(Sixteen bytes, uint8_t sought) {
    uint64_t bits = 0;
    for (int part = 0; part < 2; part++)
        bits |= (marks(bytes.words[part], sought) >> 7) * UINT64_C(0x0102040810204080) >> 56 << (8 * part);
    return bits;
}
#endif

/* Which of the bytes of a stretch that is there are the one sought: a bit for each, the lowest for the first. */
static inline uint64_t bits_in_vector(const uint8_t *at, uint8_t sought) {
    return bits_of(sixteen_at(at), sought) | bits_of(sixteen_at(at + 16), sought) << 16;
}

/* Where a byte comes next before an end; the end, if it does not. */
static inline int64_t find_byte(Text text, int64_t place, int64_t end, uint8_t byte) {
    for (; place < end && place >= 0 && text.size - place >= 16; place += 16) {
        uint64_t found = bits_of(sixteen_at(text.at + place), byte);
        if (found) {
            place += lowest_bit(found);
            return place < end ? place : end;
        }
    }
    while (place < end && byte_at(text, place) != byte)
        place++;
    return place < end ? place : end;
}

/* Whether texts of the same length are the same; bytes outside of one are 0. */
static inline bool equal(Text one, int64_t place, Text other, int64_t elsewhere, int64_t length) {
    for (int64_t ahead = 0; ahead < length; ahead += 8)
        if (word_at(one, place + ahead, length - ahead) != word_at(other, elsewhere + ahead, length - ahead))
            return false;
    return true;
}

static inline bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t'; }
static inline bool is_digit(uint8_t byte) { return '0' <= byte && byte <= '9'; }
static inline bool is_letter(uint8_t byte) { return 'a' <= (byte | 0x20) && (byte | 0x20) <= 'z'; }

/* Mix eight bytes into a hash. */
static inline uint64_t mixed(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * SECRET;
    return hash ^ hash >> 32;
}

/* Write where a text stands into a row of a table, if the table has that row. */
static inline void write_span(Places spans, int64_t row, int64_t number, int64_t begin, int64_t end) {
    if (LIKELY((uint64_t)row < (uint64_t)spans.rows)) {
        int32_t *span = spans.at + SPAN_COLUMNS * row;
        span[NUMBER] = (int32_t)number;
        span[BEGIN] = (int32_t)begin;
        span[END] = (int32_t)end;
    }
}

#endif
