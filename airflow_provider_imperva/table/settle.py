"""Settling: what follows a commit. The table shows it, and what earlier commits removed is deleted when that is due.

Whoever commits settles, and so does the next run before it plans. A table that cannot be written to stops no loading.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError, ImpervaError, LakeError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import GRACE, TAKES_OUT, retire
from airflow_provider_imperva.lake.records import Commit, Run
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.table.publish import create_table, open_table, publish, table_kind

logger = logging.getLogger(__name__)


def settle(
    ledger: Ledger, commit: Commit, *, run: Run, create: TableKind | None = None, clock: Clock = wall_clock
) -> ImpervaError | None:
    """Publish a ledger to the lake's table, if there is one, and delete what is due.

    :param commit: one of the last.
    :param run: who does it.
    :param create: the table that a lake gets which has none, and was begun by a release that knows of tables.
    :returns: why the table does not show the commit; then nothing was deleted, since its readers may need it.
    """
    try:
        if create and not table_kind(ledger.store) and ledger.commit(1).v > 1:
            create_table(ledger.store, create)
        tabled = table_kind(ledger.store) is not None
        if tabled:
            publish(ledger)
        retire(
            ledger,
            commit,
            run=run,
            provider_version=__version__,
            at=clock(),
            grace=GRACE if tabled else timedelta(),
            before=partial(_forget_erased, ledger.store) if tabled else lambda _: None,
        )
    except (LakeError, ConfigurationError) as error:
        logger.error("Commit %d is made, but the table does not show it: %s", commit.commit, error)
        return error
    return None


def _forget_erased(store: Store, removals: Iterable[Commit]) -> None:
    """Clear away the table's history before rows that left are deleted: statistics of old versions name addresses."""
    if any(removal.kind in TAKES_OUT for removal in removals):
        open_table(store).forget_history()
