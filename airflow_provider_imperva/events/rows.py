"""Bodies of W3C rows: directives, the names they list, and the two ways to read the rows between them.

A directive may stand anywhere, and its names hold until the next one that lists some. Directives are no events;
``lines`` does not count them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from airflow_provider_imperva.events.compiled import Mask
from airflow_provider_imperva.events.lines import Lines, Tally, blocks
from airflow_provider_imperva.events.reading import Reading, read_lines
from airflow_provider_imperva.events.w3c import FIRST_LAYOUT, Layout, read_row
from airflow_provider_imperva.events.w3c_scan import scan

_DIRECTIVE = re.compile(rb"(?:\xef\xbb\xbf)?#[A-Za-z-]+:")
_FIELDS = re.compile(rb"(?:\xef\xbb\xbf)?#fields:([^\n]*)", re.IGNORECASE)


def read(chunks: Iterable[bytes], *, keep_raw: bool) -> Iterator[Reading]:
    """Read a body in blocks of one layout each; a block of directives only gives nothing."""
    number = 1
    layout = FIRST_LAYOUT
    for block in blocks(chunks):
        for stretch in _stretches(block):
            layout = Layout.of(stretch.names) if stretch.names.strip() else layout
            tally = Tally.of(stretch.text)
            lines = tally.lines - stretch.directives
            reading = _read_stretch(stretch.text, layout, lines, number=number, keep_raw=keep_raw)
            number += tally.line_ends
            if lines or len(reading.fields.lines) or reading.rejected:
                yield reading


class _Stretch(NamedTuple):
    """A part of a block whose rows have the same names.

    :ivar text: its bytes.
    :ivar directives: how many directives are in it.
    :ivar names: those that a directive in it lists; empty if none does.
    """

    text: bytes
    directives: int
    names: str


def _stretches(block: bytes) -> Iterator[_Stretch]:
    """Cut a block before each directive that lists other names."""
    begin, directives, names = 0, 0, ""
    for position in _directives(block):
        if directive := _FIELDS.match(block, position):
            listed = directive[1].decode(errors="replace")
            if position and listed != names:
                yield _Stretch(block[begin:position], directives, names)
                begin, directives = position, 0
            names = listed
        directives += 1
    yield _Stretch(block[begin:], directives, names)


def _directives(block: bytes) -> Iterator[int]:
    """Find the directives; one that a block begins with may have a byte order mark before it."""
    text = np.frombuffer(block, np.uint8)
    hashes = np.flatnonzero(text[1:] == ord("#"))
    for position in (0, *(hashes[text[hashes] == ord("\n")] + 1).tolist()):
        if _DIRECTIVE.match(block, position):
            yield position


def _read_stretch(text: bytes, layout: Layout, lines: int, *, number: int, keep_raw: bool) -> Reading:
    found = Lines.split(text, first_number=number)
    rows = found.take(~_are_directives(found))
    fields, rejected = read_lines(
        rows,
        partial(scan, layout=layout, keep_raw=keep_raw),
        partial(read_row, layout=layout),
        format_name="W3C",
        keep_raw=keep_raw,
    )
    return Reading(fields, rejected, lines)


def _are_directives(lines: Lines) -> Mask:
    """Whether each line is a directive; only those that do not begin with a quote are looked at, one by one."""
    found = np.zeros(len(lines), np.bool_)
    for index in np.flatnonzero(~lines.begin_with(b'"')).tolist():
        found[index] = _DIRECTIVE.match(lines.block, lines.begins[index], lines.ends[index]) is not None
    return found
