"""The lake in the eyes of an independent reader: documented types, unknown keys, and parts of an older schema."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.events import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing.forge import forge_events

DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schema.md"

READ_AS = {
    "string": "VARCHAR",
    "dictionary of string": "VARCHAR",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp, ms, UTC": "TIMESTAMP WITH TIME ZONE",
    "list of string": "VARCHAR[]",
    "map of string to string": "MAP(VARCHAR, VARCHAR)",
    "map of string to list of string": "MAP(VARCHAR, VARCHAR[])",
    "binary": "BLOB",
    "list of struct of strings: attack_type, attack_type_name, attack_id, rule_name, rule_info": "STRUCT(attack_type "
    "VARCHAR, attack_type_name VARCHAR, attack_id VARCHAR, rule_name VARCHAR, rule_info VARCHAR)[]",
}
"""What DuckDB calls each type that the documentation names."""


def documented() -> list[tuple[str, str]]:
    """Column and type, as the published page has them."""
    columns, _, _ = DOCUMENTED.read_text().partition("\n## ")
    return re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", columns, re.MULTILINE)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of forged events, one of which has an unknown key."""
    [strange] = forge_events(1, seed=4)
    events = [*forge_events(200, seed=3, security_share=0.3), strange.replace(" fileId=", " newThing=a b fileId=")]
    load(tmp_path, "\n".join(events), commit=1)
    return tmp_path


def load(lake: Path, body: str, *, commit: int) -> None:
    source = LogSource(file=f"8416_{commit}.log", sequence=commit, format="CEF")
    with BatchParts(open_store(str(lake)), Layout("8416_1745073"), commit=commit, batch=0) as parts:
        for parsed in parse([body.encode()], source):
            parts.add(parsed.events, parsed.quarantined)
        parts.write()


def query(lake: Path, select: str, *, of: str = "**") -> list[tuple[object, ...]]:
    events = f"read_parquet('{lake}/events/{of}/*.parquet', hive_partitioning=true, union_by_name=true)"
    return duckdb.execute(select.format(events=events)).fetchall()


def test_duckdb_sees_the_documented_type_of_every_column(lake: Path) -> None:
    found = {str(name): kind for name, kind, *_ in query(lake, "DESCRIBE SELECT * FROM {events}")}
    wanted = {name: READ_AS[kind] for name, kind in documented()}
    assert len(wanted) > 60
    assert {name: found.get(name) for name in wanted} == wanted
    assert found.keys() - wanted.keys() <= {"repository", "event_class", "event_date"}


def test_an_unknown_key_is_in_extra_under_the_name_the_log_used(lake: Path) -> None:
    assert query(lake, "SELECT extra['newThing'] FROM {events} WHERE map_contains(extra, 'newThing')") == [("a b",)]


def test_parts_of_an_older_schema_read_together_with_new_ones(lake: Path) -> None:
    """A column that came later is null in the parts from before, and no row is missing."""
    old = sorted((lake / "events").rglob("*.parquet"))
    rows = 0
    for part in old:
        file = pq.ParquetFile(part)
        rows += file.metadata.num_rows
        pq.write_table(file.read().drop_columns(["site_ref"]), part)
    load(lake, "\n".join(forge_events(50, seed=5)), commit=2)
    found = query(lake, "SELECT src_seq, count(*), count(site_ref) FROM {events} GROUP BY 1 ORDER BY 1")
    assert found == [(1, rows, 0), (2, 50, 50)]
