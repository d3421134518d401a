"""The fast way from W3C rows to fields: a whole block at once, in one compiled loop over its bytes.

Only those rows are taken of which it is certain that the careful reader gives the same: they are cut in the first or
the second of its ways, and date and time say nothing that the start does not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import types

from airflow_provider_imperva.events.grammar.fields import Fields, Notes
from airflow_provider_imperva.events.grammar.record import NORMAL
from airflow_provider_imperva.events.grammar.w3c import COLUMN_BY_FIELD, Layout
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
from airflow_provider_imperva.events.scan.machine import STRETCH, byte_at, matches, trailing_zeros, word_at
from airflow_provider_imperva.events.scan.texts import BEGIN, END, NUMBER, QUOTE, copy_lines, copy_texts
from airflow_provider_imperva.events.schema.columns import CATEGORY, COLUMNS, TEXT

Words = npt.NDArray[np.uint64]

_TAB, _BLANK, _BACKSLASH, _ZERO, _NINE = b"\t \\09"
_RECURRING = {column.w3c for column in COLUMNS if column.recurs}
_SHORTEST = len('"" ')
"""Bytes of an empty value, with the blank before it."""

_MILLISECONDS = 13
"""Digits of a time in epoch milliseconds, from 2001 to 2286."""

_DASHES, _COLONS = (np.uint64(int.from_bytes(signs, "little")) for signs in (b"\0\0\0\0-\0\0-", b"\0\0:\0\0:\0\0"))


def scan(rows: Lines, layout: Layout, *, keep_raw: bool) -> tuple[Fields, Mask]:
    """Read those rows that are as nearly all rows are.

    :param rows: lines of one block that are no directives.
    :param keep_raw: whether to keep each row in ``raw``.
    :return: the fields of the rows taken, and which of ``rows`` those are.
    """
    names = layout.names
    if len(set(names)) < len(names):
        # Which value of a name comes first, the careful reader knows.
        return Fields.of([], format_name="W3C", lines=[], raw=[]), np.zeros(len(rows), np.bool_)
    odd = np.zeros(len(rows), np.bool_)
    odd[rows.undecodable()] = True
    values = _Values.find(rows, names, odd)
    taken = np.flatnonzero(~odd)
    texts = values.copy(taken, [name for name in names if name not in ("date", "time")])
    if "cs-start" not in texts or texts["cs-start"].null_count:
        aside = values.copy(taken, ["date", "time"])
        missing = pa.nulls(len(taken), TEXT)
        date_and_time = pc.binary_join_element_wise(aside.get("date", missing), aside.get("time", missing), "T")
        texts["cs-start"] = pc.coalesce(texts.get("cs-start", missing), date_and_time)
    rules = texts["cs-rule"] if "cs-rule" in texts else pa.nulls(len(taken), TEXT).dictionary_encode()
    kinds = [*rules.dictionary.to_pylist(), NORMAL]
    kind_of = pc.fill_null(rules.indices, len(kinds) - 1)
    texts["cs-rule"] = pa.array(kinds, CATEGORY).take(kind_of)
    fields = Fields(
        format="W3C",
        lines=pa.array(rows.numbers[taken]),
        event_class=pa.array(["access" if kind == NORMAL else "security" for kind in kinds], CATEGORY).take(kind_of),
        texts={COLUMN_BY_FIELD[name]: column for name, column in texts.items() if name in COLUMN_BY_FIELD},
        notes=Notes(
            extra=[
                (row, name, text)
                for name, column in texts.items()
                if name not in COLUMN_BY_FIELD
                for row, text in enumerate(column.to_pylist())
                if text is not None
            ]
        ),
        raw=copy_lines(rows, rows.ends, taken) if keep_raw else None,
    )
    return fields, ~odd


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """The values of rows that have one for each name.

    :param found: for each value that is not empty the ``NUMBER`` of its name, ``BEGIN`` and ``END``.
    :param firsts: the first row of each row's, and the number of rows.
    :param escaped: rows in which quotes are escaped.
    """

    block: bytes
    names: tuple[str, ...]
    found: Places
    firsts: Positions
    escaped: Mask

    @classmethod
    def find(cls, rows: Lines, names: tuple[str, ...], odd: Mask) -> _Values:
        """Cut rows.

        :param odd: rows not to look at; others that turn out to be odd are marked in it. They have no values.
        """
        room = min(len(rows.block) // _SHORTEST + len(names), len(rows) * len(names))
        found = np.empty((room, 3), np.int32)
        firsts = np.zeros(len(rows) + 1, np.int64)
        escaped = np.zeros(len(rows), np.bool_)
        place_of = {name: place for place, name in enumerate(names)}
        moments = np.array([place_of.get(name, len(names)) for name in ("date", "time", "cs-start")])
        _cut(
            np.frombuffer(rows.block, np.uint8),
            rows.begins,
            rows.ends,
            moments,
            odd,
            escaped,
            found,
            firsts,
            np.zeros(2 * len(names), np.int64),
            np.full(len(names) + 1, -1, np.int64),
            np.full(3, -1).astype(np.uint64),
        )
        return cls(rows.block, names, found[: firsts[-1]], firsts, escaped)

    def copy(self, rows: Positions, wanted: Collection[str]) -> dict[str, pa.StringArray | pa.DictionaryArray]:
        """Copy those of some rows and names; names without any are left out."""
        numbers = [number for number, name in enumerate(self.names) if name in wanted]
        recurring = [number for number in numbers if self.names[number] in _RECURRING]
        copied = copy_texts(
            self.block,
            self.found,
            self.firsts,
            rows,
            numbers=numbers,
            recurring=recurring,
            escape=QUOTE,
            escaped=self.escaped,
        )
        named = zip(numbers, copied, strict=True)
        return {self.names[number]: column for number, column in named if column.null_count < len(rows)}


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
def _cut(
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
