"""``imperva-logs verify``: whether a lake is what its ledger says."""

from __future__ import annotations

import argparse

from airflow_provider_imperva.cli.terminal import Commands, add_lake, open_lake, progress_bar
from airflow_provider_imperva.errors import ConfigurationError


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
        "--anchor",
        action="append",
        default=[],
        dest="anchors",
        metavar="COMMIT:SHA256",
        help="a commit noted before: it must still be in the chain (needs --repository if there are several)",
    )
    command.add_argument("--json", action="store_true", help="write the report as JSON, with every finding")
    command.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    """Prove that a lake is what its ledger says, and that nothing is missing in either.

    Checks the chain of commits, every commit against its plan and its batches, the SHA-256 of every log in raw/ and of
    every part, the lines of every log, and that each number is accounted for. Exits with 0 if all is well, with 1 if
    something is wrong, with 2 if there is no lake that can be read. A chain that was rewritten from its first commit
    to its last is noticed by an --anchor, or by a certificate.
    """
    import msgspec

    from airflow_provider_imperva.audit.reading import Anchor
    from airflow_provider_imperva.audit.verify import verify_lake
    from airflow_provider_imperva.audit.words import tell_lake
    from airflow_provider_imperva.cli.terminal import one_repository

    store = open_lake(options)
    anchors = [Anchor(*_anchor(text)) for text in options.anchors]
    repository = one_repository(store, options.repository) if anchors else options.repository
    with progress_bar() as progress:
        found = verify_lake(
            store,
            repository=repository,
            sample=options.sample,
            seed=options.seed,
            anchors=anchors,
            progress=progress,
        )
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        print("\n".join(tell_lake(found)))
    return 0 if found.ok else 1


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("a number of objects is 0 or more")
    return int(text)


def _anchor(text: str) -> tuple[int, str]:
    commit, _, sha256 = text.partition(":")
    if not commit.isdecimal() or len(sha256) != 64:
        raise ConfigurationError("no anchor", do="Write it as COMMIT:SHA256, as verify prints them", about=text)
    return int(commit), sha256.lower()
