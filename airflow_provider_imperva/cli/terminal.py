"""What the commands share: the lake and the keys that options name, complaints, progress."""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_imperva.documentation import troubleshooting
from airflow_provider_imperva.errors import ConfigurationError, ImpervaError
from airflow_provider_imperva.uri import LakeUri

if TYPE_CHECKING:
    from airflow_provider_imperva.container.keys import KeyRing
    from airflow_provider_imperva.lake.data_keys import MasterKeys
    from airflow_provider_imperva.lake.records import Run
    from airflow_provider_imperva.lake.store import Store

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

INCOMPLETE = 3
"""Exit code of a lake that is what its ledger says, where logs are missing all the same."""


def print_error(problem: ImpervaError | str, *, code: int) -> int:
    """Say on stderr what is wrong; return the exit code."""
    print(f"imperva-logs: {problem}", file=sys.stderr)
    if isinstance(problem, ImpervaError) and code:
        print(f"What it means: {troubleshooting(problem.reason)}", file=sys.stderr)
    return code


def print_report(lines: Iterable[str]) -> None:
    """Print lines that may begin with a label, wrapped beside it on a terminal; other programs get them whole."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in lines:
        indent = " " * min(len(_LABEL.match(line)[0]), _LONGEST_LABEL)  # type: ignore[index]
        pieces = textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        )
        print("\n".join(pieces))


_LABEL = re.compile(r" *(?:\S+(?: \S+)*  +)?")
"""What stands before a text: an indentation, and a label that two blanks or more end."""
_LONGEST_LABEL = 24


def number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Return what reads an option's number between two bounds, both included."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return value

    return read


def add_root(command: argparse.ArgumentParser) -> None:
    """Let a command ask for a lake."""
    command.add_argument("lake", metavar="LAKE", help="root of the lake: a folder, s3://bucket/prefix, ...")


def add_lake(command: argparse.ArgumentParser) -> None:
    """Let a command ask for a lake, and a repository in it."""
    add_root(command)
    command.add_argument("--repository", metavar="ID", help="repository in it; needless if there is only one")


def open_lake(options: argparse.Namespace) -> Store:
    """Open the lake that was asked for."""
    from airflow_provider_imperva.lake.store import open_store

    return open_store(str(LakeUri.of_shell(options.lake)))


def one_repository(store: Store, repository: str | None) -> str:
    """Return the repository that was asked for, or the only one there is.

    :raises ConfigurationError: if there is no such one, or it is not clear which.
    """
    names = [name.removeprefix("repository=") for name in store.folders("ledger")]
    named = [name for name in names if repository in (None, name)]
    if len(named) != 1:
        raise ConfigurationError(
            f"the lake has ledgers of {len(names)} repositories: {', '.join(names) or 'none'}",
            do="Check the lake, and name one of its repositories with --repository",
            about=store.uri(),
        )
    return named[0]


def command_run(name: str) -> Run:
    """Return who writes to a ledger: a command, at this moment."""
    from airflow_provider_imperva.lake.records import Run

    return Run(f"imperva-logs {name}", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {os.getpid()}")


def add_recover(command: argparse.ArgumentParser) -> None:
    """Let a command recover the plan of another run."""
    command.add_argument(
        "--recover", action="store_true", help="recover the plan of a run that died; not of one that lives"
    )


def add_keys(command: argparse.ArgumentParser) -> None:
    """Let a command ask for private keys."""
    command.add_argument("--keys", type=Path, metavar="DIR", help="folder with <publicKeyId>/Private.key")
    command.add_argument("--passphrase-env", metavar="NAME", help="environment variable with the keys' passphrase")


def load_keys(options: argparse.Namespace) -> KeyRing:
    """Load the private keys that were asked for; none if none were."""
    from airflow_provider_imperva.container import KeyRing

    if options.keys is None:
        if options.passphrase_env is not None:
            raise ConfigurationError(
                "--passphrase-env opens keys, and there are none", do="Name their folder with --keys"
            )
        return KeyRing()
    ring = KeyRing.from_folder(options.keys, passphrase=passphrase(options.passphrase_env))
    for problem in (*ring.problems, *ring.cautions):
        print_error(problem, code=0)
    return ring


def add_raw_key(command: argparse.ArgumentParser) -> None:
    """Let a command ask for what opens a ``raw/`` that is encrypted."""
    command.add_argument(
        "--raw-key", metavar="FILE", help="file with the key (or keys) that raw/ is encrypted by: raw_encryption_key"
    )


def load_raw_key(options: argparse.Namespace) -> MasterKeys | None:
    """Load that key; None if there is none.

    :raises ConfigurationError: if it is not one.
    """
    from airflow_provider_imperva.lake.data_keys import AesKeys

    if options.raw_key is None:
        return None
    try:
        text = Path(options.raw_key).read_text("utf-8")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "is not text"
        raise ConfigurationError(f"cannot be read: {problem}", do="Name a file with a key", about="--raw-key") from None
    return AesKeys.of_text(text, about="--raw-key")


def passphrase(variable: str | None) -> str | None:
    """Return the passphrase that an environment variable has; None without a variable."""
    if variable is None:
        return None
    if variable not in os.environ:
        raise ConfigurationError("is not set", do="Put the passphrase of the private keys into it", about=variable)
    return os.environ[variable]


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the work is, a bar for each step of it; nothing if stderr is not a terminal.

    Yields a function that takes what is being done, how much of it is done, and of how much.
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what)
            progress.update(bars[what], completed=done, total=total)

        yield report
