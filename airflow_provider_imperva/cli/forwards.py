"""``imperva-logs forwards``: how far each SIEM is that logs are forwarded to."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import Commands, add_lake, one_repository, open_lake

if TYPE_CHECKING:
    from airflow_provider_imperva.lake.forwards import Forwarded


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("forwards", help="say how far each SIEM is", description=_forwards.__doc__)
    add_lake(command)
    command.add_argument("--json", action="store_true", help="write it as JSON")
    command.set_defaults(run=_forwards)


def _forwards(options: argparse.Namespace) -> int:
    """Say of each destination how many commits and lines it has acknowledged, and how far it is behind."""
    import msgspec

    from airflow_provider_imperva.lake.forwards import Forwards, destinations
    from airflow_provider_imperva.lake.ledger import Ledger

    store = open_lake(options)
    ledger = Ledger(store, one_repository(store, options.repository))
    repository = ledger.layout.repository
    last = ledger.head(with_plan=False).next_commit - 1
    rows = []
    for name in destinations(store, repository):
        forwards = Forwards(store, repository, name)
        status = forwards.status(last, lambda number: ledger.commit(number).committed_at, at=datetime.now(UTC))
        rows.append(msgspec.to_builtins(status) | _sums(list(forwards.all())))
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Column, Table

    if not rows:
        print("Nothing was forwarded yet.")
        return 0
    # Narrow enough for a terminal of 80 columns.
    table = Table(Column("destination", overflow="fold"), box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("commits", "pending", "behind", "lines", "left out", "rejected", "again"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        lag = str(timedelta(seconds=int(row["lag_seconds"])))
        figures = (
            row["sent"],
            row["pending"],
            lag,
            row["lines_sent"],
            row["filtered"],
            row["rejected"],
            row["resent"],
        )
        table.add_row(row["destination"], *map(str, figures))
    Console().print(table)
    for row in rows:
        if row["unread"] or row["removed"]:
            print(
                f"{row['destination']}: raw/ lacked the bytes of further lines: retention had removed {row['removed']},"
                f" and {row['unread']} were missing for no reason that the ledger gives."
            )
    return 0


def _sums(outcomes: list[Forwarded]) -> dict[str, int]:
    return {
        "lines": sum(outcome.lines for outcome in outcomes),
        "lines_sent": sum(outcome.sent for outcome in outcomes),
        "filtered": sum(sum(outcome.filtered.values()) for outcome in outcomes),
        "rejected": sum(sum(outcome.rejected.values()) for outcome in outcomes),
        "held_back": sum(outcome.held_back for outcome in outcomes),
        "unread": sum(outcome.unread for outcome in outcomes),
        "removed": sum(outcome.removed for outcome in outcomes),
        "truncated": sum(outcome.truncated for outcome in outcomes),
        "resent": sum(outcome.resent for outcome in outcomes),
        "bytes": sum(outcome.size for outcome in outcomes),
    }
