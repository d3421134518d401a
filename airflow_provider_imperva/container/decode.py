"""From the bytes of a log to its plain body, verified: decrypt, unpad, inflate, compare the checksum."""

from __future__ import annotations

import codecs
import hashlib
import io
import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import BinaryIO, TypeAlias

from airflow_provider_imperva.container.body import PIECE, Body
from airflow_provider_imperva.container.crypto import BLOCK, decrypt, padding_of, unwrap_key
from airflow_provider_imperva.container.header import (
    HEADER_LIMIT,
    LogHeader,
    begins_like_events,
    begins_like_header,
    header_starts,
    split_container,
)
from airflow_provider_imperva.container.inflate import GZIP_MAGIC, compression, inflate
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import (
    ChecksumError,
    ContainerError,
    CorruptError,
    HeaderError,
    TooLargeError,
    TruncatedError,
)
from airflow_provider_imperva.options import DecodePolicy

logger = logging.getLogger(__name__)

# A plain body up to this size stays in memory once it is verified; a larger one is decoded again to be read.
_KEPT_BYTES = 64 << 20

# A log gzipped as a whole is unwrapped in memory. Imperva keeps 500 MB of logs in all.
_UNWRAPPED_BYTES = 512 << 20

_HEAD = 4096
_DO = "Fetch the log again while the repository has it"

# Gives the bytes of a body from the start, every time it is called.
_Source: TypeAlias = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainLog:
    """A log whose container is verified.

    If it was decoded from a file, that file has to stay open as long as the body is read.

    :param header: None if the log has none.
    :param encrypted: it was; ``compressed`` likewise.
    :param checksum_ok: whether the body has the MD5 that the header names, None if it names none.
    :param size: bytes of the plain body.
    """

    header: LogHeader | None
    encrypted: bool
    compressed: bool
    checksum_ok: bool | None
    size: int
    _pieces: _Source = field(repr=False, compare=False)

    def chunks(self, size: int = PIECE) -> Iterator[bytes]:
        """Give the plain body in order, in chunks of at most ``size`` bytes, none empty; as often as asked for."""
        for piece in self._pieces():
            for start in range(0, len(piece), size):
                yield piece[start : start + size]

    @property
    def body(self) -> bytes:
        """The plain body as a whole."""
        return b"".join(self._pieces())


_DEFAULT_POLICY = DecodePolicy()


def decode(content: bytes | BinaryIO, *, log: str, keys: KeyRing, policy: DecodePolicy = _DEFAULT_POLICY) -> PlainLog:
    """Decode a log; what is returned has been read to its end and found whole.

    Memory stays bounded whatever the body inflates to. A body whose first two bytes are those of a zlib stream is
    one, unless it does not inflate, reads as text, and no checksum speaks against its being text.

    What a transport adds around a whole body is accepted with a warning where the header's checksum verifies: bytes
    that fill up the end, a missing end marker, gzip around the log as a whole, several logs in one object.

    :param content: the log as received, or a seekable file of it, which is never held whole.
    :param log: its name, for messages.
    :param keys: the private keys.
    :raises ContainerError: the log does not decode; the subclasses say why.
    """
    file = _without_gzip(io.BytesIO(content) if isinstance(content, bytes) else content, log=log, policy=policy)
    try:
        plain = _decode_one(file, log=log, keys=keys, policy=policy)
    except (CorruptError, TruncatedError, ChecksumError):
        if several := _decode_several(file, log=log, keys=keys, policy=policy):
            return several
        raise
    several = _decode_several(file, log=log, keys=keys, policy=policy) if plain.checksum_ok is False else None
    if several is None and (problem := _problem(plain.header, plain.checksum_ok, plain.compressed, plain.size)):
        logger.warning("%s: %s; kept all the same", log, problem)
    return several or plain


def _decode_one(file: BinaryIO, *, log: str, keys: KeyRing, policy: DecodePolicy) -> PlainLog:
    header, body = split_container(file, log=log)
    if not body.size and (header is None or header.checksum is None or header.encrypted):
        # A log without events has a header that says so: the checksum of no bytes.
        raise TruncatedError("the log has no body", do=_DO, about=log)
    stored, padded = _stored(header, body, log=log, keys=keys)
    head = next(iter(stored()), b"")[:_HEAD]
    # Uncompressed text that was encrypted ends in padding; without it, it is cut or damaged.
    text = _is_text(head) and padded
    strict = replace(policy, encrypted_checksum="quarantine", clear_checksum="quarantine")
    if len(head) < 2:
        # What is left when nearly all is cut off may be an empty log, too.
        policy = strict
    elif compression(head) is not None:
        spare = 0 if padded else BLOCK - 1
        verify = partial(_verify, header=header, compressed=True, log=log)
        try:
            return verify(lambda: inflate(stored(), log=log, spare=spare), policy=policy)
        except (CorruptError, TruncatedError) as error:
            if header is not None and header.checksum is not None:
                with suppress(ContainerError):
                    plain = verify(lambda: inflate(stored(), log=log, spare=spare, tolerant=True), policy=strict)
                    logger.warning("%s: %s; the checksum verifies, so the log is whole", log, error.found)
                    return plain
            if not text:
                raise
            policy = strict
    if not text:
        raise CorruptError(
            f"a body of {body.size} bytes that is neither compressed nor text" + ("" if padded else ", wrongly padded"),
            do=_DO,
            about=log,
        )
    return _verify(stored, header=header, compressed=False, log=log, policy=policy)


def _without_gzip(file: BinaryIO, *, log: str, policy: DecodePolicy, times: int = 2) -> BinaryIO:
    """Undo gzip around a log as a whole, header included, as some proxies and buckets add it, and both of them twice.

    What fills up the end does no harm, since gzip has a checksum of its own.
    """
    file.seek(0)
    if not file.read(2).startswith(GZIP_MAGIC):
        return file
    whole = Body(file, 0, file.seek(0, io.SEEK_END))
    try:
        begin = next(inflate(whole.pieces(), log=log), b"")
        if not begins_like_header(begin) and not (times > 1 and begin.startswith(GZIP_MAGIC)):
            return file
        unwrapped = io.BytesIO()
        bound = min(_UNWRAPPED_BYTES, policy.max_plain_bytes + HEADER_LIMIT)
        for piece in _bounded(inflate(whole.pieces(), log=log, filled=True), most=bound, log=log):
            unwrapped.write(piece)
    except (CorruptError, TruncatedError):
        return file
    logger.warning("%s: the log is gzipped as a whole, header included", log)
    return _without_gzip(unwrapped, log=log, policy=policy, times=times - 1)


def _decode_several(file: BinaryIO, *, log: str, keys: KeyRing, policy: DecodePolicy) -> PlainLog | None:
    """Decode logs that were joined into one object; None unless each of several verifies by its own checksum."""
    size = file.seek(0, io.SEEK_END)
    if size > _KEPT_BYTES:
        return None
    file.seek(0)
    content = file.read()
    starts = header_starts(content)
    if len(starts) < 2:
        return None
    strict = replace(policy, encrypted_checksum="quarantine", clear_checksum="quarantine")
    parts: list[PlainLog] = []
    for start, end in pairwise([*starts, size]):
        try:
            part = _decode_one(io.BytesIO(content[start:end]), log=log, keys=keys, policy=strict)
        except (CorruptError, TruncatedError, ChecksumError, HeaderError):
            return None
        if not part.checksum_ok:
            return None
        parts.append(part)
    logger.warning("%s: %d logs in one object, each with the checksum that its header names", log, len(parts))
    pieces = [piece for part in parts for piece in _ended(part.chunks())]
    first, last = parts[0].header, parts[-1].header
    return PlainLog(
        header=replace(first, end_time=last.end_time) if first and last else first,
        encrypted=any(part.encrypted for part in parts),
        compressed=any(part.compressed for part in parts),
        checksum_ok=True,
        size=sum(map(len, pieces)),
        _pieces=lambda: pieces,
    )


def _ended(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give pieces of text, with a line end after the last if it lacks one."""
    last = b"\n"
    for last in pieces:
        yield last
    if not last.endswith(b"\n"):
        yield b"\n"


def _stored(header: LogHeader | None, body: Body, *, log: str, keys: KeyRing) -> tuple[_Source, bool]:
    """Undo the encryption, if there is one; say also whether the body ends as it has to, in padding or clear."""
    if header is None or not header.encrypted:
        return body.pieces, True
    if body.size % BLOCK:
        # Before the key is looked for: a log that waits for its key may have left the window once that is there.
        raise TruncatedError(f"an encrypted body of {body.size} bytes, not a multiple of {BLOCK}", do=_DO, about=log)
    key = unwrap_key(header, log=log, keys=keys)
    padding = padding_of(body, key)
    return partial(decrypt, body, key, padding=padding), not body.size or padding > 0


def _bounded(pieces: Iterable[bytes], *, most: int, log: str) -> Iterator[bytes]:
    """Give plain bytes up to a bound.

    :raises TooLargeError: there are more.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise TooLargeError(
                f"the plain body is larger than {most} bytes",
                do="Raise max_plain_bytes if logs this large are to be expected",
                about=log,
            )
        yield piece


def _verify(pieces: _Source, *, header: LogHeader | None, compressed: bool, log: str, policy: DecodePolicy) -> PlainLog:
    """Read a plain body to its end, and keep it if it is small."""
    size = 0
    kept: list[bytes] = []
    digest = hashlib.md5(usedforsecurity=False)
    for piece in _bounded(pieces(), most=policy.max_plain_bytes, log=log):
        size += len(piece)
        digest.update(piece)
        if size <= _KEPT_BYTES:
            kept.append(piece)
        else:
            kept.clear()
    encrypted = header is not None and header.encrypted
    expected = header.checksum if header else None
    # As a number: whoever writes it as one drops its leading zeros.
    checksum_ok = None if expected is None else digest.hexdigest().lstrip("0") == expected.lstrip("0")
    problem = _problem(header, checksum_ok, compressed, size)
    if problem and (policy.encrypted_checksum if encrypted else policy.clear_checksum) == "quarantine":
        raise ChecksumError(problem, do=_DO, about=log)
    return PlainLog(
        header=header,
        encrypted=encrypted,
        compressed=compressed,
        checksum_ok=checksum_ok,
        size=size,
        _pieces=pieces if size > _KEPT_BYTES else lambda: kept,
    )


def _problem(header: LogHeader | None, checksum_ok: bool | None, compressed: bool, size: int) -> str:
    """Describe why a plain body is not proven whole; nothing if it is, or if it is clear and has no checksum."""
    if checksum_ok is False:
        return f"the {size} bytes of the plain body do not have the checksum that the header names"
    if checksum_ok is None and header is not None and header.encrypted and not compressed:
        return "an encrypted body, not compressed, of which no checksum shows whether it is whole"
    return ""


def _is_text(head: bytes) -> bool:
    """Whether a body that begins like this is text: it begins like events, or is UTF-8 with few control characters."""
    if begins_like_events(head):
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    controls = sum(unicodedata.category(char) == "Cc" for char in text if char not in "\t\r\n")
    return controls * 10 <= len(text)
