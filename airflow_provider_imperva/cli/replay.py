"""``imperva-logs replay``: logs loaded again from ``raw/``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_keys,
    add_lake,
    add_raw_key,
    load_keys,
    load_raw_key,
    one_repository,
    open_lake,
    print_error,
)
from airflow_provider_imperva.cli.trust import add_seal, open_ledger_to_write
from airflow_provider_imperva.errors import LedgerConflictError

if TYPE_CHECKING:
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Commit, Plan
    from airflow_provider_imperva.repository.client import RepositoryClient

_COMMITS_LOOKED_AT = 50
"""Commits by which is judged whether rows have pseudonyms; those without rows say nothing."""

_API_ID, _API_KEY = "IMPERVA_API_ID", "IMPERVA_API_KEY"


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("replay", help="load logs again from raw/", description=_replay.__doc__)
    add_lake(command)
    command.add_argument("--log", action="append", default=[], dest="logs", metavar="NAME", help="name of a log")
    command.add_argument(
        "--sequence", action="append", default=[], dest="sequences", metavar="PREFIX:FROM-TO", help="range of numbers"
    )
    command.add_argument("--since", metavar="TIME", help="logs that start at this time or later; UTC")
    command.add_argument("--until", metavar="TIME", help="logs that start before this time; UTC")
    state = command.add_mutually_exclusive_group()
    state.add_argument(
        "--state",
        choices=["quarantined", "committed"],
        help="logs in quarantine, as a whole or in part; or loaded ones",
    )
    state.add_argument("--all", action="store_const", const="all", dest="state", help="every log that was loaded")
    add_keys(command)
    command.add_argument(
        "--fetch",
        metavar="URL",
        help="ask the repository at this Log Server URL for what does not decode, while it has it; API ID and key"
        f" come from {_API_ID} and {_API_KEY}",
    )
    command.add_argument("--keep-raw", action="store_true", help="fill the column raw; say so if your DAG does")
    for kind, usual in (("encrypted", "quarantine"), ("clear", "warn")):
        command.add_argument(
            f"--{kind}-checksum",
            choices=["quarantine", "warn"],
            default=usual,
            help=f"what becomes of a log that is {kind} and has a wrong checksum; {usual}. Give what your DAG's"
            " decode_policy has",
        )
    command.add_argument(
        "--redaction",
        metavar="FILE",
        help="rules of redaction in a YAML file, or `off`; the default rules without it. Give what your DAG has",
    )
    add_raw_key(command)
    add_seal(command)
    command.add_argument("--dry-run", action="store_true", help="only show what would be replayed")
    command.add_argument(
        "--recover", action="store_true", help="recover the plan of a run that died; not of one that lives"
    )
    command.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> int:
    """Load logs again from raw/, with all that were loaded in the same batches.

    The logs that meet every condition are replayed. A batch stays as it is if a log of it that is loaded would not
    decode now.
    """
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Run
    from airflow_provider_imperva.load.normalize import NormalizeOptions
    from airflow_provider_imperva.load.replay import Selection, find_batches, make_replay_plan, replay
    from airflow_provider_imperva.options import DecodePolicy
    from airflow_provider_imperva.privacy.protection import Protection
    from airflow_provider_imperva.privacy.pseudonyms import VERSION_KEY as PSEUDONYMS
    from airflow_provider_imperva.privacy.rules import redaction_rules

    selection = Selection.of(
        names=options.logs,
        sequences=options.sequences,
        since=options.since,
        until=options.until,
        state=options.state,
    )
    protection = Protection(redaction_rules(False if options.redaction == "off" else options.redaction))
    policy = DecodePolicy(encrypted_checksum=options.encrypted_checksum, clear_checksum=options.clear_checksum)
    keys = load_keys(options)
    store = open_lake(options)
    repository = one_repository(store, options.repository)
    if options.dry_run:
        ledger = Ledger(store, repository)
        batch_ids = find_batches(ledger, selection)
        logs = [log for loaded in batch_ids.values() for log in loaded.logs]
        rows, quarantined = sum(log.rows for log in logs), sum(log.quarantined_lines for log in logs)
        _print_figures(("would be replayed", len(batch_ids), len(logs), rows, quarantined))
        return 0
    ledger = open_ledger_to_write(options, store, repository, master=load_raw_key(options))
    if any(PSEUDONYMS in protection for protection in _protections(ledger)):
        return print_error(
            "The rows of this lake have pseudonyms, whose key is in an Airflow connection. Replay with"
            " ImpervaReplayLogsOperator, which has the option pseudonyms.",
            code=2,
        )
    run = Run("imperva-logs replay", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {os.getpid()}")
    plan = make_replay_plan(ledger, run=run, selection=selection, take_over=options.recover)
    if plan is None:
        print("Nothing to replay: no log that was loaded is selected.")
        return 0
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal) as progress, _client(options) as client:
            bar = progress.add_task("Replaying", total=plan.logs)
            commit = replay(
                ledger,
                keys,
                plan,
                options=NormalizeOptions(policy=policy, keep_raw=options.keep_raw, protection=protection),
                client=client,
                on_log=lambda: progress.advance(bar),
            )
    except LedgerConflictError as error:
        return print_error(f"Another run took over: {error} Pause its DAG to replay at once.", code=1)
    except KeyboardInterrupt:
        return print_error("Interrupted. The next run does the rest; or replay again, with --recover.", code=130)
    return _print_outcome(plan, commit)


def _protections(ledger: Ledger) -> Iterator[dict[str, str]]:
    """Yield how the rows of the last commits are protected."""
    for commit in islice(ledger.commits(newest_first=True), _COMMITS_LOOKED_AT):
        yield from commit.protections


def _client(options: argparse.Namespace) -> AbstractContextManager[RepositoryClient | None]:
    """Open the repository to fetch from, if anything is to be fetched."""
    from airflow_provider_imperva.repository.client import RepositoryClient

    if options.fetch is None:
        return nullcontext()
    return RepositoryClient(url=options.fetch, login=os.environ.get(_API_ID, ""), password=os.environ.get(_API_KEY, ""))


def _print_outcome(plan: Plan, commit: Commit) -> int:
    kept = [batch for batch in commit.batches if batch not in commit.replaced]
    totals = commit.totals
    _print_figures(
        ("replayed", len(commit.replaced), sum(totals.logs.values()), totals.rows, totals.quarantined_lines),
        ("left as they were", len(kept), sum(len(plan.batches[batch]) for batch in kept), 0, 0),
        ("failed", len(commit.failed_batches), sum(len(plan.batches[batch]) for batch in commit.failed_batches), 0, 0),
    )
    if kept:
        print_error("batches were left as they were, since logs in them, named above, would be worse off", code=1)
    if commit.failed_batches:
        print_error("batches failed; the next run does them again", code=1)
    return 1 if kept or commit.failed_batches else 0


def _print_figures(*lines: tuple[str, int, int, int, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "batches", "logs", "rows", "lines in quarantine")
    for outcome, *figures in lines:
        table.add_row(outcome, *map(str, figures))
    Console().print(table)
