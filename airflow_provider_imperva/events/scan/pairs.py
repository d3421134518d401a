r"""Where keys and values stand in the lines of a block, found by one compiled loop over its bytes.

The rules are those of :mod:`~airflow_provider_imperva.events.grammar.extension`. Where they ask for more than is done
here, the line is marked as odd instead, and nothing of it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types

from airflow_provider_imperva.events.grammar.vocabulary import (
    FREE_TEXT,
    JSON,
    KIND,
    LABEL,
    LENGTH,
    LONGEST,
    SLOT_BITS,
    STRANGE,
    TEXT,
    TEXT_LENGTH,
    WORD,
    Vocabulary,
)
from airflow_provider_imperva.events.scan.compiled import (
    BYTES,
    MASK,
    PLACES,
    POSITIONS,
    Bytes,
    Mask,
    Places,
    Positions,
    compiled,
    inlined,
)
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.machine import trailing_zeros, word_at
from airflow_provider_imperva.events.scan.texts import BEGIN, END, NUMBER

_TAB, _BLANK, _QUOTE, _COMMA, _EQUALS, _BACKSLASH, _BAR, _UNDERSCORE = b'\t ",=\\|_'
_SQUARE, _CURLY, _END_OF_SQUARE, _END_OF_CURLY = b"[{]}"
_A, _Z, _ZERO, _NINE = b"az09"
_LONGEST_WORD = 63

_UNKNOWN_KEYS = 32
"""For how many unknown keys in each line there is room."""

_CAPITAL = 0x20
_CAPITALS = np.uint64(0x4040404040404040)
_ONES, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BLANKS, _TABS = (_ONES * np.uint64(byte) for byte in (_BLANK, _TAB))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Keys and values, in the order they stand in the block; without labels, which are those expected.

    :param found: for each pair its ``NUMBER``, that of its key, 0 if that is not in the vocabulary; ``BEGIN`` and
        ``END`` of its value, trimmed and never empty.
    :param firsts: the first row of each line, and the number of rows.
    :param headers: where the header of each line ends, which is what stands before its first key, whatever that is.
    """

    found: Places
    firsts: Positions
    headers: Positions

    @classmethod
    def find(cls, lines: Lines, vocabulary: Vocabulary, odd: Mask, *, tabs: bool) -> Pairs:
        """Cut records into pairs.

        :param lines: records, each of one line of UTF-8.
        :param odd: lines not to look at; others that turn out to be odd are marked in it. They have no pairs.
        :param tabs: whether pairs may have tabs between them, and values blanks.
        """
        # A pair has four bytes at least, with the blank before it. Lines with pairs for which there is no room are odd.
        room = min(len(lines.block) // 4 + 1, len(lines) * (len(vocabulary.known) + _UNKNOWN_KEYS))
        found = np.empty((room, 3), np.int32)
        firsts = np.zeros(len(lines) + 1, np.int64)
        headers = lines.begins.copy()
        _find(
            np.frombuffer(lines.block, np.uint8),
            lines.begins,
            lines.ends,
            *vocabulary,
            tabs,
            odd,
            found,
            firsts,
            headers,
            np.full(len(vocabulary.known), -1),
        )
        return cls(found[: firsts[-1]], firsts, headers)


@inlined
def _word(text: Bytes, end: int, length: int, part: int) -> np.uint64:
    """Give eight bytes, or what there is, of a word that ends at a place: the last ones as part 0."""
    rest = length - 8 * part
    if rest <= 0:
        return np.uint64(0)
    word = word_at(text, end - 8 * (part + 1))
    return word if rest >= 8 else word >> np.uint64(8 * (8 - rest))


@inlined
def _folded(word: np.uint64) -> np.uint64:
    return word | ((word & _CAPITALS) >> np.uint64(1))


@inlined
def number_of(text: Bytes, known: Positions, slots: Positions, factor: np.uint64, start: int, end: int) -> int:
    """Number of the key that stands between two places, 0 if it is none; ``end`` must not be below ``LONGEST``."""
    length = end - start
    if length == 0 or length > LONGEST:
        return 0
    last = _folded(_word(text, end, length, 0))
    number: int = slots[np.int64((last * factor) >> np.uint64(64 - SLOT_BITS))]
    if known[number, LENGTH] != length or known[number, WORD] != np.int64(last):
        return 0
    for part in range(1, (length + 7) // 8):
        if known[number, WORD + part] != np.int64(_folded(_word(text, end, length, part))):
            return 0
    return number


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
    known: Positions,
    slots: Positions,
    factor: np.uint64,
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
        length = known[key, TEXT_LENGTH]
        if length:
            if end - begin != length:
                return -1
            for part in range((length + 7) // 8):
                if known[key, TEXT + part] != np.int64(_word(text, end, length, part)):
                    return -1
            return count
    found[count, NUMBER], found[count, BEGIN], found[count, END] = key, begin, end
    return count + 1


@inlined
def _cut_at_keys(
    text: Bytes,
    known: Positions,
    slots: Positions,
    factor: np.uint64,
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
            next_key = number_of(text, known, slots, factor, word, place)
            if next_key or (not in_free_text and _is_word(text, word, place)):
                break
            place = _find_byte(text, place + 1, end, _EQUALS)
        stop = word if place < end else end
        count = _keep(text, known, slots, factor, line, key, begin, stop, seen, found, count)
        if count < 0 or place >= end:
            return count
        key, start, sign = next_key, word, place


@inlined
def _cut_at_tabs(
    text: Bytes,
    known: Positions,
    slots: Positions,
    factor: np.uint64,
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
        count = _keep(text, known, slots, factor, line, key, begin, place, seen, found, count)
        if count < 0 or place == end:
            return count
        start = place + 1
        sign = _find_byte(text, start, end, _EQUALS)
        key = number_of(text, known, slots, factor, start, sign)
        if sign == end or not (key or _is_word(text, start, sign)):
            return -1


@inlined
def _first_key(
    text: Bytes, known: Positions, slots: Positions, factor: np.uint64, begin: int, end: int
) -> tuple[int, int]:
    """Find where the first key begins, which may follow the header's last bar, and its equals sign; -1 if nowhere."""
    start = begin
    for place in range(begin, end):
        byte = text[place]
        if byte == _BLANK or byte == _TAB or byte == _BAR:
            start = place + 1
        elif byte == _EQUALS and start > begin:
            if place < LONGEST:
                return -1, -1
            if number_of(text, known, slots, factor, start, place) or _is_word(text, start, place):
                return start, place
    return -1, -1


@compiled(
    BYTES,
    POSITIONS,
    POSITIONS,
    types.int64[:, ::1],
    POSITIONS,
    types.uint64,
    types.boolean,
    MASK,
    PLACES,
    POSITIONS,
    POSITIONS,
    POSITIONS,
)
def _find(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    known: Positions,
    slots: Positions,
    factor: np.uint64,
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
        start, sign = _first_key(text, known, slots, factor, begins[line], end)
        if sign < 0:
            continue
        headers[line] = start
        key = number_of(text, known, slots, factor, start, sign)
        while text[end - 1] == _BLANK or text[end - 1] == _TAB:
            end -= 1
        if tabs and _find_byte(text, sign, end, _TAB) < end:
            after = _cut_at_tabs(text, known, slots, factor, line, key, start, sign, end, seen, found, count)
        else:
            after = _cut_at_keys(text, known, slots, factor, line, key, start, sign, end, seen, found, count)
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
