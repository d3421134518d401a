"""``imperva-logs certificate``: what a lake holds of a day or a month, to be checked by another person."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_lake,
    one_repository,
    open_lake,
    print_error,
    print_report,
    progress_bar,
)
from airflow_provider_imperva.cli.trust import (
    add_signing_key,
    add_trust_options,
    load_signing_key,
    read_trusted_inputs,
)
from airflow_provider_imperva.errors import ConfigurationError


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "certificate", help="certify what a lake holds of a day or month", description=_certificate.__doc__
    )
    add_lake(command)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--month", dest="period", metavar="YYYY-MM", help="issue one for a month, UTC")
    what.add_argument("--day", dest="period", metavar="YYYY-MM-DD", help="issue one for a day, UTC")
    what.add_argument("--check", type=Path, metavar="FILE", help="check one that was issued")
    command.add_argument("--output", type=Path, metavar="FILE", help="write it there, as JSON")
    command.add_argument("--html", type=Path, metavar="FILE", help="write it there for people, too")
    command.add_argument(
        "--ledger-only", action="store_true", help="do not read the objects; nothing is called complete then"
    )
    add_signing_key(command)
    add_trust_options(command)
    command.add_argument("--json", action="store_true", help="write it to stdout as JSON, not in words")
    command.set_defaults(run=_certificate)


def _certificate(options: argparse.Namespace) -> int:
    """Certify what a lake holds of the logs that were first listed in a day or month, as of its last commit.

    The certificate has the figures, every range of numbers with its state, the SHA-256 of the chain's last commit, and
    digests of the logs as received and the parts, each of which is read and hashed. With --check, another person reads
    the chain up to that commit, comes to the same figures or not (exit code 1), and hashes every object again.
    --public-key, --anchor and --anchors go with --check.
    """
    return _check(options) if options.check else _issue(options)


def _issue(options: argparse.Namespace) -> int:
    from airflow_provider_imperva.audit.certificate import issue
    from airflow_provider_imperva.audit.certificate_page import describe_certificate, render
    from airflow_provider_imperva.audit.certified import read_certificate
    from airflow_provider_imperva.audit.period import Period

    store = open_lake(options)
    period = Period.parse(options.period)
    repository = one_repository(store, options.repository)
    if unheeded := [name for name in ("anchor", "anchors", "public_keys", "expect") if getattr(options, name)]:
        return print_error(f"--{unheeded[0].rstrip('s').replace('_', '-')} goes with --check.", code=2)
    with progress_bar() as progress:
        content = issue(
            store,
            repository,
            period,
            at=datetime.now(UTC),
            looks=not options.ledger_only,
            signer=load_signing_key(options),
            progress=progress,
        )
    certificate, _ = read_certificate(content, about="this certificate")
    for path, text in (
        (options.output, content),
        (options.html, render(certificate).encode() if options.html else b""),
    ):
        try:
            if path:
                path.write_bytes(text)
        except OSError as error:
            return print_error(f"{path}: {error.strerror}. Name a file that can be written.", code=2)
    if options.json:
        print(content.decode())
    else:
        print_report(describe_certificate(certificate))
    return 0


def _check(options: argparse.Namespace) -> int:
    from airflow_provider_imperva.audit.certificate_page import describe_certificate
    from airflow_provider_imperva.audit.certified import check, read_certificate

    names = ("repository", "output", "html", "ledger_only", "signing_key", "json")
    if unheeded := [name for name in names if getattr(options, name)]:
        option = f"--{unheeded[0].replace('_', '-')}"
        return print_error(f"{option} goes with --month or --day, and not with --check.", code=2)
    try:
        certificate, digest = read_certificate(options.check.read_bytes(), about=str(options.check))
    except OSError as error:
        raise ConfigurationError(
            f"{error.strerror}", do="Name a file that can be read", about=str(options.check)
        ) from error
    trusted = read_trusted_inputs(options)
    store = open_lake(options)
    # Whose certificate it is, the certificate says; the lake must have such a repository.
    one_repository(store, certificate.repository)
    with progress_bar() as progress:
        done = check(store, certificate, digest=digest, trusted=trusted, at=datetime.now(UTC), progress=progress)
    print_report(describe_certificate(certificate))
    for finding in done.findings:
        print(finding)
    for commit, count in sorted(done.replaced.items()):
        print(f"{counted(count, 'object')} of it not looked at: commit {commit} has replaced or removed them since.")
    held = f"It holds: the chain, every figure, and the bytes of {counted(done.hashed, 'object')}."
    print("It does not hold." if done.findings else held)
    if not trusted.public_keys:
        print("Its own fields that no ledger has (issued_at, provider_version) are not proved: give --public-key.")
    return 1 if done.findings else 0
