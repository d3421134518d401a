"""Table definitions for query engines: ``python -m airflow_provider_imperva.events.ddl athena`` prints one.

DuckDB needs none: it reads the lake's files as they are.
"""

from __future__ import annotations

import sys

import pyarrow as pa

from airflow_provider_imperva.events.schema.schema import SCHEMA

_PARTITIONS = ("repository", "event_class", "event_date")

_HIVE_TYPES = {
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
    pa.dictionary(pa.int32(), pa.string()): "string",
    pa.list_(pa.string()): "array<string>",
    pa.map_(pa.string(), pa.string()): "map<string,string>",
    pa.timestamp("ms", tz="UTC"): "timestamp",
}
"""What Hive, Athena and Spark call the types of the columns, which they read from Parquet."""

_ATHENA = """\
-- The lake's events as a table of Athena (Glue Data Catalog). Put the lake's root in place of {{lake}}, and the ids of
-- your repositories in place of {{repositories}}, separated by commas. Partitions are projected, so that no crawler has
-- to run, and a new day is there at once.
CREATE EXTERNAL TABLE events (
{columns}
)
PARTITIONED BY (
{partitions}
)
STORED AS PARQUET
LOCATION '{{lake}}/events/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.repository.type' = 'enum',
    'projection.repository.values' = '{{repositories}}',
    'projection.event_class.type' = 'enum',
    'projection.event_class.values' = 'access,security,attack_analytics,other',
    'projection.event_date.type' = 'date',
    'projection.event_date.format' = 'yyyy-MM-dd',
    'projection.event_date.range' = '2010-01-01,NOW+2DAYS',
    'storage.location.template' =
        '{{lake}}/events/repository=${{repository}}/event_class=${{event_class}}/event_date=${{event_date}}/'
);
"""

_SPARK = """\
-- The lake's events as a table of Spark. Put the lake's root in place of {{lake}}. After new days have come:
-- MSCK REPAIR TABLE events;
CREATE TABLE events (
{columns},
{partitions}
)
USING PARQUET
PARTITIONED BY ({names})
LOCATION '{{lake}}/events/';
"""


def athena() -> str:
    """Return the definition for Athena, whose partition columns stand apart."""
    return _ATHENA.format(columns=_lines(_columns()), partitions=_lines(_partitions()))


def spark() -> str:
    """Return the definition for Spark, whose partition columns are columns like the others."""
    return _SPARK.format(columns=_lines(_columns()), partitions=_lines(_partitions()), names=", ".join(_PARTITIONS))


def table_columns() -> list[tuple[str, str]]:
    """Return the name and the Hive type of each column of ``events/``, then of each that is in the path."""
    return _columns() + _partitions()


def _columns() -> list[tuple[str, str]]:
    return [(field.name, _HIVE_TYPES[field.type]) for field in SCHEMA]


def _partitions() -> list[tuple[str, str]]:
    return [(name, "date" if name == "event_date" else "string") for name in _PARTITIONS]


def _lines(columns: list[tuple[str, str]]) -> str:
    return ",\n".join(f"    {name} {type_name}" for name, type_name in columns)


if __name__ == "__main__":
    sys.stdout.write({"athena": athena, "spark": spark}[sys.argv[1]]())
