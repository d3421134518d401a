"""Texts on their way from the bytes of a block into columns: each byte is copied once, escapes taken off."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from airflow_provider_imperva.events.columns import TEXT
from airflow_provider_imperva.events.compiled import (
    BYTES,
    PLACES,
    POSITIONS,
    WINDOWS,
    Bytes,
    Places,
    Positions,
    Windows,
    compiled,
    inlined,
    windows_of,
)
from airflow_provider_imperva.events.lines import Lines

NUMBER, BEGIN, END = range(3)
"""What is told of a text: the number of what it is, and where in the block it begins and ends."""

PLAIN, BACKSLASH, QUOTE = 0, *b'\\"'
"""How texts are escaped: not at all; as in CEF and LEEF, with backslashes; as in W3C, quotes only, with either."""

_EQUALS, _N, _R, _LF, _CR = b"=nr\n\r"
_PADDING = 8
_ONES = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def copy_texts(
    block: bytes | Bytes,
    found: Places,
    firsts: Positions,
    rows: Positions,
    *,
    numbers: Sequence[int],
    recurring: Container[int] = (),
    escape: int = PLAIN,
) -> list[pa.StringArray | pa.DictionaryArray]:
    """Copy texts out of a block.

    :param block: UTF-8, as far as texts are in it.
    :param found: a row of ``NUMBER``, ``BEGIN``, ``END`` for each text. No line has two of a number.
    :param firsts: the first row of each line, and the number of rows.
    :param rows: the lines wanted.
    :param numbers: which texts are wanted; ``recurring``: those of them to be copied once each.
    :param escape: ``PLAIN``, ``BACKSLASH`` or ``QUOTE``.
    :return: an array for each of ``numbers``, as long as ``rows``; null where a line has no such text. Of strings; for
        recurring texts a dictionary of strings, in the order they come first.
    """
    column_of = np.full(max(numbers, default=0) + 1, -1, np.int64)
    column_of[list(numbers)] = np.arange(len(numbers))
    sizes = np.zeros(len(numbers), np.int64)
    _measure(found, firsts, rows, column_of, sizes)
    ends = np.cumsum(sizes + _PADDING)
    starts = ends - sizes - _PADDING
    copied = _lasting((int(sizes.sum()) + _PADDING * (len(numbers) + 1),), np.uint8)
    offsets = _lasting((len(numbers), len(rows) + 1), np.int32)
    valid = _lasting((len(numbers), len(rows) // 8 + 1), np.uint8)
    valid[:] = 0
    coded = [column for column, number in enumerate(numbers) if number in recurring]
    coding = np.full(len(numbers), -1, np.int64)
    coding[coded] = np.arange(len(coded))
    codes = _lasting((len(coded), len(rows)), np.int32)
    codes[:] = 0
    # Half of the slots stay empty at least, so that a text not found in its own is in one of the next.
    slots = np.full((len(coded), 1 << (2 * len(rows)).bit_length()), -1, np.int32)
    counts = np.where(coding < 0, len(rows), 0)
    _copy(
        np.frombuffer(block, np.uint8),
        windows_of(block),
        found,
        firsts,
        rows,
        column_of,
        escape,
        copied,
        windows_of(copied),
        starts,
        starts.copy(),
        offsets,
        valid,
        coding,
        codes,
        slots,
        counts,
    )
    arrays = []
    for column, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
        characters = copied[start : start + offsets[column, count]]
        buffers = [pa.py_buffer(valid[column]), pa.py_buffer(offsets[column]), pa.py_buffer(characters)]
        if column in coded:
            indices = pa.Array.from_buffers(pa.int32(), len(rows), [buffers[0], pa.py_buffer(codes[coding[column]])])
            distinct = pa.Array.from_buffers(TEXT, count, [None, *buffers[1:]])
            arrays.append(pa.DictionaryArray.from_arrays(indices, distinct, safe=False))
        else:
            arrays.append(pa.Array.from_buffers(TEXT, count, buffers))
    return arrays


def _lasting(shape: tuple[int, ...], kind: type[np.generic]) -> npt.NDArray[Any]:
    """Take memory from Arrow for what outlives the block, so that none of it lies between what is freed with it."""
    return np.ndarray(shape, kind, pa.allocate_buffer(math.prod(shape) * np.dtype(kind).itemsize))


def copy_lines(
    lines: Lines, ends: Positions, rows: Positions, *, recurring: Container[int] = ()
) -> pa.StringArray | pa.DictionaryArray:
    """Copy some lines up to given ends, as they are."""
    found = np.stack((np.zeros_like(ends), lines.begins, ends), axis=1).astype(np.int32)
    return copy_texts(lines.block, found, np.arange(len(lines) + 1), rows, numbers=[0], recurring=recurring)[0]


@compiled(PLACES, POSITIONS, POSITIONS, POSITIONS, POSITIONS)
def _measure(found: Places, firsts: Positions, rows: Positions, column_of: Positions, sizes: Positions) -> None:
    for line in rows:
        for text in range(firsts[line], firsts[line + 1]):
            number = found[text, NUMBER]
            if number < len(column_of) and column_of[number] >= 0:
                sizes[column_of[number]] += found[text, END] - found[text, BEGIN]


@inlined
def _part(windows: Windows, place: int, rest: int) -> np.uint64:
    """Give eight bytes that begin at a place, or as many as are left of a text."""
    word: np.uint64 = windows[place]
    return word if rest >= 8 else word & ((np.uint64(1) << np.uint64(8 * rest)) - np.uint64(1))


@inlined
def _copy_one(
    text: Bytes,
    windows: Windows,
    begin: int,
    end: int,
    escape: int,
    copied: Bytes,
    copied_windows: Windows,
    to: int,
) -> int:
    """Copy a text without its escapes; tells where the copy ends."""
    sought = _ONES * np.uint64(escape)
    place = begin
    while place < end:
        if place + _PADDING <= len(text):
            # Up to seven bytes more than are left, which the next text goes over.
            copied_windows[to] = windows[place]
            differ = _part(windows, place, end - place) ^ sought
            marks = (differ - _ONES) & ~differ & _HIGH_BITS
            if escape == PLAIN or not marks:
                to += min(8, end - place)
                place += 8
                continue
            # As many bytes as begin below the first mark, which is the last bit of its byte.
            below = (marks & (~marks + np.uint64(1))) - np.uint64(1)
            plain = int(np.int64(((below & _ONES) * _ONES) >> np.uint64(56))) - 1
            place += plain
            to += plain
        byte = text[place]
        following = text[place + 1] if place + 1 < end else PLAIN
        place += 1
        if escape == BACKSLASH and byte == BACKSLASH:
            if following == _EQUALS or following == BACKSLASH or following == _N or following == _R:
                byte = _LF if following == _N else _CR if following == _R else following
                place += 1
        elif escape == QUOTE and byte == QUOTE:
            if place - 1 > begin and text[place - 2] == BACKSLASH:
                to -= 1
            elif following == QUOTE:
                place += 1
        copied[to] = byte
        to += 1
    return to


@inlined
def _code_of(
    windows: Windows, slots: Places, coded: int, offsets: Places, column: int, start: int, count: int, to: int, end: int
) -> int:
    """Give the code of a copied text, ``count`` if it is a new one, and then keep it for the next ones."""
    mixed = np.uint64(end - to)
    for place in range(to, end, 8):
        mixed = (mixed ^ _part(windows, place, end - place)) * _FACTOR
        mixed ^= mixed >> np.uint64(32)
    slot = np.int64(mixed & np.uint64(slots.shape[1] - 1))
    while slots[coded, slot] >= 0:
        code: int = slots[coded, slot]
        other = start + offsets[column, code]
        same = offsets[column, code + 1] - offsets[column, code] == end - to
        for place in range(to, end if same else to, 8):
            same &= _part(windows, place, end - place) == _part(windows, other + place - to, end - place)
        if same:
            return code
        slot = (slot + 1) & (slots.shape[1] - 1)
    slots[coded, slot] = count
    return count


@compiled(
    BYTES,
    WINDOWS,
    PLACES,
    POSITIONS,
    POSITIONS,
    POSITIONS,
    types.int64,
    types.uint8[::1],
    WINDOWS.copy(readonly=False),
    POSITIONS,
    POSITIONS,
    PLACES,
    types.uint8[:, ::1],
    POSITIONS,
    PLACES,
    PLACES,
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
    copied: Bytes,
    copied_windows: Windows,
    starts: Positions,
    places: Positions,
    offsets: Places,
    valid: Bytes,
    coding: Positions,
    codes: Places,
    slots: Places,
    counts: Positions,
) -> None:
    offsets[:] = 0
    for row in range(len(rows)):
        for which in range(firsts[rows[row]], firsts[rows[row] + 1]):
            number = found[which, NUMBER]
            column = column_of[number] if number < len(column_of) else -1
            if column < 0:
                continue
            begin, end, to = found[which, BEGIN], found[which, END], places[column]
            valid[column, row >> 3] |= 1 << (row & 7)
            behind = _copy_one(text, windows, begin, end, escape, copied, copied_windows, to)
            coded = coding[column]
            if coded >= 0:
                count = counts[column]
                code = _code_of(copied_windows, slots, coded, offsets, column, starts[column], count, to, behind)
                codes[coded, row] = code
                if code < count:
                    continue
                counts[column] = count + 1
                offsets[column, count + 1] = behind - starts[column]
            else:
                offsets[column, row + 1] = behind - to
            places[column] = behind
    # Until here texts without a dictionary have lengths, so that nothing is written for what a row does not have.
    for column in range(len(starts)):
        end = 0
        for row in range(len(rows) if coding[column] < 0 else 0):
            end += offsets[column, row + 1]
            offsets[column, row + 1] = end
