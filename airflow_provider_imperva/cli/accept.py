"""``imperva-logs accept``: to record that somebody accepts an exception."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime

from airflow_provider_imperva import __version__
from airflow_provider_imperva.cli.terminal import Commands, add_lake, one_repository, open_lake
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "accept", help="record that somebody accepts what is lost or wrong", description=_accept.__doc__
    )
    add_lake(command)
    command.add_argument(
        "--about",
        required=True,
        metavar="WHAT",
        help="numbers (8416_5, '8416_5 to 8416_9'), or what a finding of verify is about",
    )
    command.add_argument("--by", required=True, metavar="WHO", help="who accepts it")
    command.add_argument("--why", required=True, metavar="TEXT", help="on what grounds")
    command.add_argument("--reference", required=True, metavar="TEXT", help="a ticket, a report, ...")
    add_seal(command)
    command.set_defaults(run=_accept)


def _accept(options: argparse.Namespace) -> int:
    """Record in the ledger that somebody accepts an exception: it becomes a commit, like any other.

    verify lists such findings as accepted and is green for all that; a certificate leaves such numbers out of its
    verdict and says so. A broken chain or a wrong signature is never accepted.
    """
    from airflow_provider_imperva.lake.acceptance import accept
    from airflow_provider_imperva.lake.records import Run

    store = open_lake(options)
    ledger = open_ledger_to_write(options, store, one_repository(store, options.repository))
    commit = accept(
        ledger,
        about=options.about,
        by=options.by,
        why=options.why,
        reference=options.reference,
        run=Run("imperva-logs accept", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {os.getpid()}"),
        provider_version=__version__,
    )
    print(f"Commit {commit.commit} has it.")
    return 0
