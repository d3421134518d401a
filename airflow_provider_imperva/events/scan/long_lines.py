"""Lines that are too long to be read, taken out of a body on its way.

A log of 2 MB may hold a line of 2 GiB, compressed. No column could hold that, and to gather it would take many times
its size in memory. So what is longer than a bound never reaches a reader, and only its head is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_imperva.beginnings import CEF_VERSION, LEEF_VERSION, VENDORS
from airflow_provider_imperva.events.scan.lines import count_text
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST

MAX_LINE_BYTES = 16 << 20
"""The longest line that is read. Lines of real logs have a few kB, and Imperva cuts what clients send."""

HEAD_BYTES = 1 << 10
"""How much is kept of what is too long; raw/ has all of it."""

_OTHER_ENDS = [bytes([byte]) for byte in b"\r\0\x0b\x0c\x1c\x1d\x1e\x1f"]
_SIGNATURES = [f"|{vendor}|{product}|".encode() for product, vendor in VENDORS.items()]
_RECORD = re.compile(
    rf"(?:{CEF_VERSION}|{LEEF_VERSION})".encode()
    + b"(?="
    + b"|".join(re.escape(signature[1:]) for signature in _SIGNATURES)
    + b")"
)
_END = re.compile(rb"[\n" + b"".join(_OTHER_ENDS) + rb"]|" + _RECORD.pattern)
"""What ends lines in one transfer or another, or begins a record of Imperva's: a body that has neither CR nor LF, or CR
alone, is not one line.
"""

_LONGEST_VERSION = 24
_BESIDE_RECORDS = 1 << 29


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that was taken out.

    :param number: its 1-based number in the body; every LF counts. If records stand right beside it, ``LINES_AT_MOST``
        is added more often than any of those has it.
    :param head: how it begins.
    """

    number: int
    head: bytes


class ShortLines:
    """The chunks of a body without the lines that are too long; what ends them stays, so others keep their numbers.

    :ivar chunks: all of it, long lines too; only one of the two can be read.
    :ivar long: the lines that were taken out so far.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.long: list[LongLine] = []
        self.chunks = chunks
        self._number = 1
        # What may have to be taken out again: chunks whose last line has not ended.
        self._held: list[bytes] = []
        self._last_begin = 0
        self._size = 0
        self._head: bytes | None = None
        # Whether a line end stands before the line that is under way, and before the next piece.
        self._after_end = self._end_before = True

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            for begin in range(0, len(chunk), MAX_LINE_BYTES):
                yield from self._pass(chunk[begin : begin + MAX_LINE_BYTES])
        if self._head is not None:
            self._note(at_end=True)
        yield from self._release()

    def _pass(self, piece: bytes) -> Iterator[bytes]:
        """Take a piece that is no longer than a line may be; give what cannot be a part of a long line any more."""
        end = _END.search(piece)
        first = end.start() if end else None
        self._size += len(piece) if first is None else first
        if self._size > MAX_LINE_BYTES:
            yield from self._take_out(piece[:first])
            if first is None:
                return
            self._note(at_end=_is_end(piece[first : first + 1]))
            piece, first = piece[first:], 0
        if first is not None:
            yield from self._release()
            self._last_begin = _after_last_end(piece)
            before = piece[self._last_begin - 1 : self._last_begin]
            self._after_end = _is_end(before) if before else self._end_before
            self._size = len(piece) - self._last_begin
        self._held.append(piece)
        self._end_before = _is_end(piece[-1:])

    def _take_out(self, piece: bytes) -> Iterator[bytes]:
        """Drop the line that is under way, but for its head; give what stands before it."""
        if self._head is None:
            line = b"".join([*self._held, piece])
            self._head = line[self._last_begin :][:HEAD_BYTES]
            self._held = [line[: self._last_begin]]
            yield from self._release()

    def _note(self, *, at_end: bool) -> None:
        alone = at_end and self._after_end
        number = self._number if alone else self._number + (_BESIDE_RECORDS + len(self.long)) * LINES_AT_MOST
        self.long.append(LongLine(number, self._head or b""))
        self._head = None
        self._after_end = self._end_before = at_end
        self._size = 0

    def _release(self) -> Iterator[bytes]:
        for chunk in self._held:
            self._number += count_text(chunk, b"\n")
            if chunk:
                yield chunk
        self._held = []
        self._last_begin = 0


def _is_end(byte: bytes) -> bool:
    return byte == b"\n" or byte in _OTHER_ENDS


def _after_last_end(piece: bytes) -> int:
    after = piece.rfind(b"\n") + 1
    for byte in _OTHER_ENDS:
        after = max(after, piece.rfind(byte, after) + 1)
    for signature in _SIGNATURES:
        if (place := piece.rfind(signature, after)) >= 0:
            record = _RECORD.search(piece, max(place - _LONGEST_VERSION, after))
            after = record.start() if record else after
    return after
