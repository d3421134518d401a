r"""Ed25519 signatures over JSON records: the commits of a ledger, and certificates.

A record carries its own signature, so that no crash can part the two. What is signed is the SHA-256 of the record's
bytes with zeros for the signature's digits; whoever has the bytes needs to know nothing else of the record::

    message = b"imperva-logs\n" + SHA-256(bytes with "signature": "000…")

A commit names the SHA-256 of the one before, so the signature over the last commit vouches for the whole chain.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from airflow_provider_imperva.container.keys import open_private_key
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.ledger import UNSIGNED

_SIGNATURE = re.compile(rb'("signature":\s*")([0-9a-f]{128})(")')
"""The key and its value; within a text the quotes would be escaped."""

_CONTEXT = b"imperva-logs\n"


def digest_of_unsigned(content: bytes) -> bytes | None:
    """Return the SHA-256 of a record's bytes with zeros for its signature; None unless it has one signature."""
    signatures = _SIGNATURE.findall(content)
    if len(signatures) != 1:
        return None
    return hashlib.sha256(_with_signature(content, UNSIGNED)).digest()


def _with_signature(content: bytes, signature: str) -> bytes:
    return _SIGNATURE.sub(rb"\g<1>" + signature.encode() + rb"\g<3>", content)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs records.

    :ivar key_id: which key it is: the first 16 digits of the SHA-256 of the public key's 32 bytes.
    """

    _key: Ed25519PrivateKey
    key_id: str

    @classmethod
    def of_pem(cls, pem: str, *, about: str, passphrase: str | None = None) -> Self:
        """Read a private key, as ``openssl genpkey -algorithm ed25519`` writes it.

        :param about: where the key is from, for the error's message.
        :raises ConfigurationError: if it is not one, or does not open.
        """
        key = open_private_key(pem, passphrase=passphrase, about=about)
        if not isinstance(key, Ed25519PrivateKey):
            raise _no_key(about, "openssl genpkey -algorithm ed25519")
        return cls(key, key_id_of(key.public_key()))

    @classmethod
    def of_file(cls, path: str, *, passphrase: str | None = None) -> Self:
        """Read a private key from a file; :raises ConfigurationError: as of :meth:`of_pem`."""
        return cls.of_pem(_read(path), about=path, passphrase=passphrase)

    @property
    def public_pem(self) -> bytes:
        """The public half as PEM, for whoever verifies."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, content: bytes) -> bytes:
        """Put the signature into a record whose signature is :data:`UNSIGNED`."""
        digest = digest_of_unsigned(content)
        assert digest is not None  # noqa: S101
        return _with_signature(content, self._key.sign(_CONTEXT + digest).hex())


class PublicKeys:
    """The public keys that somebody trusts."""

    def __init__(self, keys: Iterable[Ed25519PublicKey] = ()) -> None:
        self._keys = {key_id_of(key): key for key in keys}

    @classmethod
    def of_files(cls, paths: Iterable[Path | str]) -> Self:
        """Read public keys, as ``openssl pkey -pubout`` writes them.

        :raises ConfigurationError: if a file holds none.
        """
        return cls(_public_key(str(path)) for path in paths)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def ids(self) -> list[str]:
        """The ids of the keys."""
        return sorted(self._keys)

    def objection(self, key_id: str | None, signature: str | None, digest: bytes | None) -> str | None:
        """Describe what is wrong with a signature; None if it is good.

        :param key_id, signature: as the record has them.
        :param digest: what :func:`digest_of_unsigned` returns of the record's bytes.
        """
        if key_id is None or signature is None:
            return "it is not signed"
        key = self._keys.get(key_id)
        if key is None:
            return f"it is signed by key {key_id}, and the keys given are {', '.join(self.ids)}"
        if digest is None:
            return "its signature does not read as one"
        try:
            key.verify(bytes.fromhex(signature), _CONTEXT + digest)
        except (InvalidSignature, ValueError):
            return f"its signature is not one of key {key_id}"
        return None


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the id of a key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _public_key(path: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_read(path).encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _no_public_key(path) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_public_key(path)
    return key


def _read(path: str) -> str:
    if "-----BEGIN" in path:
        raise ConfigurationError("is a key itself, where the path of a file should be", do="Name a file", about="a key")
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "is not text"
        raise ConfigurationError(f"cannot be read: {problem}", do="Name a file with a PEM key", about=path) from None


def _no_key(about: str, command: str) -> ConfigurationError:
    return ConfigurationError("is not an Ed25519 key", do=f"Give one that this makes: {command}", about=about)


def _no_public_key(path: str) -> ConfigurationError:
    return _no_key(path, "openssl pkey -in signing.key -pubout -out signing.pub")
