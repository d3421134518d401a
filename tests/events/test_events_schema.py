"""The schema is the one agreed on, and Parquet readers get it as it is."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.events import SCHEMA, parse
from airflow_provider_imperva.events.schema.columns import COLUMNS, LABELS
from airflow_provider_imperva.events.schema.schema import PARTITIONS, READ_SCHEMA, SCHEMA_VERSION
from tests.events.cef_lines import SOURCE, cef

AGREED = Path(__file__).resolve().parents[3] / "shared" / "reference" / "schema.csv"

TYPES = {
    "string": pa.string(),
    "dictionary<string>": pa.dictionary(pa.int32(), pa.string()),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp[ms, UTC]": pa.timestamp("ms", tz="UTC"),
    "list<string>": pa.list_(pa.string()),
    "map<string, string>": pa.map_(pa.string(), pa.string()),
}


def agreed() -> list[dict[str, str]]:
    if not AGREED.exists():
        pytest.skip("the agreed schema is not beside this checkout")
    with AGREED.open(newline="") as file:
        return list(csv.DictReader(file))


MORE_JSON = {"event_time": ("event.timestamp", "imperva.timestamp", "imperva.audit_trail.timestamp")}
"""Keys of other products, which the agreed schema says nothing of."""


def test_names_types_and_order_are_the_agreed_ones() -> None:
    wanted = [(row["column"], TYPES[row["arrow_type"]]) for row in agreed()]
    names = {name for name, _ in wanted}
    assert [(field.name, field.type) for field in SCHEMA if field.name in names] == wanted
    assert all(field.nullable for field in SCHEMA)


def test_keys_of_every_format_are_the_agreed_ones() -> None:
    by_name = {column.name: column for column in COLUMNS}
    for row in agreed():
        column = by_name[row["column"]]
        if column.kind in ("derived", "row"):
            continue
        label = f" (label {LABELS[column.cef]})" if column.cef in LABELS else ""
        assert f"{column.cef}{label}" == row["cef"], column.name
        assert column.leef == row["leef"], column.name
        assert column.w3c == row["w3c"].split(",")[0], column.name
        more = MORE_JSON.get(column.name, ())
        assert ", ".join(column.json) == ", ".join(filter(None, (row["json"], *more))), column.name


def test_schema_has_its_version_and_no_partition_column() -> None:
    assert SCHEMA.metadata == {b"imperva.schema_version": SCHEMA_VERSION.encode()}
    assert not set(PARTITIONS.names) & set(SCHEMA.names)


def test_every_column_has_a_meaning() -> None:
    assert [column.name for column in COLUMNS if not column.meaning] == []


def test_another_reader_sees_the_same(tmp_path: Path) -> None:
    body = cef(
        "start=1700000000001 act=REQ_PASSED deviceExternalId=1 src=192.0.2.1 "
        "fileType=1,,2, ccode=IL ccode=IL ccode=FR cn1=x"
    ).encode()
    (block,) = parse([body], SOURCE)
    pq.write_table(block.events.select(READ_SCHEMA.names), tmp_path / "part.parquet")
    (row,) = duckdb.execute(
        f"select action, outcome, attack_type_codes, extra['ccode#2'], parse_warnings, http_status "
        f"from read_parquet('{tmp_path}/part.parquet')"
    ).fetchall()
    assert row == (
        "REQ_PASSED",
        "passed",
        ["1", "", "2"],
        "FR",
        ["duplicate_key:ccode", "bad_int:cn1"],
        None,
    )
