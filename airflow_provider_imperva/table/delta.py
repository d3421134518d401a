"""Publishing: the commits of a ledger become commits of a Delta table, by a pure function that anybody may run again.

The table's own log says how far each repository is: with every commit goes the application transaction
``imperva:<repository>`` with the number of the ledger's commit. Whoever publishes reads it, and adds what comes after.
Of two who add the same commit, one is refused.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_provider_imperva.errors import ConfigurationError, LakeError, TableError
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.lake.claim import check_create_if_absent
from airflow_provider_imperva.lake.layout import TABLE_LOG
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.records import Commit, Kind, Part
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table.statistics import COLUMNS, statistics

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, RemoveAction

logger = logging.getLogger(__name__)

ROOT = TABLE_LOG.rpartition("/")[0]
"""Folder of the table: the one that all of its files are in."""

COMMIT = "imperva.commit"
REPOSITORY = "imperva.repository"
SHA256 = "imperva.commit_sha256"
CREATED = "imperva.table"
"""Keys in the information of a table's commit: which commit of which ledger it is, or that it made the table."""

VERSION_NAME = re.compile(r"(\d{20})\.json")
_DIGITS = 20
_OF_VERSION = re.compile(rf"\d{{{_DIGITS}}}\.")
"""What the names of a version's objects begin with, checkpoints among them."""

_PARTITION_BY = ["repository", "event_class", "event_date"]
_PROTOCOL = (1, 2)
"""Versions that a reader and a writer have to know: what every engine reads."""

_PROPERTIES = {"delta.checkpointInterval": "10", "delta.dataSkippingStatsColumns": ",".join(COLUMNS)}
_READERS = 16
_ATTEMPTS = 50
_LONGEST_PAUSE = 2.0

_ANEW = "Delete events/_delta_log/ and run imperva-logs table LAKE --create, which makes the table anew from the ledger"


def create_table(store: Store) -> None:
    """Make a lake's table, without rows, if it has none.

    :raises ConfigurationError: if the library is missing, or the lake is in a store that can have no table.
    :raises TableError: if what is there is no table of ours.
    """
    if any(item.path.endswith((".json", ".parquet")) for item in store.objects(TABLE_LOG)):
        open_table(store)
        return
    _library()
    check_create_if_absent(store, f"{ROOT}/.probe")
    _create(store)


def _create(store: Store) -> None:
    from deltalake import Schema
    from deltalake.transaction import CommitProperties, create_table_with_add_actions

    address = store.address(ROOT)
    with _told(store):
        create_table_with_add_actions(
            address.url,
            Schema.from_arrow(table_schema()),
            [],
            mode="ignore",
            partition_by=_PARTITION_BY,
            name="imperva_events",
            description="Events of Imperva Cloud WAF. Written by airflow-provider-imperva alone.",
            configuration=_PROPERTIES,
            storage_options=address.options,
            commit_properties=CommitProperties(custom_metadata={CREATED: "1"}),
        )


def table_schema() -> pa.Schema:
    """Return the table's columns: those of a part, then those that are in its path only."""
    columns = [pa.field(field.name, _delta_type(field.type)) for field in SCHEMA]
    partitions = [("repository", pa.string()), ("event_class", pa.string()), ("event_date", pa.date32())]
    return pa.schema([*columns, *partitions])


def _delta_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that Delta has for a column's: it knows neither dictionaries nor milliseconds."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind


def open_table(store: Store) -> DeltaTable:
    """Open a lake's table, and see that it is as we left it.

    :raises TableError: if there is none, it is damaged, of another version, or its last version is not ours.
    """
    deltalake = _library()
    address = store.address(ROOT)
    with _told(store):
        table: DeltaTable = deltalake.DeltaTable(address.url, storage_options=address.options)
        protocol = table.protocol()
        if (protocol.min_reader_version, protocol.min_writer_version) != _PROTOCOL:
            raise TableError(
                f"the table has protocol {protocol.min_reader_version}/{protocol.min_writer_version}, not 1/2: a newer"
                " provider or another program changed it",
                do=f"Upgrade the provider, if there is a newer one. {_ANEW}",
                about=store.uri(TABLE_LOG),
            )
        if list(table.metadata().partition_columns) != _PARTITION_BY:
            raise TableError("this is not a table that we made", do=_ANEW, about=store.uri(TABLE_LOG))
        _check_last_version(store, table.version())
    return table


def _check_last_version(store: Store, version: int) -> None:
    path = f"{TABLE_LOG}/{version:020d}.json"
    try:
        info = commit_info(store.read(path))
    except FileNotFoundError:
        return  # a checkpoint stands for it
    if info is None or not is_ours(info):
        raise TableError(
            f"version {version} of the table was written by another program",
            do=f"See that our DAGs are its only writers. {_ANEW}",
            about=store.uri(path),
        )


def is_ours(info: dict[str, Any]) -> bool:
    """Tell by a version's commit information whether we wrote it."""
    return CREATED in info or (COMMIT in info and SHA256 in info)


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


def publish(ledger: Ledger) -> int:
    """Bring a repository's part of the table up to its ledger.

    Killed anywhere, run again or run by several at once, it publishes each commit once. A repository that the table
    does not have yet comes with all of its live parts at once.

    :returns: the last commit of the ledger: the table shows all up to it.
    :raises TableError: if the table cannot be written to.
    """
    head = _last(ledger)
    for attempt in range(_ATTEMPTS):
        table = open_table(ledger.store)
        _add_columns(table, ledger.store)
        with _told(ledger.store):
            published = table.transaction_version(application(ledger.layout.repository))
        try:
            if published is None and head:
                _publish_live_set(ledger, table, head)
            else:
                for commit in unpublished(ledger, published or 0):
                    _publish_commit(ledger, table, commit)
                    # The next one may remove what this one added, and is refused on top of an older version.
                    with _told(ledger.store):
                        table.update_incremental()
        except _conflicts() as error:
            # Somebody else was quicker: perhaps with the same commit, which its transaction tells.
            logger.info("Another run wrote to the table meanwhile (%s): trying again", type(error).__name__)
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))  # noqa: S311
            continue
        return head
    raise LakeError(
        f"others wrote to the table first, {_ATTEMPTS} times in a row",
        do="Nothing is lost: the next run publishes what is not in the table",
        about=ledger.store.uri(TABLE_LOG),
    )


def _publish_live_set(ledger: Ledger, table: DeltaTable, head: int) -> None:
    parts = [part for part, _ in live_set(ledger).parts.values() if part.event_class is not None]
    _write(ledger, table, head, _adds(ledger, ledger.commit(head), parts, changes=True))


def unpublished(ledger: Ledger, published: int) -> Iterator[Commit]:
    """Yield the commits after the one that the table shows, as far as they changed which events there are."""
    for number in range(published + 1, _last(ledger) + 1):
        commit = ledger.commit(number)
        if any(part.event_class is not None for part in (*commit.parts, *commit.removed)):
            yield commit


def forget_history(store: Store) -> None:
    """Clear away all versions of a table but the last, which a checkpoint stands for.

    Readers can no longer go back to an earlier version. Broken off anywhere, the table is whole, and it can be run
    again.
    """
    table = open_table(store)
    with _told(store):
        table.create_checkpoint()
    last = table.version()
    names = {item.path: item.path.rsplit("/", 1)[1] for item in store.objects(TABLE_LOG)}
    numbers = {path: int(name[:_DIGITS]) for path, name in names.items() if _OF_VERSION.match(name)}
    store.delete(sorted(path for path, number in numbers.items() if number < last))
    logger.info("The table's history up to version %d is cleared away", last)


def _last(ledger: Ledger) -> int:
    return ledger.head(with_plan=False).next_commit - 1


def _publish_commit(ledger: Ledger, table: DeltaTable, commit: Commit) -> None:
    added = [part for part in commit.parts if part.event_class is not None]
    removed = [part for part in commit.removed if part.event_class is not None]
    changes = commit.kind is not Kind.COMPACT
    actions = [_remove(ledger, commit, part, changes=changes) for part in removed]
    _write(ledger, table, commit.commit, [*actions, *_adds(ledger, commit, added, changes=changes)])


def _write(ledger: Ledger, table: DeltaTable, number: int, actions: Iterable[AddAction | RemoveAction]) -> None:
    from deltalake.transaction import CommitProperties, Transaction

    repository = ledger.layout.repository
    told = {REPOSITORY: repository, COMMIT: number, SHA256: ledger.sha256(number)}
    with _told(ledger.store):
        table.create_write_transaction(
            list(actions),
            mode="append",
            schema=table.schema(),
            partition_by=_PARTITION_BY,
            commit_properties=CommitProperties(
                custom_metadata=told, app_transactions=[Transaction(application(repository), number)]
            ),
        )
    logger.info("Commit %d of repository %s is in the table", number, repository)


def _adds(ledger: Ledger, commit: Commit, parts: Iterable[Part], *, changes: bool) -> list[AddAction]:
    from deltalake.transaction import AddAction

    def add(part: Part) -> AddAction:
        return AddAction(
            path=part.path.removeprefix(f"{ROOT}/"),
            size=part.size,
            partition_values=_partition(ledger, part),
            modification_time=_milliseconds(commit),
            data_change=changes,
            stats=statistics(ledger.store, part),
        )

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(add, parts))


def _milliseconds(commit: Commit) -> int:
    return int(commit.committed_at.timestamp() * 1000)


def _remove(ledger: Ledger, commit: Commit, part: Part, *, changes: bool) -> RemoveAction:
    from deltalake.transaction import RemoveAction

    return RemoveAction(
        path=part.path.removeprefix(f"{ROOT}/"),
        data_change=changes,
        deletion_timestamp=_milliseconds(commit),
        size=part.size,
        partition_values=_partition(ledger, part),
    )


def _partition(ledger: Ledger, part: Part) -> dict[str, str | None]:
    return {
        "repository": ledger.layout.repository,
        "event_class": part.event_class,
        "event_date": part.event_date,
    }


def _add_columns(table: DeltaTable, store: Store) -> None:
    """Give the table the columns that came with a newer release."""
    there = {field.name for field in table.schema().fields}
    if missing := [field.name for field in table_schema() if field.name not in there]:
        deltalake = _library()
        from deltalake.transaction import CommitProperties

        fields = [field for field in deltalake.Schema.from_arrow(table_schema()).fields if field.name in missing]
        with _told(store):
            table.alter.add_columns(fields, commit_properties=CommitProperties(custom_metadata={CREATED: "1"}))


def _library() -> Any:
    try:
        import deltalake
    except ImportError:
        raise ConfigurationError(
            "a lake with a table needs the library deltalake, which is not installed",
            do=f"Install it ({install_command('delta')}); a new lake without a table is made with table=None",
        ) from None
    return deltalake


def _conflicts() -> tuple[type[Exception], ...]:
    from deltalake.exceptions import CommitFailedError

    return (CommitFailedError,)


@contextmanager
def _told(store: Store) -> Iterator[None]:
    """Tell errors of the library in words of ours, without its own, which may quote addresses and contents."""
    from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, TableNotFoundError

    about = store.uri(TABLE_LOG)
    try:
        yield
    except CommitFailedError:
        raise
    except TableNotFoundError:
        raise TableError("the lake has no table, or a damaged one", do=_ANEW, about=about) from None
    except DeltaProtocolError:
        found = "the table needs a newer reader or writer than this one"
        raise TableError(found, do=f"Upgrade the provider and deltalake. {_ANEW}", about=about) from None
    except (DeltaError, ValueError) as error:
        found = f"the table's log does not read ({type(error).__name__})"
        raise TableError(found, do=f"See that our DAGs are its only writers. {_ANEW}", about=about) from None
    except OSError as error:
        raise LakeError(
            f"the store did not answer the table's library ({type(error).__name__})",
            do="See that the lake's credentials may list, read and write; the next run publishes what is missing",
            about=about,
        ) from None
