"""Bodies of keyed records, CEF and LEEF: where a record begins and ends, and the two ways to read it.

A record normally is one line. A line that starts none (part of a request body, mostly) belongs to the record before
it. ``lines`` counts the records begun, and the lines before the first of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Literal

import numpy as np

from airflow_provider_imperva.events.bodies.reading import Reading, read_lines
from airflow_provider_imperva.events.grammar import cef, leef
from airflow_provider_imperva.events.grammar.record import Record, Rejection
from airflow_provider_imperva.events.scan.buffers import Mask
from airflow_provider_imperva.events.scan.lines import Lines, Tally, blocks
from airflow_provider_imperva.events.scan.scan import scan

_BEGINNING = rb"[ \t\xef\xbb\xbf]*(?:CEF:|LEEF:|0\|(?:Incapsula|Imperva Inc)\|)"
_START = re.compile(_BEGINNING)
_START_OF_LINE = re.compile(rb"\n" + _BEGINNING)
_TAIL = 64 << 10

_PREFIXES = {"CEF": b"CEF:", "LEEF": b"LEEF:"}
_READERS: dict[str, Callable[[str], Record | Rejection]] = {"CEF": cef.read_record, "LEEF": leef.read_record}


def read(chunks: Iterable[bytes], *, format_name: Literal["CEF", "LEEF"], keep_raw: bool) -> Iterator[Reading]:
    """Read a body in blocks that begin with a record."""
    number = 1
    for block in blocks(chunks, cut=_last_start):
        lines = Lines.split(block, first_number=number)
        records, joined = lines.joined(_starts(lines, _PREFIXES[format_name]))
        fields, rejected = read_lines(
            records,
            partial(scan, format_name=format_name, keep_raw=keep_raw),
            _READERS[format_name],
            odd=joined,
            format_name=format_name,
            keep_raw=keep_raw,
        )
        tally = Tally.of(block, _PREFIXES[format_name])
        reading = Reading(fields, rejected, _count(block, tally))
        # Before the next block is read, not after.
        del block, lines, records, joined, fields, rejected
        yield reading
        del reading
        number += tally.line_ends


def _starts(lines: Lines, prefix: bytes) -> Mask:
    """Whether each line starts a record; the few that do not begin as usual are looked at one by one."""
    starts = lines.begin_with(prefix)
    for index in np.flatnonzero(~starts).tolist():
        starts[index] = _START.match(lines.block, lines.begins[index], lines.ends[index]) is not None
    return starts


def _last_start(piece: bytes) -> int:
    """Find where the last record of a piece starts, 0 if at its begin or nowhere."""
    for begin in (max(len(piece) - _TAIL, 0), 0):
        starts = [match.start() + 1 for match in _START_OF_LINE.finditer(piece, begin)]
        if starts:
            return starts[-1]
    return 0


def _count(block: bytes, tally: Tally) -> int:
    if tally.begun == tally.lines:
        return tally.begun
    first = 0
    if not _START.match(block):
        found = _START_OF_LINE.search(block)
        if found is None:
            return tally.lines
        first = found.start() + 1
    return Tally.of(block[:first]).lines + 1 + len(_START_OF_LINE.findall(block, first))
