"""Fails when nobody has looked at an Imperva Cloud WAF repository for too long: a paused DAG does not fail by itself.

The settings are those of the file imperva_logs_to_parquet.py.
"""

from __future__ import annotations

import os

from airflow_provider_imperva.dag import imperva_watch_dag

dag = imperva_watch_dag(
    "imperva_watch",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
)
