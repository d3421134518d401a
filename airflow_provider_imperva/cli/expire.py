"""``imperva-logs expire`` and ``oldest``: what leaves a lake by a policy, and from which day on it has data."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_lake,
    add_recover,
    command_run,
    open_lake,
    print_error,
    progress_bar,
)
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write

if TYPE_CHECKING:
    from airflow_provider_imperva.retention.expire import Expiry


def add_to(commands: Commands) -> None:
    """Add the commands."""
    command = commands.add_parser("expire", help="remove what a retention policy lets go", description=_expire.__doc__)
    add_lake(command)
    command.add_argument("--policy", metavar="FILE", required=True, help="YAML file with the days of each class")
    command.add_argument("--dry-run", action="store_true", help="only show what would leave")
    add_seal(command)
    add_recover(command)
    command.set_defaults(run=_expire)
    oldest = commands.add_parser("oldest", help="show the oldest day of each class", description=_oldest.__doc__)
    add_lake(oldest)
    oldest.add_argument("--json", action="store_true", help="write it as JSON")
    oldest.set_defaults(run=_oldest)


def _expire(options: argparse.Namespace) -> int:
    """Remove events, bytes as received and quarantine that are older than a policy allows.

    The ledger says what left and by which rule, so `verify` accounts for it. What a hold covers stays. Objects are
    deleted at once, or after seven days if the lake has a table. Exits with 1 if a hold kept anything back.
    """
    from rich.console import Console
    from rich.table import Table

    from airflow_provider_imperva.audit.history import repositories
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.retention.expire import expire
    from airflow_provider_imperva.retention.policy import RetentionPolicy

    policy = RetentionPolicy.of(options.policy)
    store = open_lake(options)
    names = repositories(store, only=options.repository)
    done: dict[str, Expiry] = {}
    with progress_bar() as progress:
        for name in names:
            done[name] = expire(
                Ledger(store, name) if options.dry_run else open_ledger_to_write(options, store, name),
                policy,
                run=command_run("expire"),
                dry_run=options.dry_run,
                take_over=options.recover,
                progress=progress,
            )
    shown = Table("repository", "class", "objects", "rows", "bytes", title="Would leave" if options.dry_run else "Left")
    for name, expiry in done.items():
        for what, count in expiry.counts.items():
            shown.add_row(name, what, f"{count.objects:,}", f"{count.rows:,}", f"{count.size:,}")
    Console().print(shown)
    held = {reference: count for expiry in done.values() for reference, count in expiry.held.items()}
    for reference, objects in held.items():
        print_error(f"{objects} objects are old enough, and stay: hold {reference} covers them", code=1)
    return 1 if held else 0


def _oldest(options: argparse.Namespace) -> int:
    """Show the oldest UTC day that can be queried of each class of events, and since when there are bytes in raw/."""
    import json

    from rich.console import Console
    from rich.table import Table

    from airflow_provider_imperva.audit.history import repositories
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.retention.expire import oldest_days

    store = open_lake(options)
    oldest = {name: oldest_days(Ledger(store, name)) for name in repositories(store, only=options.repository)}
    if options.json:
        print(json.dumps(oldest, indent=1))
        return 0
    shown = Table("repository", "class", "oldest day")
    for name, days in oldest.items():
        for what, day in days.items():
            shown.add_row(name, what, day or "none")
    Console().print(shown)
    return 0
