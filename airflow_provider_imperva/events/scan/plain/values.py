"""Texts of columns, cut and read; and JSON values, counted."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Offsets, Places, Positions
from airflow_provider_imperva.events.scan.plain.spans import contents, is_any
from airflow_provider_imperva.events.schema.columns import INT64, TEXT

_NUMBER = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_ADDRESS = (
    rf"^(?:{_NUMBER}(?:\.{_NUMBER}){{3}}|(?:{_GROUP}:){{7}}{_GROUP}"
    rf"|(?:(?:{_GROUP}:){{1,6}}|:)(?::{_GROUP}){{1,6}}|(?:{_GROUP}:){{1,6}}:|::)$"
)
_MOST_COLONS = 7

_URL = (
    r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)?"
    # After what stands in brackets or before the host, one colon is that of a port; more are those of an address.
    r"(?:(?P<host>(?:[^/?]*[\]@])?[^/?:\]@]*)(?P<port>:[0-9]*)|(?P<all>[^/?]*))"
    r"(?P<path>/[^?]*)?(?:\?|$)"
)

_JSON_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*\\?"?|[^\x00- ",\[\]{}\x80-\xff]+', re.DOTALL)
_LIST, _SHORT = b"[v"


def _strings(characters: Bytes, offsets: Offsets) -> pa.StringArray:
    """Give texts; null for those that are empty."""
    texts = pa.Array.from_buffers(TEXT, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(characters)])
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts)


def integers(texts: pa.StringArray, fewest: int, most: int) -> pa.Int64Array:
    """Read texts of so many digits; null for others."""
    length = pc.binary_length(texts)
    is_number = pc.and_(pc.greater_equal(length, fewest), pc.less_equal(length, most))
    return pc.if_else(pc.and_(is_number, pc.ascii_is_decimal(texts)), texts, None).cast(INT64)


def read_digits(
    characters: Bytes, offsets: Offsets, fewest: int, most: int, largest: int, values: Positions, irregular: Mask
) -> int:
    """Read texts of digits."""
    numbers = integers(_strings(characters, offsets), fewest, most)
    values[:] = pc.fill_null(numbers, 0)
    irregular[:] = pc.fill_null(pc.greater(numbers, largest), True)
    return int(np.count_nonzero(irregular))


def find_doubtful(characters: Bytes, offsets: Offsets, doubtful: Positions) -> int:
    """Find what is not plainly an address."""
    texts = _strings(characters, offsets)
    is_short = pc.less_equal(pc.count_substring(texts, ":"), _MOST_COLONS)
    is_plain = pc.and_(is_short, pc.match_substring_regex(texts, _ADDRESS))
    rows = np.flatnonzero(pc.fill_null(pc.invert(is_plain), False))
    doubtful[: len(rows)] = rows
    return len(rows)


def cut_lists(
    characters: Bytes, offsets: Offsets, trimmed: bool, ends: Offsets, copied: Bytes, firsts: Offsets
) -> None:
    """Cut texts at commas."""
    texts = _strings(characters, offsets)
    lists = pc.split_pattern(texts if trimmed else pc.replace_substring_regex(texts, ",$", ""), ",")
    elements = pc.list_flatten(lists)
    places, bytes_copied = contents(pc.ascii_trim(elements, " \t") if trimmed else elements)
    ends[: len(places)] = places
    copied[: len(bytes_copied)] = bytes_copied
    firsts[1:] = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0))


def cut_urls(characters: Bytes, offsets: Offsets, spans: Places, firsts: Positions) -> None:
    """Find host and path of URLs."""
    parts = pc.extract_regex(_strings(characters, offsets), _URL)
    scheme, host, port, whole, path = (pc.fill_null(pc.binary_length(part), 0).to_numpy() for part in parts.flatten())
    host_begin = offsets[:-1] + scheme
    path_begin = host_begin + host + whole + port
    begins = np.column_stack((host_begin, path_begin))
    ends = np.column_stack((path_begin - port, path_begin + path))
    kept = begins < ends
    firsts[1:] = np.cumsum(np.count_nonzero(kept, axis=1))
    spans[: firsts[-1]] = np.column_stack((np.nonzero(kept)[1], begins[kept], ends[kept]))


def count_values(text: Bytes, depth: int) -> int:
    """Count JSON values, in what is left of a text when each string, number or word in it is one byte."""
    short = np.frombuffer(b"[" * depth + _JSON_TOKEN.sub(b"v", text), np.uint8)
    opens, closes = is_any(short, b"[{"), is_any(short, b"]}")
    after = np.cumsum(opens.astype(np.int32) - closes, dtype=np.int32)
    before = after - opens + closes
    # What opened the list, or object, at the top that a byte is in.
    opened = np.maximum.accumulate(np.where(opens & (after == 1), np.arange(len(short)), -1))
    in_list = (before == 1) & (opened >= 0) & (short[opened] == _LIST)
    counts = (opens | (short == _SHORT)) & (in_list | ((before == 0) & (short != _LIST)))
    return int(np.count_nonzero(counts[depth:]))
