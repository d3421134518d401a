"""A lake of every type and every oddity, and what a reader is to find in it.

The rows are made as Arrow tables and go into the lake by the project's own parts, ledger and table. What is expected is
kept from those tables, so that it owes nothing to any reader of Parquet.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva import __version__
from airflow_provider_imperva.events.schema.columns import COLUMNS
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, PARTITIONS, QUARANTINE_SCHEMA, SCHEMA
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.digest import digest_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import VERSION, LogRecord, Part, Plan, PlannedLog, Report, Run
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.lake.watermark import Prefix, State
from airflow_provider_imperva.table.publish import create_table, publish
from tests.engines.readers.cells import Row, cell

REPOSITORY = "8416_1745073"
DAYS = (date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3))
_DERIVED = [column.name for column in COLUMNS if str(column.kind) == "completed"]
"""Columns that follow from others when a part is written; version 2 of the schema added them."""

NEWER_COLUMNS = (*_DERIVED, *SCHEMA.names[-6:])
"""What the parts of the first commit lack: they are of version 1, and of a release that lacked still more."""

_RUN = Run("engines", "engines")
_LONG_TEXT = "GET /?q=" + "é" * 100_000
_ODD_TEXTS = (
    None,
    "",
    "plain",
    "a line\nand another\r\n\ttabbed",
    "quotes \" and ' and \\ and `",
    "NUL \0 within",
    "bytes that are no UTF-8: \ufffd",
    "\U0001f600 and עברית",
    _LONG_TEXT,
    "null",
    '{"User-Agent": ["one", "two"], "X-Empty": []}',
    "192.0.2.1",
    "2001:db8::1",
)
_ODD_LISTS: tuple[list[str | None] | None, ...] = (
    None,
    [],
    ["one"],
    ["", "after an empty one"],
    ["a", None, "c"],
    ["comma, within"],
)
_ODD_MAPS: tuple[list[tuple[str, str | None]] | None, ...] = (
    None,
    [],
    [("key", "value")],
    [("key", None), ("other key", ""), ("key#2", "again")],
)
_ODD_BYTES = (None, b"", b"GET /\xff\xfe\x00\x80 HTTP/1.1", "é".encode())


@dataclass(frozen=True, slots=True)
class OddLake:
    """The lake's root, and the rows that its commits say it has.

    :ivar all_parts: rows of every file below ``events/``, those that no commit names or that were removed among them.
    """

    root: Path
    committed: list[Row]
    all_parts: list[Row]
    quarantined: list[Row]


def make_lake(root: Path) -> OddLake:
    """Make the lake, with a table.

    Its commits are: rows of an older release on the first day; rows of this one on all days, with lines in quarantine;
    a log, and its second copy, for which the first parts are removed and still there. Beside them lies a part of a run
    that died.
    """
    store = open_store(str(root))
    ledger = Ledger(store, REPOSITORY)
    create_table(store)
    old, new = _rows(1, DAYS[:1]), _rows(2, DAYS)
    replaced, again = _rows(3, DAYS[1:2]), _rows(3, DAYS[1:2], seed=1)
    lines = _quarantined()
    old = old.select([name for name in old.column_names if name not in NEWER_COLUMNS])
    _commit(ledger, 1, old, older=True)
    _commit(ledger, 2, new, lines)
    removed = _commit(ledger, 3, replaced)
    _commit(ledger, 4, again, removed=removed)
    publish(ledger)
    orphan = _rows(5, DAYS[2:])
    with BatchParts(store, ledger.layout, commit=5, batch=0) as parts:
        parts.add(orphan, QUARANTINE_SCHEMA.empty_table())
        parts.write()
    derived = dict(_derived(root))
    committed = [row for number, table in ((1, old), (2, new), (4, again)) for row in _expected(table, number, derived)]
    left_over = [row for number, table in ((3, replaced), (5, orphan)) for row in _expected(table, number, derived)]
    quarantined = [{name: cell(value) for name, value in row.items()} for row in lines.to_pylist()]
    return OddLake(root, committed, committed + left_over, quarantined)


def _rows(log: int, days: Sequence[date], *, seed: int = 0) -> pa.Table:
    """Return a log's rows: of each class and day as many as it takes for every column to have every oddity."""
    kinds = PARTITIONS.field("event_class").type
    classes = ("access", "security", "other")
    partitions = [(kind, day) for kind in classes for day in days for _ in range(12)]
    columns: dict[str, list[Any]] = {
        field.name: [_value(field, seed + position + shift) for position in range(len(partitions))]
        for shift, field in enumerate(SCHEMA)
    }
    columns["event_time"] = [_time(day, position) for position, (_, day) in enumerate(partitions)]
    columns["src_file"] = [f"8416_{log}.log"] * len(partitions)
    columns["src_line"] = list(range(1, len(partitions) + 1))
    columns["event_class"] = [kind for kind, _ in partitions]
    columns["event_date"] = [day for _, day in partitions]
    held = [
        pa.array(columns[field.name], field.type.value_type).dictionary_encode().cast(field.type)
        if pa.types.is_dictionary(field.type)
        else pa.array(columns[field.name], field.type)
        for field in PARSED_SCHEMA
    ]
    assert kinds == PARSED_SCHEMA.field("event_class").type
    return pa.Table.from_arrays(held, schema=PARSED_SCHEMA)


def _time(day: date, position: int) -> datetime:
    """Spread a day's times from its first millisecond to its last."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return begin + (
        timedelta(days=1, milliseconds=-1) if position % 12 == 11 else timedelta(minutes=97 * (position % 12))
    )


def _value(field: pa.Field, position: int) -> Any:
    values = _odd_values(field.type)
    return values[position % len(values)]


def _odd_values(kind: pa.DataType) -> Sequence[Any]:
    """Return values of a type: null, empty, usual, and its ends.

    :raises TypeError: if the schema has a type that this lake does not know yet.
    """
    if pa.types.is_dictionary(kind):
        return _odd_values(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _ODD_TEXTS
    if pa.types.is_boolean(kind):
        return (None, True, False)
    if pa.types.is_integer(kind):
        return (None, 0, 7, -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    if pa.types.is_floating(kind):
        return (None, 0.0, -33.8688, 1e-300, 1.7976931348623157e308)
    if pa.types.is_timestamp(kind):
        return (None, datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, 0, 7000, tzinfo=UTC))
    if pa.types.is_fixed_size_binary(kind):
        return (None, bytes(kind.byte_width), b"\xff" * kind.byte_width)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _ODD_BYTES
    if pa.types.is_map(kind):
        return _ODD_MAPS if pa.types.is_string(kind.item_type) else _maps_of(_odd_values(kind.item_type))
    if pa.types.is_list(kind):
        return _ODD_LISTS if pa.types.is_string(kind.value_type) else _lists_of(_odd_values(kind.value_type))
    if pa.types.is_struct(kind):
        return [
            {field.name: _value(field, position + shift) for shift, field in enumerate(kind)} for position in range(5)
        ]
    raise TypeError(f"tests/engines/oddities.py has no odd values of type {kind}")


def _lists_of(values: Sequence[Any]) -> Sequence[Any]:
    return (None, [], values[-1:], list(values))


def _maps_of(values: Sequence[Any]) -> Sequence[Any]:
    return (None, [], [(f"key {position}", value) for position, value in enumerate(values)])


def _quarantined() -> pa.Table:
    columns = {field.name: [_value(field, position) for position in range(8)] for field in QUARANTINE_SCHEMA}
    columns["src_file"] = ["8416_2.log"] * 8
    columns["src_line"] = list(range(1001, 1009))
    return pa.table(columns, schema=QUARANTINE_SCHEMA)


def _derived(root: Path) -> Iterator[tuple[tuple[int, int], Row]]:
    """Yield what is derived when a part is written, for each commit and line; no table of ours has that."""
    for path in root.glob("events/repository=*/**/*.parquet"):
        part = pq.ParquetFile(path)
        names = [name for name in part.schema_arrow.names if name in _DERIVED]
        for row in part.read(["src_line", *names]).to_pylist(maps_as_pydicts="strict"):
            yield (int(path.name.split("-")[1]), row.pop("src_line")), row


def _expected(rows: pa.Table, commit: int, derived: Mapping[tuple[int, int], Row]) -> Iterator[Row]:
    """Yield each row as a reader of all columns is to see it, with nulls for the columns that an older part lacks."""
    for row in rows.to_pylist(maps_as_pydicts="strict"):
        values = {name: row.get(name) for name in SCHEMA.names} | {name: row[name] for name in PARTITIONS.names}
        values |= derived[commit, row["src_line"]]
        yield {name: cell(value) for name, value in values.items()} | {"repository": REPOSITORY}


def _commit(
    ledger: Ledger,
    number: int,
    rows: pa.Table,
    lines: pa.Table | None = None,
    *,
    older: bool = False,
    removed: tuple[Part, ...] = (),
) -> tuple[Part, ...]:
    now = datetime.now(UTC)
    name = f"8416_{number}.log"
    lines = QUARANTINE_SCHEMA.empty_table() if lines is None else lines
    plan = ledger.create_plan(
        Plan(
            v=VERSION,
            repository=REPOSITORY,
            commit=number,
            run=_RUN,
            provider_version=__version__,
            created_at=now,
            observed_at=now,
            listed=1,
            batches=((PlannedLog(name, now),),),
            closed=(),
            prefixes={"8416": Prefix(number, number)},
        )
    )
    record = LogRecord(
        prefix="8416",
        sequence=number,
        sequence_to=number,
        state=State.COMMITTED,
        name=name,
        lines=len(rows) + len(lines),
        rows=len(rows),
        quarantined_lines=len(lines),
        rows_digest=str(digest_of(name, rows["src_line"])),
    )
    with BatchParts(ledger.store, ledger.layout, commit=number, batch=0) as parts:
        full = rows
        for missing in PARSED_SCHEMA:
            if missing.name not in rows.column_names:
                full = full.append_column(missing, pa.nulls(len(rows), missing.type))
        parts.add(full.select(PARSED_SCHEMA.names).cast(PARSED_SCHEMA), lines)
        ledger.create_intent(number, 0, parts.paths, outcome="")
        written = parts.write()
        if older:
            written = tuple(_without_newer_columns(ledger.store, part) for part in written)
        ledger.write_report(Report(VERSION, number, 0, written, (record,), removed=removed))
    commit_plan(ledger, plan, by=_RUN, provider_version=__version__, at=now)
    return written


def _without_newer_columns(store: Store, part: Part) -> Part:
    """Rewrite a part as an older release would have written it: without the newer columns."""
    rows = pq.ParquetFile(io.BytesIO(store.read(part.path))).read()
    older = rows.drop_columns([name for name in NEWER_COLUMNS if name in rows.column_names])
    content = io.BytesIO()
    pq.write_table(older, content, compression="zstd")
    store.write(part.path, content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    return msgspec.structs.replace(part, size=len(content.getvalue()), sha256=digest)
