"""A number means the same column for ever: tables and parts that are there have it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.events.schema.field_ids import field_ids, with_field_ids, without_field_ids
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.parts import parquet_writer

KNOWN = {
    "repository": 1,
    "event_class": 2,
    "event_date": 3,
    "extra": 100,
    "extra.key": 101,
    "extra.value": 102,
    "parse_warnings": 110,
    "parse_warnings.element": 111,
    "raw": 120,
    "src_file": 130,
    "src_seq": 140,
    "src_line": 150,
    "src_account_id": 160,
    "src_config_id": 170,
    "src_format": 180,
    "src_file_start": 190,
    "src_file_end": 200,
    "src_checksum_ok": 210,
    "src_encrypted": 220,
    "src_compressed": 230,
    "event_time": 1000,
    "end_time": 1010,
    "client_ip": 1160,
    "http_status": 1450,
    "x_forwarded_for": 1190,
    "x_forwarded_for.element": 1191,
    "signature_id": 1570,
    "is_alert": 1580,
    "violations": 1610,
    "violations.element": 1611,
    "violations.element.attack_type": 1612,
    "violations.element.rule_info": 1616,
    "request_headers.value.element": 1663,
    "analytics_blocked_percent": 1710,
}
"""What the first release with numbers had, at both ends and in the middle. Nothing here ever changes."""


def test_columns_that_are_there_keep_their_numbers() -> None:
    found = field_ids()
    assert {name: found[name] for name in KNOWN} == KNOWN
    assert len(set(found.values())) == len(found)
    assert {name.partition(".")[0] for name in found} == {*SCHEMA.names, "repository", "event_class", "event_date"}


def test_parts_have_them_and_their_arrow_schema_does_not() -> None:
    file = io.BytesIO()
    with parquet_writer(file, SCHEMA) as writer:
        writer.write_table(SCHEMA.empty_table())
    written = pq.ParquetFile(file)
    assert ids_in(written.schema_arrow) == {path: number for path, number in field_ids().items() if number > 3}
    assert written.schema_arrow.equals(SCHEMA)
    told = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(written.metadata.metadata[b"ARROW:schema"])))
    assert told.equals(SCHEMA, check_metadata=True), "or a footer would be a fifth larger"
    assert ids_in(without_field_ids(with_field_ids(SCHEMA))) == {}


def ids_in(schema: pa.Schema) -> dict[str, int]:
    """The ids in the metadata of fields, and of those within lists, maps and structs."""
    return {path: number for field in schema for path, number in ids_of(field, field.name)}


def ids_of(field: pa.Field, path: str) -> Iterator[tuple[str, int]]:
    if field.metadata and b"PARQUET:field_id" in field.metadata:
        yield path, int(field.metadata[b"PARQUET:field_id"])
    kind = field.type
    parts: dict[str, pa.Field] = {}
    if pa.types.is_list(kind):
        parts = {"element": kind.value_field}
    elif pa.types.is_map(kind):
        parts = {"key": kind.key_field, "value": kind.item_field}
    elif pa.types.is_struct(kind):
        parts = {member.name: member for member in kind}
    for name, part in parts.items():
        yield from ids_of(part, f"{path}.{name}")
