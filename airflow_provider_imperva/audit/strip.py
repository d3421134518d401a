"""The strip: the sequence of a prefix as a row of cells for each stretch of time, each cell in one state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from airflow_provider_imperva.audit.accepted import clip
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.numbers import NumberRange, Numbers
from airflow_provider_imperva.audit.periods import listed_at
from airflow_provider_imperva.audit.states import SHOWN, worst

_MOST_ROWS = 31
_STEPS = (1, 7, 28, 364)
_LONGEST_HOLE = 12
"""How many numbers a hole is drawn as, at most: a single line of an index may open one of any length."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Consecutive numbers shown as one: by the worst state among them."""

    first: int
    last: int
    state: str


@dataclass(frozen=True, slots=True)
class Row:
    """The numbers first listed on a day, or in several days from that one on."""

    day: date
    first: int
    last: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """The rows of one prefix.

    :ivar days: how many a row is for.
    :ivar per_cell: how many numbers a cell is for, at most.
    """

    prefix: str
    days: int
    per_cell: int
    rows: tuple[Row, ...]


def make_strip(history: History, numbers: Numbers, *, width: int = 48) -> Strip:
    """Cut a prefix into rows.

    :param width: the most cells in a row.
    """
    days, bounds = _rows(history, numbers)
    ranges = [(day, list(clip(numbers.ranges, first, last))) for day, first, last in bounds]
    longest = max((sum(map(_weight, row)) for _, row in ranges), default=0)
    per_cell = max(1, -(-longest // width))
    rows = tuple(Row(day, row[0].first, row[-1].last, tuple(_cells(row, per_cell))) for day, row in ranges if row)
    return Strip(numbers.prefix, days, per_cell, rows)


def _rows(history: History, numbers: Numbers) -> tuple[int, list[tuple[date, int, int]]]:
    """Return how many days a row is for, and of each row its day and its first and last number."""
    if not numbers.ranges:
        return 1, []
    logs, times = listed_at(history, numbers.prefix)
    lowest = numbers.ranges[0].first
    if not len(logs):
        return 1, [(_day_of(history), lowest, numbers.highest)]
    begin, end = (datetime.fromtimestamp(time / 1000, UTC).date() for time in (times[0], times[-1]))
    days = next((step for step in _STEPS if (end - begin).days // step < _MOST_ROWS), _STEPS[-1])
    step = days * 86_400_000
    origin = int(datetime(begin.year, begin.month, begin.day, tzinfo=UTC).timestamp() * 1000)
    buckets = (times - origin) // step
    rows = []
    for bucket in sorted(set(buckets.tolist())):
        last = int(logs[buckets == bucket].max())
        rows.append((begin + timedelta(days=bucket * days), lowest, last))
        lowest = last + 1
    return days, rows


def _day_of(history: History) -> date:
    return history.head.observed_at.date() if history.head else date.min


def _weight(part: NumberRange) -> int:
    return part.count if SHOWN[part.state].has_log else min(part.count, _LONGEST_HOLE)


def _cells(ranges: Sequence[NumberRange], per_cell: int) -> Iterator[Cell]:
    """Put ``per_cell`` numbers at a time into a cell; a long hole counts as a short one."""
    first, last, states, weight = ranges[0].first, ranges[0].first, set[str](), 0
    for item in ranges:
        rest, left = item.first, _weight(item)
        while left:
            taken = min(left, per_cell - weight)
            left -= taken
            # What is left of a hole that is drawn short goes with its last piece.
            last = item.last if not left else rest + taken - 1
            first = first if weight else rest
            states.add(item.state)
            weight += taken
            rest = last + 1
            if weight == per_cell:
                yield Cell(first, last, worst(states))
                states, weight = set(), 0
    if weight:
        yield Cell(first, last, worst(states))
