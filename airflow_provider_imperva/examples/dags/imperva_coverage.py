"""Writes the coverage page of a lake every hour, for Airflow's menu and the tab of each DAG.

The settings are those of the file imperva_logs_to_parquet.py.
"""

from __future__ import annotations

import os

from airflow_provider_imperva.dag import imperva_coverage_dag

dag = imperva_coverage_dag(
    "imperva_coverage",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
)
