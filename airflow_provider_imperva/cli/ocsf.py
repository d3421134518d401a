"""``imperva-logs ocsf``: committed events as OCSF files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_lake,
    command_run,
    one_repository,
    open_lake,
    progress_bar,
)
from airflow_provider_imperva.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_imperva.lake.exports import Exported
    from airflow_provider_imperva.ocsf.export import OcsfExport


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("ocsf", help="export committed events as OCSF", description=_ocsf.__doc__)
    add_lake(command)
    command.add_argument(
        "--to", required=True, dest="target", metavar="URI", help="root of the files: a folder, s3://bucket/prefix, ..."
    )
    command.add_argument("--name", default="ocsf", help="the export's name in the lake; ocsf")
    command.add_argument(
        "--layout", default="plain", help="plain, or security_lake for a custom source of Amazon Security Lake; plain"
    )
    command.add_argument(
        "--ocsf-version", default="", metavar="VERSION", help="1.8 or 1.1; 1.8, and 1.1 for Security Lake"
    )
    command.add_argument("--region", default="", help="AWS region of the custom source")
    command.add_argument("--account", default="", help="AWS account of the custom source, or its external id")
    command.add_argument("--source", default="imperva-waf", help="custom source of HTTP Activity; imperva-waf")
    command.add_argument(
        "--findings-source",
        default="imperva-findings",
        metavar="SOURCE",
        help="custom source of Detection Findings; imperva-findings",
    )
    command.add_argument(
        "--commit",
        action="append",
        type=int,
        default=[],
        dest="commits",
        metavar="N",
        help="export this commit, whether it was exported or not",
    )
    command.set_defaults(run=_ocsf)


def _ocsf(options: argparse.Namespace) -> int:
    """Export the events of every commit that was not exported yet, oldest first, as Parquet in OCSF.

    What was exported is noted in the lake, below exports/. It can be broken off anywhere and run again.
    """
    from airflow_provider_imperva.audit.figures import counted
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.store import open_store
    from airflow_provider_imperva.ocsf.export import OcsfExport
    from airflow_provider_imperva.ocsf.options import OcsfOptions
    from airflow_provider_imperva.uri import LakeUri

    wanted = OcsfOptions(
        layout=options.layout,
        version=options.ocsf_version,
        region=options.region,
        account=options.account,
        source=options.source,
        findings_source=options.findings_source,
    )
    store = open_lake(options)
    export = OcsfExport(
        ledger=Ledger(store, one_repository(store, options.repository)),
        target=open_store(str(LakeUri.of_shell(options.target))),
        options=wanted,
        run=command_run("ocsf"),
        name=options.name,
    )
    last = export.ledger.head(with_plan=False).next_commit - 1
    for number in options.commits:
        if not 1 <= number <= last:
            raise ConfigurationError(
                f"the ledger has no commit {number}; its last one is {last}",
                do="Name a commit that it has, or leave --commit out to export what is pending",
                about="--commit",
            )
    export.begin()
    commits = sorted(set(options.commits)) or export.pending()
    done = _exported(export, commits, again=bool(options.commits))
    if done:
        rows = sum(outcome.rows for outcome in done)
        print(f"Exported to {export.target.uri()}: {counted(len(done), 'commit')}, {counted(rows, 'row')}.")
    else:
        print(f"Nothing to export: all {counted(last, 'commit')} were exported before.")
    return 0


def _exported(export: OcsfExport, commits: list[int], *, again: bool) -> list[Exported]:
    done = []
    with progress_bar() as progress:
        for place, outcome in enumerate(export.export(commits, again=again), 1):
            progress("Exporting", place, len(commits))
            done.append(outcome)
    return done
