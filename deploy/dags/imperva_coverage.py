"""Writes the coverage page of the lake that docker-compose.yaml sets up, every hour: see Imperva in Airflow's menu."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator

with DAG(
    "imperva_coverage",
    description="How completely the logs are in the lake, as a page",
    doc_md=__doc__,
    schedule=timedelta(hours=1),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["imperva"],
) as dag:
    ImpervaCoverageOperator(task_id="coverage", lake_uri=os.environ["IMPERVA_LAKE_URI"], lake_conn_id="lake")
