"""The DAG that the cluster runs, once."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow_provider_imperva.dag import imperva_logs_dag

dag = imperva_logs_dag(
    "imperva_cluster",
    lake_uri=os.environ["IMPERVA_LAKE_URI"],
    lake_conn_id="lake",
    schedule="@once",
    poke_interval=timedelta(seconds=2),
    plan_options={"logs_per_batch": int(os.environ["IMPERVA_LOGS_PER_BATCH"])},
    pool="imperva",
    fetch_slots=4,
    default_args={"retries": 5, "retry_delay": timedelta(seconds=1), "retry_exponential_backoff": False},
)
