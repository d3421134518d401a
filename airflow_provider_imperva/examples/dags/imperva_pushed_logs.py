"""Loads the logs that Imperva Cloud WAF delivers to a bucket or an SFTP server into a lake of Parquet.

The connection is of type ``imperva``. Its host is where Imperva delivers to (``s3://bucket/folder/`` or
``sftp:///folder/``), and its extra ``delivery_conn_id`` names the connection of type ``aws`` or ``sftp`` with the
credentials. All else is as with logs that are fetched.

Settings, from the environment:

- ``IMPERVA_PUSH_CONN_ID``: that connection (default ``imperva_push``)
- ``IMPERVA_LAKE_URI``: root of the lake, such as ``s3://bucket/imperva`` or ``file:///srv/imperva``; it has no default
- ``IMPERVA_LAKE_CONN_ID``: connection with the lake's credentials (default: ambient credentials)
- ``IMPERVA_ACCOUNT_GROUP``: a name that the DAGs of this account share while its logs are fetched and delivered both,
  so that what comes twice is loaded once; as ``plan_options={"account_group": ...}`` there
"""

from __future__ import annotations

import os

from airflow_provider_imperva.dag import imperva_logs_dag

group = os.environ.get("IMPERVA_ACCOUNT_GROUP")

dag = imperva_logs_dag(
    "imperva_pushed_logs",
    imperva_conn_id=os.environ.get("IMPERVA_PUSH_CONN_ID", "imperva_push"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
    plan_options={"account_group": group} if group else None,
)
