"""The Airflow asset that stands for a lake's events: its name, and what each event of it holds.

A DAG that is scheduled by the asset names it with the same words as the DAG that loads::

    with DAG("ours", schedule=[imperva_events_asset("s3://bucket/lake")]):
        ...
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from airflow_provider_imperva.uri import LakeUri
from airflow_provider_imperva.xcoms import pull_earlier

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_provider_imperva.lake.changes import Changes
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Commit

MOST_PARTITIONS = 200
"""How many partitions an asset event names; Airflow keeps events for as long as its database is not cleaned."""

MOST_COMMITS = 100
"""How many commits an asset event names."""

ANNOUNCED_KEY = "announced"
"""Key of the XCom with which a commit task names the commit up to which its asset event reported."""


def imperva_events_asset(lake_uri: str, *, repository: str | None = None) -> Asset:
    """Return the asset that stands for the events in a lake.

    Its URI is that of the folder ``events/``, such as ``s3://bucket/lake/events``, its name says in words whose events
    they are, and its group is ``imperva``, by which Airflow's page of assets lists all of them. Nothing that may be a
    credential is in it.

    :param lake_uri: root of the lake, as the DAG that loads has it.
    :param repository: for an asset of the events of one repository, by its id; without it, the events of every
        repository in the lake are one asset.
    :raises ConfigurationError: if the URI cannot be that of a lake, or is a template, of which no asset can be named.
    """
    lake = str(LakeUri.parse(lake_uri))
    of = f" of repository {repository}" if repository else ""
    folder = f"/repository={repository}" if repository else ""
    return Asset(name=f"Imperva events{of} in {lake}", uri=f"{lake}/events{folder}", group="imperva")


def announce(task: BaseOperator, context: Context, ledger: Ledger, commit: Commit) -> None:
    """Describe what has changed since the asset event before, in the event that each asset among a task's outlets gets.

    :param task: the one that committed, and is about to succeed.
    """
    from airflow_provider_imperva.lake.changes import changes

    assets = [outlet for outlet in task.outlets if isinstance(outlet, Asset)]
    if not assets:
        return
    ti = context["ti"]
    if ti.map_index in (None, -1):
        last = pull_earlier(ti, task_id=task.task_id, key=ANNOUNCED_KEY)
        announced = last["commit"] if last and last["repository"] == commit.repository else commit.commit - 1
    else:
        # The XCom of a mapped task is not to be found by its account, so the ledger says which commits were green.
        earlier = islice(ledger.commits(newest_first=True), 1, MOST_COMMITS)
        announced = next((one.commit for one in earlier if one.commit < commit.commit and _was_announced(one)), 0)
    # What was reported before is reported again if the XCom is an old one, which does no harm.
    first = min(max(announced + 1, commit.commit - MOST_COMMITS + 1, 1), commit.commit)
    extra = event_extra(commit, changes(ledger, first=first, last=commit.commit))
    for asset in assets:
        context["outlet_events"][asset].extra = extra
    ti.xcom_push(key=ANNOUNCED_KEY, value={"repository": commit.repository, "commit": commit.commit})


def _was_announced(commit: Commit) -> bool:
    """Whether a run that made a commit was surely green, so that there was an event of it."""
    from airflow_provider_imperva.lake.records import Kind
    from airflow_provider_imperva.lake.watermark import State

    trouble = (commit.lost, commit.restarts, commit.unread_count, commit.failed_batches, commit.stuck)
    totals = commit.totals
    return (
        commit.kind == Kind.LOAD
        and commit.committed_by == commit.run
        and not (any(trouble) or totals.quarantined_lines or totals.logs.get(State.QUARANTINED) or commit.replaced)
    )


def event_extra(commit: Commit, changes: Changes) -> dict[str, Any]:
    """Return what an asset event says of a commit, and of those before it that no event has reported.

    ``commit`` and ``first_commit`` say which; ``logs`` (by state), ``rows`` and ``quarantined_lines`` what they came
    to; ``watermark`` how far the repository is loaded, by prefix, with how many numbers are undecided. ``partitions``
    has each partition of ``events/`` that changed, with the rows written to it: at most ``MOST_PARTITIONS``, the
    newest dates first. ``more_partitions`` says how many are not named, and ``dates`` the first and last date of all.
    """
    from airflow_provider_imperva.lake.watermark import MOST_SUMMARIZED

    newest_first = sorted(changes.partitions.items(), key=lambda item: (item[0][1], item[0][0]), reverse=True)
    dates = [event_date for _, event_date in changes.partitions]
    return {
        "repository": commit.repository,
        "first_commit": changes.first,
        "commit": changes.last,
        "logs": changes.logs,
        "rows": changes.rows,
        "quarantined_lines": changes.quarantined_lines,
        "watermark": {
            name: {
                "contiguous": prefix.contiguous,
                "highest": prefix.highest,
                "open": sum(item.last - item.first + 1 for item in prefix.open),
            }
            for name, prefix in islice(commit.prefixes.items(), MOST_SUMMARIZED)
        },
        "partitions": [
            {"event_class": event_class, "event_date": event_date, "rows": rows}
            for (event_class, event_date), rows in newest_first[:MOST_PARTITIONS]
        ],
        "more_partitions": max(0, len(newest_first) - MOST_PARTITIONS),
        "dates": [min(dates), max(dates)] if dates else [],
    }


def changed_dates(triggering_asset_events: Mapping[Any, Iterable[Any]]) -> dict[str, list[str]]:
    """Return the dates on which events changed, ISO 8601, ascending, by repository.

    Of an event that does not name all its partitions, every date from the first to the last counts.

    :param triggering_asset_events: as the task's context has it; events of other assets are skipped.
    """
    changed: dict[str, set[str]] = {}
    for events in triggering_asset_events.values():
        for extra in (event.extra for event in events):
            if "first_commit" in extra:
                changed.setdefault(extra["repository"], set()).update(_dates(extra))
    return {repository: sorted(dates) for repository, dates in changed.items()}


def _dates(extra: Mapping[str, Any]) -> Iterable[str]:
    if not extra["more_partitions"]:
        return {partition["event_date"] for partition in extra["partitions"]}
    first, last = map(date.fromisoformat, extra["dates"])
    return {(first + timedelta(days=day)).isoformat() for day in range((last - first).days + 1)}
