"""Texts on their way from the bytes of a block into columns: each byte is copied once, escapes taken off."""

from __future__ import annotations

import math
import secrets
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from airflow_provider_imperva.events.scan.compiled import (
    BYTES,
    MASK,
    PLACES,
    POSITIONS,
    Bytes,
    Mask,
    Places,
    Positions,
    compiled,
    inlined,
)
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.machine import STRETCH, copy_stretch, matches, trailing_zeros, word_at
from airflow_provider_imperva.events.schema.columns import TEXT

NUMBER, BEGIN, END = range(3)
"""What is told of a text: the number of what it is, and where in the block it begins and ends."""

PLAIN, BACKSLASH, QUOTE = b'\0\\"'
"""How texts are escaped, by the byte to look for: not at all; as in CEF and LEEF, with backslashes; as in W3C, quotes
only, with either.
"""

_EQUALS, _N, _R, _LF, _CR = b"=nr\n\r"
_ALL_PLAIN = np.uint64(1 << STRETCH)
_FACTOR = np.uint64(secrets.randbits(64) | 1)
"""Mixes texts; another one in each process, so that nobody can make texts up that all fall into one slot."""


def copy_texts(
    block: bytes | Bytes,
    found: Places,
    firsts: Positions,
    rows: Positions,
    *,
    numbers: Sequence[int],
    recurring: Container[int] = (),
    escape: int = PLAIN,
    escaped: Mask | None = None,
) -> list[pa.StringArray | pa.DictionaryArray]:
    """Copy texts out of a block.

    :param block: UTF-8, as far as texts are in it.
    :param found: a row of ``NUMBER``, ``BEGIN``, ``END`` for each text. No line has two of a number, none is empty.
    :param firsts: the first row of each line, and the number of rows.
    :param rows: the lines wanted.
    :param numbers: which texts are wanted; ``recurring``: those of them to be copied once each.
    :param escape: ``PLAIN``, ``BACKSLASH`` or ``QUOTE``; ``escaped``: lines in which there may be any, by default all.
    :return: an array for each of ``numbers``, as long as ``rows``; null where a line has no such text. Of strings; for
        recurring texts a dictionary of strings, in the order they come first.
    """
    # Those that recur come first.
    order = sorted(numbers, key=lambda number: number not in recurring)
    coded = sum(number in recurring for number in numbers)
    column_of = np.full(max(numbers, default=0) + 1, -1, np.int64)
    column_of[order] = np.arange(len(order))
    sizes = np.zeros(len(order), np.int64)
    _measure(found, column_of, sizes)
    starts = np.cumsum(sizes + STRETCH) - sizes - STRETCH
    copied = _lasting((int(sizes.sum()) + STRETCH * (len(order) + 1),), np.uint8)
    ends = _lasting((len(order), len(rows) + 1), np.int32)
    ends[:] = 0
    ends[:coded, 0] = starts[:coded]
    codes = _lasting((coded, len(rows)), np.int32)
    codes[:] = -1
    # Half of the slots stay empty at least, so that a text not found in its own is in one of the next.
    slots = np.full((coded, 1 << (2 * len(rows)).bit_length()), -1, np.int32)
    counts = np.zeros(coded, np.int64)
    places = starts.copy()
    _copy(
        np.frombuffer(block, np.uint8),
        found,
        firsts,
        rows,
        column_of,
        escape,
        np.full(len(firsts) - 1, escape != PLAIN) if escaped is None else escaped,
        copied,
        places,
        ends,
        codes,
        slots,
        _FACTOR,
        counts,
    )
    valid = np.packbits(np.concatenate((codes >= 0, ends[coded:, 1:] > 0)), axis=1, bitorder="little")
    _sum(ends[coded:])
    np.maximum(codes, 0, out=codes)
    validity, offsets, indices = _rows(valid), _rows(ends), _rows(codes)
    held = pa.py_buffer(copied)
    arrays = {}
    for column, (number, start, end) in enumerate(zip(order, starts.tolist(), places.tolist(), strict=True)):
        texts = held.slice(start, end - start)
        if column < coded:
            count = int(counts[column])
            distinct = [None, pa.py_buffer(ends[column, : count + 1] - start), texts]
            arrays[number] = pa.DictionaryArray.from_arrays(
                pa.Array.from_buffers(pa.int32(), len(rows), [validity[column], indices[column]]),
                pa.Array.from_buffers(TEXT, count, distinct),
                safe=False,
            )
        else:
            arrays[number] = pa.Array.from_buffers(TEXT, len(rows), [validity[column], offsets[column], texts])
    return [arrays[number] for number in numbers]


def _rows(array: npt.NDArray[Any]) -> list[pa.Buffer]:
    held = pa.py_buffer(array)
    size = array.shape[1] * array.itemsize
    return [held.slice(row * size, size) for row in range(len(array))]


def _lasting(shape: tuple[int, ...], kind: type[np.generic]) -> npt.NDArray[Any]:
    """Take memory from Arrow for what outlives the block, so that none of it lies between what is freed with it."""
    return np.ndarray(shape, kind, pa.allocate_buffer(math.prod(shape) * np.dtype(kind).itemsize))


def copy_lines(
    lines: Lines, ends: Positions, rows: Positions, *, recurring: Container[int] = ()
) -> pa.StringArray | pa.DictionaryArray:
    """Copy some lines up to given ends, as they are."""
    found = np.stack((np.zeros_like(rows), lines.begins[rows], ends[rows]), axis=1).astype(np.int32)
    places = np.arange(len(rows) + 1)
    return copy_texts(lines.block, found, places, places[:-1], numbers=[0], recurring=recurring)[0]


@compiled(PLACES, POSITIONS, POSITIONS)
def _measure(found: Places, column_of: Positions, sizes: Positions) -> None:
    """Add up the bytes of each column's texts, those of lines that are not wanted among them."""
    for text in range(len(found)):
        number = found[text, NUMBER]
        if number < len(column_of) and column_of[number] >= 0:
            sizes[column_of[number]] += found[text, END] - found[text, BEGIN]


@inlined
def _first(word: np.uint64, count: int) -> np.uint64:
    """Keep the first bytes of a machine word, all eight or fewer."""
    return word if count >= 8 else word & ((np.uint64(1) << np.uint64(8 * count)) - np.uint64(1))


@inlined
def _copy_plain(text: Bytes, begin: int, end: int, copied: Bytes, to: int) -> int:
    """Copy a text as it is; tells where the copy ends."""
    if end + STRETCH > len(text):
        for place in range(begin, end):
            copied[to + place - begin] = text[place]
        return to + end - begin
    place, shift = begin, to - begin
    while place < end:
        # Up to 31 bytes more than are left, which the next text goes over.
        copy_stretch(text, place, copied, place + shift)
        place += STRETCH
    return end + shift


@inlined
def _copy_unescaped(text: Bytes, begin: int, end: int, escape: int, copied: Bytes, to: int) -> int:
    """Copy a text without its escapes; tells where the copy ends."""
    place = begin
    while place < end:
        if place + STRETCH <= len(text):
            copy_stretch(text, place, copied, to)
            plain = trailing_zeros(matches(text, place, escape) | _ALL_PLAIN)
            if place + plain >= end:
                return to + end - place
            place += plain
            to += plain
            if plain == STRETCH:
                continue
        byte = text[place]
        following = text[place + 1] if place + 1 < end else 0
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
    copied: Bytes, slots: Places, factor: np.uint64, column: int, ends: Places, count: int, to: int, end: int
) -> int:
    """Give the code of a copied text, ``count`` if it is a new one, and then keep it for the next ones."""
    mixed = np.uint64(end - to)
    for place in range(to, end, 8):
        mixed = (mixed ^ _first(word_at(copied, place), end - place)) * factor
        mixed ^= mixed >> np.uint64(32)
    slot = mixed & np.uint64(slots.shape[1] - 1)
    while slots[column, slot] >= 0:
        code: int = slots[column, slot]
        other = ends[column, code]
        same = ends[column, code + 1] - other == end - to
        for place in range(to, end if same else to, 8):
            same &= _first(word_at(copied, place) ^ word_at(copied, other + place - to), end - place) == 0
        if same:
            return code
        slot = (slot + np.uint64(1)) & np.uint64(slots.shape[1] - 1)
    slots[column, slot] = count
    return count


@compiled(
    BYTES,
    PLACES,
    POSITIONS,
    POSITIONS,
    POSITIONS,
    types.int64,
    MASK,
    types.uint8[::1],
    POSITIONS,
    PLACES,
    PLACES,
    PLACES,
    types.uint64,
    POSITIONS,
)
def _copy(
    text: Bytes,
    found: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    escaped: Mask,
    copied: Bytes,
    places: Positions,
    ends: Places,
    codes: Places,
    slots: Places,
    factor: np.uint64,
    counts: Positions,
) -> None:
    """Copy the texts of each row to their columns, the first of which have codes.

    ``ends`` is told where the distinct texts of those end in ``copied``, and of the others how long each is, so that
    nothing is written for what a row does not have.
    """
    for row in range(len(rows)):
        line = rows[row]
        for which in range(np.uint64(firsts[line]), np.uint64(firsts[line + 1])):
            number = found[which, NUMBER]
            column = column_of[number] if number < len(column_of) else -1
            if column < 0:
                continue
            begin, behind, to = found[which, BEGIN], found[which, END], places[column]
            if escaped[line]:
                end = _copy_unescaped(text, begin, behind, escape, copied, to)
            else:
                end = _copy_plain(text, begin, behind, copied, to)
            if column >= len(codes):
                ends[column, row + 1] = end - to
            else:
                code = _code_of(copied, slots, factor, column, ends, counts[column], to, end)
                codes[column, row] = code
                if code < counts[column]:
                    continue
                counts[column] += 1
                ends[column, code + 1] = end
            places[column] = end


@compiled(PLACES)
def _sum(lengths: Places) -> None:
    """Put the sum of each column's lengths so far in their place."""
    for column in range(len(lengths)):
        end = 0
        for row in range(lengths.shape[1]):
            end += lengths[column, row]
            lengths[column, row] = end
