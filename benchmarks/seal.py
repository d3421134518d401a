"""What it takes to seal a commit: an Ed25519 signature over it, and its hash at an anchor."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_imperva.lake.ledger import UNSIGNED
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.seal.anchors import Anchor, open_anchors
from airflow_provider_imperva.seal.signature import SigningKey

TIMES = 101


@dataclass(frozen=True, slots=True)
class Seal:
    """Milliseconds by the clock, medians.

    :param size: bytes of the commit.
    :param signing: to sign it.
    :param anchoring: to note its hash in a folder on the same disk as the lake.
    """

    size: int
    signing: float
    anchoring: float

    @classmethod
    def of(cls, commit: Commit, folder: Path) -> Self:
        """Sign a commit and note it, again and again.

        :param folder: takes the anchors.
        """
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key = SigningKey.of_pem(pem.decode(), about="the benchmark's key")
        unsigned = msgspec.structs.replace(commit, signed_by=key.key_id, signature=UNSIGNED)
        content = msgspec.json.encode(unsigned)
        anchors = open_anchors(folder.as_uri())

        def note(number: int) -> None:
            anchors.note(Anchor(number, "0" * 64, commit.repository, (commit.repository,), datetime.now(UTC)))

        return cls(len(content), _milliseconds(lambda _: key.sign(content)), _milliseconds(note))


def _milliseconds(seal: Callable[[int], object]) -> float:
    taken = []
    for number in range(TIMES):
        began = time.perf_counter()
        seal(number)
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken)
