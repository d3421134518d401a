"""``imperva-logs hold``: legal holds."""

from __future__ import annotations

import argparse
from datetime import date

from airflow_provider_imperva.cli.terminal import Commands, add_lake, add_recover, command_run, open_lake
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("hold", help="set, lift or list legal holds", description=_hold.__doc__)
    add_lake(command)
    command.add_argument("what", choices=["set", "lift", "list"])
    command.add_argument("--reference", metavar="TEXT", default="", help="of the case")
    command.add_argument("--by", metavar="TEXT", default="", help="who asks for it")
    command.add_argument("--why", metavar="TEXT", default="", help="the reason, for auditors")
    command.add_argument("--since", metavar="DATE", type=_date, help="first UTC date in its scope; all by default")
    command.add_argument("--until", metavar="DATE", type=_date, help="last UTC date in its scope")
    add_seal(command)
    add_recover(command)
    command.set_defaults(run=_hold)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-11-22") from None


def _hold(options: argparse.Namespace) -> int:
    """Keep what a legal hold covers: it does not expire, is not erased, and is not deleted for these reasons.

    Without --repository, a hold is set on, or lifted from, every repository of the lake.
    """
    from rich.console import Console
    from rich.table import Table

    from airflow_provider_imperva.audit.history import repositories
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.retention.holds import holds_in_force, lift_hold, set_hold

    store = open_lake(options)
    ledgers = [
        Ledger(store, name) if options.what == "list" else open_ledger_to_write(options, store, name)
        for name in repositories(store, only=options.repository)
    ]
    asked = {"reference": options.reference, "by": options.by, "why": options.why, "run": command_run("hold")}
    for ledger in ledgers:
        if options.what == "set":
            set_hold(ledger, **asked, since=options.since, until=options.until, take_over=options.recover)
        elif options.what == "lift":
            lift_hold(ledger, **asked, take_over=options.recover)
    shown = Table("repository", "reference", "days", "set at", "by", "why", title="Holds in force")
    for ledger in ledgers:
        for hold in holds_in_force(ledger):
            at = f"{hold.set_at:%Y-%m-%d %H:%M}"
            shown.add_row(ledger.layout.repository, hold.reference, hold.scope, at, hold.by, hold.why)
    Console().print(shown)
    return 0
