"""Texts that recur, held once each: what has to be done with the texts of a column is done with each of them once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types

from airflow_provider_imperva.events.compiled import (
    BYTES,
    OFFSETS,
    POSITIONS,
    WINDOWS,
    Parts,
    compiled,
    inlined,
    windows_of,
)

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int32]
Windows = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def encode(texts: pa.StringArray) -> pa.DictionaryArray:
    """Encode texts by a dictionary that has them in the order they come first; null stays null and is not in it."""
    offsets, characters, valid = Parts.of(texts)
    codes = np.zeros(len(texts), np.int32)
    firsts = np.empty(len(texts), np.int64)
    # Half of the slots stay empty at least, so that what is not found in one is found in the next or the one behind.
    bits = (2 * len(texts)).bit_length()
    slots = np.full(1 << bits, -1, np.int32)
    count = _encode(characters, windows_of(characters), offsets, valid, bits, codes, firsts, slots)
    indices = pa.Int32Array.from_buffers(
        pa.int32(), len(texts), [pa.py_buffer(valid) if len(valid) else None, pa.py_buffer(codes)]
    )
    return pa.DictionaryArray.from_arrays(indices, texts.take(pa.array(firsts[:count])))


@inlined
def _word(characters: Bytes, windows: Windows, place: int, rest: int) -> np.uint64:
    """Give eight bytes that begin at a place, or as many as are left."""
    if rest >= 8:
        whole: np.uint64 = windows[place]
        return whole
    word = np.uint64(0)
    if place + 8 <= len(characters):
        word = windows[place] & ((np.uint64(1) << np.uint64(8 * rest)) - np.uint64(1))
    else:
        for ahead in range(rest):
            word |= np.uint64(characters[place + ahead]) << np.uint64(8 * ahead)
    return word


@compiled(BYTES, WINDOWS, OFFSETS, BYTES, types.int64, types.int32[::1], POSITIONS, types.int32[::1])
def _encode(
    characters: Bytes,
    windows: Windows,
    offsets: Codes,
    valid: Bytes,
    bits: int,
    codes: Codes,
    firsts: npt.NDArray[np.int64],
    slots: Codes,
) -> int:
    count = 0
    for row in range(len(codes)):
        if len(valid) and not valid[row >> 3] >> (row & 7) & 1:
            continue
        begin, length = offsets[row], offsets[row + 1] - offsets[row]
        mixed = np.uint64(length)
        for ahead in range(0, length, 8):
            mixed = (mixed ^ _word(characters, windows, begin + ahead, length - ahead)) * _FACTOR
            mixed ^= mixed >> np.uint64(32)
        slot = np.int64((mixed * _FACTOR) >> np.uint64(64 - bits))
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            same = offsets[first + 1] - offsets[first] == length
            for ahead in range(0, length if same else 0, 8):
                same &= _word(characters, windows, begin + ahead, length - ahead) == _word(
                    characters, windows, offsets[first] + ahead, length - ahead
                )
            if same:
                break
            slot = (slot + 1) % len(slots)
        if slots[slot] < 0:
            slots[slot] = count
            firsts[count] = row
            count += 1
        codes[row] = slots[slot]
    return count
