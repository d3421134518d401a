"""Objects in ``raw/`` that are encrypted: AES-256-GCM in chunks, so that memory is bounded and nothing can be cut off.

::

    magic (9 bytes) | month, YYYY-MM (7) | id of the data key (16) | salt (32)
    ciphertext of 1 MiB of plain bytes | tag (16)
    …
    ciphertext of the rest (1 MiB at most, none of an empty log) | tag (16)

Each object has a key of its own, HKDF-SHA256 of the data key and the salt, bound to the header and to the object's
path. The nonce of a chunk is its position and whether it is the last, so chunks that are exchanged, left out, or cut
off at the end do not decrypt (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, as in Tink's
AES-GCM-HKDF-STREAMING).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from airflow_provider_imperva.errors import SealedObjectError

MAGIC = b"\0IMPRAW1\n"
CHUNK_BYTES = 1 << 20
"""Plain bytes of each chunk but the last."""

_MONTH_BYTES, _ID_BYTES, _SALT_BYTES, _TAG_BYTES = 7, 16, 32, 16
HEADER_BYTES = len(MAGIC) + _MONTH_BYTES + _ID_BYTES + _SALT_BYTES
_STORED_CHUNK = CHUNK_BYTES + _TAG_BYTES


class KeyName(NamedTuple):
    """Which data key an object is encrypted with.

    :ivar month: ``YYYY-MM``, UTC.
    :ivar id: 32 hexadecimal digits.
    """

    month: str
    id: str


class Seal(NamedTuple):
    """What the ledger keeps of an encrypted object, besides the bytes received.

    :ivar month: of its data key.
    :ivar size, sha256: of the object as stored.
    """

    month: str
    size: int
    sha256: str


def stored_size(plain: int) -> int:
    """Return how many bytes the encrypted object of so many plain ones has."""
    chunks = max(1, -(-plain // CHUNK_BYTES))
    return HEADER_BYTES + plain + chunks * _TAG_BYTES


def seal(content: bytes, *, key: bytes, name: KeyName, path: str) -> bytes:
    """Encrypt an object.

    :param key: the data key, 32 bytes.
    :param path: of the object, below the lake's root.
    """
    header = MAGIC + name.month.encode() + bytes.fromhex(name.id) + os.urandom(_SALT_BYTES)
    cipher = _cipher(key, header, path)
    starts = range(0, max(len(content), 1), CHUNK_BYTES)
    last = len(starts) - 1
    view = memoryview(content)
    chunks = (
        cipher.encrypt(_nonce(number, number == last), view[start : start + CHUNK_BYTES], None)
        for number, start in enumerate(starts)
    )
    return b"".join((header, *chunks))


class SealedReader(io.RawIOBase):
    """The plain bytes of an encrypted object, seekable; one chunk of it is in memory.

    The key is looked for when the first plain byte is read, so that whoever has none can still hash the stored bytes.

    :param file: the object as stored, seekable; it stays open.
    :param key: gives the data key of a name.
    :param path: of the object, below the lake's root.
    :raises SealedObjectError: if its header is cut off.
    """

    def __init__(self, file: BinaryIO, *, key: Callable[[KeyName], bytes], path: str) -> None:
        self._file = file
        self._path = path
        self._find_key = key
        self._cipher: AESGCM | None = None
        file.seek(0)
        self._header = file.read(HEADER_BYTES)
        self._stored = file.seek(0, io.SEEK_END)
        body = self._stored - HEADER_BYTES
        if body < _TAG_BYTES or 0 < body % _STORED_CHUNK < _TAG_BYTES:
            raise self._damaged()
        self._chunks = -(-body // _STORED_CHUNK)
        self._size = body - self._chunks * _TAG_BYTES
        self._position = 0
        self._chunk: tuple[int, bytes] = (-1, b"")
        at = len(MAGIC)
        month, key_id = self._header[at : at + _MONTH_BYTES], self._header[at + _MONTH_BYTES : -_SALT_BYTES]
        self.key_name = KeyName(month.decode("ascii", "replace"), key_id.hex())

    def seal(self) -> Seal:
        """Hash the object as stored."""
        self._file.seek(0)
        sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()  # type: ignore[arg-type]
        return Seal(self.key_name.month, self._stored, sha256)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place of the plain bytes."""
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def tell(self) -> int:
        """Return the place in the plain bytes."""
        return self._position

    def readinto(self, target: object) -> int:
        """Decrypt up to the end of a chunk."""
        view = memoryview(target).cast("B")  # type: ignore[arg-type]
        if self._position >= self._size:
            # That a log is empty has to be proved, too.
            self._plain(self._chunks - 1)
            return 0
        number, start = divmod(self._position, CHUNK_BYTES)
        plain = memoryview(self._plain(number))[start : start + len(view)]
        view[: len(plain)] = plain
        self._position += len(plain)
        return len(plain)

    def _plain(self, number: int) -> bytes:
        if self._chunk[0] != number:
            if self._cipher is None:
                self._cipher = _cipher(self._find_key(self.key_name), self._header, self._path)
            self._file.seek(HEADER_BYTES + number * _STORED_CHUNK)
            stored = self._file.read(_STORED_CHUNK)
            try:
                plain = self._cipher.decrypt(_nonce(number, number == self._chunks - 1), stored, None)
            except InvalidTag:
                raise self._damaged() from None
            self._chunk = (number, plain)
        return self._chunk[1]

    def _damaged(self) -> SealedObjectError:
        return SealedObjectError(
            "it was cut off or changed, and does not decrypt",
            do="Restore it from a backup of the lake; if there is none and the repository still lists the log, delete"
            " the object, and the next run fetches it again",
            about=self._path,
        )


def _cipher(key: bytes, header: bytes, path: str) -> AESGCM:
    info = header[:-_SALT_BYTES] + path.encode()
    return AESGCM(HKDF(SHA256(), 32, salt=header[-_SALT_BYTES:], info=info).derive(key))


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])
