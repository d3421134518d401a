"""The columns of ``events/`` as Hive, Athena and Spark call their types, which they read from Parquet."""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_imperva.events.schema.columns import BINARY, HEADERS, VIOLATIONS
from airflow_provider_imperva.events.schema.schema import QUARANTINE_SCHEMA, SCHEMA

PARTITIONS = ("repository", "event_class", "event_date")
"""The columns in the path of a part, in order."""

_HIVE_TYPES = {
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.large_binary(): "binary",
    pa.string(): "string",
    pa.dictionary(pa.int32(), pa.string()): "string",
    pa.list_(pa.string()): "array<string>",
    pa.map_(pa.string(), pa.string()): "map<string,string>",
    pa.timestamp("ms", tz="UTC"): "timestamp",
    BINARY: "binary",
    HEADERS: "map<string,array<string>>",
    VIOLATIONS: f"array<struct<{','.join(f'{member.name}:string' for member in VIOLATIONS.value_type)}>>",
}
"""What Hive, Athena and Spark call the types of the columns, which they read from Parquet."""


def table_columns() -> list[tuple[str, str]]:
    """Return the name and the Hive type of each column of ``events/``, then of each that is in the path."""
    return [*columns(), *partitions()]


def columns() -> list[tuple[str, str]]:
    """Return name and type of each column of a part."""
    return columns_of(SCHEMA)


def quarantine_columns() -> list[tuple[str, str]]:
    """Return name and type of each column of ``quarantine/``."""
    return columns_of(QUARANTINE_SCHEMA)


def columns_of(schema: pa.Schema) -> list[tuple[str, str]]:
    """Return name and type of each column of any Parquet file in a lake."""
    return [(field.name, _HIVE_TYPES[field.type]) for field in schema]


def partitions() -> list[tuple[str, str]]:
    """Return name and type of each column in the path."""
    return [(name, "date" if name == "event_date" else "string") for name in PARTITIONS]
