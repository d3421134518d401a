"""Detections: what is unusual about a day's events, by statements for DuckDB that anyone can change.

Of ``events/`` only the partitions of the days that are looked at are opened. What is usual follows from a profile of
each day, counts without clients, which is written beside what was found::

    reports/detections/repository=<r>/event_date=<date>/profile.parquet, findings.parquet
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.answers import duckdb_module, statements
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.layout import commit_of_part
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set

if TYPE_CHECKING:
    import duckdb

PUBLISHED = files("airflow_provider_imperva") / "examples" / "sql" / "detections.duckdb.sql"
"""The statements that the examples have."""

DAYS = 14
"""How many days before the one that is looked at say what is usual."""

FINDINGS: pa.Schema = pa.schema(
    [
        pa.field("detection", pa.string()),
        pa.field("account_id", pa.int64()),
        pa.field("site_name", pa.string()),
        pa.field("subject", pa.string()),
        pa.field("hour", pa.string()),
        pa.field("events", pa.int64()),
        pa.field("usual", pa.float64()),
    ]
)
"""What a detection answers: whom it is about, how many events, and what is usual, null where that is unknown."""

_KEY = ("detection", "account_id", "site_name", "subject", "hour")
_COLUMNS = (
    *("account_id", "site_name", "event_time", "event_name", "outcome", "http_method", "http_status", "url_path"),
    *("client_ip", "client_address", "client_subnet", "client_signature", "client_type", "client_country_code"),
    *("rule_names", "is_alert"),
)
_EVENTS: pa.Schema = pa.schema([SCHEMA.field(name) for name in _COLUMNS])
_OF_WHOLE_DAYS = "rule_gone_quiet"
"""The detection that asks for what has not come, so the day has to be over."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found on a day.

    :ivar path: the object that they are recorded in.
    :ivar new: those that are not recorded yet.
    :ivar recorded: the others.
    """

    path: str
    new: tuple[Row, ...]
    recorded: tuple[Row, ...]


class Detections:
    """The detections over one repository.

    :param ledger: of the repository; its store is the lake.
    :param sql: the statements: one named ``profile``, and one for each detection.
    :raises ConfigurationError: if DuckDB is not installed.
    """

    def __init__(self, ledger: Ledger, *, sql: str = "") -> None:
        self._ledger = ledger
        self._store = ledger.store
        self._duckdb = duckdb_module()
        self._statements = {one.name: one.statement for one in statements(sql or PUBLISHED.read_text())}
        self._folder = ledger.layout.detections_folder

    def look(self, days: Iterable[date]) -> list[Findings]:
        """Look at some days, and write their profiles; a day that is over by then is asked what is missing on it, too.

        Nothing is recorded yet: whoever has reported what is new says so to :meth:`record`.
        """
        by_day: dict[date, list[Row]] = {}
        detections = self._statements.keys() - {"profile", _OF_WHOLE_DAYS}
        for day in sorted(days):
            with self._connection(day) as connection:
                self._load_events(connection, day)
                self._write(self._path(day, "profile"), self._ask(connection, "profile"))
                self._load_profile(connection, day)
                by_day[day] = self._answers(connection, detections)
        profiled = {date.fromisoformat(name.partition("=")[2]) for name in self._store.folders(self._folder)}
        before = {day - timedelta(days=1) for day in by_day}
        for day in (by_day.keys() | before) & profiled - {max(profiled, default=date.min)}:
            with self._connection(day) as connection:
                self._load_profile(connection, day)
                by_day[day] = by_day.get(day, []) + self._answers(
                    connection, {_OF_WHOLE_DAYS} & self._statements.keys()
                )
        return [self._findings(day, rows) for day, rows in sorted(by_day.items())]

    def record(self, findings: Iterable[Findings]) -> None:
        """Write what is new to the lake, so that it is new no more."""
        for of_day in findings:
            if of_day.new:
                self._write(of_day.path, pa.Table.from_pylist([*of_day.recorded, *of_day.new], FINDINGS))

    def _path(self, day: date, name: str) -> str:
        return f"{self._folder}/event_date={day}/{name}.parquet"

    def _connection(self, day: date) -> duckdb.DuckDBPyConnection:
        connection: duckdb.DuckDBPyConnection = self._duckdb.connect(config={"temp_directory": tempfile.gettempdir()})
        connection.execute(f"SET TimeZone = 'UTC'; SET VARIABLE day = DATE '{day}'")
        return connection

    def _load_events(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Make the table ``events``, with one part at a time in memory."""
        connection.register("part", _EVENTS.empty_table())
        connection.execute("CREATE TABLE events AS SELECT * FROM part")
        for path in self._committed_parts(day):
            connection.register("part", self._part(path))
            connection.execute("INSERT INTO events SELECT * FROM part")

    def _committed_parts(self, day: date) -> list[str]:
        """Return the parts of a day that the lake is made of; others are of a run under way, or were replaced."""
        folder = self._ledger.layout.events_folder
        commits = {
            item.path: number
            for event_class in self._store.folders(folder)
            for item in self._store.objects(f"{folder}/{event_class}/event_date={day}")
            if (number := commit_of_part(item.path)) is not None
        }
        live = live_set(self._ledger, since=min(commits.values())).parts if commits else {}
        return sorted(commits.keys() & live.keys())

    def _part(self, path: str) -> pa.Table:
        """Read the columns that are asked for; those that an older part lacks are null."""
        with self._store.reader(path) as file:
            part = pq.ParquetFile(file)
            rows = part.read(columns=[name for name in _COLUMNS if name in part.schema_arrow.names])
        columns = [
            rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), field.type)
            for field in _EVENTS
        ]
        return pa.table(columns, schema=_EVENTS)

    def _load_profile(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Make the table ``profile`` of the day and those before it, as far as they have one."""
        connection.execute(
            "CREATE TABLE profile (measure VARCHAR, account_id BIGINT, site_name VARCHAR, subject VARCHAR,"
            " events BIGINT, event_date DATE)"
        )
        for before in range(DAYS + 1):
            of = day - timedelta(days=before)
            if rows := self._read(self._path(of, "profile")):
                connection.register("rows", rows)
                connection.execute("INSERT INTO profile SELECT *, CAST(? AS DATE) FROM rows", [of])

    def _answers(self, connection: duckdb.DuckDBPyConnection, detections: Iterable[str]) -> list[Row]:
        names = FINDINGS.names[1:]
        return [
            {"detection": name, **row}
            for name in sorted(detections)
            for row in self._ask(connection, name).select(names).to_pylist()
        ]

    def _ask(self, connection: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
        return connection.sql(self._statements[name]).to_arrow_table()

    def _findings(self, day: date, rows: list[Row]) -> Findings:
        path = self._path(day, "findings")
        table = self._read(path)
        recorded = table.to_pylist() if table else []
        known = set(map(_key, recorded))
        return Findings(path, tuple(row for row in rows if _key(row) not in known), tuple(recorded))

    def _read(self, path: str) -> pa.Table | None:
        return pq.read_table(pa.BufferReader(self._store.read(path))) if self._store.exists(path) else None

    def _write(self, path: str, rows: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        self._store.write(path, buffer.getvalue())


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def counts(findings: Iterable[Findings]) -> dict[str, int]:
    """Return how many are new, by detection: what a task log or a message may have."""
    by_detection: dict[str, int] = {}
    for row in _new(findings):
        by_detection[row["detection"]] = by_detection.get(row["detection"], 0) + 1
    return by_detection


def _new(findings: Iterable[Findings]) -> Iterator[Row]:
    return (row for of_day in findings for row in of_day.new)
