"""The console script ``imperva-logs``; needs no Airflow.

Every command is a function that takes the parsed arguments and returns the exit code: 0 when all went well, 1 when
part of the work could not be done, 2 when nothing could be started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import ConfigurationError, ContainerError, ImpervaError, LedgerConflictError

if TYPE_CHECKING:
    from airflow_provider_imperva.container.keys import KeyRing
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Commit, Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python flushes once more on its way out, so give it a place to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except ImpervaError as error:
        return _complain(error, code=2)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imperva-logs", description="Logs of Imperva Cloud WAF, on the command line.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    decode = commands.add_parser("decode", help="write the plain lines of logs to stdout", description=_decode.__doc__)
    decode.add_argument("files", nargs="+", metavar="FILE", help="a log as received; - is stdin")
    _add_keys(decode)
    decode.set_defaults(run=_decode)

    replay = commands.add_parser("replay", help="load logs again from raw/", description=_replay.__doc__)
    replay.add_argument("lake", metavar="LAKE", help="root of the lake: a folder, s3://bucket/prefix, ...")
    replay.add_argument("--repository", metavar="ID", help="repository in it; needless if there is only one")
    replay.add_argument("--log", action="append", default=[], dest="logs", metavar="NAME", help="name of a log")
    replay.add_argument(
        "--sequence", action="append", default=[], dest="sequences", metavar="PREFIX:FROM-TO", help="range of numbers"
    )
    replay.add_argument("--since", metavar="TIME", help="logs that start at this time or later; UTC")
    replay.add_argument("--until", metavar="TIME", help="logs that start before this time; UTC")
    state = replay.add_mutually_exclusive_group()
    state.add_argument(
        "--state",
        choices=["quarantined", "committed"],
        help="logs in quarantine, as a whole or in part; or loaded ones",
    )
    state.add_argument("--all", action="store_const", const="all", dest="state", help="every log that was loaded")
    _add_keys(replay)
    replay.add_argument("--keep-raw", action="store_true", help="fill the column raw; say so if your DAG does")
    replay.add_argument("--dry-run", action="store_true", help="only show what would be replayed")
    replay.add_argument(
        "--recover", action="store_true", help="recover the plan of a run that died; not of one that lives"
    )
    replay.set_defaults(run=_replay)

    deliveries = commands.add_parser(
        "deliveries", help="say which logs came only one way", description=_deliveries.__doc__
    )
    deliveries.add_argument("lake", metavar="LAKE", help="root of the lake: a folder, s3://bucket/prefix, ...")
    deliveries.add_argument(
        "repositories", nargs="+", metavar="REPOSITORY", help="the ways of one account, two or more"
    )
    deliveries.set_defaults(run=_deliveries)
    return parser


def _add_keys(command: argparse.ArgumentParser) -> None:
    command.add_argument("--keys", type=Path, metavar="DIR", help="folder with <publicKeyId>/Private.key")
    command.add_argument("--passphrase-env", metavar="NAME", help="environment variable with the keys' passphrase")


def _decode(options: argparse.Namespace) -> int:
    """Decrypt, inflate and verify logs and write their plain lines to stdout, byte for byte.

    Nothing is written of a log that does not verify; the others are written all the same.
    """
    from airflow_provider_imperva.container import decode

    keys = _keys(options)
    code = 0
    ended = True
    for file in options.files:
        try:
            content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            plain = decode(content, log=file, keys=keys)
        except ContainerError as error:
            code = _complain(error, code=1)
            continue
        except OSError as error:
            code = _complain(f"{file}: {error.strerror}. Name a file that can be read.", code=1)
            continue
        # Two logs must not share a line because the first lacks its last line end.
        if not ended:
            sys.stdout.buffer.write(b"\n")
        for chunk in plain.chunks():
            sys.stdout.buffer.write(chunk)
            ended = chunk.endswith(b"\n")
    return code


def _replay(options: argparse.Namespace) -> int:
    """Load logs again from raw/, with all that were loaded in the same batches; nothing is fetched.

    The logs that meet every condition are replayed. A batch stays as it is if a log of it that is loaded would not
    decode now.
    """
    from airflow_provider_imperva.lake.records import Run
    from airflow_provider_imperva.load.normalize import NormalizeOptions
    from airflow_provider_imperva.load.replay import Selection, find_homes, make_replay_plan, replay

    selection = Selection.of(
        names=options.logs,
        sequences=options.sequences,
        since=options.since,
        until=options.until,
        state=options.state,
    )
    ledger = _ledger(options.lake, options.repository)
    if options.dry_run:
        homes = find_homes(ledger, selection)
        logs = [log for home in homes.values() for log in home]
        rows, quarantined = sum(log.rows for log in logs), sum(log.quarantined_lines for log in logs)
        _print_figures(("would be replayed", len(homes), len(logs), rows, quarantined))
        return 0
    keys = _keys(options)
    run = Run("imperva-logs replay", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {os.getpid()}")
    plan = make_replay_plan(ledger, run=run, selection=selection, take_over=options.recover)
    if plan is None:
        print("Nothing to replay: no log that was loaded is selected.")
        return 0
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("Replaying", total=plan.logs)
            commit = replay(
                ledger,
                keys,
                plan,
                options=NormalizeOptions(keep_raw=options.keep_raw),
                on_log=lambda: progress.advance(bar),
            )
    except LedgerConflictError as error:
        return _complain(f"Another run took over: {error} Pause its DAG to replay at once.", code=1)
    except KeyboardInterrupt:
        return _complain("Interrupted. The next run does the rest; or replay again, with --recover.", code=130)
    return _print_outcome(plan, commit)


def _deliveries(options: argparse.Namespace) -> int:
    """Say which logs of an account came by all of its ways, and which only by one.

    An account whose logs are pulled from Imperva and delivered by it has a repository for each way in the lake. Looked
    at is the time in which every way brought logs. Exits with 1 if a log did not come by all.
    """
    from airflow_provider_imperva.lake.store import open_store
    from airflow_provider_imperva.load.ways import compare_ways

    if len(set(options.repositories)) < 2:
        raise ConfigurationError("a single way", do="Name two repositories or more, which the same logs come to")
    ways = compare_ways(open_store(options.lake), options.repositories)
    print(f"From {ways.since:%Y-%m-%d %H:%M} to {ways.until:%Y-%m-%d %H:%M} UTC, {ways.by_all} logs came by all ways.")
    for repository, logs in ways.only.items():
        print(f"{len(logs)} came by {repository} and not by all others{':' if logs else '.'}")
        for log in logs:
            print(f"  {log.at:%Y-%m-%d %H:%M}  {log.name}" + (f"  {log.delivered_as!a}" if log.delivered_as else ""))
    return 1 if any(ways.only.values()) else 0


def _print_outcome(plan: Plan, commit: Commit) -> int:
    kept = [batch for batch in commit.batches if batch not in commit.replaced]
    totals = commit.totals
    _print_figures(
        ("replayed", len(commit.replaced), sum(totals.logs.values()), totals.rows, totals.quarantined_lines),
        ("left as they were", len(kept), sum(len(plan.batches[batch]) for batch in kept), 0, 0),
        ("failed", len(commit.failed_batches), sum(len(plan.batches[batch]) for batch in commit.failed_batches), 0, 0),
    )
    if kept:
        _complain("batches were left as they were, since logs in them, named above, would be worse off", code=1)
    if commit.failed_batches:
        _complain("batches failed; the next run does them again", code=1)
    return 1 if kept or commit.failed_batches else 0


def _print_figures(*lines: tuple[str, int, int, int, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "batches", "logs", "rows", "lines in quarantine")
    for outcome, *figures in lines:
        table.add_row(outcome, *map(str, figures))
    Console().print(table)


def _ledger(lake: str, repository: str | None) -> Ledger:
    """Open the ledger of a repository, or of the only one there is."""
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.store import open_store

    store = open_store(lake)
    found = [name.removeprefix("repository=") for name in store.folders("ledger")]
    named = [name for name in found if repository in (None, name)]
    if len(named) != 1:
        raise ConfigurationError(
            f"the lake has ledgers of {len(found)} repositories: {', '.join(found) or 'none'}",
            do="Check the lake, and name one of its repositories with --repository",
            about=lake,
        )
    return Ledger(store, named[0])


def _keys(options: argparse.Namespace) -> KeyRing:
    from airflow_provider_imperva.container import KeyRing

    if options.keys is None:
        return KeyRing()
    return KeyRing.from_folder(options.keys, passphrase=_passphrase(options.passphrase_env))


def _passphrase(variable: str | None) -> str | None:
    if variable is None:
        return None
    if variable not in os.environ:
        raise ConfigurationError("is not set", do="Put the passphrase of the private keys into it", about=variable)
    return os.environ[variable]


def _complain(problem: ImpervaError | str, *, code: int) -> int:
    print(f"imperva-logs: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
