"""An excerpt of a ledger: every commit, and of the rows about logs those that a period needs.

To undo a ``logs.parquet`` takes many times as long as to read a commit, and a month needs a twelfth of those of a year.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from airflow_provider_imperva.audit.history import History, Progress, last_number, read_entries, silent
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import is_implausible


def read_excerpt(
    store: Store, repository: str, period: Period, *, last: int | None = None, progress: Progress = silent
) -> History:
    """Read what a certificate of a period is made of.

    What the history says of numbers that were first listed in the period, it says as the whole one would.

    :param last: up to which commit; to the end by default.
    """
    history = History(repository)
    last = last_number(store, history.layout) if last is None else last
    entries = read_entries(store, history.layout, numbers=range(1, last + 1), with_logs=False, progress=progress)
    for entry in entries:
        history.add(entry)
    commits = [history.commits[number] for number in sorted(history.commits)]
    begin, end = period.bounds
    first = next((place for place, commit in enumerate(commits) if commit.observed_at >= begin), len(commits))
    history.floors = _highest(commits[first - 1]) if first else {}
    wanted = _wanted(commits, first, end)
    if first and any(is_implausible(item) for mark in commits[first - 1].prefixes.values() for item in mark.open):
        # Then the highest number says nothing of those below it.
        history.floors, wanted = {}, [commit.commit for commit in commits]
    for entry in read_entries(store, history.layout, numbers=wanted, progress=progress):
        history.add_logs(entry)
    return history


def _wanted(commits: list[Commit], first: int, end: datetime) -> list[int]:
    """Return the commits whose logs tell of numbers that were first listed in a period.

    :param first: the place of the first commit that saw the index in the period.
    :param end: the first moment after it.
    """
    closing = next(
        (place for place, commit in enumerate(commits) if place >= first and commit.observed_at >= end), None
    )
    if closing is None:
        return [commit.commit for commit in commits[first:]]
    tops = _highest(commits[closing])

    def later() -> Iterator[int]:
        for place in range(closing + 1, len(commits)):
            # Either something of the period was still open, or what was decided may have changed.
            commit, before = commits[place], commits[place - 1].prefixes
            open_before = any(
                item.first <= tops[name] for name, mark in before.items() if name in tops for item in mark.open
            )
            if open_before or commit.revised in (None, commit.commit):
                yield commit.commit

    return [*(commit.commit for commit in commits[first : closing + 1]), *later()]


def _highest(commit: Commit) -> dict[str, int]:
    return {name: mark.highest for name, mark in commit.prefixes.items()}
