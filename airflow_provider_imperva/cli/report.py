"""``imperva-logs report``: what dashboards answer about the traffic, as one page."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from airflow_provider_imperva.cli.terminal import Commands, add_root, open_lake, print_error
from airflow_provider_imperva.uri import LakeUri


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "report", help="draw the answers to questions about the traffic", description=_run.__doc__
    )
    add_root(command)
    command.add_argument(
        "--html", type=Path, metavar="FILE", help="write the page there; in the lake, as reports/traffic.html"
    )
    command.add_argument("--site", metavar="NAME", help="only of this site, by its site_name")
    command.add_argument(
        "--first", type=date.fromisoformat, metavar="DAY", help="first day (UTC); 29 days before the last"
    )
    command.add_argument(
        "--last", type=date.fromisoformat, metavar="DAY", help="last day; the last one that has events"
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Ask the questions of docs/how-to/questions.md about a period's committed events, and draw the answers.

    The page names clients. In the lake, the coverage page links to it. DuckDB has to be installed. Files of other
    days are not opened.
    """
    from airflow_provider_imperva.audit.answers import ask, render
    from airflow_provider_imperva.lake.layout import TRAFFIC_PAGE

    lake = LakeUri.of_shell(options.lake)
    first, last, answers = ask(lake, first=options.first, last=options.last, site=options.site)
    page = render(answers, lake=str(lake), first=first, last=last, site=options.site)
    if not options.html:
        store = open_lake(options)
        store.write(TRAFFIC_PAGE, page.encode())
        print(f"Written to {store.uri(TRAFFIC_PAGE)}")
        return 0
    try:
        options.html.write_text(page, encoding="utf-8")
    except OSError as error:
        return print_error(f"{error.filename}: {error.strerror}. Name a file that can be written.", code=2)
    print(f"Written to {options.html}")
    return 0
