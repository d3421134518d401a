"""Whose ledger it is, and whether its store can keep one: looked at before anything is fetched."""

from __future__ import annotations

import logging

import msgspec

from airflow_provider_imperva.errors import LakeError, LakeMismatchError, ObjectExistsError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import VERSION
from airflow_provider_imperva.lake.store import Store


class Claim(msgspec.Struct, frozen=True):
    """The source that a ledger is of, as it stands in ``claim.json``.

    :ivar source: what the source calls itself, such as the last segment of a Log Server URL.
    """

    v: int
    repository: str
    source: str


logger = logging.getLogger(__name__)

# Before there are threads (see ledger.py).
_CLAIMS = msgspec.json.Decoder(Claim)


def claim(ledger: Ledger, source: str) -> None:
    """Claim a ledger for a source, or see that it is the source's already.

    Each time, the store is made to refuse a second creation. One that does not would let two runs write the same plan.

    :raises LakeMismatchError: if another source has claimed it.
    :raises LakeError: if the store replaces what it has to refuse, or cannot be written to.
    """
    path = ledger.layout.claim
    content = msgspec.json.encode(Claim(VERSION, ledger.layout.repository, source))
    if _is_empty(ledger, path):
        logger.warning("%s is empty; it is rewritten", ledger.store.uri(path))
        ledger.store.write(path, content)
    check_claim(ledger, source)
    for _ in range(2):
        try:
            ledger.store.create(path, content)
        except ObjectExistsError:
            check_claim(ledger, source)  # somebody else may have been quicker
            return
    ledger.store.delete([path])
    raise _replaces(ledger.store)


def check_create_if_absent(store: Store, path: str) -> None:
    """See that a store refuses to create what is there.

    :param path: an object that nothing else needs; it is gone afterwards.
    :raises LakeError: if the store replaces what it has to refuse, or cannot be written to.
    """
    try:
        for _ in range(2):
            store.create(path, b"")
    except ObjectExistsError:
        return
    finally:
        store.delete([path])
    raise _replaces(store)


def _replaces(store: Store) -> LakeError:
    return LakeError(
        "the store replaces an object that it was asked to create only if absent, so that two runs at once would load"
        " events twice",
        do="Keep the lake in a store that supports If-None-Match in PutObject (Amazon S3, MinIO, SeaweedFS and Ceph do"
        " in their present versions), upgrade this one, or take a disk",
        about=store.uri(),
    )


def read_claim(content: bytes) -> Claim | None:
    """Read whose ledger it is; None if the object does not say."""
    try:
        return _CLAIMS.decode(content)
    except msgspec.DecodeError:
        return None


def _is_empty(ledger: Ledger, path: str) -> bool:
    """Return whether the claim is there without a byte, which names no other source."""
    try:
        return not ledger.store.read(path)
    except FileNotFoundError:
        return False


def check_claim(ledger: Ledger, source: str) -> None:
    """See that no other source has claimed a ledger; nothing is written.

    :raises LakeMismatchError: if one has.
    """
    path = ledger.layout.claim
    try:
        claimed = _CLAIMS.decode(ledger.store.read(path))
    except FileNotFoundError:
        return
    except msgspec.DecodeError as error:
        if _is_empty(ledger, path):
            return
        raise LakeMismatchError(
            "it does not say whose ledger this is",
            do="Delete it, if you know that this lake is the right one; it is rewritten",
            about=ledger.store.uri(path),
        ) from error
    if claimed.source != source:
        raise LakeMismatchError(
            f"the ledger of repository {claimed.repository} is that of the source {claimed.source}, not of {source}",
            do="Give one of the two connections another id in its extra `repository`; if both are the same account at"
            " an old and a new address, delete this object",
            about=ledger.store.uri(path),
        )
