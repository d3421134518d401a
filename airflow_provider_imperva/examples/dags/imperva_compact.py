"""Merges the small parts of the lake once a day; beside the settings of the file imperva_logs_to_parquet.py."""

from __future__ import annotations

import os

from airflow_provider_imperva.compact_dag import imperva_compact_dag

dag = imperva_compact_dag(
    "imperva_compact",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
)
