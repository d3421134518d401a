"""Loads an Imperva Cloud WAF repository into a lake of Parquet when there is something to load, not by the clock.

The triggerer looks at the index and has a run started when there is other work than before: new logs, a key that has
come, a gap that can be closed. It takes the place of ``imperva_logs_to_parquet``: unpause one of the two.

Settings, from the environment:

- ``IMPERVA_CONN_ID``: connection of type ``imperva`` (default ``imperva_default``)
- ``IMPERVA_LAKE_URI``: root of the lake, such as ``s3://bucket/imperva`` or ``file:///srv/imperva``; it has no default
- ``IMPERVA_LAKE_CONN_ID``: connection with the lake's credentials (default: ambient credentials)
- ``IMPERVA_POKE_SECONDS``: time between two looks at the index (default 15); between two runs it is at least twice that
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from airflow_provider_imperva.dag import imperva_logs_dag
from airflow_provider_imperva.triggers.event import ImpervaLogEventTrigger

conn_id = os.environ.get("IMPERVA_CONN_ID", "imperva_default")
poke_seconds = float(os.environ.get("IMPERVA_POKE_SECONDS", "15"))
lake: dict[str, Any] = {
    "imperva_conn_id": conn_id,
    "lake_uri": os.environ.get("IMPERVA_LAKE_URI", ""),
    "lake_conn_id": os.environ.get("IMPERVA_LAKE_CONN_ID"),
}

watcher = AssetWatcher(
    name=f"{conn_id}_watcher",
    trigger=ImpervaLogEventTrigger(**lake, poke_interval=poke_seconds, min_interval=2 * poke_seconds),
)

dag = imperva_logs_dag(
    "imperva_logs_on_arrival",
    **lake,
    schedule=[Asset(f"{conn_id}_logs_to_load", watchers=[watcher])],
    # The logs of the event may be loaded already; then there is nothing to wait for.
    sensor_timeout=timedelta(seconds=1),
    poke_interval=timedelta(seconds=1),
)
