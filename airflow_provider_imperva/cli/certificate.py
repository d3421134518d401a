"""``imperva-logs certificate``: what a lake holds of a day or a month, to be checked by another person."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import Commands, add_lake, complain, one_repository, open_lake, progress_bar
from airflow_provider_imperva.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.certificate import Certificate


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
    command.add_argument("--json", action="store_true", help="write it to stdout as JSON, not in words")
    command.set_defaults(run=_certificate)


def _certificate(options: argparse.Namespace) -> int:
    """Certify what a lake holds of the logs that were first listed in a day or month, as of its last commit.

    The certificate has the figures, every range of numbers with its state, and the SHA-256 of the chain's last commit.
    With --check, another person reads the chain up to that commit, comes to the same figures or not (exit code 1), and
    hashes every log's bytes.
    """
    return _check(options) if options.check else _issue(options)


def _issue(options: argparse.Namespace) -> int:
    from airflow_provider_imperva.audit.certificate import Period, issue

    store = open_lake(options)
    period = Period.parse(options.period)
    repository = one_repository(store, options.repository)
    with progress_bar() as progress:
        certificate = issue(store, repository, period, at=datetime.now(UTC), progress=progress)
    if options.output:
        try:
            options.output.write_text(_json(certificate))
        except OSError as error:
            return complain(f"{options.output}: {error.strerror}. Name a file that can be written.", code=2)
    print(_json(certificate) if options.json else "\n".join(_tell(certificate)))
    return 0


def _check(options: argparse.Namespace) -> int:
    from airflow_provider_imperva.audit.certificate import check

    given = {"--repository": options.repository, "--output": options.output, "--json": options.json}
    if unheeded := [option for option, value in given.items() if value]:
        return complain(f"{unheeded[0]} goes with --month or --day, and not with --check.", code=2)
    certificate = _read(options.check)
    store = open_lake(options)
    # Whose certificate it is, the certificate says; the lake must have such a repository.
    one_repository(store, certificate.repository)
    with progress_bar() as progress:
        findings = list(check(store, certificate, progress=progress))
    print("\n".join(_tell(certificate)))
    for finding in findings:
        print(finding)
    print("It does not hold." if findings else "It holds: the chain, every figure, and the bytes of every log.")
    return 1 if findings else 0


def _read(path: Path) -> Certificate:
    import msgspec

    from airflow_provider_imperva.audit.certificate import VERSION, Certificate

    try:
        certificate = msgspec.json.decode(path.read_bytes(), type=Certificate)
    except OSError as error:
        raise ConfigurationError(f"{error.strerror}", do="Name a file that can be read", about=str(path)) from error
    except msgspec.DecodeError:
        raise ConfigurationError("it is no certificate", do="Give what --output wrote", about=str(path)) from None
    if certificate.v != VERSION:
        raise ConfigurationError(
            f"it is a certificate of version {certificate.v}, and this is version {VERSION}",
            do="Upgrade this package",
            about=str(path),
        )
    return certificate


def _json(certificate: Certificate) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(certificate), indent=1).decode()


def _tell(certificate: Certificate) -> Iterator[str]:
    from airflow_provider_imperva.audit.words import tell_sum

    period, head = certificate.period, certificate.head
    yield f"Logs of repository {certificate.repository} first listed from {period.first} until {period.end} (UTC)"
    yield f"  as of commit {head.commit} ({head.committed_at:%Y-%m-%d %H:%M:%S} UTC), SHA-256 {head.sha256}"
    for prefix, found in certificate.prefixes.items():
        yield f"  {prefix}: {found.first} to {found.last}, {tell_sum(found.states)}"
        for item in found.ranges:
            if item.state != "committed":
                numbers = f"{item.first}" if item.first == item.last else f"{item.first} to {item.last}"
                yield f"    {numbers}: {item.state}"
    sizes = f"{certificate.logs:,} logs, {certificate.raw_bytes:,} bytes as received (digest {certificate.logs_sha256})"
    yield f"  {sizes}"
    in_quarantine = f"{certificate.quarantined_lines:,} in quarantine/"
    yield f"  {certificate.lines:,} lines = {certificate.rows:,} rows in events/ + {in_quarantine}"
    for day, classes in certificate.events.items():
        yield f"  events of {day}: " + ", ".join(f"{rows:,} {name}" for name, rows in classes.items())
    yield f"  {_verdict(certificate)}"


def _verdict(certificate: Certificate) -> str:
    if certificate.complete:
        return "Complete."
    if not certificate.prefixes:
        return "Not complete: no log was first listed then."
    _, end = certificate.period.bounds
    if certificate.head.observed_at < end:
        return f"Not complete: the repository was last seen {certificate.head.observed_at:%Y-%m-%d %H:%M} UTC."
    return "Not complete: see the ranges above."
