"""Counting a text in another gives what ``bytes.count`` gives, wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.lines import count_either, count_text

FEW = st.lists(st.sampled_from([b"a", b"b", b"|ab|", b"ab" * 9]), max_size=40).map(b"".join)


@given(FEW, FEW.filter(bool))
def test_it_is_counted_as_bytes_do(block: bytes, sought: bytes) -> None:
    assert count_text(block, sought) == block.count(sought)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 28, 40])
def test_it_is_found_at_every_place(length: int) -> None:
    sought = b"|" + b"x" * (length - 2) + b"!" * (length > 1)
    for place in range(50):
        for behind in range(20):
            assert count_text(b"|" * (length > 1) + b"-" * place + sought + b"-" * behind, sought) == 1


NAMES = (b"|I one|", b"|I another, which is longer|")
AROUND = st.lists(
    st.sampled_from([*NAMES, b"|", b"|I", b"|I one", b"I", b"another", b"-" * 13, b"-" * 61]), max_size=40
).map(b"".join)


@given(AROUND)
def test_both_of_two_texts_are_counted(block: bytes) -> None:
    assert count_either(block, *NAMES) == tuple(block.count(name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_either_is_found_at_every_place(name: bytes) -> None:
    for place in range(70):
        for behind in range(70):
            assert count_either(b"-" * place + name + b"-" * behind, *NAMES) == tuple(name == one for one in NAMES)


@pytest.mark.parametrize("other", [b"", b"|", b"|J", b"xI one"])
def test_two_texts_that_begin_otherwise_are_refused(reader: str, other: bytes) -> None:
    if reader == "compiled":
        with pytest.raises(ValueError, match="the same two bytes"):
            count_either(b"text", NAMES[0], other)


def test_what_overlaps_counts_once() -> None:
    assert count_text(b"aaaaa", b"aa") == 2


def test_nothing_cannot_be_sought(reader: str) -> None:
    if reader == "compiled":
        with pytest.raises(ValueError, match="nothing is sought"):
            kernel.count_text(np.zeros(3, np.uint8), np.zeros(0, np.uint8))
