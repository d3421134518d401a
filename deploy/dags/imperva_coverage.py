"""Writes the coverage page of the lake that docker-compose.yaml sets up, every hour: see Imperva in Airflow's menu."""

from __future__ import annotations

import os

from airflow_provider_imperva.dag import imperva_coverage_dag

dag = imperva_coverage_dag("imperva_coverage", lake_uri=os.environ["IMPERVA_LAKE_URI"], lake_conn_id="lake")
