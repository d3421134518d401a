"""Loads an Imperva Cloud WAF repository into a lake of Parquet, every 10 minutes.

Settings, from the environment:

- ``IMPERVA_CONN_ID``: connection of type ``imperva`` (default ``imperva_default``)
- ``IMPERVA_LAKE_URI``: root of the lake, such as ``s3://bucket/imperva`` or ``file:///srv/imperva``; it has no default
- ``IMPERVA_LAKE_CONN_ID``: connection with the lake's credentials (default: ambient credentials)
"""

from __future__ import annotations

import os

from airflow_provider_imperva.dag import imperva_logs_dag

dag = imperva_logs_dag(
    "imperva_logs_to_parquet",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
)
