"""The Parquet parts of one batch: events by class and date, and what went to quarantine.

Memory stays flat however many rows there are: what does not fit goes to a temporary file, and a part is written a row
group at a time.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, timedelta
from functools import cache, cached_property, partial
from itertools import islice
from types import MappingProxyType, TracebackType
from typing import BinaryIO, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.derived.complete import complete
from airflow_provider_imperva.events.schema.field_ids import with_field_ids, without_field_ids
from airflow_provider_imperva.events.schema.schema import HELD_SCHEMA, QUARANTINE_SCHEMA, READ_SCHEMA, SCHEMA
from airflow_provider_imperva.lake.groups import GROUP_BYTES, Block, by_time, in_arrival_order, row_groups
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import Part, ProtectionFields
from airflow_provider_imperva.lake.spill import MEMORY_BYTES, Rows
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.severities import VERSION_KEY as SEVERITIES_KEY
from airflow_provider_imperva.severities import Severities

_Partition: TypeAlias = tuple[str, date]
Positions = npt.NDArray[np.int32]
"""Which rows of a batch, counted through all of its blocks."""

_Numbers = npt.NDArray[np.int32]
_QUARANTINE = None
_ARROW_SCHEMA = b"ARROW:schema"
"""Where a Parquet file of Arrow's says what types its columns had: a message of Arrow's IPC, in Base64."""

_EPOCH = date(1970, 1, 1)
_NAMED = 20
_HARDLY_RECUR = {
    *("event_time", "end_time", "request_id", "client_port", "response_bytes", "src_line", "incident_id"),
    "request_headers.key_value.value.list.element",
}
_ASKED_BY = {
    *("event_time", "end_time", "duration_ms", "event_name", "rule_type_code", "action", "outcome", "severity"),
    *("is_alert", "account_id", "account_ref", "site_id", "site_name", "site_ref", "url_host"),
    *("client_ip", "client_address", "client_address_bytes", "client_subnet", "client_country_code", "client_type"),
    *("http_method", "http_status", "response_bytes", "bot_classification", "analytics_severity", "analytics_events"),
    *("src_file", "src_seq", "src_account_id", "src_config_id", "src_format"),
}
"""Columns with statistics: those whose least and greatest value let a question leave out a file or a row group.

Identifiers drawn at random are not among them, since each file has values from end to end. Neither is what clients
write, nor text about it: such values may be secrets.
"""

_BUFFER_BYTES = 1 << 18
"""Bytes of a part that are hashed and handed on at once; the writer gives a few hundred at a time."""

_WRITTEN_AT_ONCE = 1 << 14
"""Values that are encoded at once. Of fewer, a dictionary's statistics cost more than the rest."""


class Mark(NamedTuple):
    """A place in the rows of a batch: how many blocks and partitions came before it, and what was redacted."""

    events: int
    quarantined: int
    partitions: int
    redacted: Mapping[str, int]


class UnwritableRowsError(LakeError):
    """Rows of a batch cannot be written as Parquet, and writing them again will not change that.

    :ivar logs: whose rows these are, by ``src_file``.
    """

    reason = "unwritable"
    is_transient = False
    logs: frozenset[str] = frozenset()


class BatchParts:
    """Collects the rows of a batch and writes them, a part for each partition.

    The name of a part follows from plan, batch and partition alone, so that a retry writes over its own parts. To be
    used in a ``with`` block, which gives up the temporary files, if there are any.

    :param protection: what stands in the metadata of each part about what was redacted, and how pseudonyms were made.
    :param memory_bytes: Arrow bytes of events, and of what is quarantined, that stay in memory.
    :param group_bytes: Arrow bytes of a row group, more or less.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        *,
        commit: int,
        batch: int,
        protection: Mapping[str, str] = MappingProxyType({}),
        memory_bytes: int = MEMORY_BYTES,
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self._store = store
        self._layout = layout
        self._commit = commit
        self._batch = batch
        self._protection = dict(protection)
        self._redacted: Counter[str] = Counter()
        self._events = Rows(memory_bytes=memory_bytes)
        self._quarantined = Rows(memory_bytes=memory_bytes)
        self._group_bytes = group_bytes
        # The partitions by number, and the number of each event's.
        self._partitions: dict[_Partition, int] = {}
        self._partition_of: list[_Numbers] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()
        self._quarantined.close()

    def add(self, events: pa.Table, quarantined: pa.Table, *, redacted: Mapping[str, int] | None = None) -> None:
        """Take over rows; none once a part was asked for.

        :param events: columns of ``PARSED_SCHEMA``.
        :param quarantined: columns of ``QUARANTINE_SCHEMA``.
        :param redacted: how many of their values each rule has changed.
        """
        self._redacted.update(redacted or {})
        if events.num_rows:
            self._partition_of.append(self._numbers(events))
            self._events.add(events.select(READ_SCHEMA.names))
        if quarantined.num_rows:
            self.add_quarantined(quarantined)

    def _numbers(self, events: pa.Table) -> _Numbers:
        """Number the partition of each event."""
        classes = events["event_class"].combine_chunks()
        days = events["event_date"].cast(pa.int32()).to_numpy().astype(np.int64)
        kinds = len(classes.dictionary)
        pairs = pa.array(days * kinds + classes.indices.to_numpy()).dictionary_encode()
        partitions = [
            (classes.dictionary[pair % kinds].as_py(), _EPOCH + timedelta(days=pair // kinds))
            for pair in pairs.dictionary.to_pylist()
        ]
        numbers = [self._partitions.setdefault(partition, len(self._partitions)) for partition in partitions]
        number_of_each: _Numbers = np.array(numbers, np.int32)[pairs.indices.to_numpy()]
        return number_of_each

    def add_quarantined(self, quarantined: pa.Table) -> None:
        """Take over rows of ``QUARANTINE_SCHEMA``."""
        self._quarantined.add(quarantined)

    def mark(self) -> Mark:
        """Remember where the rows of the next log begin."""
        return Mark(
            len(self._events.blocks), len(self._quarantined.blocks), len(self._partitions), dict(self._redacted)
        )

    def drop(self, mark: Mark) -> None:
        """Drop the rows that were added after a mark: those of a log that turned out to be damaged."""
        self._events.keep(mark.events)
        self._quarantined.keep(mark.quarantined)
        del self._partition_of[mark.events :]
        self._partitions = dict(islice(self._partitions.items(), mark.partitions))
        self._redacted = Counter(mark.redacted)

    def protected(self) -> ProtectionFields:
        """Return the fields of a report that say how the rows are protected."""
        return {"redacted": dict(sorted(self._redacted.items())), "protection": self._protection}

    @property
    def paths(self) -> list[str]:
        """The objects that :meth:`write` will write."""
        return list(self._keys)

    @property
    def _keys(self) -> dict[str, _Partition | None]:
        keys: dict[str, _Partition | None] = {self._event_path(*key): key for key in sorted(self._partitions)}
        return keys | {self._quarantine_path: _QUARANTINE} if self._quarantined.blocks else keys

    def rows(self, path: str, *, columns: list[str]) -> list[pa.Table]:
        """Return some columns of the rows that a part will have."""
        rows, order = self._rows(self._keys[path])
        return list(row_groups([Block.of(block.table.select(columns)) for block in rows.blocks], order))

    def write(self) -> tuple[Part, ...]:
        """Write every part, each sorted by event time.

        Rows of the same time keep the order of the logs and lines they came from. A part goes up to a store far away
        while the next one is encoded; the next one goes up only after it.
        """
        parts: list[Part] = []
        with ThreadPoolExecutor(max_workers=1) as putting:
            put: Future[None] | None = None
            for path in self.paths:
                with ExitStack() as stack:
                    parts.append(self._encode(path, stack.enter_context(self._store.writer(path))))
                    if put:
                        put.result()
                    put = putting.submit(stack.pop_all().close)
            if put:
                put.result()
        return tuple(parts)

    def write_part(self, path: str) -> Part:
        """Write one of the parts."""
        with self._store.writer(path) as file:
            return self._encode(path, file)

    def _rows(self, partition: _Partition | None) -> tuple[Rows, Positions]:
        """Return where the rows of a part are, and which of them those are, in order."""
        if partition is _QUARANTINE:
            return self._quarantined, in_arrival_order(self._quarantined.blocks)
        return self._events, self._orders[self._partitions[partition]]

    @cached_property
    def _orders(self) -> list[Positions]:
        """The positions of each partition's rows, by time."""
        self._events.finish()
        order = by_time(self._events.blocks)
        numbers = np.concatenate(self._partition_of)[order]
        by_partition = order[np.argsort(numbers, kind="stable")]
        return np.split(by_partition, np.cumsum(np.bincount(numbers))[:-1])

    def _encode(self, path: str, file: BinaryIO) -> Part:
        partition = self._keys[path]
        event_class, event_date = (None, None) if partition is _QUARANTINE else partition
        schema = QUARANTINE_SCHEMA if partition is _QUARANTINE else SCHEMA
        rows, order = self._rows(partition)
        schema = schema.with_metadata(schema.metadata | as_bytes(self._protection))
        completed = self._completed(event_class)
        try:
            written = write_rows(file, rows, order, schema=schema, completed=completed, group_bytes=self._group_bytes)
        except (pa.ArrowException, MemoryError) as error:
            refused = frozenset() if isinstance(error, MemoryError) else _unwritable(rows, completed)
            kind = UnwritableRowsError if refused else LakeError
            refusal = kind(
                f"the rows of {_named(refused) or _logs_of(rows)} could not be written as Parquet"
                f" ({type(error).__name__})",
                do="Nothing is lost: the bytes are in raw/. If it lasts, set logs_per_batch to 1, so that the log that"
                " is the cause holds up no other, and report it",
                about=self._store.uri(path),
            )
            if isinstance(refusal, UnwritableRowsError):
                refusal.logs = refused
            raise refusal from error
        return Part(
            path=path,
            rows=len(order),
            size=written.size,
            sha256=written.sha256.hexdigest(),
            event_class=event_class,
            event_date=event_date.isoformat() if event_date else None,
        )

    def _completed(self, event_class: str | None) -> Completion | None:
        """Return what fills the derived columns of a part's rows: now, when nothing unprotected is left in them."""
        if event_class is None:
            return None
        severities = Severities.parse(self._protection.get(SEVERITIES_KEY, ""))
        return Completion(partial(complete, event_class=event_class, severities=severities.by_rule_type), HELD_SCHEMA)

    def _event_path(self, event_class: str, event_date: date) -> str:
        return self._layout.part(commit=self._commit, batch=self._batch, event_class=event_class, event_date=event_date)

    @property
    def _quarantine_path(self) -> str:
        return self._layout.quarantine(commit=self._commit, batch=self._batch)


def _logs_of(rows: Rows) -> str:
    """Name the logs that rows are of, a few of them if they are many."""
    return _named({name for block in rows.blocks for name in block.table["src_file"].unique().to_pylist()})


def _unwritable(rows: Rows, completed: Completion | None) -> frozenset[str]:
    """Return the logs of which some rows cannot be written even by themselves."""
    refused: set[str] = set()
    for block in rows.blocks:
        try:
            table = completed.of(block.table) if completed else block.table
            with parquet_writer(io.BytesIO(), table.schema) as writer:
                writer.write_table(table)
        except MemoryError:
            raise
        except pa.ArrowException:
            refused.update(block.table["src_file"].unique().to_pylist())
        rows.forget()
    return frozenset(refused)


def _named(logs: Collection[str]) -> str:
    names = sorted(logs)
    shown = ", ".join(ascii(name)[1:-1] for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more logs" if len(names) > _NAMED else shown


class Completion(NamedTuple):
    """What becomes of rows just before they are written, so that it takes neither memory nor room before.

    :ivar made: takes a row group, and returns it with more columns.
    :ivar schema: what it has then.
    """

    made: Callable[[pa.Table], pa.Table]
    schema: pa.Schema

    def of(self, rows: pa.Table) -> pa.Table:
        """Return rows as they are written.

        :raises pyarrow.ArrowException: if that cannot be done, whatever the cause: it must not stop rows of other logs.
        """
        try:
            return self.made(rows)
        except (pa.ArrowException, MemoryError):
            raise
        except Exception as error:
            raise pa.ArrowInvalid(f"columns could not be derived ({type(error).__name__})") from error


def write_rows(
    file: BinaryIO,
    rows: Rows,
    order: Positions,
    *,
    schema: pa.Schema,
    sorted_by: Sequence[str] = (),
    completed: Completion | None = None,
    group_bytes: int = GROUP_BYTES,
) -> HashingFile:
    """Write some rows as a part, a row group at a time.

    :param rows: finished, and not empty.
    :param order: which of them, and in which order.
    :param schema: the types and the metadata that the part has.
    :param sorted_by: the columns that the order follows from, ascending, nulls last; the footer says so.
    :param completed: what rows lack of the schema.
    :param group_bytes: Arrow bytes of a row group, more or less.
    :returns: what knows the size and SHA-256 of what was written.
    """
    hashing = HashingFile(file)
    held = completed.schema if completed else rows.blocks[0].table.schema
    buffered = pa.BufferedOutputStream(pa.PythonFile(hashing, "w"), _BUFFER_BYTES)
    with buffered, parquet_writer(buffered, schema, held=held, sorted_by=sorted_by) as writer:
        for group in row_groups(rows.blocks, order, forget=rows.forget, group_bytes=group_bytes):
            if completed:
                group = completed.of(group)
            writer.write_table(group, row_group_size=group.num_rows)
            # Before the next one is gathered, not after.
            del group
            rows.forget()
    return hashing


def parquet_writer(
    file: BinaryIO | HashingFile | pa.NativeFile,
    schema: pa.Schema,
    *,
    held: pa.Schema | None = None,
    sorted_by: Sequence[str] = (),
) -> pq.ParquetWriter:
    """Open a part to write: field ids, zstd, page index, statistics of what is asked by, dictionaries of what recurs.

    :param schema: the types that the part says it has.
    :param held: the types of the tables that will be written, where some strings are dictionaries of strings instead.
    :param sorted_by: the columns by which the rows are sorted, ascending, nulls last.
    """
    # A dictionary of values of which hardly one comes twice only makes a part larger, and slower to write.
    dictionaries = [path for path in _paths(schema) if path not in _HARDLY_RECUR]
    writer = pq.ParquetWriter(
        file,
        with_field_ids(held or schema),
        compression="zstd",
        write_page_index=True,
        use_dictionary=dictionaries,
        write_statistics=[path for path in _paths(schema) if path in _ASKED_BY],
        write_batch_size=_WRITTEN_AT_ONCE,
        store_schema=False,
        sorting_columns=[pq.SortingColumn(_paths(schema).index(name)) for name in sorted_by] or None,
    )
    # In place of what the writer would say itself: the types of the tables. The ids are in the columns already, and
    # would make a footer a fifth larger here.
    encoded = base64.b64encode(without_field_ids(schema).serialize())
    writer.add_key_value_metadata({**(schema.metadata or {}), _ARROW_SCHEMA: encoded})
    return writer


def as_bytes(metadata: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return metadata of a part as Arrow has it."""
    return {name.encode(): value.encode() for name, value in metadata.items()}


@cache
def _paths(schema: pa.Schema) -> list[str]:
    """Name the columns as Parquet does, for which a list and a map are columns within a column."""
    empty = io.BytesIO()
    pq.write_table(schema.empty_table(), empty)
    return [column.path for column in pq.ParquetFile(empty).schema]


class HashingFile:
    """A file that knows the SHA-256 and length of what went through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        """Write, and take into account."""
        self.sha256.update(content)
        self.size += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def close(self) -> None:
        """Take no more; the file itself stays open."""
        self.closed = True


def quarantined_log(*, file: str, sequence: int, reason: str) -> pa.Table:
    """Return the quarantine row of a whole log; its bytes are in ``raw/``, so the row has none."""
    row = {"src_file": file, "src_seq": sequence, "reason": reason}
    return pa.Table.from_pylist([row], schema=QUARANTINE_SCHEMA)
