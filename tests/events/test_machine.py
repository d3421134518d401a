"""What compiled loops do to bytes is what Python says of the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from airflow_provider_imperva.events.scan import machine
from airflow_provider_imperva.events.scan.compiled import BYTES, Bytes, compiled
from airflow_provider_imperva.events.scan.machine import STRETCH

TEXTS = st.binary(min_size=STRETCH, max_size=3 * STRETCH)


@compiled(BYTES, types.int64)
def byte_at(text: Bytes, place: int) -> int:
    return machine.byte_at(text, place)


@compiled(BYTES, types.int64)
def word_at(text: Bytes, place: int) -> np.uint64:
    return machine.word_at(text, place)


@compiled(BYTES, types.int64, types.int64)
def matches(text: Bytes, place: int, byte: int) -> np.uint64:
    return machine.matches(text, place, byte)


@compiled(BYTES, types.int64, types.uint8[::1], types.int64)
def copy_stretch(text: Bytes, place: int, copied: Bytes, to: int) -> None:
    machine.copy_stretch(text, place, copied, to)


@compiled(types.uint64)
def trailing_zeros(word: int) -> int:
    return machine.trailing_zeros(np.uint64(word))


@given(TEXTS, st.data())
def test_bytes_words_and_matches_are_those_from_a_place_on(text: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text) - STRETCH))
    sought = data.draw(st.sampled_from(text) | st.integers(0, 255))
    array = np.frombuffer(text, np.uint8)
    assert byte_at(array, place) == text[place]
    assert int(word_at(array, place)) == int.from_bytes(text[place : place + 8], "little")
    expected = sum((text[place + bit] == sought) << bit for bit in range(STRETCH))
    assert int(matches(array, place, sought)) == expected


@given(TEXTS, st.data())
def test_a_stretch_is_copied_and_nothing_around_it(text: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text) - STRETCH))
    to = data.draw(st.integers(0, STRETCH))
    copied = np.full(2 * STRETCH, 0xEE, np.uint8)
    copy_stretch(np.frombuffer(text, np.uint8), place, copied, to)
    assert copied.tobytes() == b"\xee" * to + text[place : place + STRETCH] + b"\xee" * (STRETCH - to)


@pytest.mark.parametrize("bit", range(64))
def test_trailing_zeros_are_those_below_the_lowest_bit(bit: int) -> None:
    assert trailing_zeros(1 << bit) == bit
    assert trailing_zeros(1 << 63 | 1 << bit) == bit
