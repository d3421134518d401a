"""Bodies of W3C rows: directives, the names they list, and the two ways to read the rows between them.

A directive may stand anywhere but after an unfinished row, of which it is text, and its names hold until the next one
that lists some. Directives are not events; ``lines`` does not count them, only a row that stands directly after one.

A row of too few values that is one together with the lines after it, none of which begins a row, is read as one: a
client's text had line ends in it. Whether it is, the separators between quoted values tell.

What rows are marked with in ``parse_warnings``: ``joined_lines``; ``follows_incomplete`` if an unfinished row stands
before it; ``fields_changed`` if other names than those of the first row hold for it; ``fields_ignored`` if other names
were listed where no directive may stand, so that it was read by those before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.events.bodies.layouts import Layouts, Section
from airflow_provider_imperva.events.bodies.row_lines import (
    Numbers,
    count,
    hides_row,
    is_plain,
    last_row,
    rows_inside,
    split,
    take_prefixes,
)
from airflow_provider_imperva.events.bodies.text_block import LineByLine, TextBlock, decoded, scan_lines
from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.grammar.w3c import FIRST_LAYOUT, Layout, first_is_bare, read_row, separators
from airflow_provider_imperva.events.scan.buffers import Positions
from airflow_provider_imperva.events.scan.lines import Lines, Tally, blocks
from airflow_provider_imperva.events.scan.w3c_scan import scan

FOLLOWS = "follows_incomplete"

FEW = 64
"""Rows of one layout that are read one by one, since a scan of so few takes longer."""


def read(
    chunks: Iterable[bytes], *, head: bytes, names: str = "", keep_raw: bool, block_bytes: int
) -> Iterator[TextBlock]:
    """Read a body in blocks; one of directives only gives nothing.

    :param head: how the body begins.
    :param names: those of the values before any directive lists some; by default the ones that real logs have.
    """
    layout = Layout.of(names) if names else FIRST_LAYOUT
    layout = replace(layout, bare=first_is_bare(head, layout))
    layouts = Layouts(layout)
    numbers = Numbers()
    after_incomplete = False
    for block in blocks(chunks, block_bytes=block_bytes, cut=partial(last_row, bare=layout.bare)):
        tally = Tally.of(block)
        plain = is_plain(block, tally.line_ends)
        lines, line_feeds = split(block, bare=layout.bare, plain=plain)
        prefixes = take_prefixes(lines, bare=layout.bare)
        sections = layouts.sections(lines)
        places = np.concatenate([section.rows.numbers for section in sections])
        number_of = np.zeros(len(lines), np.int64)
        number_of[places] = numbers.of(line_feeds[places], in_block=tally.line_ends)
        groups = list(_groups(sections))
        ends = [*(group[0].begin for group in groups[1:]), len(block)]
        begin = 0
        for group, end in zip(groups, ends, strict=True):
            if plain and end - begin == len(block):
                counted = tally.lines
            else:
                counted = count(block[begin:end], bare=layout.bare, plain=plain)
            rows = _Rows(after_incomplete, prefixes)
            for section in group:
                rows.read(section, keep_raw=keep_raw)
            text_block = rows.text_block(counted, number_of, keep_raw=keep_raw)
            after_incomplete = rows.after_incomplete
            begin = end
            # Before the next block is read, not after.
            del rows
            if text_block.lines or len(text_block.columns.lines) or text_block.rejected:
                yield text_block
            del text_block
        del block, lines, prefixes, sections, groups, group, section


def _groups(sections: Iterable[Section]) -> Iterator[list[Section]]:
    """Put sections of few rows together, so that each does not become a table of its own."""
    few: list[Section] = []
    for section in sections:
        if len(section.rows) <= FEW:
            few.append(section)
            continue
        if few:
            yield few
            few = []
        yield [section]
    if few:
        yield few


class _Rows:
    """What the rows of some sections become.

    :ivar after_incomplete: whether the last row was an unfinished one.
    """

    def __init__(self, after_incomplete: bool, prefixes: Mapping[int, bytes]) -> None:
        """Begin.

        :param prefixes: what a syslog relay wrote before lines, by their numbers in the block.
        """
        self.after_incomplete = after_incomplete
        self._prefixes = prefixes
        self._scanned: TextColumns | None = None
        self._one_by_one = LineByLine()
        self._not_counted = 0

    def read(self, section: Section, *, keep_raw: bool) -> None:
        """Read a section; only one of them all may have more than a few rows."""
        layout, rows = section.layout, section.rows
        read_one = partial(read_row, layout=layout)
        one_by_one = LineByLine()
        if len(rows) > FEW:
            self._scanned = scan_lines(rows, partial(scan, layout=layout, keep_raw=keep_raw), read_one, one_by_one)
        else:
            one_by_one.read(rows, read_one)
        unfinished: list[int] = []
        if one_by_one.rejected and not layout.bare:
            unfinished = self._join(section, one_by_one)
        self._mark(section, one_by_one, unfinished)
        if self._prefixes:
            self._keep_prefixes(section, one_by_one)
        self._one_by_one.add(one_by_one)
        self._not_counted += sum(not shares_line for _, shares_line in section.directives)
        self._not_counted -= sum(hides_row(text) for text, _ in section.directives)

    def _join(self, section: Section, one_by_one: LineByLine) -> list[int]:
        """Read those rows that are spread over several lines; tell the numbers of those that stay unfinished."""
        rows, parts = section.rows, set[int]()
        unfinished: list[int] = []
        spread = LineByLine()
        rejected = {line.number for line in one_by_one.rejected}
        for line in one_by_one.rejected:
            place = int(np.searchsorted(rows.numbers, line.number))
            if line.reason != RejectionReason.FIELD_COUNT or not section.begun[place]:
                continue
            last = _last_line(section, place, rejected)
            if last is None:
                unfinished.append(line.number)
            elif last > place:
                whole = Lines(rows.block, rows.begins[[place]], rows.ends[[last]], rows.numbers[[place]])
                spread.read(whole, partial(read_row, layout=section.layout))
                if spread.numbers[-1:] == [line.number]:
                    parts.update(rows.numbers[place : last + 1].tolist())
                    self._not_counted += last - place - rows_inside(whole.text(0))
        for record in spread.records:
            if "joined_lines" not in record.warnings:
                record.warnings.append("joined_lines")
        one_by_one.rejected[:] = [line for line in one_by_one.rejected if line.number not in parts]
        spread.rejected.clear()
        one_by_one.add(spread)
        return unfinished

    def _mark(self, section: Section, one_by_one: LineByLine, unfinished: list[int]) -> None:
        scanned = self._scanned if len(section.rows) > FEW else None
        numbers = np.array(one_by_one.numbers, np.int64)
        at_once = scanned.lines.to_numpy() if scanned is not None else numbers[:0]
        in_order = np.sort(np.concatenate((at_once, numbers)))
        if len(in_order):
            following = np.searchsorted(in_order, [0, *unfinished] if self.after_incomplete else unfinished)
            self.after_incomplete = bool(unfinished) and unfinished[-1] > in_order[-1]
        else:
            following = np.zeros(0, np.int64)
            self.after_incomplete |= bool(unfinished)
        marks = [(int(number), FOLLOWS) for number in set(in_order[following[following < len(in_order)]].tolist())]
        marks += [(number, mark) for mark in section.marks for number in in_order.tolist()]
        place_of = {number: place for place, number in enumerate(one_by_one.numbers)} if marks else {}
        for number, mark in marks:
            if (place := place_of.get(number)) is not None:
                one_by_one.records[place].warnings.append(mark)
            elif scanned is not None:
                scanned.notes.warnings.append((int(np.searchsorted(at_once, number)), mark))

    def _keep_prefixes(self, section: Section, one_by_one: LineByLine) -> None:
        for number, record in zip(one_by_one.numbers, one_by_one.records, strict=True):
            if prefix := self._prefixes.get(number):
                record.extra.append(("prefix", decoded(prefix)[0].strip()))
        if self._scanned is not None and len(section.rows) > FEW:
            for row, number in enumerate(self._scanned.lines.to_pylist()):
                if prefix := self._prefixes.get(number):
                    self._scanned.notes.extra.append((row, "prefix", decoded(prefix)[0].strip()))
        one_by_one.rejected[:] = [
            replace(line, content=self._prefixes.get(line.number, b"") + line.content) for line in one_by_one.rejected
        ]

    def text_block(self, counted: int, number_of: Positions, *, keep_raw: bool) -> TextBlock:
        """Give all of it.

        :param counted: how many lines there are in the bytes, directives among them.
        :param number_of: what number each line of the block has in the body.
        """
        one_by_one, columns = self._one_by_one, self._scanned
        if columns is None or one_by_one.numbers:
            read = one_by_one.columns(format_name="W3C", keep_raw=keep_raw)
            columns = read if columns is None else TextColumns.merge(columns, read)
        rejected = sorted(one_by_one.rejected, key=lambda line: line.number)
        return TextBlock(
            replace(columns, lines=pa.array(number_of[columns.lines.to_numpy()])),
            [replace(line, number=int(number_of[line.number])) for line in rejected],
            counted - self._not_counted,
        )


def _last_line(section: Section, place: int, rejected: Set[int]) -> int | None:
    """Find the line that ends a row of too few values, by its separators; none if the row is unfinished.

    A row of too many values ends where it begins.

    :param rejected: numbers of the lines that are not a row by themselves. No other stands between the two.
    """
    rows, names = section.rows, len(section.layout.names)
    values, last = 1, place
    while True:
        text = rows.text(last)
        values += separators(text)
        if values > names:
            return place
        if values == names and last > place and text.rstrip().endswith(b'"'):
            return last
        last += 1
        if last == len(rows) or section.begun[last] or int(rows.numbers[last]) not in rejected:
            return None
