"""The numbers of a prefix, each in one state: what the commits say of them, laid over each other.

Ranges throughout: a line in a hostile index may open a gap of more numbers than can be counted one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.lake.watermark import Prefix

LINES_SUM = ("lines", "rows", "quarantined_lines", "expired_lines", "erased_lines")
"""Columns of what lines come to: the first is the sum of the others."""

UNACCOUNTED = "unaccounted"
"""What a number is of which nothing says what became of it; else it is in a state of the watermark."""


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Consecutive numbers in the same state.

    :ivar state: one of :class:`~airflow_provider_imperva.lake.watermark.State`, or ``unaccounted``: nothing says what
        became of them.
    """

    first: int
    last: int
    state: str

    @property
    def count(self) -> int:
        """How many numbers it covers."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known of a prefix.

    :ivar highest: the highest number ever listed.
    :ivar left_out: every number up to it was left out on purpose when the lake began; -1 if none was.
    :ivar ranges: ascending and disjoint; without a hole from the first number that was looked for to ``highest``.
    """

    prefix: str
    highest: int
    left_out: int
    ranges: tuple[NumberRange, ...]

    @property
    def states(self) -> dict[str, int]:
        """How many numbers are in each state."""
        counts: Counter[str] = Counter()
        for part in self.ranges:
            counts[part.state] += part.count
        return dict(counts)

    @property
    def count(self) -> int:
        """How many numbers there are, in whatever state."""
        return sum(part.count for part in self.ranges)


def last_rows(logs: pa.Table) -> pa.Table:
    """Keep of each log, and of each range, the last row: that one counts.

    :param logs: of the schema ``LOGS``.
    """
    rows = logs.append_column("row", pa.array(np.arange(len(logs))))
    last = rows.group_by(["prefix", "sequence", "sequence_to"]).aggregate([("row", "max")])["row_max"]
    return logs.take(last.combine_chunks().sort() if len(logs) else last)


def all_numbers(history: History) -> list[Numbers]:
    """Lay out the numbers of every prefix."""
    logs = history.logs
    watermarks: dict[str, Prefix | None] = dict.fromkeys(logs["prefix"].unique().to_pylist())
    watermarks |= history.head.prefixes if history.head else {}
    firsts = _firsts(history, logs)
    names = sorted(watermarks, key=lambda name: (len(name), name))
    return [_numbers(name, logs.filter(pc.equal(logs["prefix"], name)), watermarks[name], firsts) for name in names]


def _numbers(name: str, logs: pa.Table, watermark: Prefix | None, firsts: dict[str, int]) -> Numbers:
    watermark = watermark or Prefix(-1, -1)
    single = pc.equal(logs["sequence"], logs["sequence_to"])
    # A range is decided once, and before any log in it that is listed after all.
    layers = [
        _ranges(logs.filter(pc.invert(single))),
        _runs(last_rows(logs.filter(single))),
        [NumberRange(item.first, item.last, item.state.value) for item in watermark.open],
    ]
    ranges: list[NumberRange] = []
    for layer in layers:
        ranges = overlay(ranges, layer)
    highest = max([watermark.highest, *(item.last for item in ranges[-1:])])
    # Of what lies between a log that came late and the first number that was looked for, nothing need be known.
    floor = [NumberRange(firsts[name], highest, UNACCOUNTED)] if name in firsts and firsts[name] <= highest else []
    return Numbers(name, highest, watermark.left_out, tuple(_join(overlay(floor, ranges))))


def _firsts(history: History, logs: pa.Table) -> dict[str, int]:
    """Return the number from which on each prefix was looked for: the lowest that its first commit knows of."""
    begins: dict[str, int] = {}
    for number in sorted(history.commits):
        for name in history.commits[number].prefixes:
            begins.setdefault(name, number)
    firsts = {}
    for name, number in begins.items():
        rows = logs.filter(pc.and_(pc.equal(logs["prefix"], name), pc.equal(logs["commit"], number)))
        known = [*rows["sequence"].to_pylist(), *(item.first for item in history.commits[number].prefixes[name].open)]
        if known:
            firsts[name] = min(known)
    return firsts | {name: floor + 1 for name, floor in history.floors.items()}


def _ranges(rows: pa.Table) -> list[NumberRange]:
    pieces = [
        NumberRange(row["sequence"], row["sequence_to"], row["state"])
        for row in rows.select(["sequence", "sequence_to", "state"]).to_pylist()
    ]
    ranges = sorted(pieces, key=lambda part: part.first)
    if all(one.last < other.first for one, other in pairwise(ranges)):
        return ranges
    # Not in a ledger that is sound.
    ranges = []
    for item in pieces:
        ranges = overlay(ranges, [item])
    return ranges


def _runs(rows: pa.Table) -> list[NumberRange]:
    """Put rows of single numbers together to ranges."""
    if not len(rows):
        return []
    rows = rows.select(["sequence", "state"]).sort_by("sequence")
    numbers = rows["sequence"].to_numpy()
    states = rows["state"].combine_chunks().dictionary_encode()
    codes = states.indices.to_numpy()
    starts = np.flatnonzero((np.diff(numbers, prepend=numbers[0] - 2) != 1) | (np.diff(codes, prepend=-1) != 0))
    ends = [*(starts[1:] - 1), len(numbers) - 1]
    names = states.dictionary.to_pylist()
    return [
        NumberRange(int(numbers[start]), int(numbers[end]), names[codes[start]])
        for start, end in zip(starts, ends, strict=True)
    ]


def _join(ranges: Iterable[NumberRange]) -> Iterator[NumberRange]:
    before: NumberRange | None = None
    for item in ranges:
        if before and before.last + 1 == item.first and before.state == item.state:
            item = replace(before, last=item.last)
        elif before:
            yield before
        before = item
    if before:
        yield before


def overlay(below: Sequence[NumberRange], above: Sequence[NumberRange]) -> list[NumberRange]:
    """Lay ranges over others, which are seen where nothing covers them; both ascending and disjoint."""
    seen: list[NumberRange] = []
    tops = iter(above)
    top = next(tops, None)
    for item in below:
        rest = item.first
        while top and top.first <= item.last:
            if rest < top.first:
                seen.append(replace(item, first=rest, last=top.first - 1))
            rest = max(rest, top.last + 1)
            if top.last > item.last:
                break
            top = next(tops, None)
        if rest <= item.last:
            seen.append(replace(item, first=rest))
    return sorted([*seen, *above], key=lambda part: part.first)
