"""Missing numbers that somebody has accepted: they are in a state of their own, and raise no alarm again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.numbers import NumberRange, Numbers, overlay
from airflow_provider_imperva.audit.verdict import FINISHED
from airflow_provider_imperva.lake.acceptance import accepted_numbers

ACCEPTED = "accepted"
"""State of a number that is missing, and that somebody has accepted as missing."""


def with_accepted(history: History, prefix: str, ranges: Sequence[NumberRange]) -> list[NumberRange]:
    """Put the missing numbers of a prefix that somebody accepted into the state :data:`ACCEPTED`."""
    merged = list(ranges)
    for acceptance in history.accepted:
        numbers = accepted_numbers(acceptance)
        if numbers and numbers[0] == prefix:
            missing = [item for item in merged if item.state not in FINISHED]
            covered = [NumberRange(part.first, part.last, ACCEPTED) for part in clip(missing, numbers[1], numbers[2])]
            merged = overlay(merged, covered)
    return merged


def accepted_states(history: History, numbers: Iterable[Numbers]) -> dict[str, int]:
    """Return how many missing numbers somebody accepted, by the state that they are in."""
    counts: Counter[str] = Counter()
    for item in numbers:
        counts.update(item.states)
        for part in with_accepted(history, item.prefix, item.ranges):
            counts[part.state] -= part.count
    return {state: count for state, count in counts.items() if count > 0}


def clip(ranges: Iterable[NumberRange], first: int, last: int) -> Iterator[NumberRange]:
    """Cut ranges to the numbers from ``first`` to ``last``, both included."""
    for item in ranges:
        if item.first <= last and item.last >= first:
            yield NumberRange(max(item.first, first), min(item.last, last), item.state)
