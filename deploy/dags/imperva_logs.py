"""Loads an Imperva Cloud WAF repository into the lake that docker-compose.yaml sets up, every 10 minutes."""

from __future__ import annotations

import os

from airflow_provider_imperva.dag import imperva_logs_dag

dag = imperva_logs_dag(
    "imperva_logs_to_parquet",
    lake_uri=os.environ["IMPERVA_LAKE_URI"],
    lake_conn_id="lake",
    pool="imperva",
    fetch_slots=4,
)
