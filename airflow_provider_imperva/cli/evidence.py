"""``imperva-logs evidence``: what an auditor asks for of a month, as one folder; and the check of such a folder."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import Commands, add_lake, open_lake, print_error, progress_bar
from airflow_provider_imperva.cli.trust import (
    add_signing_key,
    add_trust_options,
    load_signing_key,
    read_trusted_inputs,
)
from airflow_provider_imperva.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.certificate import Certificate
    from airflow_provider_imperva.audit.history import Progress
    from airflow_provider_imperva.audit.trusted import TrustedInputs
    from airflow_provider_imperva.lake.store import Store

_CERTIFICATE = "certificate-{}.json"
_LAKE = "lake-certificate.json"
_VERIFY = "verify.json"
_README = """Evidence for {period} of the lake {lake}, made {at} UTC by imperva-logs {version}.

lake-certificate.json      what the certificates of all repositories come to, with the SHA-256 of each
certificate-*.json, .html  what the lake holds of the period, as of one commit of each repository
gaps-*.json                numbers of logs that are missing, with their causes
alarms-*.json              what people had to hear of, with begin and end
quarantine-*.json          logs that could not be decoded, whole or in part
redaction-*.json           how many values each rule redacted, and by what version of the rules
retention-*.json           oldest day that can be queried, holds in force, what was expired or erased and why
verify.json                what verify found in the lake when this was made
SHA256SUMS                 SHA-256 of each file here

To check it with a copy of the lake, on any machine, without Airflow:

  sha256sum --check SHA256SUMS
  imperva-logs evidence LAKE --check DIR --public-key FILE

The second command checks each certificate against the lake (chain, signatures, figures, every object), and makes each
other paper but verify.json again: it must come to the same bytes.
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser(
        "evidence", help="put together what an auditor asks for of a month", description=_evidence.__doc__
    )
    add_lake(command)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--month", dest="period", metavar="YYYY-MM", help="the month, UTC; a day will do, too")
    what.add_argument("--check", type=Path, metavar="DIR", help="check a folder that was made")
    command.add_argument("--to", type=Path, metavar="DIR", help="the folder to make; with --month")
    add_signing_key(command)
    add_trust_options(command)
    command.set_defaults(run=_evidence)


def _evidence(options: argparse.Namespace) -> int:
    """Put together a folder for an auditor: certificates, gaps with causes, alarms, quarantine, redaction, retention.

    It also has the findings of verify. Whoever has a copy of the lake checks the folder with --check. Exits with 1 if
    verify found something, or the check did.
    """
    return _check(options) if options.check else _make(options)


def _make(options: argparse.Namespace) -> int:
    import msgspec

    from airflow_provider_imperva import __version__
    from airflow_provider_imperva.audit.certificate import issue
    from airflow_provider_imperva.audit.certificate_page import render
    from airflow_provider_imperva.audit.certified import read_certificate
    from airflow_provider_imperva.audit.evidence import SUMS, evidence_files, sums_of
    from airflow_provider_imperva.audit.history import History, repositories
    from airflow_provider_imperva.audit.lake_certificate import certify_lake
    from airflow_provider_imperva.audit.period import Period
    from airflow_provider_imperva.audit.verify import verify_lake

    if options.to is None:
        return print_error("--month needs --to, the folder to make.", code=2)
    if options.to.exists() and any(options.to.iterdir()):
        raise ConfigurationError("the folder is not empty", do="Name a new one", about=str(options.to))
    period, signer, trusted = Period.parse(options.period), load_signing_key(options), read_trusted_inputs(options)
    store, at = open_lake(options), datetime.now(UTC)
    files: dict[str, bytes] = {}
    issued = []
    with progress_bar() as progress:
        verification = verify_lake(store, repository=options.repository, trusted=trusted, at=at, progress=progress)
        files[_VERIFY] = msgspec.json.format(msgspec.json.encode(verification), indent=1)
        for name in repositories(store, only=options.repository):
            history = History.read(store, name, progress=progress)
            if history.head is None:
                continue
            last = history.head.commit
            content = issue(store, name, period, at=at, commit=last, signer=signer, progress=progress)
            files[_CERTIFICATE.format(name)] = content
            certificate, _ = read_certificate(content, about=name)
            issued.append((certificate, content))
            files[f"certificate-{name}.html"] = render(certificate).encode()
            files |= evidence_files(History.read(store, name, last=last, progress=progress), period)
    if not issued:
        raise ConfigurationError("no repository in it has a commit", do="Load first", about=store.uri())
    files[_LAKE] = certify_lake(issued, signer=signer)
    values = {"period": options.period, "lake": store.uri(), "at": f"{at:%Y-%m-%d %H:%M:%S}", "version": __version__}
    files["README.txt"] = _README.format(**values).encode()
    files[SUMS] = sums_of(files)
    options.to.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        (options.to / path).write_bytes(content)
    print(f"{options.to} has {len(files)} files for {options.period}.")
    if not verification.ok:
        return print_error(f"verify found something wrong with the lake; {_VERIFY} has it.", code=1)
    return 0


def _check(options: argparse.Namespace) -> int:
    from airflow_provider_imperva.audit.evidence import SUMS, sums_of

    if options.to:
        return print_error("--to goes with --month, and not with --check.", code=2)
    try:
        files = {path.name: path.read_bytes() for path in sorted(options.check.iterdir())}
    except OSError as error:
        raise ConfigurationError(str(error.strerror), do="Name what --to made", about=str(options.check)) from error
    sums = files.pop(SUMS, b"")
    store, trusted = open_lake(options), read_trusted_inputs(options)
    with progress_bar() as progress:
        problems = [] if sums == sums_of(files) else [f"{SUMS}: the files are not those that it names"]
        problems += _check_files(store, files, trusted, progress=progress)
    for line in problems:
        print(line)
    print("It does not hold." if problems else f"It holds: {len(files)} files, against the lake {store.uri()}.")
    return 1 if problems else 0


def _check_files(store: Store, files: dict[str, bytes], trusted: TrustedInputs, *, progress: Progress) -> Iterator[str]:
    from airflow_provider_imperva.audit.certificate_page import render
    from airflow_provider_imperva.audit.certified import check, read_certificate
    from airflow_provider_imperva.audit.evidence import evidence_files
    from airflow_provider_imperva.audit.history import History

    named = [name for name in files if name.startswith("certificate-") and name.endswith(".json")]
    if not named:
        yield "there is no certificate in it"
        return
    issued = {name: read_certificate(files[name], about=name) for name in named}
    yield from _check_lake(files, [(of_period, files[name]) for name, (of_period, _) in issued.items()], trusted)
    for name, (certificate, digest) in issued.items():
        done = check(store, certificate, digest=digest, trusted=trusted, at=datetime.now(UTC), progress=progress)
        yield from (f"{name}: {finding}" for finding in done.findings)
        history = History.read(store, certificate.repository, last=certificate.head.commit, progress=progress)
        if history.head is None:
            continue
        again = evidence_files(history, certificate.period)
        again[f"certificate-{certificate.repository}.html"] = render(certificate).encode()
        for paper, content in again.items():
            if files.get(paper) != content:
                yield f"{paper}: the ledger up to commit {certificate.head.commit} says something else"


def _check_lake(
    files: dict[str, bytes], issued: list[tuple[Certificate, bytes]], trusted: TrustedInputs
) -> Iterator[str]:
    """Compare the certificate of the lake with those of its repositories."""
    import msgspec

    from airflow_provider_imperva.audit.lake_certificate import LakeCertificate, certify_lake, without_signature
    from airflow_provider_imperva.seal.signature import digest_of_unsigned

    content = files.get(_LAKE, b"")
    try:
        certificate = msgspec.json.decode(content, type=LakeCertificate)
        if without_signature(content) != without_signature(certify_lake(issued)):
            yield f"{_LAKE}: the certificates of the repositories come to something else"
    except msgspec.DecodeError:
        yield f"{_LAKE}: it is missing, or does not read"
        return
    keys = trusted.public_keys
    if keys and (
        objection := keys.objection(certificate.signed_by, certificate.signature, digest_of_unsigned(content))
    ):
        yield f"{_LAKE}: {objection}"
