"""``imperva-logs compact``: small parts merged into few."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import Commands, add_lake, number, open_lake, print_error, progress_bar
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write

if TYPE_CHECKING:
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Commit, Plan
    from airflow_provider_imperva.options import CompactionOptions


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("compact", help="merge small parts into few", description=_compact.__doc__)
    add_lake(command)
    command.add_argument(
        "--quiet-hours",
        type=number(float, 0, 24 * 366),
        default=6.0,
        metavar="HOURS",
        help="for how long nothing must have been added to a class and date; 6",
    )
    command.add_argument(
        "--file-megabytes",
        type=number(int, 1, 4096),
        default=128,
        metavar="MB",
        help="about how large a merged part becomes; 128",
    )
    add_seal(command)
    command.add_argument("--dry-run", action="store_true", help="only show what would be merged")
    command.set_defaults(run=_compact)


def _compact(options: argparse.Namespace) -> int:
    """Merge the small parts of a lake, class by class and date by date, where fewer files come of it.

    The rows stay the same. It waits for runs that load, and can be broken off anywhere and run again.
    """
    from rich.console import Console
    from rich.table import Table

    from airflow_provider_imperva.audit.history import repositories
    from airflow_provider_imperva.lake.compaction import parts_to_merge
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.options import CompactionOptions

    store = open_lake(options)
    wanted = CompactionOptions(quiet=timedelta(hours=options.quiet_hours), file_bytes=int(options.file_megabytes) << 20)
    shown = Table("repository", "parts", "become", "rows")
    for repository in repositories(store, only=options.repository):
        if options.dry_run:
            ledger = Ledger(store, repository)
            batches = parts_to_merge(ledger, at=datetime.now(UTC), options=wanted)
            parts = [part for batch in batches for part in batch]
            shown.add_row(repository, str(len(parts)), str(len(batches)), str(sum(part.rows for part in parts)))
            continue
        try:
            commits = _merge(open_ledger_to_write(options, store, repository), wanted)
        except KeyboardInterrupt:
            return print_error(
                "Interrupted. What was merged is committed by the next run, or by this command.", code=130
            )
        shown.add_row(
            repository,
            str(sum(len(commit.removed) for commit in commits)),
            str(sum(len(commit.parts) for commit in commits)),
            str(sum(commit.carried_rows for commit in commits)),
        )
    Console().print(shown)
    return 0


def _merge(ledger: Ledger, wanted: CompactionOptions) -> list[Commit]:
    from airflow_provider_imperva.lake.records import Run
    from airflow_provider_imperva.load.compact import compact

    run = Run("imperva-logs compact", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {os.getpid()}")
    with progress_bar() as progress:
        return list(compact(ledger, run=run, options=wanted, on_batch=_reporter(progress)))


def _reporter(progress: Callable[[str, int, int], None]) -> Callable[[Plan], None]:
    done: dict[int, int] = {}

    def report(plan: Plan) -> None:
        done[plan.commit] = done.get(plan.commit, -1) + 1
        progress(f"Merging, plan {plan.commit}", done[plan.commit], len(plan.batches))

    return report
