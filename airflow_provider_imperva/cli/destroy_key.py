"""``imperva-logs destroy-key``: the bytes of a month as received become unreadable, for good."""

from __future__ import annotations

import argparse

from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_lake,
    add_recover,
    command_run,
    one_repository,
    open_lake,
)
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "destroy-key", help="destroy the data key of a month of raw/", description=_destroy.__doc__
    )
    add_lake(command)
    command.add_argument("--month", required=True, metavar="YYYY-MM", help="which has to be over")
    command.add_argument("--by", required=True, metavar="TEXT", help="who asks for it")
    command.add_argument("--why", required=True, metavar="TEXT", help="the reason, for auditors")
    command.add_argument("--reference", required=True, metavar="TEXT", help="of the request")
    add_seal(command)
    add_recover(command)
    command.set_defaults(run=_destroy)


def _destroy(options: argparse.Namespace) -> int:
    """Destroy the data key of a month: what came then can never be read again in raw/, nor in any copy of it.

    The ledger says who asked, why, and the reference. Rows in events/ stay, and verify stays green; the logs cannot be
    replayed or forwarded any more. A hold that covers the month, or a log of it that is not loaded yet, is in the way.
    """
    from airflow_provider_imperva.retention.destroy import destroy_key

    store = open_lake(options)
    commit = destroy_key(
        open_ledger_to_write(options, store, one_repository(store, options.repository)),
        options.month,
        by=options.by,
        why=options.why,
        reference=options.reference,
        run=command_run("destroy-key"),
        take_over=options.recover,
    )
    print(f"Commit {commit.commit} has it. Delete the key in backups of keys/, too.")
    return 0
