"""Where the lines of a block are: positions in its bytes, found all at once.

Lines end at LF and nowhere else, since values hold every other character that some call a line end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Positions
from airflow_provider_imperva.events.schema.columns import TEXT

BLOCK_BYTES = 12 << 20
"""How much is read into one table: enough that whole-array work pays, little enough that memory stays flat."""

BLOCK_LINES = 1 << 17
"""How many lines, for the same reason: real ones are so long that blocks are full before."""

TAIL_BYTES = 1 << 20
"""How much of a block is looked at for where it may end within a line."""

_PIECE_BYTES = 1 << 18
_LARGEST_BYTES, _LARGEST_LINES = 8 * BLOCK_BYTES, 2 * BLOCK_LINES
"""What a block grows to while there is no place where it may end; no record is as long."""

SCANNED_BYTES = 2**31 - 1
"""Bytes of a block that a scan can address; only a line of such a size makes a larger block."""

_TAB, _LF, _CR, _BLANK = b"\t\n\r "
_SHORT_LINE = 256
"""Bytes of a short line, as logs go; if those of a block are shorter on the whole, their ends are found once more."""

_WHITE = np.zeros(256, np.bool_)
_WHITE[list(b" \t\n\r\x0b\x0c")] = True


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Some lines of a block, in the order they stand there.

    :param block: the bytes.
    :param begins: where each line begins, int64.
    :param ends: where it ends, exclusive, int64: neither LF nor CR before it belong to a line. One that was
        joined out of several holds the line ends between them.
    :param numbers: 1-based number of each line (the first, if joined) in the plain body, int64; every LF counts.
    """

    block: bytes
    begins: Positions
    ends: Positions
    numbers: Positions

    @classmethod
    def split(cls, block: bytes, *, first_number: int) -> Lines:
        """Find the lines that hold more than white space.

        :param first_number: number of the line that the block begins with.
        """
        text = np.frombuffer(block, np.uint8)
        line_ends = _line_ends(text)
        begins = np.concatenate(([0], line_ends + 1)).astype(np.int64)
        ends = np.append(line_ends, len(block)).astype(np.int64)
        ends -= _end_in_cr(text, begins, ends)
        # Those with more of them are few, so each is taken by itself: a step for all lines would be one for each CR.
        for line in np.flatnonzero(_end_in_cr(text, begins, ends)).tolist():
            ends[line] = begins[line] + len(block[begins[line] : ends[line]].rstrip(b"\r"))
        lines = cls(block, begins, ends, np.arange(first_number, first_number + len(begins), dtype=np.int64))
        return lines.take(~lines._are_blank(text))

    def _are_blank(self, text: Bytes) -> Mask:
        blank: Mask = self.begins == self.ends
        # Only a line that begins with white space can be of nothing else.
        doubtful = np.flatnonzero(~blank)
        doubtful = doubtful[_WHITE[text[self.begins[doubtful]]]]
        if len(doubtful):
            white = np.append(_WHITE[text], True)
            bounds = np.column_stack((self.begins[doubtful], self.ends[doubtful])).ravel()
            blank[doubtful] = np.logical_and.reduceat(white, bounds)[::2]
        return blank

    def take(self, which: Mask | Positions) -> Lines:
        """Keep the lines that a mask marks, or those at the given indices."""
        return Lines(self.block, self.begins[which], self.ends[which], self.numbers[which])

    def joined(self, starts: Mask) -> tuple[Lines, Mask]:
        """Append every line that starts no record to the record before it; those before the first stay as they are.

        :param starts: whether each line starts a record.
        :return: the records, and which of them are of more than one line.
        """
        if starts.all():
            return self, np.zeros(len(self), np.bool_)
        kept = starts.copy()
        kept[: int(starts.argmax()) if starts.any() else len(self)] = True
        firsts = np.flatnonzero(kept)
        lasts = np.append(firsts[1:], len(self)) - 1
        return Lines(self.block, self.begins[firsts], self.ends[lasts], self.numbers[firsts]), lasts > firsts

    def begin_with(self, prefix: bytes) -> Mask:
        """Whether each line begins with some bytes."""
        mask: Mask = self.ends - self.begins >= len(prefix)
        if mask.any():
            text = np.frombuffer(self.block, np.uint8)
            for place, byte in enumerate(prefix):
                mask &= text[np.minimum(self.begins + place, len(text) - 1)] == byte
        return mask

    def undecodable(self) -> list[int]:
        """Which lines of a block, of ``SCANNED_BYTES`` at most, are not UTF-8; checks single lines only if some are."""
        bounds = pa.py_buffer(np.array([self.begins[0], self.ends[-1]] if len(self) else [0, 0], np.int32))
        try:
            pa.Array.from_buffers(TEXT, 1, [None, bounds, pa.py_buffer(self.block)]).validate(full=True)
        except pa.ArrowInvalid:
            return [index for index in range(len(self)) if not _is_utf8(self.text(index))]
        return []

    def text(self, index: int) -> bytes:
        """The bytes of one line."""
        return self.block[self.begins[index] : self.ends[index]]

    def __len__(self) -> int:
        return len(self.begins)


def _end_in_cr(text: Bytes, begins: Positions, ends: Positions) -> Mask:
    mask: Mask = (
        (ends > begins) & (text.take(ends - 1, mode="clip") == _CR) if len(text) else np.zeros_like(begins, bool)
    )
    return mask


def _line_ends(text: Bytes) -> Positions:
    places = np.empty(len(text) // _SHORT_LINE + 1, np.int64)
    count = kernel.find_line_ends(text, places)
    if count > len(places):
        places = np.empty(count, np.int64)
        kernel.find_line_ends(text, places)
    return places[:count]


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


class Tally(NamedTuple):
    """What is counted in the bytes of a block, by other means than :class:`Lines`.

    :ivar line_ends: the LF.
    :ivar lines: lines that hold more than white space.
    :ivar begun: those that begin with given bytes.
    """

    line_ends: int
    lines: int
    begun: int

    @classmethod
    def of(cls, block: bytes | memoryview, prefix: bytes = b"") -> Tally:
        """Count."""
        return cls(*kernel.tally(np.frombuffer(block, np.uint8), np.frombuffer(prefix, np.uint8)))


def count_text(block: bytes | memoryview, sought: bytes) -> int:
    """Count as ``bytes.count`` does, at several times its speed."""
    return kernel.count_text(np.frombuffer(block, np.uint8), np.frombuffer(sought, np.uint8))


def count_either(block: bytes, one: bytes, other: bytes) -> tuple[int, int]:
    """Count two texts that begin with the same two bytes, in one go."""
    return kernel.count_either(*(np.frombuffer(text, np.uint8) for text in (block, one, other)))


def _after_last_lf(piece: bytes) -> int:
    return piece.rfind(b"\n") + 1


def _keep_freed_memory() -> None:
    """Let one block use the memory of the one before, which otherwise goes back to the system each time.

    The GNU C library keeps twice as much freed memory as the largest piece it has given back, if that was of less than
    32 MiB. Elsewhere this does nothing.
    """
    np.empty((32 << 20) - (64 << 10), np.uint8)


def _nowhere(_: bytes) -> int:
    return 0


def blocks(
    chunks: Iterable[bytes],
    *,
    block_bytes: int = BLOCK_BYTES,
    cut: Callable[[bytes], int] = _after_last_lf,
    cut_within_line: Callable[[bytes], int] = _nowhere,
) -> Iterator[bytes]:
    """Gather chunks into blocks of ``block_bytes`` or ``BLOCK_LINES``, or some more.

    :param chunks: bytes in order, cut anywhere.
    :param cut: says after how many bytes of a piece a block may end, 0 if nowhere. By default after its last LF; there
        by all means, before so much is in memory that no record can be as long.
    :param cut_within_line: says the same of the last ``TAIL_BYTES`` of a block that is twice as large as it should be.
    """
    _keep_freed_memory()
    pieces: list[bytes] = []
    size, lines, next_size = 0, 0, 2 * block_bytes
    for chunk in chunks:
        # A chunk is a piece as it is, without a copy, unless it holds a block's lines by itself.
        in_chunk = count_text(chunk, b"\n")
        length = block_bytes if in_chunk < BLOCK_LINES else min(block_bytes, _PIECE_BYTES)
        for begin in range(0, len(chunk), length):
            piece = chunk[begin : begin + length]
            size += len(piece)
            lines += in_chunk if len(piece) == len(chunk) else count_text(piece, b"\n")
            place = cut(piece) if size >= block_bytes or lines >= BLOCK_LINES else 0
            if not place and size >= next_size:
                next_size = size + block_bytes
                whole = b"".join([*pieces, piece])
                begin_of_tail = max(len(whole) - TAIL_BYTES, 0)
                if within := cut_within_line(whole[begin_of_tail:]):
                    yield whole[: begin_of_tail + within]
                    piece = whole[begin_of_tail + within :]
                    pieces, size, lines, next_size = [], len(piece), count_text(piece, b"\n"), 2 * block_bytes
                del whole
            if not place and (size >= _LARGEST_BYTES or lines >= _LARGEST_LINES):
                place = _after_last_lf(piece)
            if place:
                yield b"".join([*pieces, piece[:place]])
                piece = piece[place:]
                pieces, size, lines, next_size = [], len(piece), count_text(piece, b"\n"), 2 * block_bytes
            pieces.append(piece)
    if size:
        yield b"".join(pieces)
