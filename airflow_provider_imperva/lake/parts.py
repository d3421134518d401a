"""The Parquet parts of one batch: events by class and date, and what went to quarantine.

Memory stays flat however many rows there are: what does not fit goes to a temporary file, and a part is written a row
group at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.events.schema import QUARANTINE_SCHEMA, SCHEMA
from airflow_provider_imperva.lake.groups import as_they_came, by_time, row_groups
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.spill import Rows
from airflow_provider_imperva.lake.store import Store

_Partition: TypeAlias = tuple[str, date]
_QUARANTINE = None


class BatchParts:
    """Collects the rows of a batch and writes them, a part for each partition.

    The name of a part follows from plan, batch and partition alone, so that a retry writes over its own parts. To be
    used in a ``with`` block, which gives up the temporary file, if there is one.
    """

    def __init__(self, store: Store, layout: Layout, *, commit: int, batch: int) -> None:
        self._store = store
        self._layout = layout
        self._commit = commit
        self._batch = batch
        self._rows: Rows[_Partition | None] = Rows()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def add(self, events: pa.Table, quarantined: pa.Table) -> None:
        """Take over rows.

        :param events: columns of ``SCHEMA``, then ``event_class`` (string) and ``event_date`` (date32).
        :param quarantined: columns of ``QUARANTINE_SCHEMA``.
        """
        if events.num_rows:
            for partition, rows in _by_partition(events):
                self._rows.add(partition, rows)
        if quarantined.num_rows:
            self.add_quarantined(quarantined)

    def add_quarantined(self, quarantined: pa.Table) -> None:
        """Take over rows of ``QUARANTINE_SCHEMA``."""
        self._rows.add(_QUARANTINE, quarantined)

    @property
    def _partitions(self) -> list[_Partition]:
        return sorted(key for key in self._rows.keys if key is not _QUARANTINE)

    @property
    def paths(self) -> list[str]:
        """The objects that :meth:`write` will write."""
        return list(self._keys)

    @property
    def _keys(self) -> dict[str, _Partition | None]:
        keys: dict[str, _Partition | None] = {self._event_path(*partition): partition for partition in self._partitions}
        return keys | {self._quarantine_path: _QUARANTINE} if _QUARANTINE in self._rows.keys else keys

    def rows(self, path: str) -> list[pa.Table]:
        """Return the rows that a part will have, as they came."""
        return self._rows.tables(self._keys[path])

    def write(self) -> tuple[Part, ...]:
        """Write every part, each sorted by event time.

        Rows of the same time keep the order of the logs and lines they came from.
        """
        return tuple(self.write_part(path) for path in self.paths)

    def write_part(self, path: str) -> Part:
        """Write one of the parts, and let go of its rows."""
        partition = self._keys[path]
        tables = self._rows.pop(partition)
        if partition is _QUARANTINE:
            return self._write(path, row_groups(tables, as_they_came(tables), forget=self._rows.forget))
        event_class, event_date = partition
        groups = row_groups(tables, by_time(tables), forget=self._rows.forget)
        return self._write(path, groups, event_class=event_class, event_date=event_date.isoformat())

    def _write(
        self, path: str, groups: Iterable[pa.Table], *, event_class: str | None = None, event_date: str | None = None
    ) -> Part:
        schema = QUARANTINE_SCHEMA if event_class is None else SCHEMA
        rows = 0
        with self._store.writer(path) as file:
            hashing = _HashingFile(file)
            with pq.ParquetWriter(hashing, schema, compression="zstd", write_page_index=True) as writer:
                for group in groups:
                    rows += group.num_rows
                    writer.write_table(group, row_group_size=group.num_rows)
                    # Before the next one is gathered, not after.
                    del group
                    self._rows.forget()
        return Part(
            path=path,
            rows=rows,
            size=hashing.size,
            sha256=hashing.sha256.hexdigest(),
            event_class=event_class,
            event_date=event_date,
        )

    def _event_path(self, event_class: str, event_date: date) -> str:
        return self._layout.part(commit=self._commit, batch=self._batch, event_class=event_class, event_date=event_date)

    @property
    def _quarantine_path(self) -> str:
        return self._layout.quarantine(commit=self._commit, batch=self._batch)


class _HashingFile:
    """A file that knows the SHA-256 and length of what went through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.size += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def _by_partition(events: pa.Table) -> Sequence[tuple[_Partition, pa.Table]]:
    """Cut a table into its partitions, without the partition columns."""
    classes = events["event_class"].cast(pa.string())
    dates = events["event_date"]
    columns = events.select(SCHEMA.names)
    pairs = pa.table({"event_class": classes, "event_date": dates})
    found = []
    for pair in pairs.group_by(pairs.column_names).aggregate([]).to_pylist():
        mine = pc.and_(pc.equal(classes, pair["event_class"]), pc.equal(dates, pair["event_date"]))
        found.append(((pair["event_class"], pair["event_date"]), columns.filter(mine)))
    return found


def quarantined_log(*, file: str, sequence: int, reason: str) -> pa.Table:
    """Return the quarantine row of a whole log; its bytes are in ``raw/``, so the row has none."""
    row = {"src_file": file, "src_seq": sequence, "reason": reason}
    return pa.Table.from_pylist([row], schema=QUARANTINE_SCHEMA)
