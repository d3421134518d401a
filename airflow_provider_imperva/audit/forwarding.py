"""What was forwarded, held against the ledger: each commit is acknowledged, pending or left out; its lines add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow.compute as pc

from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.lake.forwards import Forwarded, Forwards, ForwardStatus, destinations
from airflow_provider_imperva.lake.records import Kind as CommitKind
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.repository.names import LogName


def forward_statuses(store: Store, history: History, *, at: datetime) -> list[ForwardStatus]:
    """Return how far each destination is behind the ledger.

    :param at: now, UTC.
    """

    def committed_at(number: int) -> datetime | None:
        commit = history.commits.get(number)
        return commit.committed_at if commit else None

    last = max(history.commits, default=0)
    return [
        Forwards(store, history.repository, name).status(last, committed_at, at=at)
        for name in destinations(store, history.repository)
    ]


def check_forwards(store: Store, history: History) -> Iterator[Finding]:
    """Return where what is said of a forwarded commit contradicts the ledger, or does not add up."""
    for name in destinations(store, history.repository):
        forwards = Forwards(store, history.repository, name)
        for number in forwards.numbers():
            path, outcome = forwards.path(number), forwards.read(number)
            if outcome is None:
                yield Finding(Kind.UNREADABLE, path, "it does not read; delete it, and its commit is sent again")
            else:
                problems = _contradictions(store, history, outcome)
                yield from (Finding(Kind.CONTRADICTION, path, text) for text in problems)


def _contradictions(store: Store, history: History, outcome: Forwarded) -> Iterator[str]:
    number = outcome.commit
    if imbalance := outcome.imbalance():
        yield f"its lines do not add up: {imbalance}"
    # Both may have gone on since the ledger was read.
    if number > history.last and not store.exists(history.layout.commit(number)):
        yield f"commit {number} was forwarded, and the ledger does not have it"
    sha256 = history.sha256.get(number)
    if sha256 and sha256 != outcome.commit_sha256:
        yield f"commit {number} is not the one that was forwarded: its SHA-256 was {outcome.commit_sha256}"
    commit = history.commits.get(number)
    # What of a replay is sent again is a setting of the destination.
    is_load = commit is not None and commit.kind is CommitKind.LOAD and not commit.replaced
    if commit and is_load and commit.totals.lines != outcome.ledger_lines:
        yield f"{outcome.ledger_lines} lines were to be forwarded, the commit has {commit.totals.lines}"
    if outcome.lines != outcome.ledger_lines:
        yield f"{outcome.lines} lines were read to be forwarded, the ledger has {outcome.ledger_lines}"
    for log, by in outcome.removed_logs.items():
        # A commit that came after the ledger was read is checked next time.
        if by <= history.last and not _removed(history, log, by):
            yield f"{log} was not forwarded since commit {by} removed its bytes from raw/, and that commit did not"


def _removed(history: History, log: str, by: int) -> bool:
    """Return whether a commit removed the bytes of a log from ``raw/``, or destroyed their data key."""
    commit, first = history.commits.get(by), history.layout.raw(LogName.parse(log))
    if commit is None:
        return False
    if commit.destroys:
        mine = history.logs.filter(pc.equal(history.logs["name"], log))
        return not set(commit.destroys).isdisjoint(mine["data_key"].to_pylist())
    return any(item.path == first or item.path.startswith(f"{first}.") for item in commit.removed_raw)


def describe(status: ForwardStatus) -> str:
    """Describe how far a destination is, in one line."""
    return (
        f"Forwarded to {status.destination}: {status.commits} commits = {status.sent} acknowledged + "
        f"{status.pending} pending + {status.left_out} left out"
    )


def describe_missing(outcomes: Sequence[Forwarded]) -> str:
    """Describe the logs that a destination did not get and was to get, and what to do; empty if it got all."""
    parts = []
    if unread := sorted(log for outcome in outcomes for log in outcome.unread_logs):
        parts.append(
            f"{counted(len(unread), 'log')} could not be sent, since raw/ lacks the bytes that the ledger names:"
            f" {', '.join(unread[:5])}. Restore them, then send their commits again: imperva-logs forward --commit."
        )
    if removed := {log: by for outcome in outcomes for log, by in outcome.removed_logs.items()}:
        numbers = ", ".join(map(str, sorted(set(removed.values()))[:5]))
        lines = counted(sum(outcome.removed for outcome in outcomes), "line")
        parts.append(
            f"{counted(len(removed), 'log')} with {lines} could not be sent, since retention had removed their bytes"
            f" from raw/ (commit {numbers}): {', '.join(sorted(removed)[:5])}. The next run goes on without them. Keep"
            " raw/ for longer than a destination may be down; for a new destination set start=now."
        )
    return " ".join(parts)
