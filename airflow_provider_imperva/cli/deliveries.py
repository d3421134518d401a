"""``imperva-logs deliveries``: which logs of an account came only one way."""

from __future__ import annotations

import argparse

from airflow_provider_imperva.cli.terminal import Commands, add_root, open_lake
from airflow_provider_imperva.errors import ConfigurationError


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "deliveries", help="say which logs came only one way", description=_deliveries.__doc__
    )
    add_root(command)
    command.add_argument("repositories", nargs="+", metavar="REPOSITORY", help="a way of the account; two or more")
    command.set_defaults(run=_deliveries)


def _deliveries(options: argparse.Namespace) -> int:
    """Show which logs of an account came by all of its ways, and which only by one.

    An account whose logs are pulled from Imperva and delivered by it has a repository for each way in the lake. Looked
    at is the time in which every way brought logs. Exits with 1 if a log did not come by all.
    """
    from airflow_provider_imperva.load.deliveries import compare_deliveries

    if len(set(options.repositories)) < 2:
        raise ConfigurationError("a single way", do="Name two repositories or more, which the same logs come to")
    ways = compare_deliveries(open_lake(options), options.repositories)
    print(f"From {ways.since:%Y-%m-%d %H:%M} to {ways.until:%Y-%m-%d %H:%M} UTC, {ways.by_all} logs came by all ways.")
    for repository, logs in ways.only.items():
        print(f"{len(logs)} came by {repository} and not by all others{':' if logs else '.'}")
        for log in logs:
            print(f"  {log.at:%Y-%m-%d %H:%M}  {log.name}" + (f"  {log.delivered_as!a}" if log.delivered_as else ""))
    return 1 if any(ways.only.values()) else 0
