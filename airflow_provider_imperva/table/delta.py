"""A lake as a Delta table: its log is in ``events/_delta_log``, and written by put-if-absent, as the ledger is.

With every commit goes the application transaction ``imperva:<repository>`` with the number of the ledger's commit, by
which the log says how far each repository is.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from airflow_provider_imperva.errors import ConfigurationError, LakeError, TableError
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.lake.claim import check_create_if_absent
from airflow_provider_imperva.lake.layout import DELTA_LOG
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table.changes import (
    OF_TABLE,
    PARTITION_BY,
    ROOT,
    Change,
    TableConflictError,
    TableFile,
    commit_properties,
    is_ours,
    table_schema,
)
from airflow_provider_imperva.table.checkpoints import drop_damaged
from airflow_provider_imperva.table.statistics import COLUMNS, Statistics, statistics_of

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, RemoveAction

logger = logging.getLogger(__name__)

VERSION_NAME = re.compile(r"(\d{20})\.json")
_DIGITS = 20
_OF_VERSION = re.compile(rf"\d{{{_DIGITS}}}\.")
"""What the names of a version's objects begin with, checkpoints among them."""

_PROTOCOL = (1, 2)
"""Versions that a reader and a writer have to know: what every engine reads."""

_CLEANED_EVERY = 100
"""Versions after which those that are older than the table's thirty days are cleared away: to look for them after each
takes as long as the commit itself."""

_READERS = 16
_PROPERTIES = {"delta.checkpointInterval": "10", "delta.dataSkippingStatsColumns": ",".join(COLUMNS)}

_ANEW = "Delete events/_delta_log/ and run imperva-logs table LAKE --create, which rebuilds the table from the ledger"


def is_there(store: Store) -> bool:
    """Return whether a lake has a Delta table."""
    folder, _, name = DELTA_LOG.rpartition("/")
    return name in store.folders(folder)


def create(store: Store) -> None:
    """Make the table, without rows, if there is none; as :func:`~airflow_provider_imperva.table.publish.create_table`.

    :raises ConfigurationError: if the library is missing, or the lake is in a store that can have no table.
    :raises TableError: if what is there is no table of ours.
    """
    if any(item.path.endswith((".json", ".parquet")) for item in store.objects(DELTA_LOG)):
        drop_damaged(store)
        Delta.open(store)
        return
    _library()
    check_create_if_absent(store, f"{ROOT}/.probe")
    _create(store)


def _create(store: Store) -> None:
    from deltalake import Schema
    from deltalake.transaction import CommitProperties, create_table_with_add_actions

    address = store.address(ROOT)
    with _lake_errors(store):
        create_table_with_add_actions(
            address.url,
            Schema.from_arrow(table_schema()),
            [],
            mode="ignore",
            partition_by=list(PARTITION_BY),
            name="imperva_events",
            description="Events of Imperva Cloud WAF. Written by airflow-provider-imperva alone.",
            configuration=_PROPERTIES,
            storage_options=address.options,
            commit_properties=CommitProperties(custom_metadata=dict(OF_TABLE)),
        )


class Delta:
    """A :class:`~airflow_provider_imperva.table.changes.Table` that is a Delta table."""

    def __init__(self, store: Store, table: DeltaTable) -> None:
        self._store = store
        self._opened = table
        self._is_after = False
        self.about = store.uri(DELTA_LOG)

    @classmethod
    def open(cls, store: Store) -> Self:
        """Open a lake's table, and see that it is as we left it.

        :raises TableError: if there is none, it is damaged, of another version, or its last version is not ours.
        """
        deltalake = _library()
        address = store.address(ROOT)
        with _lake_errors(store):
            table: DeltaTable = deltalake.DeltaTable(address.url, storage_options=address.options)
            protocol = table.protocol()
            if (protocol.min_reader_version, protocol.min_writer_version) != _PROTOCOL:
                raise TableError(
                    f"the table has protocol {protocol.min_reader_version}/{protocol.min_writer_version}, not 1/2: a"
                    " newer provider or another program changed it",
                    do=f"Upgrade the provider, if there is a newer one. {_ANEW}",
                    about=store.uri(DELTA_LOG),
                )
            if tuple(table.metadata().partition_columns) != PARTITION_BY:
                raise TableError("this is not a table that we made", do=_ANEW, about=store.uri(DELTA_LOG))
            _check_last_version(store, table.version())
        return cls(store, table)

    @property
    def _table(self) -> DeltaTable:
        """The last version. To read what was just written takes as long as to write it, and few ask for it."""
        if self._is_after:
            self._opened.update_incremental()
            self._is_after = False
        return self._opened

    @property
    def version(self) -> int:
        """The last version's number."""
        return self._table.version()

    def published(self, repository: str) -> int | None:
        """Return the commit of a repository that the table shows."""
        with _lake_errors(self._store):
            return self._table.transaction_version(application(repository))

    def add_columns(self) -> None:
        """Give the table the columns that came with a newer release."""
        there = {field.name for field in self._table.schema().fields}
        if missing := [field.name for field in table_schema() if field.name not in there]:
            deltalake = _library()
            from deltalake.transaction import CommitProperties

            fields = [field for field in deltalake.Schema.from_arrow(table_schema()).fields if field.name in missing]
            with _lake_errors(self._store):
                self._table.alter.add_columns(
                    fields, commit_properties=CommitProperties(custom_metadata=dict(OF_TABLE))
                )

    def write(self, change: Change) -> None:
        """Make a change one version."""
        actions: list[AddAction | RemoveAction] = [
            *_removes(change),
            *_adds(change, statistics_of(self._store, change.added)),
        ]
        with _lake_errors(self._store):
            self._put(change, actions)

    def _put(self, change: Change, actions: list[AddAction | RemoveAction]) -> None:
        from deltalake.transaction import CommitProperties, PostCommitHookProperties, Transaction

        # The change may remove what the last one added, and is refused on top of an older version.
        table = self._table
        self._is_after = True
        table.create_write_transaction(
            actions,
            mode="append",
            schema=table.schema(),
            partition_by=list(PARTITION_BY),
            commit_properties=CommitProperties(
                custom_metadata=commit_properties(change),
                app_transactions=[Transaction(application(change.repository), change.commit)],
            ),
            post_commithook_properties=PostCommitHookProperties(
                cleanup_expired_logs=table.version() % _CLEANED_EVERY == 0
            ),
        )

    def files(self) -> Iterator[TableFile]:
        """Yield the files of the last version."""
        columns = ["path", "size_bytes", *(f"partition.{name}" for name in PARTITION_BY)]
        with _lake_errors(self._store):
            files = pa.table(self._table.get_add_actions(flatten=True)).select(columns)
        for path, size, *partition in zip(*(column.to_pylist() for column in files.columns), strict=True):
            yield TableFile(f"{ROOT}/{path}", size, tuple(None if one is None else str(one) for one in partition))

    def forget_history(self) -> None:
        """Clear away all versions but the last, which a checkpoint stands for."""
        with _lake_errors(self._store):
            self._table.create_checkpoint()
        last = self._table.version()
        names = {item.path: item.path.rsplit("/", 1)[1] for item in self._store.objects(DELTA_LOG)}
        numbers = {path: int(name[:_DIGITS]) for path, name in names.items() if _OF_VERSION.match(name)}
        self._store.delete(sorted(path for path, number in numbers.items() if number < last))
        logger.info("The table's history up to version %d is cleared away", last)


def versions(store: Store) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Yield what each version of a table says of itself, with the path of its object; None if it does not read."""
    names = [item.path for item in store.objects(DELTA_LOG) if VERSION_NAME.fullmatch(item.path.rsplit("/", 1)[-1])]
    with ThreadPoolExecutor(_READERS) as pool:
        for path, content in zip(names, pool.map(lambda path: _read(store, path), names), strict=True):
            if content is not None:
                yield path, commit_info(content)


def _read(store: Store, path: str) -> bytes | None:
    try:
        return store.read(path)
    except FileNotFoundError:
        return None  # cleared away meanwhile


def _check_last_version(store: Store, version: int) -> None:
    path = f"{DELTA_LOG}/{version:020d}.json"
    content = _read(store, path)
    if content is None:
        return  # a checkpoint stands for it
    info = commit_info(content)
    if info is None or not is_ours(info):
        raise TableError(
            f"version {version} of the table was written by another program",
            do=f"See that our DAGs are its only writers. {_ANEW}",
            about=store.uri(path),
        )


def commit_info(content: bytes) -> dict[str, Any] | None:
    """Return the commit information in an object of the table's log; None if it has none, or does not read."""
    try:
        actions = [json.loads(line) for line in content.splitlines() if line.strip()]
        return next((dict(action["commitInfo"]) for action in actions if "commitInfo" in action), None)
    except (ValueError, TypeError):
        return None


def application(repository: str) -> str:
    """Return the id of the application transactions of a repository."""
    return f"imperva:{repository}"


def _adds(change: Change, parts: Iterable[tuple[Part, Statistics]]) -> Iterator[AddAction]:
    from deltalake.transaction import AddAction

    for part, statistics in parts:
        yield AddAction(
            path=part.path.removeprefix(f"{ROOT}/"),
            size=part.size,
            partition_values=_partition(change, part),
            modification_time=_milliseconds(change),
            data_change=not change.same_rows,
            stats=_json_statistics(statistics),
        )


def _removes(change: Change) -> Iterator[RemoveAction]:
    from deltalake.transaction import RemoveAction

    for part in change.removed:
        yield RemoveAction(
            path=part.path.removeprefix(f"{ROOT}/"),
            data_change=not change.same_rows,
            deletion_timestamp=_milliseconds(change),
            size=part.size,
            partition_values=_partition(change, part),
        )


def _milliseconds(change: Change) -> int:
    return int(change.committed_at.timestamp() * 1000)


def _partition(change: Change, part: Part) -> dict[str, str | None]:
    return dict(zip(PARTITION_BY, (change.repository, part.event_class, part.event_date), strict=True))


def _json_statistics(statistics: Statistics) -> str:
    """Write statistics as the field ``stats`` of an ``add`` action has them.

    Source: the Delta Transaction Log Protocol, "Per-file Statistics".
    """
    least, greatest = (
        {name: _json(value) for name, value in some.items()} for some in (statistics.least, statistics.greatest)
    )
    return json.dumps(
        {"numRecords": statistics.rows, "minValues": least, "maxValues": greatest, "nullCount": statistics.nulls},
        separators=(",", ":"),
    )


def _json(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z") if isinstance(value, datetime) else value


def _library() -> Any:
    try:
        import deltalake
    except ImportError:
        raise ConfigurationError(
            "a lake with a table needs the library deltalake, which is not installed",
            do=f"Install it ({install_command('delta')}); a new lake without a table is made with table=None",
        ) from None
    return deltalake


@contextmanager
def _lake_errors(store: Store) -> Iterator[None]:
    """Restate errors of the library in our words, without its own, which may quote addresses and contents."""
    from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, TableNotFoundError

    about = store.uri(DELTA_LOG)
    try:
        yield
    except CommitFailedError:
        raise TableConflictError.at(about) from None
    except TableNotFoundError:
        raise TableError("the lake has no table, or a damaged one", do=_ANEW, about=about) from None
    except DeltaProtocolError:
        problem = "the table needs a newer reader or writer than this one"
        raise TableError(problem, do=f"Upgrade the provider and deltalake. {_ANEW}", about=about) from None
    except (DeltaError, ValueError) as error:
        problem = f"the table's log does not read ({type(error).__name__})"
        raise TableError(problem, do=f"See that our DAGs are its only writers. {_ANEW}", about=about) from None
    except OSError as error:
        raise LakeError(
            f"the store did not answer the table's library ({type(error).__name__})",
            do="See that the lake's credentials may list, read and write; the next run publishes what is missing",
            about=about,
        ) from None
