"""A lake as an Iceberg table in a catalog: each commit is a snapshot.

Iceberg has no application transactions. How far each repository is stands in a property of the table, which is set in
the same write that adds the snapshot; and that write is refused unless the table's last snapshot is still the one that
was read. So whoever publishes knows what is published, and of two who publish the same commit one is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ImpervaError, LakeError, TableError
from airflow_provider_imperva.lake.layout import ICEBERG
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table.catalog import (
    NOTE,
    Note,
    is_noted,
    library,
    new_note,
    open_catalog,
    read_note,
    write_note,
)
from airflow_provider_imperva.table.changes import (
    ATTEMPTS,
    OF_TABLE,
    PARTITION_BY,
    ROOT,
    Change,
    TableConflictError,
    TableFile,
    commit_properties,
    pause,
    too_busy,
)
from airflow_provider_imperva.table.shape import PUBLISHED, create_in, find_wrong, location, published, schema
from airflow_provider_imperva.table.statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

logger = logging.getLogger(__name__)

KEPT = 100
"""How many snapshots are kept, that readers can go back to."""

_AT_ONCE = 20
"""How many snapshots are expired at once, since each time costs a write."""

_OLD = timedelta(days=1)
"""No writer is still about to add a snapshot that needs an object of this age."""

_NAME_MAPPING = "schema.name-mapping.default"
_ANEW = (
    "Drop the table from its catalog, delete events/_iceberg/ and run imperva-logs table LAKE --create iceberg, which"
    " rebuilds the table from the ledger"
)


def is_there(store: Store) -> bool:
    """Return whether a lake has an Iceberg table."""
    return is_noted(store)


def create(store: Store) -> None:
    """Make the table, without rows, if there is none; as :func:`~airflow_provider_imperva.table.publish.create_table`.

    :raises ConfigurationError: if the library is missing, the catalog cannot be reached, or the lake is in a store that
        can have no table.
    :raises TableError: if the catalog has another table of that name.
    """
    if is_there(store):
        Iceberg.open(store).add_columns()
        return
    catalog = open_catalog(store)
    note = new_note(store, catalog)
    with _lake_errors(store, note):
        create_in(catalog, note.table, store=store)
    table = Iceberg.of(store, catalog, note)
    # Somebody else may be doing it.
    with suppress(TableConflictError):
        table.add_columns()
    # Last: where it is missing, all of this is done again, and finds the table there.
    write_note(store, note)


class Iceberg:
    """A :class:`~airflow_provider_imperva.table.changes.Table` that is an Iceberg table."""

    def __init__(self, store: Store, table: Table, note: Note) -> None:
        self._store = store
        self._table = table
        self._note = note
        self.about = note.table

    @classmethod
    def open(cls, store: Store) -> Self:
        """Open a lake's table, and see that it is as we left it.

        :raises TableError: if there is none, it is of another lake or version, or its last snapshot is not ours.
        :raises ConfigurationError: if its catalog cannot be reached.
        """
        note = read_note(store)
        return cls.of(store, open_catalog(store, note.catalog), note)

    @classmethod
    def of(cls, store: Store, catalog: Catalog, note: Note) -> Self:
        """Open the table of a catalog, and see that it is as we left it."""
        with _lake_errors(store, note):
            table = catalog.load_table(note.table)
            if wrong := find_wrong(table, location(store)):
                problem = f"the table is not as our snapshots left it: {wrong}"
                raise TableError(problem, do=f"See that our DAGs are its only writers. {_ANEW}", about=note.table)
        return cls(store, table, note)

    @property
    def version(self) -> int:
        """The sequence number of the last snapshot."""
        last = self._table.current_snapshot()
        return (last.sequence_number or 0) if last else 0

    def published(self, repository: str) -> int | None:
        """Return the commit of a repository that the table shows."""
        return published(self._table, repository)

    def add_columns(self) -> None:
        """Give the table the columns that came with a newer release, with the numbers that they have in the parts."""
        from pyiceberg.schema import Schema
        from pyiceberg.table.name_mapping import create_mapping_from_schema
        from pyiceberg.table.update import (
            AddSchemaUpdate,
            AssertCurrentSchemaId,
            SetCurrentSchemaUpdate,
            SetPropertiesUpdate,
        )

        table = self._table
        there = table.schema()
        missing = [field for field in schema().fields if field.name not in there.column_names]
        if not missing:
            return
        number = 1 + max(schema.schema_id for schema in table.metadata.schemas)
        extended = Schema(*there.fields, *missing, schema_id=number)
        # Parts of before there were numbers in them are read by the names of their columns.
        mapping = create_mapping_from_schema(extended).model_dump_json()
        with _lake_errors(self._store, self._note):
            table.catalog.commit_table(
                table,
                (AssertCurrentSchemaId.model_validate({"current-schema-id": there.schema_id}),),
                (
                    AddSchemaUpdate(schema=extended),
                    SetCurrentSchemaUpdate.model_validate({"schema-id": -1}),
                    SetPropertiesUpdate(updates={_NAME_MAPPING: mapping}),
                ),
            )
            table.refresh()

    def write(self, change: Change) -> None:
        """Make a change one snapshot, also if others write to the table first, unless they wrote the same commit."""
        added = [
            self._data_file(change, part, statistics) for part, statistics in statistics_of(self._store, change.added)
        ]
        removed = [self._data_file(change, part) for part in change.removed]
        properties = {PUBLISHED + change.repository: str(change.commit)}
        shown = self.published(change.repository)
        for attempt in range(ATTEMPTS):
            began = time.monotonic()
            try:
                self._append(commit_properties(change), added, removed, properties)
                break
            except TableConflictError:
                pause(attempt, took=time.monotonic() - began)
                self._table = self.of(self._store, self._table.catalog, self._note)._table
                if self.published(change.repository) != shown:
                    raise
        else:
            raise too_busy(self._note.table)
        try:
            self._expire()
        except LakeError as error:
            # Perhaps somebody else has written meanwhile. Whoever comes next does it.
            logger.info("Old snapshots stay for now: %s", error)

    def _append(
        self,
        info: Mapping[str, Any],
        added: Iterable[DataFile] = (),
        removed: Iterable[DataFile] = (),
        properties: Mapping[str, str] | None = None,
    ) -> None:
        from pyiceberg.table.snapshots import Operation

        added, removed = list(added), list(removed)
        with _lake_errors(self._store, self._note):
            transaction = _lightened(self._table).transaction()
            update = transaction.update_snapshot(snapshot_properties={key: str(value) for key, value in info.items()})
            producer = update.overwrite() if removed else update.merge_append()
            if not added and removed:
                producer._operation = Operation.DELETE
            for file in added:
                producer.append_data_file(file)
            for file in removed:
                producer.delete_data_file(file)
            producer.commit()
            if properties:
                transaction.set_properties(dict(properties))
            self._table = transaction.commit_transaction()

    def _data_file(self, change: Change, part: Part, statistics: Statistics | None = None) -> DataFile:
        from pyiceberg.conversions import to_bytes
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record
        from pyiceberg.types import PrimitiveType

        columns = self._table.schema()

        def bounds(values: Mapping[str, Any]) -> dict[int, bytes]:
            fields = {columns.find_field(name): value for name, value in values.items()}
            return {
                field.field_id: to_bytes(field.field_type, _plain(value))
                for field, value in fields.items()
                if isinstance(field.field_type, PrimitiveType)
            }

        def counts(values: Mapping[str, int]) -> dict[int, int]:
            return {columns.find_field(name).field_id: value for name, value in values.items()}

        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=f"{location(self._store)}/{part.path.removeprefix(f'{ROOT}/')}",
            file_format=FileFormat.PARQUET,
            partition=Record(change.repository, part.event_class, _days(part.event_date)),
            record_count=part.rows,
            file_size_in_bytes=part.size,
            value_counts=counts(dict.fromkeys(statistics.nulls, statistics.rows)) if statistics else {},
            null_value_counts=counts(statistics.nulls) if statistics else {},
            lower_bounds=bounds(statistics.least) if statistics else {},
            upper_bounds=bounds(statistics.greatest) if statistics else {},
        )
        file.spec_id = self._table.metadata.default_spec_id
        return file

    def files(self) -> Iterator[TableFile]:
        """Yield the files of the last snapshot."""
        root = f"{location(self._store)}/"
        with _lake_errors(self._store, self._note):
            snapshot = self._table.current_snapshot()
            for manifest in snapshot.manifests(self._table.io) if snapshot else ():
                for entry in manifest.fetch_manifest_entry(self._table.io, discard_deleted=True):
                    file = entry.data_file
                    path = file.file_path
                    repository, event_class, days = (file.partition[index] for index in range(len(PARTITION_BY)))
                    yield TableFile(
                        f"{ROOT}/{path.removeprefix(root)}" if path.startswith(root) else path,
                        file.file_size_in_bytes,
                        (repository, event_class, None if days is None else (_EPOCH + timedelta(days)).isoformat()),
                    )

    def forget_history(self, *, clock: Clock = wall_clock) -> None:
        """Clear away all snapshots but the last, and what publishers that died have left."""
        # The last one may name the files that it removed. One without files names none.
        self._append(OF_TABLE)
        self._expire(keep=1, at_once=1)
        with _lake_errors(self._store, self._note):
            snapshot = self._table.current_snapshot()
            # It has just been added.
            assert snapshot is not None  # noqa: S101
            needed = {_name(path) for path in self._objects([snapshot])}
        before = clock() - _OLD
        self._store.delete(
            [
                item.path
                for item in self._store.objects(ICEBERG)
                if item.path.endswith(".avro") and _name(item.path) not in needed and item.modified < before
            ]
        )
        logger.info("The table's history up to snapshot %d is cleared away", snapshot.snapshot_id)

    def _expire(self, *, keep: int = KEPT, at_once: int = _AT_ONCE) -> None:
        """Expire old snapshots, and delete what no other one needs."""
        from pyiceberg.table.update import AssertRefSnapshotId, RemoveSnapshotsUpdate

        table = self._table
        snapshots = sorted(table.metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)
        if len(snapshots) < keep + at_once:
            return
        old, kept = snapshots[:-keep], snapshots[-keep:]
        with _lake_errors(self._store, self._note):
            # What a snapshot does not need any more, none after it needs.
            unneeded = self._objects(old) - self._objects(kept[:1])
            table.catalog.commit_table(
                table,
                (AssertRefSnapshotId.model_validate({"ref": "main", "snapshot-id": kept[-1].snapshot_id}),),
                (RemoveSnapshotsUpdate.model_validate({"snapshot-ids": [one.snapshot_id for one in old]}),),
            )
            table.refresh()
            for path in sorted(unneeded):
                with suppress(FileNotFoundError):
                    table.io.delete(path)

    def _objects(self, snapshots: Iterable[Snapshot]) -> set[str]:
        """Return the manifest lists and manifests of snapshots."""
        paths: set[str] = set()
        for snapshot in snapshots:
            paths |= {snapshot.manifest_list, *(one.manifest_path for one in snapshot.manifests(self._table.io))}
        return paths


def versions(store: Store) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield what each snapshot that is kept says of itself, with its name."""
    try:
        note = read_note(store)
        with _lake_errors(store, note):
            snapshots = open_catalog(store, note.catalog).load_table(note.table).metadata.snapshots
    except ImpervaError:
        return  # which the check of its files finds
    for snapshot in snapshots:
        info = snapshot.summary.additional_properties if snapshot.summary else {}
        yield f"snapshot {snapshot.snapshot_id} of {note.table}", info


_EPOCH = date(1970, 1, 1)


def _lightened(table: Table) -> Table:
    """Return a table with no history but the last snapshot, and with schemas that are never copied.

    A transaction copies all that it knows of a table a dozen times over; what it writes is put onto the whole table.
    """
    from pyiceberg.table import Table as IcebergTable

    last = table.metadata.current_snapshot()
    light = {
        "snapshots": [last] if last else [],
        "snapshot_log": [],
        "schemas": [_shared_schema()(*schema.fields, schema_id=schema.schema_id) for schema in table.metadata.schemas],
    }
    return IcebergTable(
        table.name(), table.metadata.model_copy(update=light), table.metadata_location, table.io, table.catalog
    )


@cache
def _shared_schema() -> type[Schema]:
    """Return a class of schemas that are their own deep copies, since schemas are never changed."""
    from pyiceberg.schema import Schema

    class SharedSchema(Schema):
        def __deepcopy__(self, memo: Any = None) -> Self:
            return self

    return SharedSchema


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _days(day: str | None) -> int | None:
    return (date.fromisoformat(day) - _EPOCH).days if day else None


def _plain(value: Any) -> Any:
    """Return a bound as the library writes it: a time in microseconds since 1970."""
    if isinstance(value, datetime):
        return int((value - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
    return value


@contextmanager
def _lake_errors(store: Store, note: Note) -> Iterator[None]:
    """Restate errors of the library in our words, without its own, which may quote addresses, secrets and contents."""
    library()
    from pyiceberg.exceptions import (
        CommitFailedException,
        NoSuchNamespaceError,
        NoSuchTableError,
        ValidationException,
    )

    try:
        yield
    except ImpervaError:
        raise
    except CommitFailedException:
        raise TableConflictError.at(note.table) from None
    except (NoSuchTableError, NoSuchNamespaceError):
        raise TableError(
            f"the catalog {note.catalog or 'in the lake'} has no table {note.table}",
            do=f"Check catalog_conn_id. If the table was dropped: delete {NOTE} and run imperva-logs table LAKE"
            " --create iceberg, which rebuilds the table from the ledger",
            about=store.uri(NOTE),
        ) from None
    except ValidationException as error:
        raise TableError(
            f"the table is not what our snapshots made it ({type(error).__name__})",
            do=f"See that our DAGs are its only writers. {_ANEW}",
            about=note.table,
        ) from None
    except Exception as error:  # what a catalog raises depends on its kind
        raise LakeError(
            f"the catalog or the store did not do what the table's library asked ({type(error).__name__})",
            do="See that the catalog is up, that its connection may create and change tables, and that it and the"
            " lake's credentials may read and write the lake; the next run publishes what is missing",
            about=note.table,
        ) from None
