"""Decompression of a body: zlib, as Imperva writes it, or gzip.

Strict where ``zlib.decompressobj`` is lenient: the stream has to reach its own end, and nothing may follow but another
such stream. Raw deflate is never guessed, since any text might be taken for it. What a sloppy transport does to a whole
stream (a line end after it, an end marker that was never flushed) can be tolerated where a checksum over the plain
body shows that nothing is missing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from isal import igzip_lib

from airflow_provider_imperva.container.body import PIECE
from airflow_provider_imperva.errors import CorruptError, TruncatedError

# Millions of empty streams in a row would take hours; not even two have been seen.
_MAX_STREAMS = 1000
GZIP_MAGIC = b"\x1f\x8b"
_FILL = b"\0\t\n\r \x1a"
"""Bytes that transports add at the end: line ends, blanks, NUL and Ctrl-Z."""
_DO = "Fetch the log again while the repository has it"


def compression(head: bytes) -> int | None:
    """Return how a body is compressed, by its first two bytes; isal's flag for it, None for neither zlib nor gzip."""
    if head.startswith(GZIP_MAGIC):
        return int(igzip_lib.DECOMP_GZIP)
    if len(head) < 2:
        return None
    method, flags = head[0], head[1]
    # RFC 1950: deflate, a window of at most 32 KiB, and a check over both bytes.
    zlib = method & 0x0F == 8 and method >> 4 <= 7 and (method << 8 | flags) % 31 == 0
    return int(igzip_lib.DECOMP_ZLIB) if zlib else None


def inflate(
    pieces: Iterable[bytes], *, log: str, spare: int = 0, filled: bool = False, tolerant: bool = False
) -> Iterator[bytes]:
    """Inflate one or more zlib or gzip streams in a row.

    :param pieces: the compressed bytes, cut anywhere.
    :param log: the log's name, for messages.
    :param spare: how many bytes may follow the end, whatever they are.
    :param filled: accept line ends, blanks and NUL after the end.
    :param tolerant: accept those, and a stream that lacks its end marker. The caller has to compare a checksum, since a
        cut stream is accepted too.
    :raises TruncatedError: the pieces end before the stream does.
    :raises CorruptError: the stream is damaged, or something else follows it.
    """
    source = iter(pieces)
    rest = _at_least(2, b"", source)
    for _ in range(_MAX_STREAMS):
        if (flag := compression(rest)) is None:
            break
        rest = yield from _inflate_one(rest, source, flag=flag, log=log, tolerant=tolerant)
        rest = _at_least(2, rest, source)
    if filled or tolerant:
        while rest and not rest.strip(_FILL):
            rest = next(source, b"")
    if len(_at_least(spare + 1, rest, source)) > spare:
        raise CorruptError("bytes follow the end of the compressed body", do=_DO, about=log)


def _at_least(size: int, piece: bytes, source: Iterator[bytes]) -> bytes:
    while len(piece) < size and (more := next(source, b"")):
        piece += more
    return piece


def _inflate_one(
    piece: bytes, source: Iterator[bytes], *, flag: int, log: str, tolerant: bool
) -> Generator[bytes, None, bytes]:
    """Inflate one stream that begins with ``piece``; return what came after it."""
    inflator = igzip_lib.IgzipDecompressor(flag=flag)
    try:
        while not inflator.eof:
            if inflator.needs_input and not piece and not (piece := next(source, b"")):
                if tolerant:
                    return b""
                raise TruncatedError("the compressed body ends before its end", do=_DO, about=log)
            plain = inflator.decompress(piece, PIECE)
            piece = b""
            if plain:
                yield plain
    except igzip_lib.IsalError:  # type: ignore[misc]  # a class, whatever the stub says
        raise CorruptError("the compressed body is damaged", do=_DO, about=log) from None
    return bytes(inflator.unused_data)
