"""Bodies of W3C rows: directives, the names they list, and the two ways to read the rows between them.

A directive may stand anywhere, and its names hold until the next one that lists some. Directives are no events;
``lines`` does not count them. A row that is none by itself, and is one together with the lines behind it that begin
none, is read as one: a client's text had line ends in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from airflow_provider_imperva.events.bodies.reading import Reading, Rejected, read_each, read_lines
from airflow_provider_imperva.events.grammar.fields import Fields
from airflow_provider_imperva.events.grammar.record import Record, Rejection
from airflow_provider_imperva.events.grammar.w3c import FIRST_LAYOUT, Layout, read_row
from airflow_provider_imperva.events.scan.buffers import Mask
from airflow_provider_imperva.events.scan.lines import Lines, Tally, blocks
from airflow_provider_imperva.events.scan.w3c_scan import scan

_DIRECTIVE = re.compile(rb"(?:\xef\xbb\xbf)?#[A-Za-z-]+:")
_FIELDS = re.compile(rb"(?:\xef\xbb\xbf)?#fields:([^\n]*)", re.IGNORECASE)


def read(chunks: Iterable[bytes], *, names: str = "", keep_raw: bool) -> Iterator[Reading]:
    """Read a body in blocks of one layout each; a block of directives only gives nothing.

    :param names: those of the values before any directive lists some; by default the ones that real logs have.
    """
    number = 1
    layout = Layout.of(names) if names else FIRST_LAYOUT
    for block in blocks(chunks, cut=_last_start):
        for stretch in _stretches(Lines.split(block, first_number=number)):
            layout = Layout.of(stretch.names) if stretch.names else layout
            read_one = partial(read_row, layout=layout)
            tally = Tally.of(stretch.text)
            lines = tally.lines - stretch.directives
            fields, rejected = read_lines(
                stretch.rows,
                partial(scan, layout=layout, keep_raw=keep_raw),
                read_one,
                format_name="W3C",
                keep_raw=keep_raw,
            )
            if rejected:
                joined, parts = _joined(stretch.rows, rejected, read_one, keep_raw=keep_raw)
                fields = Fields.merge(fields, joined)
                rejected = [line for line in rejected if line.number not in parts]
                lines -= len(parts) - len(joined.lines)
            number += tally.line_ends
            if lines or len(fields.lines) or rejected:
                yield Reading(fields, rejected, lines)


def _joined(
    rows: Lines, rejected: Sequence[Rejected], read_one: Callable[[str], Record | Rejection], *, keep_raw: bool
) -> tuple[Fields, set[int]]:
    """Read those rows that are spread over several lines; tell the numbers of all those lines, too."""
    spans = np.array(list(_spans(rows, rejected)), np.int64).reshape(-1, 2)
    firsts, lasts = spans.T
    spread = Lines(rows.block, rows.begins[firsts], rows.ends[lasts], rows.numbers[firsts])
    joined, _ = read_each(spread, read_one, format_name="W3C", keep_raw=keep_raw)
    read = np.isin(spread.numbers, joined.lines.to_numpy())
    return joined, {number for first, last in spans[read] for number in rows.numbers[first : last + 1].tolist()}


def _spans(rows: Lines, rejected: Sequence[Rejected]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of lines that may be one row: of too few values, and the next that ends in a quote.

    Nothing but rejected lines and blank ones stands between the two, and none that begins as a row does.
    """
    first, last = -1, -2
    for place, line in zip(np.searchsorted(rows.numbers, [line.number for line in rejected]), rejected, strict=True):
        goes_on = place == last + 1 and not rows.block[rows.ends[last] : rows.begins[place]].strip()
        if line.reason == Rejection.FIELD_COUNT:
            first = place
        elif not goes_on:
            first = -1
        elif first >= 0 and line.content.rstrip().endswith(b'"'):
            yield first, place
            first = -1
        last = place


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


def _last_start(piece: bytes) -> int:
    """Find the last line of a piece that begins as a row or a directive does; 0 if that is the first, or none."""
    return max(piece.rfind(b'\n"'), piece.rfind(b"\n#")) + 1


def _are_directives(lines: Lines) -> Mask:
    """Whether each line is a directive; only those that do not begin with a quote are looked at, one by one."""
    found = np.zeros(len(lines), np.bool_)
    for index in np.flatnonzero(~lines.begin_with(b'"')).tolist():
        found[index] = _DIRECTIVE.match(lines.block, lines.begins[index], lines.ends[index]) is not None
    return found
