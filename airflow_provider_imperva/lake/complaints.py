"""What people must hear of when a commit is made: while there is any of it, a run is red."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.watermark import LOST

MOST_RANGES = 20
"""How many ranges of lost numbers a message names."""


def left_behind(commit: Commit, *, lost: Sequence[str] = ()) -> list[str]:
    """Describe what a commit left behind; nothing if nothing was.

    :param lost: the lost numbers, as :func:`lost_ranges` names them.
    """
    complaints = []
    if commit.lost:
        complaints.append(f"{commit.lost} logs are lost ({_joined(lost)}; logs.parquet names them)")
    complaints += [f"the counter of prefix {one.prefix} began again. {one} ({one.reason})" for one in commit.restarts]
    if commit.unread_count:
        lines = ", ".join(f"'{line}'" for line in commit.unread[:3])
        complaints.append(f"{commit.unread_count} entries of the index or folder are not read, such as {lines}")
    if commit.failed_batches:
        batches = ", ".join(map(str, commit.failed_batches))
        complaints.append(f"batches {batches} did not finish; their logs are in the next plan")
    elif commit.stuck:
        complaints.append(f"{len(commit.stuck)} logs could not be loaded; they are in the next plan")
    return complaints


def _joined(ranges: Sequence[str]) -> str:
    more = f", and {len(ranges) - MOST_RANGES} more ranges" if len(ranges) > MOST_RANGES else ""
    return f"{', '.join(ranges[:MOST_RANGES])}{more}" if ranges else "expired or unobserved"


def lost_ranges(ledger: Ledger, commit: Commit) -> list[str]:
    """Name what a commit found to be lost, neighbours as one range: ``8416_143 to 8416_144 expired``."""
    if not commit.lost:
        return []
    columns = ["prefix", "sequence", "sequence_to", "state"]
    rows = ledger.logs(commit.commit).select(columns).sort_by([(name, "ascending") for name in columns]).to_pylist()
    ranges: list[tuple[str, str, int, int]] = []
    for row in rows:
        if row["state"] not in LOST:
            continue
        prefix, state, first, last = row["prefix"], row["state"], row["sequence"], row["sequence_to"]
        if ranges and ranges[-1][:2] == (prefix, state) and ranges[-1][3] + 1 == first:
            first = ranges.pop()[2]
        ranges.append((prefix, state, first, last))
    return [
        f"{prefix}_{first} {state}" if first == last else f"{prefix}_{first} to {prefix}_{last} {state}"
        for prefix, state, first, last in ranges
    ]
