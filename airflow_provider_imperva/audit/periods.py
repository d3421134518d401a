"""Which numbers of a prefix were first listed in a stretch of time: always consecutive ones."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.numbers import Numbers, last_rows
from airflow_provider_imperva.lake.watermark import Range, is_implausible


def listed_at(history: History, prefix: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the numbers of a prefix's logs, ascending, and when each was first listed, epoch milliseconds.

    The times never fall: a number that came late counts with the higher ones that were there before it, so that a
    stretch of time is a stretch of numbers. One above an implausible gap says nothing of those below, and counts with
    the last of them.
    """
    logs = history.logs
    rows = last_rows(logs.filter(pc.and_(pc.equal(logs["prefix"], prefix), pc.is_valid(logs["first_listed_at"]))))
    rows = rows.sort_by("sequence")
    numbers = rows["sequence"].to_numpy()
    times = rows["first_listed_at"].cast("int64").to_numpy()
    opened = _open_ranges(history, prefix)
    ends = [(end, int(item.since.timestamp() * 1000)) for item in opened for end in (item.first, item.last)]
    if prefix in history.floors:
        # It was listed before anything that is of interest.
        ends.append((history.floors[prefix], 0))
    numbers = np.concatenate([numbers, np.array([end for end, _ in ends], np.int64)])
    times = np.concatenate([times, np.array([since for _, since in ends], np.int64)])
    order = np.argsort(numbers, kind="stable")
    numbers, times = numbers[order], times[order]
    below, above = np.split(times, [_plausible(history, prefix, numbers)])
    below, above = (np.minimum.accumulate(part[::-1])[::-1] for part in (below, above))
    return numbers, np.concatenate([below, np.maximum(above, below[-1]) if len(below) else above])


def numbers_of(history: History, numbers: Numbers, since: datetime, until: datetime) -> tuple[int, int] | None:
    """Return the first and last number of those first listed in a stretch of time; None if there is none.

    Numbers without a log count with the log that follows them. What lies above an implausible gap is in no stretch.
    """
    logs, times = listed_at(history, numbers.prefix)
    times = times[: _plausible(history, numbers.prefix, logs)]
    begin, end = (int(np.searchsorted(times, bound.timestamp() * 1000)) for bound in (since, until))
    if begin == end:
        return None
    lowest = numbers.ranges[0].first
    return (int(logs[begin - 1]) + 1 if begin else lowest), int(logs[end - 1])


def _open_ranges(history: History, prefix: str) -> tuple[Range, ...]:
    return history.head.prefixes[prefix].open if history.head and prefix in history.head.prefixes else ()


def _plausible(history: History, prefix: str, numbers: npt.NDArray[np.int64]) -> int:
    """Count the numbers below the first implausible gap, if there is one."""
    gaps = [item.first for item in _open_ranges(history, prefix) if is_implausible(item)]
    return int(np.searchsorted(numbers, gaps[0])) if gaps else len(numbers)
