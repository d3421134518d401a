/* W3C rows, cut into values. The ways are those of events/grammar/w3c.py; a row that is in neither of the first two is
 * left to the careful reader, and so is one whose date and time say something that its start does not.
 */
#include "kernel.h"

enum { SHORTEST = 3 /* an empty value, with the blank before it */, MILLISECONDS = 13, DATE = 10, TIME = 8 };

typedef struct {
    Text text;
    int64_t names;
    int64_t *quotes;   /* two for each name */
    int64_t *value_of; /* the row of each name's value, -1 for one that is empty, and for a name that there is not */
    Places spans;
    int64_t day; /* the last one whose date was written */
    uint8_t date[DATE];
} Cutter;

/* List the first quotes of a row; 0 for those that it does not have. */
static void list_quotes(const Cutter *cutter, int64_t begin, int64_t end) {
    Text text = cutter->text;
    int64_t count = 0, room = 2 * cutter->names, place = begin;
    for (; count < room && end - place >= VECTOR && text.size - place >= VECTOR; place += VECTOR)
        for (uint64_t found = bits_in_vector(text.at + place, '"'); found && count < room; found &= found - 1)
            cutter->quotes[count++] = place + lowest_bit(found);
    for (; count < room && place < end; place++)
        if (byte_at(text, place) == '"')
            cutter->quotes[count++] = place;
    while (count < room)
        cutter->quotes[count++] = 0;
}

/* Where the next quote is that none before it escapes. */
static int64_t closing_quote(Text text, int64_t place, int64_t end) {
    while (place < end) {
        uint8_t byte = byte_at(text, place), following = place + 1 < end ? byte_at(text, place + 1) : ' ';
        if (byte == '"' && following != '"')
            break;
        place += (byte == '"' || byte == '\\') && following == '"' ? 2 : 1;
    }
    return place;
}

/* List the quotes around the values of a row in which quotes are escaped; 0 from where it is no such row. */
static void list_after_escapes(const Cutter *cutter, int64_t begin, int64_t end) {
    Text text = cutter->text;
    memset(cutter->quotes, 0, (size_t)(2 * cutter->names) * sizeof *cutter->quotes);
    int64_t place = begin;
    for (int64_t name = 0; name < cutter->names; name++) {
        if (place >= end || byte_at(text, place) != '"')
            break;
        int64_t closing = closing_quote(text, place + 1, end);
        if (closing >= end)
            break;
        cutter->quotes[2 * name] = place;
        cutter->quotes[2 * name + 1] = closing;
        place = closing + 2;
    }
}

/* Cut a row at the quotes around its values; the next row of `spans`, -1 if those are not all its quotes. */
static int64_t cut_at_quotes(const Cutter *cutter, int64_t begin, int64_t end, int64_t count) {
    Text text = cutter->text;
    int64_t place = begin;
    for (int64_t name = 0; name < cutter->names; name++) {
        int64_t opening = cutter->quotes[2 * name], closing = cutter->quotes[2 * name + 1];
        if (opening != place || closing <= opening || closing >= end ||
            (closing + 1 < end && byte_at(text, closing + 1) != ' ') || count >= cutter->spans.rows)
            return -1;
        place = closing + 2;
        int64_t first = opening + 1, behind = closing;
        while (first < behind && is_blank(byte_at(text, first)))
            first++;
        while (first < behind && is_blank(byte_at(text, behind - 1)))
            behind--;
        bool empty = first == behind;
        if (!empty)
            write_span(cutter->spans, count, name, first, behind);
        cutter->value_of[name] = empty ? -1 : count;
        count += !empty;
    }
    return place == end + 1 ? count : -1;
}

/* Read a time in epoch milliseconds; -1 if it is none. */
static int64_t milliseconds(Text text, int64_t begin, int64_t end) {
    int64_t value = 0;
    if (end - begin != MILLISECONDS)
        return -1;
    for (int64_t place = begin; place < end; place++) {
        if (!is_digit(byte_at(text, place)))
            return -1;
        value = 10 * value + byte_at(text, place) - '0';
    }
    return value;
}

static void write_two(uint8_t *at, int64_t number) {
    at[0] = (uint8_t)('0' + number / 10);
    at[1] = (uint8_t)('0' + number % 10);
}

/* Write the date of a day after 1970-01-01, as in 2026-01-31. */
static void write_date(int64_t day, uint8_t *date) {
    /* Years from March on, in cycles of 400 years, so that a leap day is the last one of a year. */
    int64_t days = day + 719468, in_cycle = days % 146097;
    int64_t year = (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    int64_t in_year = in_cycle - (365 * year + year / 4 - year / 100), month = (5 * in_year + 2) / 153;
    int64_t in_month = in_year - (153 * month + 2) / 5 + 1;
    year += 400 * (days / 146097) + (month >= 10);
    write_two(date, year / 100);
    write_two(date + 2, year % 100);
    date[4] = date[7] = '-';
    write_two(date + 5, month < 10 ? month + 3 : month - 9);
    write_two(date + 8, in_month);
}

/* Whether date and time of a row are those of its start, as far as it has them; not if it has but one of both. */
static bool agree(Cutter *cutter, const int64_t *moments) {
    Text text = cutter->text;
    const int32_t *values[3];
    for (int which = 0; which < 3; which++) {
        int64_t row = cutter->value_of[moments[which]];
        values[which] = row < 0 ? NULL : cutter->spans.at + SPAN_COLUMNS * row;
    }
    const int32_t *date = values[0], *time = values[1], *start = values[2];
    if (date == NULL || time == NULL)
        return date == NULL && time == NULL;
    if (start == NULL)
        return true;
    int64_t moment = milliseconds(text, start[BEGIN], start[END]);
    int64_t date_at = date[BEGIN], time_at = time[BEGIN];
    if (moment < 0 || date[END] - date_at != DATE || time[END] - time_at != TIME ||
        !within(date_at, date_at + DATE, text.size) || !within(time_at, time_at + TIME, text.size))
        return false;
    int64_t seconds = moment / 1000;
    if (seconds / 86400 != cutter->day) {
        cutter->day = seconds / 86400;
        write_date(cutter->day, cutter->date);
    }
    uint8_t written[TIME] = "00:00:00";
    write_two(written, seconds / 3600 % 24);
    write_two(written + 3, seconds / 60 % 60);
    write_two(written + 6, seconds % 60);
    return memcmp(text.at + date_at, cutter->date, DATE) == 0 && memcmp(text.at + time_at, written, TIME) == 0;
}

/* (text, begins, ends, names, moments, irregular, escaped, spans, firsts) */
const char *cut_rows(const Argument *arguments, int64_t *results) {
    (void)results;
    Positions begins = positions_of(&arguments[1]), ends = positions_of(&arguments[2]);
    Bytes irregular = bytes_of(&arguments[5]), escaped = bytes_of(&arguments[6]);
    Positions firsts = positions_of(&arguments[8]);
    Cutter cutter = {
        .text = text_of(&arguments[0]), .names = arguments[3].number, .spans = places_of(&arguments[7]), .day = -1};
    int64_t rows = begins.length, moments[3];
    if (ends.length != rows || irregular.size != rows || escaped.size != rows || firsts.length != rows + 1 ||
        cutter.spans.columns != SPAN_COLUMNS || arguments[4].rows != 3 || cutter.text.size > INT32_MAX)
        return BAD_SIZES;
    if (cutter.names < 0 || cutter.names > INT32_MAX)
        return BAD_PLACES;
    for (int which = 0; which < 3; which++) {
        moments[which] = positions_of(&arguments[4]).at[which];
        if (!within(0, moments[which], cutter.names))
            return BAD_PLACES;
    }
    cutter.quotes = calloc(2 * (size_t)cutter.names + 1, sizeof *cutter.quotes);
    cutter.value_of = calloc((size_t)cutter.names + 1, sizeof *cutter.value_of);
    const char *refused = cutter.quotes && cutter.value_of ? NULL : NO_MEMORY;
    if (!refused)
        cutter.value_of[cutter.names] = -1;
    int64_t count = 0;
    for (int64_t row = 0; !refused && row < rows; row++) {
        firsts.at[row] = count;
        int64_t begin = begins.at[row], end = ends.at[row];
        if (!within(begin, end, cutter.text.size)) {
            refused = BAD_PLACES;
            break;
        }
        /* Too short a row is not looked at, so that a long list of names takes no time for it. */
        if (irregular.at[row] || end - begin < SHORTEST * cutter.names - 1) {
            irregular.at[row] = true;
            continue;
        }
        list_quotes(&cutter, begin, end);
        int64_t after = cut_at_quotes(&cutter, begin, end, count);
        if (after < 0) {
            escaped.at[row] = true;
            list_after_escapes(&cutter, begin, end);
            after = cut_at_quotes(&cutter, begin, end, count);
        }
        if (after >= 0 && agree(&cutter, moments))
            count = after;
        else
            irregular.at[row] = true;
    }
    if (!refused)
        firsts.at[rows] = count;
    free(cutter.quotes);
    free(cutter.value_of);
    return refused;
}
