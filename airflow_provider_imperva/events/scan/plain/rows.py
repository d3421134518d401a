"""Values of W3C rows. All quotes of a block are taken two by two: an opening one and a closing one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Places, Positions
from airflow_provider_imperva.events.scan.plain.spans import span_of, strings, trim
from airflow_provider_imperva.events.scan.plain.values import integers

_BLANK, _QUOTE, _BACKSLASH = b' "\\'

_DIGITS = 13
"""Digits of a time in epoch milliseconds."""


def cut_rows(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    names: int,
    moments: Positions,
    irregular: Mask,
    escaped: Mask,
    spans: Places,
    firsts: Positions,
) -> None:
    """Cut rows at their quotes.

    With quotes doubled within a value, a row still has an even number of them: the value is then several pairs of
    quotes, with nothing between one pair and the next. A row that has these and backslashes before quotes is irregular.
    """
    quotes = np.flatnonzero(text == _QUOTE)
    row = span_of(quotes, begins, ends)
    quotes, row = quotes[row >= 0], row[row >= 0]
    irregular |= np.bincount(row, minlength=len(irregular)) % 2 == 1
    quotes, row = quotes[~irregular[row]], row[~irregular[row]]
    opening, closing, row = quotes[::2], quotes[1::2], row[::2]
    is_first, is_last = np.diff(row, prepend=-1) > 0, np.diff(row, append=len(irregular)) > 0
    apart = np.append(opening[1:], 0) - closing
    is_doubled = ~is_last & (apart == 1)
    has_blank = ~is_last & (apart == 2) & (text.take(closing + 1, mode="clip") == _BLANK)
    irregular[row[is_first & (opening != begins[row])]] = True
    irregular[row[~(is_doubled | has_blank | (is_last & (closing + 1 == ends[row])))]] = True
    escaped[row[is_doubled]] = True
    irregular[row[escaped[row] & ((text[opening - 1] == _BACKSLASH) | (text[closing - 1] == _BACKSLASH))]] = True

    goes_on = np.append(False, is_doubled)[:-1]
    begin, end, row = opening[~goes_on] + 1, closing[~is_doubled], row[~is_doubled]
    irregular |= np.bincount(row, minlength=len(irregular)) != names
    begin, end, row = (values[~irregular[row]] for values in (begin, end, row))
    trim(text, begin, end)
    irregular[row[::names]] |= _disagree(text, begin.reshape(-1, names), end.reshape(-1, names), moments)
    number = np.arange(len(row)) % names
    kept = (begin < end) & ~irregular[row]
    np.cumsum(np.bincount(row[kept], minlength=len(irregular)), out=firsts[1:])
    spans[: firsts[-1]] = np.column_stack((number[kept], begin[kept], end[kept]))


def _disagree(text: Bytes, begins: Positions, ends: Positions, moments: Positions) -> Mask:
    """Return the rows of which date and time are not those of the start, or one of both is missing."""
    missing = np.zeros((len(begins), 1), np.int64)
    begins, ends = (np.append(places, missing, axis=1)[:, moments] for places in (begins, ends))
    has_date, has_time, has_start = (begins < ends).T
    date, time, start = (strings(text, begin, end) for begin, end in zip(begins.T, ends.T, strict=True))
    started = integers(start, _DIGITS, _DIGITS)
    second = np.datetime_as_string((pc.fill_null(started, 0).to_numpy() // 1000).astype("datetime64[s]"))
    is_same = pc.and_(pc.is_valid(started), pc.equal(pc.binary_join_element_wise(date, time, "T"), pa.array(second)))
    disagree: Mask = np.where(
        has_date & has_time, has_start & ~is_same.to_numpy(zero_copy_only=False), has_date | has_time
    )
    return disagree
