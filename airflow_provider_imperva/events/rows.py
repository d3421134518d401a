"""Bodies of W3C rows: directives, the names they list, and the two ways to read the rows between them.

A directive may stand anywhere, and its names hold until the next one that lists some. Directives are no events;
``lines`` does not count them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from airflow_provider_imperva.events.compiled import Mask
from airflow_provider_imperva.events.lines import Lines, Tally, blocks
from airflow_provider_imperva.events.reading import Reading, read_lines
from airflow_provider_imperva.events.w3c import FIRST_LAYOUT, Layout, read_row
from airflow_provider_imperva.events.w3c_scan import scan

_DIRECTIVE = re.compile(rb"(?:\xef\xbb\xbf)?#[A-Za-z-]+:")
_FIELDS = re.compile(rb"(?:\xef\xbb\xbf)?#fields:([^\n]*)", re.IGNORECASE)


def read(chunks: Iterable[bytes], *, keep_raw: bool) -> Iterator[Reading]:
    """Read a body in blocks of one layout each."""
    number = 1
    layout = FIRST_LAYOUT
    for block in blocks(chunks):
        for names, stretch in _stretches(block):
            layout = Layout.of(names) if names.strip() else layout
            tally = Tally.of(stretch)
            yield _read_stretch(stretch, layout, tally, number=number, keep_raw=keep_raw)
            number += tally.line_ends


def _stretches(block: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut a block before each directive that lists names; give the names, if any, and the bytes."""
    begin, names = 0, ""
    for position in _directives(block):
        if not (directive := _FIELDS.match(block, position)):
            continue
        listed = directive[1].decode(errors="replace")
        if position and listed != names:
            yield names, block[begin:position]
            begin = position
        names = listed
    yield names, block[begin:]


def _directives(block: bytes) -> Iterator[int]:
    """Find the directives; one that a block begins with may have a byte order mark before it."""
    text = np.frombuffer(block, np.uint8)
    hashes = np.flatnonzero(text[1:] == ord("#"))
    for position in (0, *(hashes[text[hashes] == ord("\n")] + 1).tolist()):
        if _DIRECTIVE.match(block, position):
            yield position


def _read_stretch(block: bytes, layout: Layout, tally: Tally, *, number: int, keep_raw: bool) -> Reading:
    lines = Lines.split(block, first_number=number)
    rows = lines.take(~_are_directives(lines))
    fields, rejected = read_lines(
        rows,
        partial(scan, layout=layout, keep_raw=keep_raw),
        partial(read_row, layout=layout),
        format_name="W3C",
        keep_raw=keep_raw,
    )
    return Reading(fields, rejected, tally.lines - sum(1 for _ in _directives(block)))


def _are_directives(lines: Lines) -> Mask:
    """Whether each line is a directive; only those that do not begin with a quote are looked at, one by one."""
    found = np.zeros(len(lines), np.bool_)
    for index in np.flatnonzero(~lines.begin_with(b'"')).tolist():
        found[index] = _DIRECTIVE.match(lines.block, lines.begins[index], lines.ends[index]) is not None
    return found
