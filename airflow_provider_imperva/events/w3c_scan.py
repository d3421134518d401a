"""The fast way from W3C rows to fields: a whole block at once, without a loop over rows or values.

Only those rows are taken of which it is certain that the careful reader gives the same: two quotes for each name, just
one blank between values, and nothing else out of the ordinary.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.columns import INT64, TEXT
from airflow_provider_imperva.events.fields import Fields, Notes
from airflow_provider_imperva.events.lines import Lines, Mask, Positions, Slices
from airflow_provider_imperva.events.record import NORMAL
from airflow_provider_imperva.events.w3c import COLUMN_BY_FIELD, QUOTE_INSIDE, QUOTED, Layout

_QUOTE, _BLANK, _TAB = b'" \t'
_QUOTED = re.compile(QUOTED.pattern.encode())
_NO_TEXT = pa.scalar(None, TEXT)


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
    found, begins, ends, quoting = _values(rows, len(names))
    slices = Slices.of(rows.block, begins.ravel(), ends.ravel())
    # By name and row: number of the slice, 0 for an empty value.
    numbers = np.arange(1, begins.size + 1, dtype=np.int32).reshape(begins.shape)
    places = np.ascontiguousarray(np.where(begins < ends, numbers, 0).T)
    by_name = dict(zip(names, places, strict=False))
    nothing = np.zeros(len(found), np.int32)
    sound = _agree(*(slices.take(by_name.get(name, nothing)) for name in ("date", "time", "cs-start")))
    found, places = found[sound], places[:, sound]
    filled = np.flatnonzero(places.any(axis=1))
    columns = dict(zip([names[place] for place in filled.tolist()], slices.take_rows(places[filled]), strict=True))
    for name in columns.keys() & {names[value] for value in quoting}:
        columns[name] = pc.replace_substring_regex(columns[name], QUOTE_INSIDE.pattern, '"')
    missing = pa.nulls(len(found), TEXT)
    moments = pc.binary_join_element_wise(columns.pop("date", missing), columns.pop("time", missing), "T")
    texts = {COLUMN_BY_FIELD[name]: column for name, column in columns.items() if name in COLUMN_BY_FIELD}
    texts["event_time"] = pc.coalesce(texts.get("event_time", missing), moments)
    texts["event_name"] = pc.fill_null(texts.get("event_name", missing), NORMAL)
    taken = np.zeros(len(rows), np.bool_)
    taken[found] = True
    fields = Fields(
        format="W3C",
        lines=pa.array(rows.numbers[found]),
        event_class=pc.if_else(pc.equal(texts["event_name"], NORMAL), "access", "security"),
        texts=texts,
        notes=Notes(
            extra=[
                (row, name, text)
                for name, column in columns.items()
                if name not in COLUMN_BY_FIELD
                for row, text in enumerate(column.to_pylist())
                if text is not None
            ]
        ),
        raw=Slices.of(rows.block, rows.begins, rows.ends).take(found + 1) if keep_raw else None,
    )
    return fields, taken


def _values(rows: Lines, count: int) -> tuple[Positions, Positions, Positions, list[int]]:
    """Find the rows of so many values with just one blank between them, and none around them.

    :return: which rows they are; where each of their values begins and ends, a row of positions for each; and the
        places in a row of those values that have quotes inside, in whatever row.
    """
    text = np.frombuffer(rows.block, np.uint8)
    quotes = np.flatnonzero(text == _QUOTE).astype(np.int32)
    bounds = np.searchsorted(quotes, np.concatenate((rows.begins, rows.ends))).reshape(2, -1)
    surplus = bounds[1] - bounds[0] - 2 * count
    surplus[rows.undecodable()] = -1
    # Only rows with so many quotes, so that a long list of names takes no memory for short rows.
    found = np.flatnonzero(surplus >= 0)
    firsts, surplus = bounds[0, found], surplus[found]
    begins, ends = rows.begins[found], rows.ends[found]
    # By row and value: its two quotes. Zeros are none.
    marks = np.zeros((len(found), count, 2), np.int32)
    usual = surplus == 0
    marks[usual] = quotes[firsts[usual, np.newaxis] + np.arange(2 * count)].reshape(-1, count, 2)
    for place in np.flatnonzero(~usual).tolist():
        matches = list(_QUOTED.finditer(rows.block, int(begins[place]), int(ends[place])))
        if len(matches) == count:
            marks[place] = [match.span(1) for match in matches]
            marks[place, :, 0] -= 1
    inside = np.diff(np.searchsorted(quotes, marks[~usual]), axis=2)[:, :, 0] > 1
    quoting = np.flatnonzero(inside.any(axis=0)).tolist()
    opens, closes = marks[:, :, 0], marks[:, :, 1]
    plain = (opens[:, 0] == begins) & (closes[:, -1] == ends - 1)
    plain &= ((opens[:, 1:] - closes[:, :-1] == 2) & (text[closes[:, :-1] + 1] == _BLANK)).all(axis=1)
    for edge in (text[opens + 1], text[closes - 1]):
        plain &= ~((edge == _BLANK) | (edge == _TAB)).any(axis=1)
    return found[plain], opens[plain] + 1, closes[plain], quoting


def _agree(date: pa.StringArray, time: pa.StringArray, start: pa.StringArray) -> Mask:
    """Whether date and time say no other thing than the start, so that nothing is lost by leaving them out."""
    both = pc.and_(pc.is_valid(date), pc.is_valid(time))
    neither = pc.and_(pc.is_null(date), pc.is_null(time))
    digits = pc.and_(pc.equal(pc.binary_length(start), 13), pc.ascii_is_decimal(start))
    seconds = pc.divide(pc.if_else(digits, start, _NO_TEXT).cast(INT64), 1000)
    same = pc.equal(seconds.cast(pa.timestamp("s")).cast(TEXT), pc.binary_join_element_wise(date, time, " "))
    agree: Mask = pc.or_(neither, pc.if_else(pc.is_null(start), both, pc.fill_null(same, False))).to_numpy(
        zero_copy_only=False
    )
    return agree
