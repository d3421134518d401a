"""``imperva-logs table``: the table of a lake, and how far it is."""

from __future__ import annotations

import argparse
from functools import partial

from airflow_provider_imperva.cli.terminal import Commands, add_root, open_lake


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("table", help="show, make or publish a lake's table", description=_table.__doc__)
    add_root(command)
    command.add_argument(
        "--create",
        nargs="?",
        const="delta",
        choices=["delta", "iceberg"],
        help="make the table if there is none, and publish; a Delta table unless you say iceberg",
    )
    command.add_argument(
        "--catalog",
        metavar="NAME",
        help="catalog of an Iceberg table, as pyiceberg's configuration calls it; by default the one that the table was"
        " made in, and for a new table a SQLite file in the lake",
    )
    command.add_argument("--publish", action="store_true", help="bring the table up to the ledger")
    command.set_defaults(run=_table)


def _table(options: argparse.Namespace) -> int:
    """Show which commit of each repository a lake's table shows; make it, or bring it up to the ledger.

    The table is made from the ledger alone, so this can be broken off anywhere and run again, also while the lake is
    loaded. Exits with 1 if the table is behind the ledger.
    """
    from rich.console import Console
    from rich.table import Table

    from airflow_provider_imperva.audit.history import repositories
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.table.catalog import configured_catalog
    from airflow_provider_imperva.table.changes import changes, last_commit
    from airflow_provider_imperva.table.publish import create_table, open_table, publish

    store = open_lake(options)
    if options.catalog:
        store.catalog = partial(configured_catalog, options.catalog)
    ledgers = [Ledger(store, repository) for repository in repositories(store)]
    if options.create:
        create_table(store, options.create)
    if options.create or options.publish:
        for ledger in ledgers:
            publish(ledger)
    table = open_table(store)
    shown = Table("repository", "commits", "in the table", title=f"{table.about}, version {table.version}")
    lags = False
    for ledger in ledgers:
        published = table.published(ledger.layout.repository)
        lags |= any(True for _ in changes(ledger, published))
        shown.add_row(ledger.layout.repository, str(last_commit(ledger)), str(published or 0))
    Console().print(shown)
    return 1 if lags else 0
