"""What people must hear of when a commit is made: while there is any of it, a run is red."""

from __future__ import annotations

from airflow_provider_imperva.lake.records import Commit


def left_behind(commit: Commit) -> list[str]:
    """Say what a commit left behind; nothing if nothing was."""
    found = []
    if commit.lost:
        found.append(f"{commit.lost} logs are lost (expired or unobserved; logs.parquet names them)")
    found += [f"the counter of prefix {one.prefix} began again. {one} ({one.reason})" for one in commit.restarts]
    if commit.unread_count:
        lines = ", ".join(f"'{line}'" for line in commit.unread[:3])
        found.append(f"{commit.unread_count} entries of the index or folder are not read, such as {lines}")
    if commit.failed_batches:
        batches = ", ".join(map(str, commit.failed_batches))
        found.append(f"batches {batches} did not finish; their logs are in the next plan")
    elif commit.stuck:
        found.append(f"{len(commit.stuck)} logs could not be loaded; they are in the next plan")
    return found
