"""Decryption of a body: AES-CBC under a key of its own, which is wrapped with the customer's RSA key.

Imperva wraps the AES key in two layers of Base64: the header's value decodes to the RSA ciphertext, and what RSA
decrypts is again Base64, of 16 bytes. The initialisation vector is all zeros, the padding PKCS#7.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from airflow_provider_imperva.container.body import PIECE, Body
from airflow_provider_imperva.container.header import LogHeader
from airflow_provider_imperva.container.keys import KeyRing, canonical_id
from airflow_provider_imperva.errors import HeaderError, MissingKeyError, WrongKeyError

BLOCK = 16
"""Bytes of an AES block."""

_AES_KEY_SIZES = {16, 24, 32}
_ID = re.compile(r"[0-9]{1,20}")


def unwrap_key(header: LogHeader, *, log: str, keys: KeyRing) -> bytes:
    """Get the AES key that a header holds.

    :raises HeaderError: the header lacks the key or its id, or the key is not Base64.
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
    if not _ID.fullmatch(public_key_id):
        # Never quoted: in a damaged header anything may stand here, events included.
        raise HeaderError(
            f"the publicKeyId is not a number of 1 to 20 digits but {len(public_key_id)} characters",
            do="Fetch the log again while the repository has it",
            about=log,
        )
    private_key = keys.get(public_key_id)
    if private_key is None:
        raise MissingKeyError(
            f"encrypted for publicKeyId {public_key_id!r}, the key ring has {', '.join(sorted(keys.ids)) or 'no key'}",
            do=f"Add the private key as {public_key_id}/Private.key, old ones too as long as logs need them",
            about=log,
            public_key_id=canonical_id(public_key_id),
        )
    try:
        ciphertext = base64.b64decode(wrapped, validate=True)
    except (binascii.Error, ValueError):
        raise HeaderError(
            "the key in the header is not Base64", do="Fetch the log again while the repository has it", about=log
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


def padding_of(body: Body, key: bytes) -> int:
    """Count the padding bytes at the end of an encrypted body: 1 to 16, or 0 if it is not padded by PKCS#7.

    :param body: whole blocks.
    :param key: the AES key.
    """
    # CBC decrypts any block alone, given the one before it.
    tail = body.read(max(0, body.size - 2 * BLOCK), 2 * BLOCK)
    last = _decryptor(key, tail[:-BLOCK] or bytes(BLOCK)).update(tail[-BLOCK:])
    count = last[-1] if last else 0
    return count if 1 <= count <= BLOCK and last.endswith(bytes([count]) * count) else 0


def decrypt(body: Body, key: bytes, *, padding: int) -> Iterator[bytes]:
    """Decrypt a body piece by piece, without its padding."""
    decryptor = _decryptor(key, bytes(BLOCK))
    end = body.size - padding
    for offset in range(0, end, PIECE):
        yield decryptor.update(body.read(offset, PIECE))[: end - offset]


def _decryptor(key: bytes, vector: bytes) -> CipherContext:
    return Cipher(AES(key), CBC(vector)).decryptor()
