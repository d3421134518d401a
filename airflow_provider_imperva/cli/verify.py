"""``imperva-logs verify``: whether a lake is what its ledger says."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import (
    INCOMPLETE,
    Commands,
    add_keys,
    add_lake,
    add_raw_key,
    load_keys,
    open_lake,
    print_report,
    progress_bar,
)
from airflow_provider_imperva.cli.trust import add_trust_options, read_trusted_inputs

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.redo import RedoSelection
    from airflow_provider_imperva.audit.verify import LakeVerification


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("verify", help="prove that a lake is whole", description=_verify.__doc__)
    add_lake(command)
    command.add_argument(
        "--sample",
        type=_count,
        metavar="N",
        help="hash only N objects of each repository, drawn at random; the others are looked for, with their size",
    )
    command.add_argument("--seed", type=int, default=0, help="draws another sample; 0 if not given")
    command.add_argument(
        "--redo",
        type=_count,
        default=0,
        metavar="N",
        help="decode N logs of each repository again, drawn at random, and compare their rows value by value",
    )
    add_keys(command)
    add_raw_key(command)
    command.add_argument(
        "--redaction", metavar="FILE", help="with --redo: the rules your DAG has, or `off`; the default ones without it"
    )
    add_trust_options(command)
    command.add_argument(
        "--complete", action="store_true", help="exit with 3 if the lake is sound, but logs are lost or wait"
    )
    command.add_argument("--json", action="store_true", help="write the report as JSON, with every finding")
    command.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    """Prove that a lake is what its ledger says; and say whether, by its ledger, any log is lost or waits.

    Checks the chain of commits, every commit against its plan and its batches, the SHA-256 of every log in raw/ and of
    every part, the lines of every log, and that each number is accounted for. Exits with 0 if all is well, with 1 if
    something is wrong, with 2 if there is no lake that can be read. With --complete it exits with 3 if the lake is what
    its ledger says, but logs are lost or wait, or nobody has looked for a day. A chain that was rewritten from its
    first commit to its last is noticed with --public-key, --anchors or --anchor, or by a certificate.
    """
    import msgspec

    from airflow_provider_imperva.audit.verify import verify_lake
    from airflow_provider_imperva.audit.words import describe_lake
    from airflow_provider_imperva.cli.terminal import one_repository

    store = open_lake(options)
    trusted = read_trusted_inputs(options)
    repository = one_repository(store, options.repository) if options.anchor else options.repository
    with progress_bar() as progress:
        verification = verify_lake(
            store,
            repository=repository,
            sample=options.sample,
            seed=options.seed,
            trusted=trusted,
            redo=_redo(options),
            processes=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            progress=progress,
            announce=lambda expected: print(expected, file=sys.stderr, flush=True),
        )
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(verification), indent=1).decode())
    else:
        print_report(describe_lake(verification))
    if not verification.ok:
        return 1
    return INCOMPLETE if options.complete and not _is_complete(verification) else 0


def _is_complete(verification: LakeVerification) -> bool:
    from airflow_provider_imperva.audit.assessment import note_silence
    from airflow_provider_imperva.options import WINDOW

    now = datetime.now(UTC)
    return all(
        item.is_complete and not note_silence(item.observed_at, window=WINDOW, at=now)
        for item in verification.repositories
    )


def _redo(options: argparse.Namespace) -> RedoSelection | None:
    from airflow_provider_imperva.audit.redo import RedoSelection
    from airflow_provider_imperva.privacy.rules import redaction_rules

    if not options.redo:
        return None
    rules = redaction_rules({None: True, "off": False}.get(options.redaction, options.redaction))
    return RedoSelection(options.redo, load_keys(options), rules)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("a number of objects is 0 or more")
    return int(text)
