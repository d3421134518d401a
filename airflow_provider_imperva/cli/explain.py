"""``imperva-logs explain``: the story of one log."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import Commands, add_lake, open_lake, print_report, progress_bar

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.explanation import Explanation


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("explain", help="tell the story of one log", description=_explain.__doc__)
    add_lake(command)
    command.add_argument("log", metavar="LOG", help="name of a log (8416_545.log), or a number (545)")
    command.add_argument("--json", action="store_true", help="write it as JSON")
    command.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    """Show when a log was listed and fetched, what each commit said of it and why, and which parts hold its rows.

    Exits with 1 if the ledger knows nothing of it.
    """
    import msgspec

    from airflow_provider_imperva.audit.explanation import explain_log
    from airflow_provider_imperva.audit.history import repositories

    store = open_lake(options)
    names = repositories(store, only=options.repository)
    with progress_bar() as progress:
        explained = [explain_log(store, name, options.log, progress=progress) for name in names]
    explanations = [explanation for of_repository in explained for explanation in of_repository]
    known = [explanation for explanation in explanations if explanation.state]
    # Of several repositories and prefixes, only those that know of it are of interest.
    explanations = known or explanations
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(explanations), indent=1).decode())
    else:
        for number, explanation in enumerate(explanations):
            print_report([*([""] if number else []), *_lines(explanation)])
    return 0 if known else 1


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"{explanation.name} in repository {explanation.repository}: {explanation.state or 'unknown'}"
    for step in explanation.steps:
        at = f"{step.at:%Y-%m-%d %H:%M:%S}" if step.at else " " * 19
        yield f"  {at}  {step.text}"
    if explanation.record and explanation.record["raw_key"] and not explanation.record.get("raw_removed"):
        yield f"  bytes as received: {explanation.record['raw_key']}"
    for part in explanation.parts:
        yield f"  {'could not be read' if part.rows is None else f'{part.rows:,} rows'}: {part.path}"
    if explanation.unread:
        yield f"  The ledger could not be read whole ({', '.join(explanation.unread[:5])}): there may be more to it."
