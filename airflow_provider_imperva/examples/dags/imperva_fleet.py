"""Loads many Imperva Cloud WAF accounts with one DAG: whichever of them have something to load, side by side.

Settings, from the environment:

- ``IMPERVA_ACCOUNTS``: where the list of connections is: ``variable:<name>`` of an Airflow Variable (default
  ``variable:imperva_accounts``), or the absolute path of a file; YAML, JSON, or ids with commas or line ends between
- ``IMPERVA_ACCOUNTS_TAG``: load only accounts with this tag (default: all)
- ``IMPERVA_LAKE_URI``: root of the lake, such as ``s3://bucket/imperva`` or ``file:///srv/imperva``; it has no default
- ``IMPERVA_LAKE_CONN_ID``: connection with the lake's credentials (default: ambient credentials)
"""

from __future__ import annotations

import os

from airflow_provider_imperva.fleet import imperva_fleet_dag

dag = imperva_fleet_dag(
    "imperva_fleet",
    accounts=os.environ.get("IMPERVA_ACCOUNTS", "variable:imperva_accounts"),
    tag=os.environ.get("IMPERVA_ACCOUNTS_TAG"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
)
