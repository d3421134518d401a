"""Which of the lines of a W3C body are directives, and which names hold for each row."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from airflow_provider_imperva.events.bodies.row_lines import begin_rows
from airflow_provider_imperva.events.grammar.directives import DIRECTIVE, NAMES_BEHIND_ROW, Directive, continued_names
from airflow_provider_imperva.events.grammar.record import TextRecord
from airflow_provider_imperva.events.grammar.w3c import KNOWN_NAMES, Layout, read_row, separators
from airflow_provider_imperva.events.scan.buffers import Mask
from airflow_provider_imperva.events.scan.lines import Lines, count_text

CHANGED, IGNORED = "fields_changed", "fields_ignored"
"""What rows are marked with if other names hold for them than for the first row, or were listed and do not hold."""


class InlineDirective(NamedTuple):
    """A directive.

    :ivar text: its bytes.
    :ivar shares_line: whether a row stands after it in its line.
    """

    text: bytes
    shares_line: bool


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """Consecutive lines of a block for which the same names hold.

    :param begin: where in the block it begins.
    :param rows: lines that are not directives.
    :param begun: which of them begin a row.
    :param directives: the directives among the lines.
    :param layout: names of the values.
    :param marks: what its rows are marked with.
    """

    begin: int
    rows: Lines
    begun: Mask
    directives: Sequence[InlineDirective]
    layout: Layout
    marks: Sequence[str]


class _Change(NamedTuple):
    """From which line of a block on what layout holds, and what rows are marked with."""

    line: int
    layout: Layout
    marks: tuple[str, ...]


class Layouts:
    """The names that hold on the way through a body."""

    def __init__(self, layout: Layout) -> None:
        """Begin.

        :param layout: what holds before any directive lists names.
        """
        self._layout = layout
        self._marks: tuple[str, ...] = ()
        # What holds for the first row; names listed since the last row, and these with those that came before them.
        self._first: Layout | None = None
        self._listed: Layout | None = None
        self._continued: Layout | None = None
        # Whether the last row is finished, and whether names were listed in it.
        self._finished = True
        self._in_row = False

    def sections(self, lines: Lines) -> list[Section]:
        """Cut a block before each directive that changes what holds.

        :param lines: those of the block. The first is not text of a row in the block before.
        """
        block = _Block(lines, bare=self._layout.bare, finished=self._finished)
        changes = [_Change(0, self._layout, self._marks)]
        for index in sorted([*block.candidates, *block.glued]):
            if index in block.glued:
                self._pass_rows(block, index + 1, changes)
                self._in_row |= not block.reads(index, self._layout)
                continue
            self._pass_rows(block, index, changes)
            if index not in block.directives:
                self._take(block, index, changes)
        self._pass_rows(block, len(lines), changes)
        # A block of quoted rows ends where one begins, and only there.
        finished = block.is_finished(len(lines), self._layout)
        self._ignore(finished)
        self._finished = finished or not self._layout.bare
        return list(block.cut(changes))

    def _pass_rows(self, block: _Block, before: int, changes: list[_Change]) -> None:
        """Go on to a line; if there are rows before it, the first of them decides which names were listed for it."""
        row = block.next_row(before)
        if row is not None:
            if self._ignore(block.is_finished(row, self._layout)):
                changes.append(_Change(row, self._layout, self._marks))
            if self._continued and not block.reads(row, self._layout) and block.reads(row, self._continued):
                self._hold(self._continued, row, changes)
            self._listed = self._continued = None
            self._first = self._first or self._layout
        block.pass_rows(before)

    def _ignore(self, finished: bool) -> bool:
        """Mark rows from here on if names were listed in a row that is not finished here; tell whether."""
        ignored = self._in_row and not finished
        self._in_row = False
        if ignored:
            self._marks = (*(mark for mark in self._marks if mark != IGNORED), IGNORED)
        return ignored

    def _take(self, block: _Block, index: int, changes: list[_Change]) -> None:
        """Take a line for a directive, if one may stand there."""
        line = block.lines.text(index)
        directive = Directive.read(line)
        if not block.is_finished(index, self._layout):
            is_fields = directive.name == "fields"
            self._in_row |= is_fields and self._names(directive.value) != self._layout.names
            return
        block.set_aside(index, directive.end)
        if directive.name != "fields":
            if DIRECTIVE.match(line, directive.end):
                self._take(block, index, changes)
            return
        names = directive.value
        if directive.end == len(line):
            names = " ".join([names, *block.continued_names(index)])
        if names.strip():
            self._list(Layout.of(names, bare=self._layout.bare), index, changes)

    def _names(self, listed: str) -> tuple[str, ...]:
        return Layout.of(listed).names or self._layout.names

    def _list(self, layout: Layout, index: int, changes: list[_Change]) -> None:
        before = self._listed
        self._listed, self._continued = layout, None
        if before is not None and not {*before.names} & {*layout.names}:
            self._listed = self._continued = Layout((*before.names, *layout.names), layout.bare)
        self._hold(layout, index, changes)

    def _hold(self, layout: Layout, index: int, changes: list[_Change]) -> None:
        is_other = self._first is not None and layout.names != self._first.names
        marks = (CHANGED,) if is_other else ()
        if (layout, marks) != (self._layout, self._marks):
            self._layout, self._marks = layout, marks
            changes.append(_Change(index, layout, marks))


class _Block:
    """The lines of one block.

    :ivar candidates: lines that begin as a directive does.
    :ivar glued: lines that begin as a row does, and in which names are listed after a value.
    :ivar directives: the directives among them, by line.
    """

    def __init__(self, lines: Lines, *, bare: bool, finished: bool) -> None:
        self.lines = lines
        self._bare = bare
        self._begins = lines.begins.copy()
        self._begun = np.ones(len(lines), np.bool_) if bare else begin_rows(lines)
        self.candidates: list[int] = [
            index
            for index in (range(len(lines)) if bare else np.flatnonzero(~self._begun).tolist())
            if DIRECTIVE.match(lines.block, lines.begins[index], lines.ends[index])
        ]
        self._begun[self.candidates] = False
        self.glued = self._names_after_rows()
        self.directives: dict[int, InlineDirective] = {}
        self._passed = 0
        # The last row begun, up to which line it was looked at, its separators there, and whether it was finished.
        self._row, self._up_to, self._separators, self._finished = -1, 0, 0, finished

    def _names_after_rows(self) -> frozenset[int]:
        numbers, place = set(), -1
        # Counted first: to look for one more after the last takes longer, and mostly a directive has the only one.
        for _ in range(count_text(self.lines.block, b"ields")):
            place = self.lines.block.find(b"ields", place + 1)
            line = int(np.searchsorted(self.lines.begins, place, "right")) - 1
            begin, end = self.lines.begins[line], self.lines.ends[line]
            if line >= 0 and self._begun[line] and NAMES_BEHIND_ROW.search(self.lines.block, begin, end):
                numbers.add(line)
        return frozenset(numbers)

    def next_row(self, before: int) -> int | None:
        """Find the first row not passed yet."""
        rows = np.flatnonzero(self._begun[self._passed : before])
        return self._passed + int(rows[0]) if len(rows) else None

    def pass_rows(self, before: int) -> None:
        """Go on to a line."""
        rows = self._passed + np.flatnonzero(self._begun[self._passed : before])
        self._passed = max(before, self._passed)
        if len(rows):
            self._row = self._up_to = int(rows[-1])
            self._separators, self._finished = 0, False

    def reads(self, index: int, layout: Layout) -> bool:
        """Whether a line is a row of so many values."""
        return isinstance(read_row(self.lines.text(index).decode(errors="replace"), layout), TextRecord)

    def is_finished(self, index: int, layout: Layout) -> bool:
        """Whether the row before a line is finished, so that the line is not part of its text."""
        if self._row < 0 or self._finished:
            return self._finished
        if self._up_to == self._row and self.reads(self._row, layout):
            self._finished = True
        elif not self._bare:
            for line in range(self._up_to, index):
                text = self.lines.text(line)
                self._separators += separators(text)
                whole = line > self._row and self._separators + 1 == len(layout.names)
                if whole and text.rstrip().endswith(b'"'):
                    self._finished = True
            self._up_to = index
        return self._finished

    def set_aside(self, index: int, length: int) -> None:
        """Take so many bytes of a line for a directive; what follows is a row."""
        text = self.lines.text(index)
        shares_line = length < len(text)
        before = self.directives[index].text if index in self.directives else b""
        self.directives[index] = InlineDirective(before + text[:length], shares_line)
        self._row, self._finished, self._passed = -1, True, index
        if shares_line:
            self.lines.begins[index] += length
            self._begun[index] = True

    def continued_names(self, index: int) -> Iterator[str]:
        """Take the lines after one that go on with its names."""
        for line in range(index + 1, len(self.lines)):
            if not self._bare and self._begun[line]:
                return
            text = self.lines.text(line)
            names = None if DIRECTIVE.match(text) else continued_names(text, KNOWN_NAMES)
            if names is None:
                return
            self.directives[line] = InlineDirective(text, shares_line=False)
            self._begun[line] = False
            yield names

    def cut(self, changes: Sequence[_Change]) -> Iterator[Section]:
        """Cut the lines where something changes."""
        are_rows = np.ones(len(self.lines), np.bool_)
        are_rows[[line for line, directive in self.directives.items() if not directive.shares_line]] = False
        directives = sorted(self.directives)
        ends = [*(change.line for change in changes[1:]), len(self.lines)]
        for change, end in zip(changes, ends, strict=True):
            if change.line == end and len(self.lines):
                continue
            rows = change.line + np.flatnonzero(are_rows[change.line : end])
            among = directives[bisect_left(directives, change.line) : bisect_left(directives, end)]
            yield Section(
                begin=int(self._begins[change.line]) if change.line else 0,
                rows=self.lines.take(rows),
                begun=self._begun[rows],
                directives=[self.directives[line] for line in among],
                layout=change.layout,
                marks=change.marks,
            )
