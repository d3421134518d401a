"""Sums up each day's events by site and outcome, whenever new ones are in the lake; another table to build on.

It is scheduled by the asset of the lake's events, and does again the days that the asset's events name, as a whole:
so doing it twice, or late, comes to the same. A run that is triggered by hand does every day in the lake.

The table is ``<lake>/reports/daily_summary/repository=<r>/event_date=<d>/summary.parquet``, with the columns
``event_class``, ``site_name``, ``outcome``, ``events`` and ``response_bytes``. Only what is in a commit is counted.

Settings, from the environment:

- ``IMPERVA_LAKE_URI``: root of the lake, such as ``s3://bucket/imperva`` or ``file:///srv/imperva``; it has no default
- ``IMPERVA_LAKE_CONN_ID``: connection with the lake's credentials (default: ambient credentials)
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, task

from airflow_provider_imperva.assets import changed_dates, imperva_events_asset

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_imperva.lake.ledger import Ledger

LAKE_URI = os.environ.get("IMPERVA_LAKE_URI", "")
LAKE_CONN_ID = os.environ.get("IMPERVA_LAKE_CONN_ID")

KEYS = ["event_class", "site_name", "outcome"]


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
        classes = store.folders(f"events/{folder}")
        dates = {name for event_class in classes for name in store.folders(f"events/{folder}/{event_class}")}
        by_repository[value_of(folder)] = sorted(map(value_of, dates))
    return by_repository


def value_of(folder: str) -> str:
    """Return the value of a Hive partition's folder, ``name=value``."""
    return folder.partition("=")[2]


def sum_up(ledger: Ledger, event_date: str) -> int:
    """Write a day's summary, or remove it if the day has no events; return how many events it has."""
    import io

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    repository = ledger.layout.repository
    path = f"reports/daily_summary/repository={repository}/event_date={event_date}/summary.parquet"
    parts = [sum_up_part(ledger, part, event_class) for event_class, part in committed_parts(ledger, event_date)]
    if not parts:
        ledger.store.delete([path])
        return 0
    sums = pa.concat_tables(parts).group_by(KEYS).aggregate([("events", "sum"), ("response_bytes", "sum")])
    table = sums.rename_columns([*KEYS, "events", "response_bytes"]).sort_by([(key, "ascending") for key in KEYS])
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    ledger.store.write(path, buffer.getvalue())
    return int(pc.sum(table["events"]).as_py())


def committed_parts(ledger: Ledger, event_date: str) -> list[tuple[str, str]]:
    """Return the parts of a day that the lake is made of, by class; others may go away again, or were replaced."""
    from airflow_provider_imperva.lake.layout import commit_of_part
    from airflow_provider_imperva.lake.live import live_set

    folder = f"events/repository={ledger.layout.repository}"
    parts = [
        (value_of(event_class), item.path, number)
        for event_class in ledger.store.folders(folder)
        for item in ledger.store.objects(f"{folder}/{event_class}/event_date={event_date}")
        if (number := commit_of_part(item.path)) is not None
    ]
    live = live_set(ledger, since=min(number for *_, number in parts)).parts if parts else {}
    return [(event_class, path) for event_class, path, _ in parts if path in live]


def sum_up_part(ledger: Ledger, path: str, event_class: str) -> pa.Table:
    """Sum up one part, so that no more than one is in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with ledger.store.reader(path) as file:
        rows = pq.read_table(file, columns=["site_name", "outcome", "response_bytes"])
    sums = rows.group_by(["site_name", "outcome"]).aggregate([([], "count_all"), ("response_bytes", "sum")])
    columns = [pa.repeat(event_class, sums.num_rows)]
    columns += [sums[name].cast(pa.string()) for name in ("site_name", "outcome")]
    columns += [sums[name] for name in ("count_all", "response_bytes_sum")]
    return pa.table(columns, names=[*KEYS, "events", "response_bytes"])


with DAG(
    "imperva_daily_summary",
    description="Each day's events by site and outcome",
    doc_md=__doc__,
    schedule=[imperva_events_asset(LAKE_URI)],
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["imperva"],
) as dag:

    @task(retries=2)
    def summarize(triggering_asset_events: Any = None) -> dict[str, dict[str, int]]:
        """Sum up the days that have changed; returns the events of each, by repository."""
        changed = changed_dates(triggering_asset_events) if triggering_asset_events else every_date()
        return {
            repository: {event_date: sum_up(open_ledger(repository), event_date) for event_date in dates}
            for repository, dates in changed.items()
        }

    summarize()
