"""Texts on their way from the bytes of a block into columns: each byte is copied once, escapes taken off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from airflow_provider_imperva.events.compiled import BYTES, PLACES, POSITIONS, WINDOWS, compiled, inlined, windows_of
from airflow_provider_imperva.events.lines import Lines, Positions

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]
Windows = npt.NDArray[np.uint64]

NUMBER, BEGIN, END = range(3)
"""What is told of a text: the number of what it is, and where in the block it begins and ends."""

PLAIN, BACKSLASH, QUOTE = 0, *b'\\"'
"""How texts are escaped: not at all; as in CEF and LEEF, with backslashes; as in W3C, quotes only, with either."""

_EQUALS, _N, _R, _LF, _CR = b"=nr\n\r"
_PADDING = 8
_ONES = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)


def copy_texts(
    block: bytes, found: Places, firsts: Positions, rows: Positions, *, numbers: Sequence[int], escape: int = PLAIN
) -> list[pa.StringArray]:
    """Copy texts out of a block.

    :param block: UTF-8, as far as texts are in it.
    :param found: a row of ``NUMBER``, ``BEGIN``, ``END`` for each text, and maybe more. No line has two of a number.
    :param firsts: the first row of each line, and the number of rows.
    :param rows: the lines wanted.
    :param numbers: which texts are wanted.
    :param escape: ``PLAIN``, ``BACKSLASH`` or ``QUOTE``.
    :return: a string array for each of ``numbers``, as long as ``rows``; null where a line has no such text.
    """
    column_of = np.full(max(numbers, default=0) + 1, -1, np.int64)
    column_of[list(numbers)] = np.arange(len(numbers))
    sizes = np.zeros(len(numbers), np.int64)
    _measure(found, firsts, rows, column_of, sizes)
    starts = np.cumsum(sizes + _PADDING) - sizes - _PADDING
    copied = np.empty(int(sizes.sum()) + _PADDING * (len(numbers) + 1), np.uint8)
    offsets = np.empty((len(numbers), len(rows) + 1), np.int32)
    valid = np.zeros((len(numbers), len(rows) // 8 + 1), np.uint8)
    _copy(
        np.frombuffer(block, np.uint8),
        windows_of(block),
        found,
        firsts,
        rows,
        column_of,
        escape,
        starts,
        copied,
        windows_of(copied),
        offsets,
        valid,
        starts.copy(),
    )
    return [
        pa.StringArray.from_buffers(
            len(rows),
            pa.py_buffer(offsets[column]),
            pa.py_buffer(copied[start : start + offsets[column, -1]]),
            pa.py_buffer(valid[column]),
        )
        for column, start in enumerate(starts.tolist())
    ]


def copy_lines(lines: Lines, ends: Positions, rows: Positions) -> pa.StringArray:
    """Copy the begin of some lines, as it is."""
    found = np.stack((np.zeros_like(ends), lines.begins, ends), axis=1).astype(np.int32)
    return copy_texts(lines.block, found, np.arange(len(lines) + 1), rows, numbers=[0])[0]


@compiled(PLACES, POSITIONS, POSITIONS, POSITIONS, POSITIONS)
def _measure(found: Places, firsts: Positions, rows: Positions, column_of: Positions, sizes: Positions) -> None:
    for line in rows:
        for text in range(firsts[line], firsts[line + 1]):
            number = found[text, NUMBER]
            if number < len(column_of) and column_of[number] >= 0:
                sizes[column_of[number]] += found[text, END] - found[text, BEGIN]


@inlined
def _unescape(text: Bytes, begin: int, end: int, escape: int, copied: Bytes, to: int) -> int:
    """Copy a text without its escapes; tells where the copy ends."""
    place = begin
    while place < end:
        byte = text[place]
        place += 1
        if place < end:
            following = text[place]
            if escape == BACKSLASH and byte == BACKSLASH:
                if following == _EQUALS or following == BACKSLASH or following == _N or following == _R:
                    byte = _LF if following == _N else _CR if following == _R else following
                    place += 1
            elif escape == QUOTE and following == QUOTE and (byte == QUOTE or byte == BACKSLASH):
                byte = following
                place += 1
        copied[to] = byte
        to += 1
    return to


@compiled(
    BYTES,
    WINDOWS,
    PLACES,
    POSITIONS,
    POSITIONS,
    POSITIONS,
    types.int64,
    POSITIONS,
    types.uint8[::1],
    WINDOWS.copy(readonly=False),
    types.int32[:, ::1],
    types.uint8[:, ::1],
    POSITIONS,
)
def _copy(
    text: Bytes,
    windows: Windows,
    found: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    starts: Positions,
    copied: Bytes,
    copied_windows: Windows,
    offsets: Places,
    valid: npt.NDArray[np.uint8],
    places: Positions,
) -> None:
    sought = _ONES * np.uint64(escape)
    offsets[:, 0] = 0
    for row in range(len(rows)):
        for which in range(firsts[rows[row]], firsts[rows[row] + 1]):
            number = found[which, NUMBER]
            column = column_of[number] if number < len(column_of) else -1
            if column < 0:
                continue
            begin, end, to = found[which, BEGIN], found[which, END], places[column]
            valid[column, row >> 3] |= 1 << (row & 7)
            escapes = np.uint64(0)
            if end + _PADDING <= len(text):
                # A word may hold up to seven bytes more, which the next text goes over.
                for ahead in range(0, end - begin, 8):
                    word = windows[begin + ahead]
                    copied_windows[to + ahead] = word
                    differ = word ^ sought
                    hits = (differ - _ONES) & ~differ & _HIGH_BITS
                    rest = end - begin - ahead
                    escapes |= hits if rest >= 8 else hits & ((np.uint64(1) << np.uint64(8 * rest)) - np.uint64(1))
            else:
                escapes = _HIGH_BITS
            places[column] = to + end - begin
            if escapes:
                places[column] = _unescape(text, begin, end, escape, copied, to)
        for column in range(len(starts)):
            offsets[column, row + 1] = places[column] - starts[column]
