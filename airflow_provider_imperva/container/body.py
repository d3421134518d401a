"""The body of a log as it is stored: a stretch of a file, read in pieces and as often as need be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

PIECE = 1 << 20
"""Bytes that stream through at a time; a multiple of an AES block."""


@dataclass(frozen=True, slots=True)
class Body:
    """A stretch of a file up to the file's end.

    :param file: seekable and buffered; it has to stay open as long as the body is read.
    :param start: where the stretch begins.
    :param size: its bytes.
    """

    file: BinaryIO = field(repr=False)
    start: int
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Read some bytes; fewer where the body ends."""
        # Sought every time, since whoever reads in turns shares the file.
        self.file.seek(self.start + offset)
        return self.file.read(min(size, self.size - offset))

    def pieces(self) -> Iterator[bytes]:
        """Read all of it, a piece at a time."""
        for offset in range(0, self.size, PIECE):
            yield self.read(offset, PIECE)
