"""What is in a log: from a plain body to typed Arrow tables in one schema.

:func:`parse` is the way in. It works in two stages: a format turns lines into texts by column, then all texts of a
column become values at once.
"""

from airflow_provider_imperva.events.parse import ParsedBlock, parse
from airflow_provider_imperva.events.schema.schema import QUARANTINE_SCHEMA, SCHEMA
from airflow_provider_imperva.events.schema.source import LogSource

__all__ = ["QUARANTINE_SCHEMA", "SCHEMA", "LogSource", "ParsedBlock", "parse"]
