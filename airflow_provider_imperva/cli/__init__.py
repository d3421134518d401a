"""The console script ``imperva-logs``; needs no Airflow.

Every command is a module that adds its parser, and a function that takes the parsed arguments and returns the exit
code: 0 when all went well, 1 when part of the work could not be done or something is wrong, 2 when nothing could be
started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from airflow_provider_imperva import __version__
from airflow_provider_imperva.cli import (
    accept,
    certificate,
    compact,
    coverage,
    decode,
    deliveries,
    destroy_key,
    erase,
    evidence,
    examples,
    expire,
    explain,
    forward,
    forwards,
    hold,
    ocsf,
    replay,
    report,
    table,
    verify,
)
from airflow_provider_imperva.cli.terminal import print_error
from airflow_provider_imperva.errors import ImpervaError

_COMMANDS = (
    *(decode, replay, verify, explain, certificate, accept, evidence, coverage, report),
    *(table, compact, expire, hold, erase, destroy_key, deliveries, forward, forwards, ocsf, examples),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        for ledger in getattr(options, "written", ()):
            if ledger.unsealed:
                code = print_error(f"the commit is made, but {'; '.join(ledger.unsealed)}", code=1)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python flushes once more on its way out, so give it a place to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except ImpervaError as error:
        return print_error(error, code=2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return print_error(f"{where}{error.strerror or type(error).__name__}. See that it can be read.", code=2)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imperva-logs", description="Logs of Imperva Cloud WAF, on the command line.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
