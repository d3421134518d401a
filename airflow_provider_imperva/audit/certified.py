"""Checking a certificate against a lake: the chain up to its commit, each figure, and each object of its period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from airflow_provider_imperva.audit.certificate import VERSION, Certificate, Head, PeriodLedger
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History, Progress, last_number, read_entries, silent
from airflow_provider_imperva.audit.objects import NamedObject
from airflow_provider_imperva.audit.reading import broken_chain, missing_anchors
from airflow_provider_imperva.audit.signatures import Signatures
from airflow_provider_imperva.audit.times import SKEW
from airflow_provider_imperva.audit.timestamps import check_timestamps
from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.seal.signature import digest_of_unsigned

_COMPARED_ELSEWHERE = frozenset({"issued_at", "provider_version", "head", "bridge", "signed_by", "signature"})


@dataclass(slots=True)
class CertificateCheck:
    """What checking a certificate came to.

    :ivar hashed: how many of its objects were read and hashed; ``replaced`` those that other parts have taken the place
        of since, by the commits that say so, and that were not looked at.
    """

    findings: list[Finding] = field(default_factory=list)
    hashed: int = 0
    replaced: dict[int, int] = field(default_factory=dict)


def read_certificate(content: bytes, *, about: str) -> tuple[Certificate, bytes | None]:
    """Read a certificate, and what it was signed over; None if it has no signature.

    :raises ConfigurationError: if it is not one, or of another version.
    """
    try:
        version = msgspec.json.decode(content, type=_Versioned).v
    except msgspec.DecodeError:
        raise _no_certificate(about) from None
    if version != VERSION:
        raise ConfigurationError(
            f"it is a certificate of version {version}, and this is version {VERSION}",
            do="Upgrade this package" if version > VERSION else "Issue it again: version 1 hashed no part",
            about=about,
        )
    try:
        return msgspec.json.decode(content, type=Certificate), digest_of_unsigned(content)
    except msgspec.DecodeError:
        raise _no_certificate(about) from None


class _Versioned(msgspec.Struct, frozen=True):
    v: int


def _no_certificate(about: str) -> ConfigurationError:
    return ConfigurationError("it is not a certificate", do="Give what --output wrote", about=about)


def check(
    store: Store,
    certificate: Certificate,
    *,
    digest: bytes | None,
    trusted: TrustedInputs,
    at: datetime,
    progress: Progress = silent,
) -> CertificateCheck:
    """Check a certificate against a lake.

    :param digest: what it was signed over.
    :param trusted: what does not come from the lake; with public keys the certificate has to be signed by one of them.
    :param at: now, UTC.
    """
    about = f"certificate of {certificate.repository} for {certificate.period.first} to {certificate.period.end}"
    done = CertificateCheck()
    if trusted.public_keys and (
        objection := trusted.public_keys.objection(certificate.signed_by, certificate.signature, digest)
    ):
        done.findings.append(Finding(Kind.SIGNATURE, about, objection))
    layout = Layout(certificate.repository)
    then, now = History(certificate.repository), History(certificate.repository)
    signatures = Signatures(trusted.public_keys)
    last = last_number(store, layout)
    head = min(certificate.head.commit, last)
    for entry in read_entries(store, layout, numbers=range(1, last + 1), progress=progress):
        signatures.add(layout, entry)
        now.add(entry)
        if entry.number <= head:
            then.add(entry)
    done.findings += [
        *then.damages,
        *signatures.findings(layout),
        *missing_anchors(now, trusted.anchors_of(now.repository)),
        *check_timestamps(store, now, trusted.authorities, at=at).findings,
    ]
    done.findings += [Finding(Kind.MISSING, layout.commit(number), "the commit is missing") for number in then.missing]
    done.findings += broken_chain(then)
    done.findings += _check_head(layout, then, certificate)
    done.findings += _check_issued(certificate, about, at=at)
    if then.head is not None:
        _check_period(store, then, now, certificate, about, done, progress=progress)
    return done


def _check_period(
    store: Store,
    then: History,
    now: History,
    certificate: Certificate,
    about: str,
    done: CertificateCheck,
    *,
    progress: Progress,
) -> None:
    draft = PeriodLedger(then, certificate.period)
    again = draft.certify(at=certificate.issued_at, looked=certificate.looked, bridge=certificate.bridge)
    for name in Certificate.__struct_fields__:
        if name not in _COMPARED_ELSEWHERE and getattr(again, name) != getattr(certificate, name):
            done.findings.append(Finding(Kind.CONTRADICTION, about, f"its {name} are not what the ledger says"))
    there: list[NamedObject] = []
    for item in draft.named:
        gone = now.live.removed_raw.get(item.path) or now.live.removed.get(item.path)
        by = gone.commit if gone else now.live.retired.get(item.path)
        if by is not None and not store.exists(item.path):
            done.replaced[by] = done.replaced.get(by, 0) + 1
        else:
            there.append(item)
    draft.named = there
    looked = draft.read_objects(store, progress=progress)
    done.hashed = len(there)
    done.findings += looked.findings
    if not done.replaced and certificate.bridge not in (None, looked.bridge):
        done.findings.append(Finding(Kind.CONTRADICTION, about, "its bridge is not what the rows in the parts come to"))
    if not done.replaced and looked.bridge.both + looked.bridge.listed_only != certificate.rows:
        problem = f"the parts have {looked.bridge.both + looked.bridge.listed_only} rows of its logs, it says"
        done.findings.append(Finding(Kind.CONTRADICTION, about, f"{problem} {certificate.rows}"))


def _check_head(layout: Layout, history: History, certificate: Certificate) -> Iterator[Finding]:
    certified_head = certificate.head
    path = layout.commit(certified_head.commit)
    sha256, commit = history.sha256.get(certified_head.commit), history.commits.get(certified_head.commit)
    if sha256 != certified_head.sha256:
        problem = f"its SHA-256 is {sha256}" if sha256 else "it is not there"
        yield Finding(Kind.CHAIN, path, f"{problem}, the certificate has {certified_head.sha256}")
    elif commit and certified_head != Head(commit.commit, sha256, commit.committed_at, commit.observed_at):
        yield Finding(Kind.CONTRADICTION, path, "its times are not those that the certificate has")


def _check_issued(certificate: Certificate, about: str, *, at: datetime) -> Iterator[Finding]:
    issued, committed = certificate.issued_at, certificate.head.committed_at
    if not committed - SKEW <= issued <= at + SKEW:
        problem = f"it was issued {issued:%Y-%m-%d %H:%M:%S} UTC, which is before its commit or in the future"
        yield Finding(Kind.TIME, about, problem)
