"""One value of a column, redacted."""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, QUARANTINE_SCHEMA
from airflow_provider_imperva.privacy.redact import Redactor
from airflow_provider_imperva.privacy.rules import Rules


def redacted(text: str, rules: Rules | None = None, *, column: str = "query_string") -> str:
    """Return what the value of a column becomes."""
    events = pa.Table.from_pylist([{column: text}], schema=PARSED_SCHEMA)
    result = Redactor(rules or Rules()).redact(events, QUARANTINE_SCHEMA.empty_table())
    return str(result.events[column][0].as_py())
