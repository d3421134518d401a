"""One certificate for a whole lake: what the certificates of its repositories come to, and which ones these are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from airflow_provider_imperva.audit.certificate import Certificate
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.verdict import Reason
from airflow_provider_imperva.lake.ledger import UNSIGNED, Signer

VERSION = 1
"""Version of the format."""


class CertifiedRepository(msgspec.Struct, frozen=True):
    """What one certificate says.

    :ivar commit: the last commit; ``head_sha256`` its SHA-256.
    :ivar certificate_sha256: of the certificate's file.
    """

    repository: str
    commit: int
    head_sha256: str
    certificate_sha256: str
    complete: bool
    reasons: tuple[Reason, ...]
    logs: int
    lines: int
    rows: int
    quarantined_lines: int


class LakeCertificate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the certificates of a lake come to.

    :ivar issued_at: when the last of them was issued, UTC.
    :ivar complete: whether there is any, and each is complete.
    :ivar signed_by, signature: as of a commit.
    """

    v: int
    period: Period
    issued_at: datetime
    repositories: tuple[CertifiedRepository, ...]
    logs: int
    lines: int
    rows: int
    quarantined_lines: int
    complete: bool
    signed_by: str | None = None
    signature: str | None = None


def certify_lake(issued: Iterable[tuple[Certificate, bytes]], *, signer: Signer | None = None) -> bytes:
    """Put certificates of the same period together; return JSON.

    :param issued: each certificate, and its file's bytes; at least one.
    :param signer: signs it.
    """
    pairs = sorted(issued, key=lambda pair: pair[0].repository)
    repositories = tuple(_certified(certificate, content) for certificate, content in pairs)
    unsigned = LakeCertificate(
        v=VERSION,
        period=pairs[0][0].period,
        issued_at=max(certificate.issued_at for certificate, _ in pairs),
        repositories=repositories,
        logs=sum(item.logs for item in repositories),
        lines=sum(item.lines for item in repositories),
        rows=sum(item.rows for item in repositories),
        quarantined_lines=sum(item.quarantined_lines for item in repositories),
        complete=all(item.complete for item in repositories),
        signed_by=signer.key_id if signer else None,
        signature=UNSIGNED if signer else None,
    )
    content = msgspec.json.format(msgspec.json.encode(unsigned), indent=1)
    return signer.sign(content) if signer else content


def _certified(certificate: Certificate, content: bytes) -> CertifiedRepository:
    return CertifiedRepository(
        repository=certificate.repository,
        commit=certificate.head.commit,
        head_sha256=certificate.head.sha256,
        certificate_sha256=hashlib.sha256(content).hexdigest(),
        complete=certificate.complete,
        reasons=certificate.reasons,
        logs=certificate.logs,
        lines=certificate.lines,
        rows=certificate.rows,
        quarantined_lines=certificate.quarantined_lines,
    )


def without_signature(content: bytes) -> LakeCertificate:
    """Read one, and leave its signature out, so that it can be compared with one that is made again.

    :raises msgspec.DecodeError: if it is not one.
    """
    certificate = msgspec.json.decode(content, type=LakeCertificate)
    return msgspec.structs.replace(certificate, signed_by=None, signature=None)
