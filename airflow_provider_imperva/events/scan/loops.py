"""The loops themselves."""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt
from numba import types

from airflow_provider_imperva.events.scan.compiled import (
    BYTES,
    MASK,
    OFFSETS,
    PLACES,
    POSITIONS,
    Bytes,
    Mask,
    Offsets,
    Places,
    Positions,
    compiled,
    inlined,
)
from airflow_provider_imperva.events.scan.machine import (
    STRETCH,
    byte_at,
    copy_stretch,
    matches,
    trailing_zeros,
    word_at,
)

Words = npt.NDArray[np.uint64]

NUMBER, BEGIN, END = range(3)
KEY_BEGIN, KEY_END, KIND, LABEL, TEXT_BEGIN, TEXT_END = range(6)
FREE_TEXT, JSON, STRANGE = 1, 2, 4
PLAIN, BACKSLASH, QUOTE = b'\0\\"'

_TAB, _LF, _CR, _BLANK, _COMMA, _EQUALS, _BACKSLASH, _BAR, _UNDERSCORE = b"\t\n\r ,=\\|_"
_SQUARE, _CURLY, _END_OF_SQUARE, _END_OF_CURLY = b"[{]}"
_OPENING, _CLOSE, _OPENING_BRACE, _CLOSE_BRACE = b"[]{}"
_NO_ASCII = 128
_QUOTE = QUOTE
_A, _F, _Z, _ZERO, _NINE, _N, _R = b"afz09nr"
_DOT, _COLON, _SLASH, _QUESTION, _PLUS, _DASH, _AT, _BRACKET = b".:/?+-@]"
_CAPITAL = 0x20
_LONGEST_WORD = 63
_SHORTEST = len('"" ')
_MILLISECONDS = 13
_DASHES, _COLONS = (np.uint64(int.from_bytes(signs, "little")) for signs in (b"\0\0\0\0-\0\0-", b"\0\0:\0\0:\0\0"))
_ONES, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BLANKS, _TABS = (_ONES * np.uint64(byte) for byte in (_BLANK, _TAB))
_ALL_PLAIN = np.uint64(1 << STRETCH)
_SLOTS = 1 << 10
_PRIME = np.uint64(0x9E3779B97F4A7C15)
FACTOR = np.uint64(secrets.randbits(64) | 1)
"""Mixes texts; another one in each process, so that nobody can make texts up that all fall into one slot."""


@compiled(BYTES, POSITIONS)
def _find_line_ends(text: Bytes, places: Positions) -> int:
    """Tell where each LF stands, as far as there is room; tells how many there are."""
    count = 0
    place = 0
    while place < len(text):
        found, width = np.uint64(byte_at(text, place) == _LF), 1
        if place + STRETCH <= len(text):
            found, width = matches(text, place, _LF), STRETCH
        while found:
            if count < len(places):
                places[count] = place + trailing_zeros(found)
            count += 1
            found &= found - np.uint64(1)
        place += width
    return count


@compiled(BYTES, BYTES)
def _tally(text: Bytes, prefix: Bytes) -> tuple[int, int, int]:
    line_ends = lines = begun = begin = 0
    while begin < len(text):
        place = begin
        while place < len(text) and (text[place] == _BLANK or _TAB <= text[place] <= _CR) and text[place] != _LF:
            place += 1
        end = place
        while end + STRETCH <= len(text) and not matches(text, end, _LF):
            end += STRETCH
        while end < len(text) and text[end] != _LF:
            end += 1
        begins = end - begin >= len(prefix)
        for ahead in range(len(prefix) if begins else 0):
            begins &= text[begin + ahead] == prefix[ahead]
        begun += begins
        lines += place < end
        line_ends += end < len(text)
        begin = end + 1
    return line_ends, lines, begun


@inlined
def _folded(byte: int) -> int:
    return byte | _CAPITAL if _A <= byte | _CAPITAL <= _Z else byte


@inlined
def _mixed(text: Bytes, begin: int, end: int) -> np.uint64:
    mixed = np.uint64(end - begin) ^ FACTOR
    for place in range(begin, end):
        mixed = (mixed ^ np.uint64(_folded(text[place]))) * _PRIME
    return mixed ^ mixed >> np.uint64(32)


def slots_of(words: Bytes, known: Positions) -> Positions:
    """Give each key a slot."""
    slots = np.zeros(_SLOTS, np.int64)
    _fill(words, known, slots)
    return slots


@compiled(BYTES, types.int64[:, ::1], types.int64[::1])
def _fill(words: Bytes, known: Positions, slots: Positions) -> None:
    for number in range(1, len(known)):
        slot = np.int64(_mixed(words, known[number, KEY_BEGIN], known[number, KEY_END]) % np.uint64(len(slots)))
        while slots[slot]:
            slot = (slot + 1) % len(slots)
        slots[slot] = number


@inlined
def number_of(text: Bytes, words: Bytes, known: Positions, slots: Positions, start: int, end: int) -> int:
    """Number of the key that stands between two places, 0 if it is none."""
    length = end - start
    if length == 0 or length > _LONGEST_WORD:
        return 0
    slot = np.int64(_mixed(text, start, end) % np.uint64(len(slots)))
    while slots[slot]:
        number: int = slots[slot]
        begin = known[number, KEY_BEGIN]
        same = known[number, KEY_END] - begin == length
        for ahead in range(length if same else 0):
            same &= words[begin + ahead] == _folded(text[start + ahead])
        if same:
            return number
        slot = (slot + 1) % len(slots)
    return 0


@inlined
def _find_byte(text: Bytes, place: int, end: int, byte: int) -> int:
    """Find the next place of a byte; the end, if there is none before."""
    while place + 8 <= end:
        differ = word_at(text, place) ^ (_ONES * np.uint64(byte))
        found = (differ - _ONES) & ~differ & _HIGH_BITS
        if found:
            # The first mark is right; those behind it need not be.
            return place + (trailing_zeros(found) >> 3)
        place += 8
    while place < end and text[place] != byte:
        place += 1
    return place


@inlined
def _marks(word: np.uint64, bytes_sought: np.uint64) -> np.uint64:
    """Mark each byte of a machine word that is the one sought, by its high bit."""
    differ = word ^ bytes_sought
    return ~(((differ & ~_HIGH_BITS) + ~_HIGH_BITS) | differ | ~_HIGH_BITS)


@inlined
def _start_of_word(text: Bytes, start: int, sign: int) -> int:
    """Find where the word before a sign starts, behind a blank; the start of the key before it, if there is none."""
    word = word_at(text, sign - 8)
    blanks = _marks(word, _BLANKS) | _marks(word, _TABS)
    if blanks:
        for shift in (8, 16, 32):
            blanks |= blanks >> np.uint64(shift)
        return sign - 8 + int(np.int64((((blanks >> np.uint64(7)) & _ONES) * _ONES) >> np.uint64(56)))
    place = sign - 8
    # So far that it is no word any more.
    earliest = max(start, sign - _LONGEST_WORD - 1)
    while place > earliest and text[place - 1] != _BLANK and text[place - 1] != _TAB:
        place -= 1
    return place


@inlined
def _is_word(text: Bytes, start: int, end: int) -> bool:
    """Whether what stands between two places could be a key."""
    if not 0 < end - start <= _LONGEST_WORD or not _A <= text[start] | _CAPITAL <= _Z:
        return False
    for place in range(start, end):
        byte = text[place]
        if not (_A <= byte | _CAPITAL <= _Z or _ZERO <= byte <= _NINE or byte == _UNDERSCORE):
            return False
    return True


@inlined
def _json_begin(text: Bytes, begin: int, end: int) -> int:
    """Find the bracket that JSON begins with, maybe after the commas of empty slots; -1 if there is none."""
    while begin < end and (text[begin] == _BLANK or text[begin] == _COMMA):
        begin += 1
    return begin if begin < end and (text[begin] == _SQUARE or text[begin] == _CURLY) else -1


@inlined
def _json_end(text: Bytes, begin: int, end: int) -> int:
    """Find where the brackets close that open at a place; -1 if they never do."""
    depth, in_string = 0, False
    place = begin
    while place < end:
        byte = text[place]
        place += 1
        if byte == _BACKSLASH:
            while place < end and text[place] == _BACKSLASH:
                place += 1
            place += 1
        elif byte == _QUOTE:
            in_string = not in_string
        elif in_string:
            continue
        elif byte == _SQUARE or byte == _CURLY:
            depth += 1
        elif byte == _END_OF_SQUARE or byte == _END_OF_CURLY:
            depth -= 1
            more = place < end and text[place] == _COMMA and _json_begin(text, place, end) >= 0
            if depth == 0 and not more:
                return place
    return -1


@inlined
def _keep(
    text: Bytes,
    words: Bytes,
    known: Positions,
    slots: Positions,
    line: int,
    key: int,
    begin: int,
    end: int,
    seen: Positions,
    found: Places,
    count: int,
) -> int:
    """Keep a pair, trimmed, as the row ``count``; tells the next row, -1 if the pair is odd."""
    while begin < end and (text[begin] == _BLANK or text[begin] == _TAB):
        begin += 1
    while begin < end and (text[end - 1] == _BLANK or text[end - 1] == _TAB):
        end -= 1
    if begin == end:
        return count
    if text[begin] == _QUOTE or count == len(found):
        return -1
    if key:
        if seen[key] == line or known[key, KIND] & STRANGE:
            return -1
        seen[key] = line
        expected, length = known[key, TEXT_BEGIN], known[key, TEXT_END] - known[key, TEXT_BEGIN]
        if length:
            if end - begin != length:
                return -1
            for ahead in range(length):
                if words[expected + ahead] != text[begin + ahead]:
                    return -1
            return count
    found[count, NUMBER], found[count, BEGIN], found[count, END] = key, begin, end
    return count + 1


@inlined
def _cut_at_keys(
    text: Bytes,
    words: Bytes,
    known: Positions,
    slots: Positions,
    line: int,
    key: int,
    start: int,
    sign: int,
    end: int,
    seen: Positions,
    found: Places,
    count: int,
) -> int:
    """Cut a line at its keys, the first of which was found; tells the next row, -1 if the line is odd."""
    while True:
        begin = place = sign + 1
        in_free_text = known[key, KIND] & FREE_TEXT != 0
        if known[key, KIND] & JSON:
            opening = _json_begin(text, begin, end)
            if opening >= 0:
                place = _json_end(text, opening, end)
                if place < 0:
                    return -1
                in_free_text = False
        word, next_key = start, 0
        place = _find_byte(text, place, end, _EQUALS)
        while place < end:
            word = _start_of_word(text, start, place)
            next_key = number_of(text, words, known, slots, word, place)
            if next_key or (not in_free_text and _is_word(text, word, place)):
                break
            place = _find_byte(text, place + 1, end, _EQUALS)
        stop = word if place < end else end
        count = _keep(text, words, known, slots, line, key, begin, stop, seen, found, count)
        if count < 0 or place >= end:
            return count
        key, start, sign = next_key, word, place


@inlined
def _cut_at_tabs(
    text: Bytes,
    words: Bytes,
    known: Positions,
    slots: Positions,
    line: int,
    key: int,
    start: int,
    sign: int,
    end: int,
    seen: Positions,
    found: Places,
    count: int,
) -> int:
    """Cut a line at its tabs, behind each of which a key has to stand."""
    while True:
        begin = sign + 1
        place = _find_byte(text, begin, end, _TAB)
        count = _keep(text, words, known, slots, line, key, begin, place, seen, found, count)
        if count < 0 or place == end:
            return count
        start = place + 1
        sign = _find_byte(text, start, end, _EQUALS)
        key = number_of(text, words, known, slots, start, sign)
        if sign == end or not (key or _is_word(text, start, sign)):
            return -1


@inlined
def _first_key(text: Bytes, words: Bytes, known: Positions, slots: Positions, begin: int, end: int) -> tuple[int, int]:
    """Find where the first key begins, which may follow the header's last bar, and its equals sign; -1 if nowhere."""
    start = begin
    for place in range(begin, end):
        byte = text[place]
        if byte == _BLANK or byte == _TAB or byte == _BAR:
            start = place + 1
        elif byte == _EQUALS and start > begin and place >= 8:
            if number_of(text, words, known, slots, start, place) or _is_word(text, start, place):
                return start, place
    return -1, -1


@compiled(
    BYTES,
    POSITIONS,
    POSITIONS,
    BYTES,
    types.int64[:, ::1],
    POSITIONS,
    types.boolean,
    MASK,
    PLACES,
    POSITIONS,
    POSITIONS,
    POSITIONS,
)
def _find_pairs(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    words: Bytes,
    known: Positions,
    slots: Positions,
    tabs: bool,
    odd: Mask,
    found: Places,
    firsts: Positions,
    headers: Positions,
    seen: Positions,
) -> None:
    count = 0
    for line in range(len(begins)):
        firsts[line] = count
        if odd[line]:
            continue
        odd[line] = True
        end = ends[line]
        start, sign = _first_key(text, words, known, slots, begins[line], end)
        if sign < 0:
            continue
        headers[line] = start
        key = number_of(text, words, known, slots, start, sign)
        while text[end - 1] == _BLANK or text[end - 1] == _TAB:
            end -= 1
        if tabs and _find_byte(text, sign, end, _TAB) < end:
            after = _cut_at_tabs(text, words, known, slots, line, key, start, sign, end, seen, found, count)
        else:
            after = _cut_at_keys(text, words, known, slots, line, key, start, sign, end, seen, found, count)
        if after < 0:
            continue
        lacking = False
        for row in range(count, after):
            label = known[found[row, NUMBER], LABEL]
            lacking |= label > 0 and seen[label] != line
        if not lacking:
            odd[line] = False
            count = after
    firsts[len(begins)] = count


@compiled(PLACES, POSITIONS, POSITIONS)
def _measure(found: Places, column_of: Positions, sizes: Positions) -> None:
    """Add up the bytes of each column's texts, those of lines that are not wanted among them."""
    for text in range(len(found)):
        number = found[text, NUMBER]
        if number < len(column_of) and column_of[number] >= 0:
            sizes[column_of[number]] += found[text, END] - found[text, BEGIN]


@inlined
def _first(word: np.uint64, count: int) -> np.uint64:
    """Keep the first bytes of a machine word, all eight or fewer."""
    return word if count >= 8 else word & ((np.uint64(1) << np.uint64(8 * count)) - np.uint64(1))


@inlined
def _copy_plain(text: Bytes, begin: int, end: int, copied: Bytes, to: int) -> int:
    """Copy a text as it is; tells where the copy ends."""
    if end + STRETCH > len(text):
        for place in range(begin, end):
            copied[to + place - begin] = text[place]
        return to + end - begin
    place, shift = begin, to - begin
    while place < end:
        # Up to 31 bytes more than are left, which the next text goes over.
        copy_stretch(text, place, copied, place + shift)
        place += STRETCH
    return end + shift


@inlined
def _copy_unescaped(text: Bytes, begin: int, end: int, escape: int, copied: Bytes, to: int) -> int:
    """Copy a text without its escapes; tells where the copy ends."""
    place = begin
    while place < end:
        if place + STRETCH <= len(text):
            copy_stretch(text, place, copied, to)
            plain = trailing_zeros(matches(text, place, escape) | _ALL_PLAIN)
            if place + plain >= end:
                return to + end - place
            place += plain
            to += plain
            if plain == STRETCH:
                continue
        byte = text[place]
        following = text[place + 1] if place + 1 < end else 0
        place += 1
        if escape == BACKSLASH and byte == BACKSLASH:
            if following == _EQUALS or following == BACKSLASH or following == _N or following == _R:
                byte = _LF if following == _N else _CR if following == _R else following
                place += 1
        elif escape == QUOTE and byte == QUOTE:
            if place - 1 > begin and text[place - 2] == BACKSLASH:
                to -= 1
            elif following == QUOTE:
                place += 1
        copied[to] = byte
        to += 1
    return to


@inlined
def _code_of(
    copied: Bytes, slots: Places, factor: np.uint64, column: int, ends: Places, count: int, to: int, end: int
) -> int:
    """Give the code of a copied text, ``count`` if it is a new one, and then keep it for the next ones."""
    mixed = np.uint64(end - to)
    for place in range(to, end, 8):
        mixed = (mixed ^ _first(word_at(copied, place), end - place)) * factor
        mixed ^= mixed >> np.uint64(32)
    slot = mixed & np.uint64(slots.shape[1] - 1)
    while slots[column, slot] >= 0:
        code: int = slots[column, slot]
        other = ends[column, code]
        same = ends[column, code + 1] - other == end - to
        for place in range(to, end if same else to, 8):
            same &= _first(word_at(copied, place) ^ word_at(copied, other + place - to), end - place) == 0
        if same:
            return code
        slot = (slot + np.uint64(1)) & np.uint64(slots.shape[1] - 1)
    slots[column, slot] = count
    return count


@compiled(
    BYTES,
    PLACES,
    POSITIONS,
    POSITIONS,
    POSITIONS,
    types.int64,
    MASK,
    types.uint8[::1],
    POSITIONS,
    PLACES,
    PLACES,
    PLACES,
    types.uint64,
    POSITIONS,
)
def _copy(
    text: Bytes,
    found: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    escaped: Mask,
    copied: Bytes,
    places: Positions,
    ends: Places,
    codes: Places,
    slots: Places,
    factor: np.uint64,
    counts: Positions,
) -> None:
    """Copy the texts of each row to their columns, the first of which have codes.

    ``ends`` is told where the distinct texts of those end in ``copied``, and of the others how long each is, so that
    nothing is written for what a row does not have.
    """
    for row in range(len(rows)):
        line = rows[row]
        for which in range(np.uint64(firsts[line]), np.uint64(firsts[line + 1])):
            number = found[which, NUMBER]
            column = column_of[number] if number < len(column_of) else -1
            if column < 0:
                continue
            begin, behind, to = found[which, BEGIN], found[which, END], places[column]
            if escaped[line]:
                end = _copy_unescaped(text, begin, behind, escape, copied, to)
            else:
                end = _copy_plain(text, begin, behind, copied, to)
            if column >= len(codes):
                ends[column, row + 1] = end - to
            else:
                code = _code_of(copied, slots, factor, column, ends, counts[column], to, end)
                codes[column, row] = code
                if code < counts[column]:
                    continue
                counts[column] += 1
                ends[column, code + 1] = end
            places[column] = end


@compiled(PLACES)
def _sum_lengths(lengths: Places) -> None:
    """Put the sum of each column's lengths so far in their place."""
    for column in range(len(lengths)):
        end = 0
        for row in range(lengths.shape[1]):
            end += lengths[column, row]
            lengths[column, row] = end


@inlined
def _list_quotes(text: Bytes, begin: int, end: int, quotes: Positions) -> None:
    """List the first quotes from the begin of a row on; 0 for those that it does not have."""
    count, place = np.uint64(0), begin
    room = np.uint64(len(quotes))
    while place < end and count < room:
        found, width = np.uint64(byte_at(text, place) == QUOTE), 1
        if place + 2 * STRETCH <= len(text):
            found = matches(text, place, QUOTE) | matches(text, place + STRETCH, QUOTE) << np.uint64(STRETCH)
            width = 2 * STRETCH
        while found and count < room:
            quotes[count] = place + trailing_zeros(found)
            count += np.uint64(1)
            found &= found - np.uint64(1)
        place += width
    quotes[count:] = 0


@inlined
def _quote_after_escapes(text: Bytes, place: int, end: int) -> int:
    """Find the next quote; two quotes, or a backslash and a quote, are none."""
    while place < end:
        following = byte_at(text, place + 1) if place + 1 < end else _BLANK
        if byte_at(text, place) == QUOTE and following != QUOTE:
            break
        escape = byte_at(text, place) == QUOTE or byte_at(text, place) == _BACKSLASH
        place += 2 if escape and following == QUOTE else 1
    return place


@inlined
def _list_after_escapes(text: Bytes, begin: int, end: int, quotes: Positions) -> None:
    """List the quotes around the values of a row in which quotes are escaped; 0 from where it is no such row."""
    quotes[:] = 0
    place = begin
    for name in range(len(quotes) // 2):
        if place >= end or byte_at(text, place) != QUOTE:
            break
        closing = _quote_after_escapes(text, place + 1, end)
        if closing == end:
            break
        quotes[2 * name], quotes[2 * name + 1] = place, closing
        place = closing + 2


@inlined
def _cut_at_quotes(
    text: Bytes, begin: int, end: int, quotes: Positions, found: Places, count: int, value_of: Positions
) -> int:
    """Cut a row at the quotes around its values; tells the next row of ``found``, -1 if that are not all its quotes.

    ``value_of`` is told which row of ``found`` is each name's, -1 for a value that is empty.
    """
    place = begin
    for name in range(len(value_of) - 1):
        opening, closing = quotes[2 * name], quotes[2 * name + 1]
        if opening != place or closing <= opening or (closing + 1 < end and byte_at(text, closing + 1) != _BLANK):
            return -1
        place = closing + 2
        first, behind = opening + 1, closing
        if byte_at(text, first) <= _BLANK or byte_at(text, behind - 1) <= _BLANK:
            while first < behind and (byte_at(text, first) == _BLANK or byte_at(text, first) == _TAB):
                first += 1
            while first < behind and (byte_at(text, behind - 1) == _BLANK or byte_at(text, behind - 1) == _TAB):
                behind -= 1
        row = np.uint64(count)
        found[row, NUMBER], found[row, BEGIN], found[row, END] = name, first, behind
        value_of[name] = count if first < behind else -1
        count += first < behind
    return count if place == end + 1 else -1


@inlined
def _milliseconds(text: Bytes, begin: int, end: int) -> int:
    """Read a time in epoch milliseconds; -1 if it is none."""
    value = 0
    for place in range(begin, end):
        byte = byte_at(text, place)
        if not _ZERO <= byte <= _NINE:
            return -1
        value = 10 * value + byte - _ZERO
    return value if end - begin == _MILLISECONDS else -1


@inlined
def _two_digits(number: int) -> np.uint64:
    """Write a number below 100: the lowest bytes of a machine word, the first digit lowest."""
    tens = number // 10
    return np.uint64(_ZERO + tens | (_ZERO + number - 10 * tens) << 8)


@inlined
def _write_date(day: int, written: Words) -> None:
    """Write the date of a day after 1970-01-01, as in 2026-01-31: ten bytes, as two words that overlap."""
    # Years from March on, in cycles of 400 years, so that a leap day is the last one of a year.
    days = day + 719_468
    in_cycle = days % 146_097
    year = (in_cycle - in_cycle // 1_460 + in_cycle // 36_524 - in_cycle // 146_096) // 365
    in_year = in_cycle - (365 * year + year // 4 - year // 100)
    month = (5 * in_year + 2) // 153
    in_month = in_year - (153 * month + 2) // 5 + 1
    year += 400 * (days // 146_097) + (month >= 10)
    month = month + 3 if month < 10 else month - 9
    written[0] = _two_digits(year // 100) | _two_digits(year % 100) << np.uint64(16)
    written[0] |= _DASHES | _two_digits(month) << np.uint64(40)
    written[1] = written[0] >> np.uint64(16) | _two_digits(in_month) << np.uint64(48)


@inlined
def _is_date(text: Bytes, begin: int, end: int, seconds: int, today: Words) -> bool:
    """Whether a text is the date of a moment; ``today`` is the last day asked for: its date, and its number."""
    day = np.uint64(seconds // 86_400)
    if today[2] != day:
        _write_date(seconds // 86_400, today)
        today[2] = day
    return end - begin == 10 and word_at(text, begin) == today[0] and word_at(text, begin + 2) == today[1]


@inlined
def _is_time(text: Bytes, begin: int, end: int, seconds: int) -> bool:
    """Whether a text is the time of day of a moment, as in 23:59:59."""
    written = _COLONS | _two_digits(seconds // 3600 % 24)
    written |= _two_digits(seconds // 60 % 60) << np.uint64(24) | _two_digits(seconds % 60) << np.uint64(48)
    return end - begin == 8 and word_at(text, begin) == written


@inlined
def _agree(text: Bytes, found: Places, date: int, time: int, start: int, today: Words) -> bool:
    """Whether date and time of a row are those of its start, as far as it has them; not if it has but one of both."""
    if date < 0 or time < 0:
        return date < 0 and time < 0
    if start < 0:
        return True
    moment = _milliseconds(text, found[start, BEGIN], found[start, END])
    return (
        moment >= 0
        and _is_date(text, found[date, BEGIN], found[date, END], moment // 1000, today)
        and _is_time(text, found[time, BEGIN], found[time, END], moment // 1000)
    )


@compiled(
    BYTES, POSITIONS, POSITIONS, POSITIONS, MASK, MASK, PLACES, POSITIONS, POSITIONS, POSITIONS, types.uint64[::1]
)
def _cut_rows(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    moments: Positions,
    odd: Mask,
    escaped: Mask,
    found: Places,
    firsts: Positions,
    quotes: Positions,
    value_of: Positions,
    today: Words,
) -> None:
    """Cut rows; ``moments`` are the places of the names date, time and start in ``value_of``, its last for no such."""
    date, time, start = moments[0], moments[1], moments[2]
    shortest = _SHORTEST * (len(value_of) - 1) - 1
    count = 0
    for row in range(len(begins)):
        firsts[row] = count
        begin, end = begins[row], ends[row]
        # Too short a row is not looked at, so that a long list of names takes no time for it.
        if odd[row] or end - begin < shortest:
            odd[row] = True
            continue
        _list_quotes(text, begin, end, quotes)
        after = _cut_at_quotes(text, begin, end, quotes, found, count, value_of)
        if after < 0:
            escaped[row] = True
            _list_after_escapes(text, begin, end, quotes)
            after = _cut_at_quotes(text, begin, end, quotes, found, count, value_of)
        if after >= 0 and _agree(text, found, value_of[date], value_of[time], value_of[start], today):
            count = after
        else:
            odd[row] = True
    firsts[len(begins)] = count


@compiled(BYTES, OFFSETS, types.int64, types.int64, types.int64, POSITIONS, MASK)
def _read_digits(
    characters: Bytes,
    offsets: Offsets,
    fewest: int,
    most: int,
    largest: int,
    values: Positions,
    odd: Mask,
) -> int:
    """Read what consists of digits; tells how many texts do not or are too large, nulls among them, and marks them."""
    count = 0
    for row in range(len(values)):
        place, end = int(offsets[row]), int(offsets[row + 1])
        value = 0
        plain = fewest <= end - place <= most
        while plain and place < end:
            digit = byte_at(characters, place) - _ZERO
            plain = 0 <= digit <= 9
            value = 10 * value + digit
            place += 1
        values[row] = value
        odd[row] = not plain or value > largest
        count += odd[row]
    return count


@inlined
def _is_plain_ipv4(characters: Bytes, begin: int, end: int) -> bool:
    place = begin
    for part in range(4):
        number = 0
        first = place
        while place < end and _ZERO <= byte_at(characters, place) <= _NINE:
            number = 10 * number + byte_at(characters, place) - _ZERO
            place += 1
        # As long as its shortest form: no digit before it.
        if number > 255 or place - first != 1 + (number > 9) + (number > 99):
            return False
        if part < 3:
            if place == end or byte_at(characters, place) != _DOT:
                return False
            place += 1
    return place == end


@inlined
def _is_plain_ipv6(characters: Bytes, begin: int, end: int) -> bool:
    groups = digits = 0
    shortened = False
    for place in range(begin, end):
        byte = byte_at(characters, place)
        if byte == _COLON:
            doubled = place > begin and byte_at(characters, place - 1) == _COLON
            if doubled and shortened:
                return False
            shortened |= doubled
            single_at_edge = place == begin and (end - begin < 2 or byte_at(characters, begin + 1) != _COLON)
            single_at_edge |= place == end - 1 and not doubled
            if single_at_edge:
                return False
            digits = 0
        elif _ZERO <= byte <= _NINE or _A <= byte | _CAPITAL <= _F:
            groups += digits == 0
            digits += 1
            if digits > 4:
                return False
        else:
            return False
    return groups <= 7 if shortened else groups == 8


@compiled(BYTES, OFFSETS, POSITIONS)
def _find_doubtful(characters: Bytes, offsets: Offsets, doubtful: Positions) -> int:
    """Find texts that are not plainly an address; tells how many there are."""
    count = 0
    for row in range(len(doubtful)):
        begin, end = offsets[row], offsets[row + 1]
        if begin < end and not _is_plain_ipv4(characters, begin, end) and not _is_plain_ipv6(characters, begin, end):
            doubtful[count] = row
            count += 1
    return count


@inlined
def _is_blank(byte: int) -> bool:
    return byte == _BLANK or byte == _TAB


@compiled(BYTES, OFFSETS, types.boolean, types.int32[::1], types.uint8[::1], types.int32[::1])
def _cut_lists(
    characters: Bytes, offsets: Offsets, trimmed: bool, ends: Offsets, copied: Bytes, firsts: Offsets
) -> None:
    """Copy the elements of lists, trimmed or in slots: ``ends`` of them in ``copied``, ``firsts`` of each list."""
    count = to = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        is_null = begin == end
        if not is_null and not trimmed and byte_at(characters, end - 1) == _COMMA:
            end -= 1
        for place in range(begin, begin if is_null else end + 1):
            if place == end or byte_at(characters, place) == _COMMA:
                behind = place
                while trimmed and begin < behind and _is_blank(byte_at(characters, begin)):
                    begin += 1
                while trimmed and begin < behind and _is_blank(byte_at(characters, behind - 1)):
                    behind -= 1
                for copying in range(begin, behind):
                    copied[to] = byte_at(characters, copying)
                    to += 1
                count += 1
                ends[count] = to
                begin = place + 1
        firsts[row + 1] = count


@inlined
def _behind_scheme(characters: Bytes, begin: int, end: int) -> int:
    """Find where a URL goes on behind its scheme, if it has any."""
    place = begin
    while place < end:
        byte = byte_at(characters, place)
        letter = _A <= byte | _CAPITAL <= _Z
        if not letter and (
            place == begin or not (_ZERO <= byte <= _NINE or byte == _PLUS or byte == _DOT or byte == _DASH)
        ):
            break
        place += 1
    is_scheme = begin < place < end - 2 and byte_at(characters, place) == _COLON
    return (
        place + 3
        if is_scheme and byte_at(characters, place + 1) == _SLASH and byte_at(characters, place + 2) == _SLASH
        else begin
    )


@compiled(BYTES, OFFSETS, PLACES, POSITIONS)
def _cut_urls(characters: Bytes, offsets: Offsets, found: Places, firsts: Positions) -> None:
    count = 0
    for row in range(len(offsets) - 1):
        end = offsets[row + 1]
        begin = place = port = _behind_scheme(characters, offsets[row], end)
        colons = 0
        while place < end and byte_at(characters, place) != _SLASH and byte_at(characters, place) != _QUESTION:
            byte = byte_at(characters, place)
            place += 1
            if byte == _COLON:
                colons += 1
                port = place
            elif not _ZERO <= byte <= _NINE:
                port = begin
                # What stands in brackets, or before the host, has colons of its own.
                colons = 0 if byte == _BRACKET or byte == _AT else colons
        # With more colons before it, what looks like a port is the end of an IPv6 address.
        behind = port - 1 if port > begin and colons == 1 else place
        if behind > begin:
            found[count, NUMBER], found[count, BEGIN], found[count, END] = 0, begin, behind
            count += 1
        begin = place
        while place < end and byte_at(characters, place) != _QUESTION:
            place += 1
        if place > begin:
            found[count, NUMBER], found[count, BEGIN], found[count, END] = 1, begin, place
            count += 1
        firsts[row + 1] = count


@compiled(BYTES, types.int64, types.int64)
def _count_values(text: Bytes, depth: int, level: int) -> int:
    """Count the values at the top, but for arrays, and those in lists that are so many brackets deep.

    :param depth: how many brackets, all of them lists, are open at the begin.
    """
    count = place = 0
    in_list = depth == level
    in_string = in_token = False
    while place < len(text):
        byte = text[place]
        if in_string:
            in_string = byte != _QUOTE
            place += byte == _BACKSLASH
        else:
            opens = byte in (_OPENING, _OPENING_BRACE)
            closes = byte in (_CLOSE, _CLOSE_BRACE)
            between = byte <= _BLANK or byte == _COMMA or byte >= _NO_ASCII
            in_string = byte == _QUOTE
            goes_on = in_token
            in_token = not (opens or closes or between or in_string)
            begins = opens or in_string or (in_token and not goes_on)
            count += begins and ((depth == level and in_list) or (depth == 0 and byte != _OPENING))
            depth += int(opens) - int(closes)
            if opens and depth == level:
                in_list = byte == _OPENING
        place += 1
    return count


def find_line_ends(text: Bytes, places: Positions) -> int:
    """Do it."""
    return _find_line_ends(text, places)


def tally(text: Bytes, prefix: Bytes) -> tuple[int, int, int]:
    """Do it."""
    return _tally(text, prefix)


def find_pairs(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    words: Bytes,
    known: Positions,
    tabs: bool,
    odd: Mask,
    found: Places,
    firsts: Positions,
    headers: Positions,
) -> None:
    """Do it."""
    slots = slots_of(words, known)
    _find_pairs(text, begins, ends, words, known, slots, tabs, odd, found, firsts, headers, np.full(len(known), -1))


def cut_rows(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    names: int,
    moments: Positions,
    odd: Mask,
    escaped: Mask,
    found: Places,
    firsts: Positions,
) -> None:
    """Do it."""
    _cut_rows(
        text,
        begins,
        ends,
        moments,
        odd,
        escaped,
        found,
        firsts,
        np.zeros(2 * names, np.int64),
        np.full(names + 1, -1, np.int64),
        np.full(3, -1).astype(np.uint64),
    )


def measure(found: Places, column_of: Positions, sizes: Positions) -> None:
    """Do it."""
    _measure(found, column_of, sizes)


def copy(
    text: Bytes,
    found: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    escaped: Mask,
    copied: Bytes,
    places: Positions,
    ends: Places,
    codes: Places,
    counts: Positions,
) -> None:
    """Do it."""
    width = 1 << (2 * len(rows)).bit_length()
    slots = np.full((len(codes), width), -1, np.int32)
    _copy(
        text,
        found,
        firsts,
        rows,
        column_of,
        escape,
        escaped,
        copied,
        places,
        ends,
        codes,
        slots,
        FACTOR,
        counts,
    )


def sum_lengths(lengths: Places) -> None:
    """Do it."""
    _sum_lengths(lengths)


def read_digits(
    characters: Bytes, offsets: Offsets, fewest: int, most: int, largest: int, values: Positions, odd: Mask
) -> int:
    """Do it."""
    return _read_digits(characters, offsets, fewest, most, largest, values, odd)


def find_doubtful(characters: Bytes, offsets: Offsets, doubtful: Positions) -> int:
    """Do it."""
    return _find_doubtful(characters, offsets, doubtful)


def cut_lists(
    characters: Bytes, offsets: Offsets, trimmed: bool, ends: Offsets, copied: Bytes, firsts: Offsets
) -> None:
    """Do it."""
    _cut_lists(characters, offsets, trimmed, ends, copied, firsts)


def cut_urls(characters: Bytes, offsets: Offsets, found: Places, firsts: Positions) -> None:
    """Do it."""
    _cut_urls(characters, offsets, found, firsts)


def count_values(text: Bytes, depth: int, level: int) -> int:
    """Do it."""
    return _count_values(text, depth, level)
