"""Table definitions for query engines: ``python -m pages.tables athena`` prints one.

DuckDB needs none: it reads the lake's files as they are.
"""

from __future__ import annotations

import sys

from airflow_provider_imperva.events.schema.hive import PARTITIONS, columns, partitions

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
    return _ATHENA.format(columns=_lines(columns()), partitions=_lines(partitions()))


def spark() -> str:
    """Return the definition for Spark, whose partition columns are columns like the others."""
    return _SPARK.format(columns=_lines(columns()), partitions=_lines(partitions()), names=", ".join(PARTITIONS))


def _lines(columns: list[tuple[str, str]]) -> str:
    return ",\n".join(f"    {name} {type_name}" for name, type_name in columns)


if __name__ == "__main__":
    sys.stdout.write({"athena": athena, "spark": spark}[sys.argv[1]]())
