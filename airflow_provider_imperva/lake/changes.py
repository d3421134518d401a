"""Changes: what commits in a row did to ``events/``, for whoever has to do something about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from airflow_provider_imperva.lake.layout import partition_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit, Kind


@dataclass(frozen=True, slots=True)
class Changes:
    """What commits did, from the first to the last of them.

    :ivar logs: how many logs they decided, by state.
    :ivar partitions: the rows they wrote to each partition of ``events/``, by event class and date (ISO 8601). One that
        a replay took all its rows out of has none.
    """

    first: int
    last: int
    logs: dict[str, int]
    rows: int
    quarantined_lines: int
    partitions: dict[tuple[str, str], int]


def changes(ledger: Ledger, *, first: int, last: int) -> Changes:
    """Add up what commits did.

    :param first, last: their numbers, both included.
    """
    commits = [ledger.commit(number) for number in range(first, last + 1)]
    logs: Counter[str] = Counter()
    partitions: Counter[tuple[str, str]] = Counter()
    for commit in commits:
        logs.update({state.value: count for state, count in commit.totals.logs.items()})
        for path, rows in _touched(ledger, commit).items():
            if partition := partition_of(path):
                partitions[partition] += rows
    return Changes(
        first,
        last,
        dict(sorted(logs.items())),
        rows=sum(commit.totals.rows for commit in commits),
        quarantined_lines=sum(commit.totals.quarantined_lines for commit in commits),
        partitions=dict(sorted(partitions.items())),
    )


def _touched(ledger: Ledger, commit: Commit) -> dict[str, int]:
    """Return the rows of each part that a commit wrote, and each that it removed; none if the rows are the same."""
    if commit.kind is Kind.COMPACT:
        return {}
    removed = {part.path: 0 for part in commit.removed}
    if commit.v == 1:
        # A replay may have left out a part of the batch it replayed, and only that batch's intent knows of it.
        removed |= {
            path: 0 for batch_id in commit.replaced.values() for path in ledger.intent(batch_id.commit, batch_id.batch)
        }
    return removed | {part.path: part.rows for part in commit.parts}
