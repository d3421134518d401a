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
        for stretch in _stretches(Lines.split(block, first_number=number)):
            layout = Layout.of(stretch.names) if stretch.names else layout
            tally = Tally.of(stretch.text)
            lines = tally.lines - stretch.directives
            fields, rejected = read_lines(
                stretch.rows,
                partial(scan, layout=layout, keep_raw=keep_raw),
                partial(read_row, layout=layout),
                format_name="W3C",
                keep_raw=keep_raw,
            )
            number += tally.line_ends
            if lines or len(fields.lines) or rejected:
                yield Reading(fields, rejected, lines)


class _Stretch(NamedTuple):
    """A part of a block whose rows have the same names.

    :ivar text: its bytes.
    :ivar rows: its lines that are no directives.
    :ivar directives: how many are.
    :ivar names: those that a directive in it lists; empty if none does.
    """

    text: memoryview
    rows: Lines
    directives: int
    names: str

    @classmethod
    def of(cls, lines: Lines, are_directives: Mask, first: int, after: int, names: str) -> _Stretch:
        """Take the lines from one to another of a block."""
        begin = lines.begins[first] if first else 0
        end = lines.begins[after] if after < len(lines) else len(lines.block)
        among = are_directives[first:after]
        return cls(
            memoryview(lines.block)[begin:end],
            lines.take(first + np.flatnonzero(~among)),
            int(np.count_nonzero(among)),
            names,
        )


def _stretches(lines: Lines) -> Iterator[_Stretch]:
    """Cut a block before each directive that lists other names, but for those before the first row."""
    are_directives = _are_directives(lines)
    first_row = int(are_directives.argmin()) if len(lines) else 0
    first, names = 0, ""
    for line in np.flatnonzero(are_directives).tolist():
        directive = _FIELDS.match(lines.text(line))
        listed = directive[1].decode(errors="replace") if directive else ""
        if listed.strip():
            if line > first_row and listed != names:
                yield _Stretch.of(lines, are_directives, first, line, names)
                first = line
            names = listed
    yield _Stretch.of(lines, are_directives, first, len(lines), names)


def _are_directives(lines: Lines) -> Mask:
    """Whether each line is a directive; only those that do not begin with a quote are looked at, one by one."""
    found = np.zeros(len(lines), np.bool_)
    for index in np.flatnonzero(~lines.begin_with(b'"')).tolist():
        found[index] = _DIRECTIVE.match(lines.block, lines.begins[index], lines.ends[index]) is not None
    return found
