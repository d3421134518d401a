"""Times held against each other: what one record says of when, another one has to bear out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Entry
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.watermark import CLOCKS_DIFFER

SKEW = timedelta(minutes=5)
"""How far the clocks of two machines that commit may be apart. A store's may be :data:`CLOCKS_DIFFER` off."""


def check_times(layout: Layout, entry: Entry, before: Commit | None, *, at: datetime) -> Iterator[Finding]:
    """Check the times of an entry: each step follows the one before it, and none is in the future.

    :param before: the commit before, if it can be read.
    :param at: now, UTC.
    """
    commit = entry.commit
    if commit is None:
        return
    path = layout.commit(entry.number)
    committed = commit.committed_at
    if before and committed < before.committed_at - SKEW:
        problem = f"it was committed {_said(committed)}, before commit {before.commit}, {_said(before.committed_at)}"
        yield Finding(Kind.TIME, path, problem)
    if committed > at + SKEW:
        yield Finding(Kind.TIME, path, f"it was committed {_said(committed)}, which is in the future")
    if entry.plan and committed < entry.plan.created_at - SKEW:
        problem = f"it was committed {_said(committed)}, before it was planned, {_said(entry.plan.created_at)}"
        yield Finding(Kind.TIME, path, problem)
    if commit.observed_at > committed + SKEW:
        yield Finding(Kind.TIME, path, f"it observed the index {_said(commit.observed_at)}, after it was committed")
    if entry.logs is None:
        return
    for row in entry.logs.select(["name", "first_listed_at", "fetched_at"]).to_pylist():
        listed, fetched = row["first_listed_at"], row["fetched_at"]
        if listed and listed > committed + SKEW:
            yield _of_log(row, entry.number, "first listed", listed, "committed", committed)
        if fetched and fetched > committed + CLOCKS_DIFFER:
            yield _of_log(row, entry.number, "fetched", fetched, "committed", committed)
        if listed and fetched and listed > fetched + CLOCKS_DIFFER:
            yield _of_log(row, entry.number, "first listed", listed, "fetched", fetched)


def _of_log(row: dict[str, str], number: int, one: str, when: datetime, other: str, then: datetime) -> Finding:
    problem = f"commit {number} says it was {one} {_said(when)}, after it was {other}, {_said(then)}"
    return Finding(Kind.TIME, row["name"], problem)


def _said(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
