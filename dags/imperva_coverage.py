"""Writes the coverage page of a lake every hour, for Airflow's navigation and the tab of each DAG.

The settings are those of the file imperva_logs_to_parquet.py. The whole ledger is read each time: once a day is often
enough for a lake of years.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator

dag = DAG(
    "imperva_coverage",
    description="How completely the logs are in the lake, as a page",
    doc_md=__doc__,
    schedule=timedelta(hours=1),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["imperva"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
)

with dag:
    ImpervaCoverageOperator(
        task_id="coverage",
        imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
        lake_uri=os.environ.get("IMPERVA_LAKE_URI", (Path(__file__).resolve().parents[1] / "lake").as_uri()),
        lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
    )
