"""Publishing: the commits of a ledger become versions of the lake's table, by a function that can run again.

The table itself says how far each repository is, and whoever publishes reads it and adds what comes after. Of two who
add the same commit, one is refused.
"""

from __future__ import annotations

import logging
import time

from airflow_provider_imperva.errors import ConfigurationError, TableError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.table import checkpoints, delta, iceberg
from airflow_provider_imperva.table.changes import (
    ATTEMPTS,
    Table,
    TableConflictError,
    changes,
    last_commit,
    pause,
    too_busy,
)

logger = logging.getLogger(__name__)


def table_kind(store: Store) -> TableKind | None:
    """Return which kind of table a lake has; None if it has none."""
    if delta.is_there(store):
        return "delta"
    return "iceberg" if iceberg.is_there(store) else None


def create_table(store: Store, kind: TableKind = "delta") -> None:
    """Make a lake's table, without rows, if it has none.

    :raises ConfigurationError: if the library is missing, the lake is in a store that can have no table, or it has a
        table of another kind.
    :raises TableError: if what is there is no table of ours.
    """
    there = table_kind(store)
    if there not in (kind, None):
        raise ConfigurationError(
            f"the lake has a table of kind {there} already",
            do=f"Go on with it, or remove it before you make one of kind {kind}: docs/how-to/table.md says how",
            about=store.uri(),
        )
    (delta.create if kind == "delta" else iceberg.create)(store)


def open_table(store: Store) -> Table:
    """Open a lake's table, and see that it is as we left it.

    :raises TableError: if there is none, it is damaged, of another version, or its last version is not ours.
    :raises ConfigurationError: if the library is missing, or nothing says how its catalog is reached.
    """
    kind = table_kind(store)
    if kind is None:
        raise TableError(
            "the lake has no table", do="Run imperva-logs table LAKE --create to make one", about=store.uri()
        )
    return delta.Delta.open(store) if kind == "delta" else iceberg.Iceberg.open(store)


def _open_to_write(store: Store) -> Table:
    """Open a lake's table as :func:`open_table` does, and delete what keeps it from being read without need."""
    try:
        return open_table(store)
    except TableError:
        if not checkpoints.drop_damaged(store):
            raise
    return open_table(store)


def publish(ledger: Ledger) -> int:
    """Bring a repository's part of the table up to its ledger.

    Killed anywhere, run again or run by several at once, it publishes each commit once. A repository that the table
    does not have yet comes with all of its live parts at once.

    :returns: the last commit of the ledger: the table shows all up to it.
    :raises TableError: if the table cannot be written to.
    """
    head = last_commit(ledger)
    for attempt in range(ATTEMPTS):
        began = time.monotonic()
        table = _open_to_write(ledger.store)
        took = time.monotonic() - began
        try:
            table.add_columns()
            for change in changes(ledger, table.published(ledger.layout.repository)):
                table.write(change)
                logger.info("Commit %d of repository %s is in the table", change.commit, change.repository)
        except TableConflictError:
            # Somebody else was quicker: perhaps with the same commit, which the table shows.
            logger.info("Another run wrote to the table meanwhile: trying again")
            pause(attempt, took=took)
            continue
        return head
    raise too_busy(ledger.store.uri())
