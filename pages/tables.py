"""Table definitions for query engines: ``python -m pages.tables athena`` prints one.

DuckDB needs none: it reads the lake's files as they are.
"""

from __future__ import annotations

import sys

from airflow_provider_imperva.events.schema.hive import (
    PARTITIONS,
    columns,
    columns_of,
    partitions,
    quarantine_columns,
)
from airflow_provider_imperva.lake.gathered import GATHERED_SCHEMA

_ATHENA = """\
-- The lake's events, quarantine and logs as tables of Athena (Glue Data Catalog), without the lake's Delta table. Put
-- the lake's root in place of {{lake}}, the ids of your repositories in place of {{repositories}}, separated by commas,
-- and the first day of your data in place of {{first_day}}. Partitions are projected: no crawler has to run, and a new
-- day is there at once.
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
    'projection.event_date.range' = '{{first_day}},NOW+1DAYS',
    'storage.location.template' =
        '{{lake}}/events/repository=${{repository}}/event_class=${{event_class}}/event_date=${{event_date}}/'
);

CREATE EXTERNAL TABLE quarantine (
{quarantine}
)
PARTITIONED BY (
    repository string
)
STORED AS PARQUET
LOCATION '{{lake}}/quarantine/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.repository.type' = 'enum',
    'projection.repository.values' = '{{repositories}}',
    'storage.location.template' = '{{lake}}/quarantine/repository=${{repository}}/'
);

-- What each commit says of its logs, of the commits that a compaction has gathered: all but the last thousand or so. Of
-- several rows of a log that of the highest commit counts. Athena cannot read the others, since objects of another
-- format lie beside them.
CREATE EXTERNAL TABLE ledger_logs (
{logs}
)
PARTITIONED BY (
    repository string
)
STORED AS PARQUET
LOCATION '{{lake}}/reports/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.repository.type' = 'enum',
    'projection.repository.values' = '{{repositories}}',
    'storage.location.template' = '{{lake}}/reports/repository=${{repository}}/logs/'
);
"""

_SPARK = """\
-- The lake as tables of Spark, without its Delta table. Put the lake's root in place of {{lake}}. A table shows nothing
-- before its MSCK REPAIR TABLE, which is to be run again after new days have come.
CREATE TABLE events (
{columns},
{partitions}
)
USING PARQUET
PARTITIONED BY ({names})
LOCATION '{{lake}}/events/';

MSCK REPAIR TABLE events;

CREATE TABLE quarantine (
{quarantine},
    repository string
)
USING PARQUET
PARTITIONED BY (repository)
LOCATION '{{lake}}/quarantine/';

MSCK REPAIR TABLE quarantine;

-- What each commit says of its logs. Of several rows of a log that of the highest commit_number counts.
CREATE TABLE ledger_logs
USING PARQUET
OPTIONS (path '{{lake}}/ledger/', pathGlobFilter '*.logs.parquet', recursiveFileLookup 'true', mergeSchema 'true');

CREATE VIEW logs AS
SELECT
    *,
    regexp_extract(_metadata.file_path, 'repository=([^/]+)/', 1) AS repository,
    regexp_extract(_metadata.file_path, '([0-9]+)[.]logs[.]parquet$', 1) AS commit_number
FROM ledger_logs;

CREATE TABLE ledger_commits (
    parts array<struct<path: string>>,
    removed array<struct<path: string>>
)
USING JSON
OPTIONS (
    path '{{lake}}/ledger/', pathGlobFilter '*.commit.json', recursiveFileLookup 'true', multiLine 'true'
);

-- Committed events only: files of a run under way, and those that others have replaced, are left out. Always ask for a
-- period by event_date: other days' files are not opened then.
CREATE VIEW committed_events AS
SELECT *
FROM events
WHERE regexp_extract(_metadata.file_path, '(events/repository=.*)$', 1) IN (
    SELECT explode(parts.path) FROM ledger_commits
    EXCEPT
    SELECT explode(removed.path) FROM ledger_commits
);
"""


def athena() -> str:
    """Return the definition for Athena, whose partition columns stand apart."""
    return _ATHENA.format(
        columns=_lines(columns()),
        partitions=_lines(partitions()),
        quarantine=_lines(quarantine_columns()),
        # Athena's definitions have words of their own for "rows" and "commit".
        logs=_lines([(f"`{name}`", type_name) for name, type_name in columns_of(GATHERED_SCHEMA)]),
    )


def spark() -> str:
    """Return the definition for Spark, whose partition columns are columns like the others."""
    return _SPARK.format(
        columns=_lines(columns()),
        partitions=_lines(partitions()),
        names=", ".join(PARTITIONS),
        quarantine=_lines(quarantine_columns()),
    )


def _lines(columns: list[tuple[str, str]]) -> str:
    return ",\n".join(f"    {name} {type_name}" for name, type_name in columns)


if __name__ == "__main__":
    sys.stdout.write({"athena": athena, "spark": spark}[sys.argv[1]]())
