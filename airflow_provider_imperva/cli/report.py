"""``imperva-logs report``: what dashboards answer about the traffic, as one page."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from airflow_provider_imperva.cli.terminal import Commands, add_root, print_error
from airflow_provider_imperva.uri import LakeUri


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "report", help="draw the answers to twenty questions about the traffic", description=_run.__doc__
    )
    add_root(command)
    command.add_argument("--html", required=True, type=Path, metavar="FILE", help="write one self-contained page there")
    command.add_argument(
        "--first", type=date.fromisoformat, metavar="DAY", help="first day (UTC); 29 days before the last"
    )
    command.add_argument(
        "--last", type=date.fromisoformat, metavar="DAY", help="last day; the last one that has events"
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Ask the twenty questions of docs/how-to/questions.md about a period's committed events, and draw the answers.

    The lake has to be on a disk of this machine, and DuckDB installed. Files of other days are not opened.
    """
    from airflow_provider_imperva.audit.answers import ask, render

    lake = str(LakeUri.of_shell(options.lake)).removeprefix("file://")
    first, last, answers = ask(lake, first=options.first, last=options.last)
    page = render(answers, lake=lake, first=first, last=last)
    try:
        options.html.write_text(page, encoding="utf-8")
    except OSError as error:
        return print_error(f"{error.filename}: {error.strerror}. Name a file that can be written.", code=2)
    print(f"Written to {options.html}")
    return 0
