"""Takes out of the lake what is older than its retention policy allows, once a day.

The settings are those of the file imperva_logs_to_parquet.py; IMPERVA_RETENTION is the path of a YAML file with the
policy. Without it nothing leaves: the task only reports what would, if all but security events were kept for 90 days.
"""

from __future__ import annotations

import os

from airflow_provider_imperva.retention_dag import imperva_retention_dag

dag = imperva_retention_dag(
    "imperva_retention",
    imperva_conn_id=os.environ.get("IMPERVA_CONN_ID", "imperva_default"),
    lake_uri=os.environ.get("IMPERVA_LAKE_URI", ""),
    lake_conn_id=os.environ.get("IMPERVA_LAKE_CONN_ID"),
    policy=os.environ.get("IMPERVA_RETENTION")
    or {"events": {"access": 90, "security": 400, "attack_analytics": 400, "other": 90}, "raw": 90, "quarantine": 90},
    dry_run="IMPERVA_RETENTION" not in os.environ,
)
