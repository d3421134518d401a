"""The numbers of a prefix, laid over each other: nothing is counted twice and nothing falls between."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.numbers import UNACCOUNTED, NumberRange, all_numbers, overlay
from airflow_provider_imperva.audit.strip import make_strip
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import State

REPOSITORY = "8416_1745073"


@st.composite
def layers(draw_sample: st.DrawFn) -> list[NumberRange]:
    """Stretches that are ascending and disjoint, with holes between some."""
    cuts = sorted(draw_sample(st.sets(st.integers(0, 40), max_size=8)))
    state = st.sampled_from([State.COMMITTED, State.GAP, State.SKIPPED])
    return [
        NumberRange(first, last - 1, draw_sample(state)) for first, last in pairwise(cuts) if draw_sample(st.booleans())
    ]


def as_dict(ranges: list[NumberRange]) -> dict[int, str]:
    return {number: item.state for item in ranges for number in range(item.first, item.last + 1)}


@given(layers(), layers())
def test_what_lies_above_is_seen(below: list[NumberRange], above: list[NumberRange]) -> None:
    seen = overlay(below, above)
    assert as_dict(seen) == as_dict(below) | as_dict(above)
    assert sum(item.count for item in seen) == len(as_dict(seen))
    assert seen == sorted(seen, key=lambda item: item.first)


def test_what_no_row_tells_of_above_a_floor_is_unaccounted(lake: Path) -> None:
    """An excerpt of a ledger begins above the highest number before it."""
    history = History.read(open_store(str(lake)), REPOSITORY)
    first = all_numbers(history)[0].ranges[0].first
    history.floors = {"8416": first - 3}
    assert all_numbers(history)[0].ranges[0] == NumberRange(first - 2, first - 1, UNACCOUNTED)


def test_a_hole_of_any_length_costs_nothing_and_is_drawn_short(lake: Path) -> None:
    """One line of an index with a huge number opens a gap that cannot be counted through."""
    history = History.read(open_store(str(lake)), REPOSITORY)
    commit = history.commits[6]
    huge = 2**62
    prefix = commit.prefixes["8416"]
    gap = type(prefix.open[0])(12, huge - 1, State.GAP, datetime.now(UTC))
    listed = type(prefix.open[0])(huge, huge, State.LISTED, datetime.now(UTC))
    commit.prefixes["8416"] = type(prefix)(prefix.contiguous, huge, (*prefix.open, gap, listed))
    begun = time.monotonic()
    [numbers] = all_numbers(history)
    assert numbers.states["gap"] == huge - 12 + 1
    assert numbers.count == huge
    strip = make_strip(history, numbers, width=40)
    assert max(len(row.cells) for row in strip.rows) <= 40
    assert {cell.state for row in strip.rows for cell in row.cells} == {"committed", "gap", "quarantined", "listed"}
    assert time.monotonic() - begun < 2


def test_the_rows_of_a_strip_cover_every_number_once(eventful_lake: Path) -> None:
    history = History.read(open_store(str(eventful_lake)), REPOSITORY)
    [numbers] = all_numbers(history)
    for width in (1, 3, 20, 200):
        strip = make_strip(history, numbers, width=width)
        covered = [cell for row in strip.rows for cell in row.cells]
        assert covered[0].first == numbers.ranges[0].first
        assert covered[-1].last == numbers.highest
        assert all(one.last + 1 == other.first for one, other in pairwise(covered))
        assert all(len(row.cells) <= width for row in strip.rows)


def test_of_several_numbers_in_a_cell_the_worst_is_shown(eventful_lake: Path) -> None:
    """However coarse the strip, a lost log is seen."""
    history = History.read(open_store(str(eventful_lake)), REPOSITORY)
    [numbers] = all_numbers(history)
    strip = make_strip(history, numbers, width=1)
    states = [row.cells[0].state for row in strip.rows]
    assert State.EXPIRED in states
    assert all(len(row.cells) == 1 for row in strip.rows)


def test_days_of_a_strip_are_those_on_which_logs_were_listed(eventful_lake: Path) -> None:
    history = History.read(open_store(str(eventful_lake)), REPOSITORY)
    [numbers] = all_numbers(history)
    strip = make_strip(history, numbers, width=48)
    assert strip.days == 1
    days = [row.day for row in strip.rows]
    assert days == sorted(days)
    assert days[-1] - days[0] == timedelta(days=6)
