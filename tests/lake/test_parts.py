"""Parts: one for each class and date, sorted, self-describing, and the same bytes whenever they are written again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.schema.columns import CATEGORY
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, QUARANTINE_SCHEMA, SCHEMA, SCHEMA_VERSION
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import BatchParts, quarantined_log
from airflow_provider_imperva.lake.store import Store, open_store

LAYOUT = Layout("8416_1745073")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOTHING = QUARANTINE_SCHEMA.empty_table()
ASKED_BY = {
    *("event_time", "client_ip", "client_address", "client_address_bytes", "client_subnet", "client_country_code"),
    *("site_id", "site_name", "account_id", "action", "outcome", "http_status", "severity", "src_file", "src_seq"),
}
"""Columns whose statistics let questions leave out files. Others may have statistics too."""

FREE_TEXT = {
    *("url", "url_path", "query_string", "referrer", "request_body", "user_agent", "x_forwarded_for", "delivery_rules"),
    *("rule_info", "additional_request_headers", "additional_response_headers", "extra", "raw"),
    *("violations", "request_headers", "response_headers"),
}
RANDOM = {"session_id", "request_id", "visitor_id", "incident_id", "client_signature"}
"""Columns of which each file has values from end to end, so that statistics would only make its footer larger."""


def row(line: int, at: datetime | None = NOON, *, event_class: str = "access", **columns: Any) -> dict[str, Any]:
    where = {"src_file": "8416_1.log", "src_seq": 1, "src_line": line}
    day = at.date() if at else date(2026, 11, 22)
    return {"event_time": at, "event_class": event_class, "event_date": day, **where, **columns}


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PARSED_SCHEMA)


def batch_parts(store: Store, *, commit: int = 42, batch: int = 3) -> BatchParts:
    return BatchParts(store, LAYOUT, commit=commit, batch=batch)


def parquet(store: Store, path: str) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(store.read(path)))


@pytest.fixture
def store(ledger: Ledger) -> Store:
    return ledger.store


def test_a_part_for_each_class_and_date_under_the_name_that_the_plan_decides(store: Store) -> None:
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    parts = batch_parts(store)
    parts.add(table([row(1, midnight - timedelta(milliseconds=1)), row(2, midnight)]), NOTHING)
    parts.add(table([row(3, midnight, event_class="security"), row(4, midnight)]), NOTHING)
    announced = parts.paths
    written = parts.write()
    folder = "events/repository=8416_1745073"
    name = "part-000000000042-0003.parquet"
    assert [part.path for part in written] == announced
    assert [(part.path, part.rows, part.event_class, part.event_date) for part in written] == [
        (f"{folder}/event_class=access/event_date=2026-11-22/{name}", 1, "access", "2026-11-22"),
        (f"{folder}/event_class=access/event_date=2026-11-23/{name}", 2, "access", "2026-11-23"),
        (f"{folder}/event_class=security/event_date=2026-11-23/{name}", 1, "security", "2026-11-23"),
    ]
    for part in written:
        content = store.read(part.path)
        assert (part.size, part.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert parquet(store, part.path).metadata.num_rows == part.rows


def test_nothing_is_written_before_write(store: Store) -> None:
    parts = batch_parts(store)
    parts.add(table([row(1)]), NOTHING)
    assert store.folders("events/repository=8416_1745073") == []


def test_a_batch_without_rows_writes_no_part(store: Store) -> None:
    parts = batch_parts(store)
    parts.add(PARSED_SCHEMA.empty_table(), NOTHING)
    assert parts.paths == []
    assert parts.write() == ()


def test_rows_are_sorted_by_time_and_otherwise_in_the_order_they_came(store: Store) -> None:
    parts = batch_parts(store)
    for chunk in range(20):
        lines = range(chunk * 50, chunk * 50 + 50)
        parts.add(table(row(line, NOON + timedelta(seconds=line * 7 % 5)) for line in lines), NOTHING)
    parts.add(table([row(1000, None)]), NOTHING)
    (part,) = parts.write()
    rows = parquet(store, part.path).read(["event_time", "src_line"]).to_pylist()
    expected = sorted(range(1000), key=lambda line: (line * 7 % 5, line))
    assert [found["src_line"] for found in rows] == [*expected, 1000]


def test_the_file_says_what_it_is(store: Store) -> None:
    parts = batch_parts(store)
    parts.add(table(row(line, action="REQ_PASSED") for line in range(100)), NOTHING)
    parts.add_quarantined(quarantined_log(file="8416_2.log", sequence=2, reason="truncated"))
    event_part, quarantine_part = parts.write()
    for path, schema in ((event_part.path, SCHEMA), (quarantine_part.path, QUARANTINE_SCHEMA)):
        file = parquet(store, path)
        assert file.schema_arrow.metadata[b"imperva.schema_version"] == SCHEMA_VERSION.encode()
        assert file.schema_arrow.equals(schema, check_metadata=False), "the partition columns are in the path only"
        for number in range(file.metadata.num_columns):
            column = file.metadata.row_group(0).column(number)
            assert column.compression == "ZSTD"
            assert column.has_offset_index
            name = column.path_in_schema.partition(".")[0]
            assert column.has_column_index is column.is_stats_set
            assert column.is_stats_set or name not in ASKED_BY
            assert not column.is_stats_set or name not in FREE_TEXT | RANDOM
    column = parquet(store, event_part.path).metadata.row_group(0).column(SCHEMA.names.index("event_time"))
    assert column.statistics.min == column.statistics.max == NOON


def test_what_clients_write_is_in_no_footer(store: Store) -> None:
    parts = batch_parts(store)
    secret = "hunter2" * 3
    texts: dict[str, Any] = dict.fromkeys(FREE_TEXT - {"x_forwarded_for", "extra"}, secret)
    parts.add(table([row(1, **texts, x_forwarded_for=[secret], extra=[("key", secret)])]), NOTHING)
    (part,) = parts.write()
    content = store.read(part.path)
    metadata = parquet(store, part.path).metadata
    indexes = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    pages_end = max(column.data_page_offset + column.total_compressed_size for column in indexes)
    assert secret.encode() not in content[pages_end:], "neither in the column index nor in the footer"
    assert secret.encode() in b"".join(
        str(value).encode() for value in parquet(store, part.path).read().to_pylist()[0].values()
    )


def test_a_dictionary_has_what_its_part_has_and_no_more(store: Store) -> None:
    """What is in another partition of the batch, or in another row group, is in no dictionary of this one."""
    parts = batch_parts(store)
    for number in range(3):
        parts.add(
            table(
                row(line, event_class=("access", "security")[line % 2], user_agent=f"agent-{line % 2}-{number}")
                for line in range(10)
            ),
            NOTHING,
        )
    access, security = parts.write()
    for number, part in enumerate((access, security)):
        file = pq.ParquetFile(io.BytesIO(store.read(part.path)), read_dictionary=["user_agent"])
        agents = file.read(["user_agent"])["user_agent"].combine_chunks()
        assert agents.dictionary.to_pylist() == [f"agent-{number}-{block}" for block in range(3)]


def test_columns_of_few_values_are_dictionaries_to_the_reader(store: Store) -> None:
    parts = batch_parts(store)
    for action in ("REQ_PASSED", "REQ_BLOCKED_SECURITY"):  # each block brings a dictionary of its own
        parts.add(table(row(line, action=action) for line in range(10)), NOTHING)
    (part,) = parts.write()
    file = parquet(store, part.path)
    assert file.schema_arrow.field("action").type == CATEGORY
    assert sorted(set(file.read(["action"])["action"].to_pylist())) == ["REQ_BLOCKED_SECURITY", "REQ_PASSED"]
    position = SCHEMA.names.index("action")
    assert "RLE_DICTIONARY" in file.metadata.row_group(0).column(position).encodings


def test_values_that_come_again_are_in_a_dictionary_and_those_that_do_not_are_not(store: Store) -> None:
    parts = batch_parts(store)
    for line in range(10):
        unique: dict[str, Any] = {
            "request_id": str(line),
            "client_port": 1024 + line,
            "response_bytes": line,
            "end_time": NOON,
        }
        again: dict[str, Any] = {
            "session_id": "438000490120534212",
            "x_forwarded_for": ["198.51.100.1"],
            "extra": [("key", "value")],
        }
        parts.add(table([row(line, **unique, **again)]), NOTHING)
    (part,) = parts.write()
    written = parquet(store, part.path).metadata.row_group(0)
    columns = [written.column(number) for number in range(written.num_columns)]
    # Parquet has no dictionary for booleans.
    texts_and_numbers = [column for column in columns if column.physical_type != "BOOLEAN"]
    plain = {column.path_in_schema for column in texts_and_numbers if not column.has_dictionary_page}
    headers = "request_headers.key_value.value.list.element"
    hardly = {"event_time", "end_time", "request_id", "client_port", "response_bytes", "src_line", "incident_id"}
    assert plain == {*hardly, headers}


def test_writing_the_same_rows_again_gives_the_same_bytes_under_the_same_names(store: Store) -> None:
    written = []
    for _ in range(2):
        parts = batch_parts(store)
        for chunk in range(5):
            rows = (
                row(
                    line,
                    NOON + timedelta(hours=line * 5 % 17),
                    event_class=("access", "security")[line % 2],
                    action=f"REQ_{line % (chunk + 2)}",
                    extra=[("key", str(line))],
                    x_forwarded_for=["198.51.100.1"] * (line % 3),
                )
                for line in range(chunk * 100, chunk * 100 + 100)
            )
            parts.add(table(rows), NOTHING)
        parts.add_quarantined(quarantined_log(file="8416_2.log", sequence=2, reason="truncated"))
        written.append(parts.write())
    assert len(written[0]) == 5
    assert written[0] == written[1]


def test_a_log_in_quarantine_is_one_row_without_a_line(store: Store) -> None:
    parts = batch_parts(store)
    parts.add_quarantined(quarantined_log(file="8416_2.log", sequence=2, reason="truncated: short"))
    (part,) = parts.write()
    assert part.path == "quarantine/repository=8416_1745073/part-000000000042-0003.parquet"
    assert (part.rows, part.event_class, part.event_date) == (1, None, None)
    (found,) = parquet(store, part.path).read().to_pylist()
    assert {key: value for key, value in found.items() if value is not None} == {
        "src_file": "8416_2.log",
        "src_seq": 2,
        "reason": "truncated: short",
    }


def test_an_independent_reader_sees_the_partitions_as_columns(tmp_path: Path) -> None:
    parts = batch_parts(open_store(str(tmp_path)))
    parts.add(table([row(1, action="REQ_PASSED"), row(2, event_class="security")]), NOTHING)
    parts.write()
    found = duckdb.execute(
        f"""
        SELECT repository, event_class, event_date, epoch_ms(event_time), action, src_line
        FROM read_parquet('{tmp_path}/events/repository=*/**/*.parquet', hive_partitioning=true) ORDER BY src_line
        """
    ).fetchall()
    day = date(2026, 11, 22)
    assert [(*found_row[:3], *found_row[4:]) for found_row in found] == [
        ("8416_1745073", "access", day, "REQ_PASSED", 1),
        ("8416_1745073", "security", day, None, 2),
    ]
    assert all(found_row[3] == NOON.timestamp() * 1000 for found_row in found)


def test_rows_that_cannot_be_written_are_told_with_the_logs_they_are_of(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise pa.ArrowInvalid("Parquet cannot store strings with size 2GB or more: 203.0.113.9")

    parts = batch_parts(store)
    parts.add(table([row(1), row(2) | {"src_file": "8416_2.log"}]), NOTHING)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", refuse)
    with pytest.raises(LakeError, match=r"rows of 8416_1\.log, 8416_2\.log could not be written .* \(ArrowInvalid\)"):
        parts.write()
    assert store.objects("events/repository=8416_1745073/event_class=access/event_date=2026-11-22") == []
