"""Sends what is committed to a SIEM; the others get a DAG each in the same way.

Beside the settings of the file imperva_logs_to_parquet.py: IMPERVA_DESTINATION is the name of a preset, such as splunk
or qradar, and IMPERVA_DESTINATION_CONN_ID the connection with its address and token.
"""

from __future__ import annotations

import os

from airflow_provider_imperva.forward_dag import imperva_forward_dag

dag = imperva_forward_dag(
    "imperva_forward",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
    destination=os.environ.get("IMPERVA_DESTINATION", "syslog"),
    destination_conn_id=os.environ.get("IMPERVA_DESTINATION_CONN_ID", "siem_default"),
)
