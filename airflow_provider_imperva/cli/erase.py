"""``imperva-logs erase``: a person is forgotten."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_keys,
    add_lake,
    add_raw_key,
    add_recover,
    command_run,
    load_keys,
    load_raw_key,
    open_lake,
    print_error,
    progress_bar,
)
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write

_KINDS = {
    "client_ip": "address of a client, also where it was forwarded",
    "visitor": "id of a visitor",
    "session": "id of a session",
    "account_name": "name of an account",
}


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("erase", help="erase a person from a lake", description=_erase.__doc__)
    add_lake(command)
    for kind, what in _KINDS.items():
        command.add_argument(f"--{kind.replace('_', '-')}", metavar="VALUE", help=f"{what}; - reads it from stdin")
    command.add_argument("--by", metavar="TEXT", default="", help="who asks for it; not the person")
    command.add_argument("--why", metavar="TEXT", default="", help="the reason, for auditors")
    command.add_argument("--reference", metavar="TEXT", default="", help="of the request")
    add_keys(command)
    add_raw_key(command)
    command.add_argument("--dry-run", action="store_true", help="only count what would leave")
    add_seal(command)
    add_recover(command)
    command.set_defaults(run=_erase)


def _erase(options: argparse.Namespace) -> int:
    """Erase a person: rows that are theirs, and the value in all others, in events/, quarantine/ and raw/.

    Bytes in raw/ cannot be edited, so those of each log that names the person leave as a whole, and the log cannot be
    replayed any more. The ledger keeps counts, who asked, why and the reference, never the value. Exits with 1 if
    something may be left: a log that is not loaded yet, or bytes that could not be looked into.
    """
    from rich.console import Console
    from rich.table import Table

    from airflow_provider_imperva.audit.history import repositories
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.privacy.pseudonyms import VERSION_KEY
    from airflow_provider_imperva.retention.erase import erase
    from airflow_provider_imperva.retention.subject import Subject

    given = {kind: getattr(options, kind) for kind in _KINDS}
    subject = Subject(**{kind: sys.stdin.readline() if value == "-" else value for kind, value in given.items()})
    keys = load_keys(options)
    store, master = open_lake(options), load_raw_key(options)
    ledgers = [
        Ledger(store, name, master=master)
        if options.dry_run
        else open_ledger_to_write(options, store, name, master=master)
        for name in repositories(store, only=options.repository)
    ]
    if any(
        VERSION_KEY in protection
        for ledger in ledgers
        for commit in ledger.commits()
        for protection in commit.protections
    ):
        return print_error(
            "The rows of this lake have pseudonyms, whose key is in an Airflow connection. Erase with"
            " ImpervaEraseOperator, which has the option pseudonyms.",
            code=2,
        )
    shown = Table("repository", "", "found", title="Would leave" if options.dry_run else "Left")
    code = 0
    with progress_bar() as progress:
        for ledger in ledgers:
            done = erase(
                ledger,
                subject,
                keys=keys,
                by=options.by,
                why=options.why,
                reference=options.reference,
                run=command_run("erase"),
                dry_run=options.dry_run,
                take_over=options.recover,
                progress=progress,
            )
            for what, count in done.trace.counts.items():
                shown.add_row(ledger.layout.repository, what.replace("_", " "), f"{count:,}")
            for warning in done.trace.warnings():
                code = print_error(f"{ledger.layout.repository}: {warning}", code=1)
    Console().print(shown)
    return code
