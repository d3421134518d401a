"""Exports what is committed as Parquet in OCSF, for tools that speak it; into Amazon Security Lake with an account.

Beside the settings of the file imperva_logs_to_parquet.py: IMPERVA_OCSF_URI is the root of the files (by default, that
of the lake with -ocsf after it), and IMPERVA_OCSF_CONN_ID the connection with its credentials. With
IMPERVA_OCSF_ACCOUNT, the AWS account of a custom source of Security Lake, and IMPERVA_OCSF_REGION, the files have the
layout of Security Lake.
"""

from __future__ import annotations

import os

from airflow_provider_imperva.ocsf_dag import imperva_ocsf_dag

lake_uri = os.environ.get("IMPERVA_LAKE_URI", "")
account = os.environ.get("IMPERVA_OCSF_ACCOUNT")
security_lake = {
    "layout": "security_lake",
    "region": os.environ.get("IMPERVA_OCSF_REGION", ""),
    "account": account,
}

dag = imperva_ocsf_dag(
    "imperva_ocsf",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=lake_uri,
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
    target_uri=os.environ.get("IMPERVA_OCSF_URI") or f"{lake_uri.rstrip('/')}-ocsf",
    target_conn_id=os.environ.get("IMPERVA_OCSF_CONN_ID"),
    options=security_lake if account else None,
)
