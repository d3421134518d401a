"""Decryption of a body: AES-CBC under a key of its own, which is wrapped with the customer's RSA key.

Imperva wraps the AES key in two layers of Base64: the header's value decodes to the RSA ciphertext, and what RSA
decrypts is again Base64, of 16 bytes. The initialisation vector is all zeros, the padding PKCS#7.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from airflow_provider_imperva.container.header import LogHeader
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import HeaderError, MissingKeyError, WrongKeyError

BLOCK = 16
"""Bytes of an AES block."""

PIECE = 1 << 20
"""Bytes that stream through at a time; a multiple of the block."""

_AES_KEY_SIZES = {16, 24, 32}


def unwrap_key(header: LogHeader, *, log: str, keys: KeyRing) -> bytes:
    """Get the AES key that a header holds.

    :raises HeaderError: the header lacks the key or its id, or the key is no Base64.
    :raises MissingKeyError: the ring has no key of that id.
    :raises WrongKeyError: the ring's key is not the one the log was encrypted for.
    """
    public_key_id, wrapped = header.public_key_id, header.wrapped_key
    if public_key_id is None or wrapped is None:
        raise HeaderError(
            f"the header has {'a key but no publicKeyId' if wrapped else 'a publicKeyId but no key'}",
            do="Fetch the log again while the repository has it",
            about=log,
        )
    private_key = keys.get(public_key_id)
    if private_key is None:
        raise MissingKeyError(
            f"encrypted for publicKeyId {public_key_id!r}, the key ring has {', '.join(sorted(keys.ids)) or 'no key'}",
            do=f"Add the private key as {public_key_id}/Private.key, old ones too as long as logs need them",
            about=log,
            public_key_id=public_key_id,
        )
    try:
        ciphertext = base64.b64decode(wrapped, validate=True)
    except (binascii.Error, ValueError):
        raise HeaderError(
            "the key in the header is no Base64", do="Fetch the log again while the repository has it", about=log
        ) from None
    try:
        key = base64.b64decode(private_key.decrypt(ciphertext, PKCS1v15()).strip(), validate=True)
    except ValueError:
        key = b""
    # OpenSSL answers a wrong RSA key with random bytes instead of an error; they give themselves away by their form.
    if len(key) not in _AES_KEY_SIZES:
        raise WrongKeyError(
            f"wrong key for publicKeyId {public_key_id!r}: it does not open the log's AES key",
            do=f"Put the private key under {public_key_id} whose public half Imperva lists under that id",
            about=log,
        )
    return key


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """An encrypted body, decrypted piece by piece as often as it is asked for.

    :param body: whole blocks.
    :param key: the AES key.
    """

    body: memoryview = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def padding(self) -> int:
        """Number of padding bytes at the end, 1 to 16; 0 if the last block is not padded by PKCS#7."""
        # CBC decrypts any block alone, given the one before it.
        previous = bytes(self.body[-2 * BLOCK : -BLOCK]) or bytes(BLOCK)
        last = self._decryptor(previous).update(self.body[-BLOCK:])
        count = last[-1] if last else 0
        return count if 1 <= count <= BLOCK and last.endswith(bytes([count]) * count) else 0

    def pieces(self) -> Iterator[bytes]:
        """Decrypt, without the padding."""
        end = len(self.body) - self.padding
        decryptor = self._decryptor(bytes(BLOCK))
        for start in range(0, end, PIECE):
            yield decryptor.update(self.body[start : start + PIECE])[: end - start]

    def _decryptor(self, vector: bytes) -> CipherContext:
        return Cipher(AES(self.key), CBC(vector)).decryptor()
