"""Spans of a block, from a begin to an end each, many at a time. They are in order, and none overlaps the next."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Offsets, Positions
from airflow_provider_imperva.events.schema.columns import TEXT

BLANKS = b" \t"


@cache
def _table(wanted: bytes) -> Mask:
    table = np.zeros(256, np.bool_)
    table[list(wanted)] = True
    return table


def is_any(text: Bytes, wanted: bytes) -> Mask:
    """Return which bytes are among those wanted."""
    mask: Mask = _table(wanted)[text]
    return mask


def has_at(text: Bytes, places: Positions, ends: Positions, wanted: bytes) -> Mask:
    """Return which places, if before their ends, have one of the bytes wanted."""
    mask: Mask = (places < ends) & is_any(text.take(places, mode="clip"), wanted)
    return mask


def span_of(places: Positions, begins: Positions | Offsets, ends: Positions | Offsets) -> Positions:
    """Return which span each place is in, -1 for none."""
    span = np.searchsorted(begins, places, "right") - 1
    return np.where(places < np.append(ends, 0)[span], span, -1)


def skip(text: Bytes, begins: Positions, ends: Positions, skipped: bytes) -> None:
    """Move begins over some bytes. Few spans begin with one, so these are taken one by one."""
    run = re.compile(b"[^" + skipped + b"]")
    for span in np.flatnonzero(has_at(text, begins, ends, skipped)).tolist():
        other = run.search(text, begins[span], ends[span])
        begins[span] = other.start() if other else ends[span]


def trim(text: Bytes, begins: Positions, ends: Positions) -> None:
    """Move begins and ends over blanks and tabs, as :func:`skip` does."""
    skip(text, begins, ends, BLANKS)
    for span in np.flatnonzero((begins < ends) & is_any(text.take(ends - 1, mode="clip"), BLANKS)).tolist():
        ends[span] = begins[span] + len(text[begins[span] : ends[span]].tobytes().rstrip(BLANKS))


def strings(text: Bytes, begins: Positions | Offsets, ends: Positions | Offsets) -> pa.StringArray:
    """Take spans out as strings. Together with what is between them, they are an Arrow array as they are."""
    bounds = pa.py_buffer(np.column_stack((begins, ends)).astype(np.int32))
    both = pa.Array.from_buffers(TEXT, max(2 * len(begins) - 1, 0), [None, bounds, pa.py_buffer(text)])
    return both.take(pa.array(np.arange(0, 2 * len(begins), 2)))


def contents(texts: pa.StringArray) -> tuple[Offsets, Bytes]:
    """Give the bytes of strings, one after the other, and where in them each begins and the last one ends."""
    _, offsets, characters = texts.buffers()
    if not len(texts):
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return places - places[0], np.frombuffer(characters or b"", np.uint8)[places[0] : places[-1]]
