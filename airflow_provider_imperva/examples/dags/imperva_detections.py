"""Looks for attacks in each day's events whenever new ones are in the lake, and reports each that it finds once.

What it looks for is in the file sql/detections.duckdb.sql of the examples: an account with far more alerts than usual,
a scanner, credential stuffing, visitors from a new country, and a rule that has gone quiet. Of the events it opens the
partitions of the days that the asset's events name, and no others. What is usual it learns from a profile of each day,
which it writes beside its findings, in reports/detections/ of the lake. A run that is triggered by hand looks at every
day in the lake: trigger it once, so that the days before have their profiles.

Findings name clients. So neither the task's log nor its XCom has more than how many there are.

The task needs the Python package duckdb. Settings, from the environment:

- IMPERVA_LAKE_URI: root of the lake, such as s3://bucket/imperva or file:///srv/imperva; it has no default
- IMPERVA_LAKE_CONN_ID: connection with the lake's credentials (default: ambient credentials)
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, get_current_context, task

from airflow_provider_imperva.assets import changed_dates, imperva_events_asset

if TYPE_CHECKING:
    from airflow_provider_imperva.lake.ledger import Ledger

LAKE_URI = os.environ.get("IMPERVA_LAKE_URI", "")
LAKE_CONN_ID = os.environ.get("IMPERVA_LAKE_CONN_ID")

SQL = ""
"""Statements in place of the published ones: the text of a copy whose bounds you have changed."""

NOTIFIER: Callable[[Any], Any] | None = None
"""What is called with a run's new findings: one of Airflow's notifiers, or a function of the task's context.

Beside the context it gets ``findings``, how many are new by repository and detection:
``SlackNotifier(text="Imperva: {{ findings }}")``.
"""

log = logging.getLogger(__name__)


def open_ledger(repository: str) -> Ledger:
    """Open the ledger of a repository; the lake is that ledger's store."""
    from airflow_provider_imperva.hooks.lake import open_lake
    from airflow_provider_imperva.lake.ledger import Ledger

    return Ledger(open_lake(LAKE_URI, LAKE_CONN_ID), repository)


def every_date() -> dict[str, list[str]]:
    """Return all dates in the lake, by repository."""
    store = open_ledger("").store
    by_repository = {}
    for folder in store.folders("events"):
        if folder.startswith("repository="):
            classes = store.folders(f"events/{folder}")
            dates = {name for event_class in classes for name in store.folders(f"events/{folder}/{event_class}")}
            by_repository[folder.partition("=")[2]] = sorted(name.partition("=")[2] for name in dates)
    return by_repository


with DAG(
    "imperva_detections",
    description="Attacks and what else is unusual in the events of Imperva Cloud WAF",
    doc_md=__doc__,
    schedule=[imperva_events_asset(LAKE_URI)],
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["imperva"],
) as dag:

    @task(retries=2)
    def detect(triggering_asset_events: Any = None) -> dict[str, dict[str, int]]:
        """Look at the days that have changed; returns how many findings are new, by repository and detection."""
        from airflow_provider_imperva.audit.detections import Detections, counts

        changed = changed_dates(triggering_asset_events) if triggering_asset_events else every_date()
        new_by_repository = {}
        for repository, dates in changed.items():
            detections = Detections(open_ledger(repository), sql=SQL)
            findings = detections.look(map(date.fromisoformat, dates))
            if new := counts(findings):
                new_by_repository[repository] = new
                log.warning("New findings of repository %s: %s; see reports/detections/ in the lake", repository, new)
                if NOTIFIER:
                    NOTIFIER({**get_current_context(), "findings": {repository: new}})
            # Only now: if they could not be reported, the next attempt does it.
            detections.record(findings)
        return new_by_repository

    detect()
