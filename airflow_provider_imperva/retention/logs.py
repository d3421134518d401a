"""The logs of a repository as they stand, and how they stand once rows or bytes are taken out of the lake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.digest import RowsDigest
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import LOGS_SCHEMA, LogRecord
from airflow_provider_imperva.lake.watermark import State

LogKey: TypeAlias = tuple[str, int]
"""How rows name their log: ``src_file`` and ``src_seq``."""

OPEN = (State.AWAITING_KEY, State.DAMAGED)
"""States of logs that are in ``raw/`` and not loaded yet: their bytes are still needed."""

_READERS = 16
_GATHERED = 500
_COUNTS = ("lines", "rows", "quarantined_lines", "expired_lines", "erased_lines")


class LastLogs:
    """The last row about each log, out of all commits of a ledger.

    :ivar table: of ``LOGS_SCHEMA``, without the rows about ranges.
    """

    def __init__(self, ledger: Ledger, last: int) -> None:
        """Read them; :raises LedgerCorruptError: if a ``logs.parquet`` is missing or does not read."""
        gathered: list[pa.Table] = []
        with ThreadPoolExecutor(_READERS) as pool:
            for first in range(1, last + 1, _GATHERED):
                numbers = range(first, min(first + _GATHERED, last + 1))
                gathered.append(pa.concat_tables(map(_whole, pool.map(ledger.logs, numbers))).combine_chunks())
        every = pa.concat_tables(gathered) if gathered else LOGS_SCHEMA.empty_table()
        every = every.filter(pc.is_valid(every["name"]))
        self.table = every.take(_last_of_each(every))

    def files(self) -> pa.ChunkedArray:
        """Return what rows call each log."""
        return pc.coalesce(self.table["delivered_as"], self.table["name"])

    def rows(self, keys: Iterable[LogKey]) -> dict[LogKey, dict[str, Any]]:
        """Return the rows about some logs, as far as there are any."""
        wanted = set(keys)
        mask = pc.is_in(self.files(), pa.array(sorted({file for file, _ in wanted}), pa.string()))
        return {key: row for row in self.table.filter(mask).to_pylist() if (key := key_of(row)) in wanted}


def _whole(logs: pa.Table) -> pa.Table:
    """Give a table the columns that came with later releases."""
    return pa.table(
        [
            logs[field.name] if field.name in logs.column_names else pa.nulls(len(logs), field.type)
            for field in LOGS_SCHEMA
        ],
        schema=LOGS_SCHEMA,
    )


def _last_of_each(logs: pa.Table) -> pa.Array:
    rows = logs.select(["prefix", "sequence"]).append_column("row", pa.array(np.arange(len(logs))))
    last = rows.group_by(["prefix", "sequence"]).aggregate([("row", "max")])["row_max"]
    return last.combine_chunks().sort()


def key_of(row: Mapping[str, Any]) -> LogKey:
    """Return how rows name the log that a row of ``logs.parquet`` is about."""
    return row["delivered_as"] or row["name"], row["sequence"]


def record_of(row: Mapping[str, Any]) -> LogRecord:
    """Make a record of a row of ``logs.parquet``."""
    fields = {name: value for name, value in row.items() if value is not None}
    for name in ("start_time", "end_time"):
        if name in fields:
            fields[name] = round(fields[name].timestamp() * 1000)
    for name in _COUNTS:
        fields.setdefault(name, 0)
    return msgspec.convert({"first_listed_at": None, **fields}, LogRecord)


class TakenLogs:
    """Logs out of which rows or bytes are taken, and how they stand then."""

    def __init__(self, logs: LastLogs, what: Literal["expired", "erased"], *, about: str) -> None:
        """Begin with nothing taken.

        :param what: how they are taken.
        :param about: address of the ledger, for errors.
        """
        self._logs = logs
        self._what = what
        self._about = about
        self._records: dict[LogKey, LogRecord] = {}

    @property
    def records(self) -> tuple[LogRecord, ...]:
        """The logs as they stand now, in the order of the ledger."""
        return tuple(
            sorted(self._records.values(), key=lambda record: (len(record.prefix), record.prefix, record.sequence))
        )

    def know(self, keys: Iterable[LogKey]) -> None:
        """Look up logs.

        :raises LedgerCorruptError: if the ledger has no record of one that rows are of.
        """
        missing = set(keys) - self._records.keys()
        if not missing:
            return
        records = {key: record_of(row) for key, row in self._logs.rows(missing).items()}
        if unknown := missing - records.keys():
            raise LedgerCorruptError(
                f"parts have rows of {len(unknown)} logs that no commit names",
                do="Run imperva-logs verify, which names what is wrong; nothing was changed",
                about=self._about,
            )
        self._records |= records

    def take_rows(self, rows: Mapping[LogKey, RowsDigest]) -> None:
        """Take rows out of ``events/``."""
        self.know(rows)
        for key, taken in rows.items():
            record = self._records[key]
            left = None
            if record.rows_digest and record.rows > taken.rows:
                left = str(RowsDigest.parse(record.rows, record.rows_digest) - taken)
            self._replace(key, taken.rows, rows=record.rows - taken.rows, rows_digest=left)

    def take_quarantined(self, lines: Mapping[LogKey, int], notes: Iterable[LogKey]) -> None:
        """Take lines out of ``quarantine/``, and rows there that stand for logs as a whole."""
        notes = list(notes)
        self.know([*lines, *notes])
        for key, count in lines.items():
            self._replace(key, count, quarantined_lines=self._records[key].quarantined_lines - count)
        for key in notes:
            self._replace(key, 0, note_removed=True)

    def take_raw(self, keys: Iterable[LogKey]) -> None:
        """Take bytes out of ``raw/``."""
        keys = list(keys)
        self.know(keys)
        for key in keys:
            self._replace(key, 0, raw_removed=self._what)

    def _replace(self, key: LogKey, lines: int, **fields: object) -> None:
        record = self._records[key]
        counted = f"{self._what}_lines"
        self._records[key] = msgspec.structs.replace(
            record,
            **fields,
            **{counted: getattr(record, counted) + lines},
        )
