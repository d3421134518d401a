"""The compiled kernel takes no place outside of a text: what is told to be there, it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.vocabulary import Vocabulary
from tests.events.readers import reading_with

TEXT = np.frombuffer(b'"a" "b"\nCEF:0|a|b|c|d|e|f| src=1', np.uint8)
OUTSIDE = [(-1, 5), (0, len(TEXT) + 1), (9, 8), (0, 1 << 40), (-(1 << 40), 3), (len(TEXT) + 1, len(TEXT) + 2)]


@pytest.fixture(autouse=True, scope="module")
def reader() -> Iterator[None]:
    """NumPy, which the other one rests on, has bounds of its own."""
    with reading_with("compiled"):
        yield


@pytest.mark.parametrize(("begin", "end"), OUTSIDE)
def test_record_outside_of_the_text(begin: int, end: int) -> None:
    vocabulary = Vocabulary.of(keys.CEF)
    begins, ends = np.array([begin]), np.array([end])
    irregular, spans, firsts = np.zeros(1, np.bool_), np.empty((9, 3), np.int32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="outside"):
        kernel.find_pairs(
            TEXT, begins, ends, vocabulary.words, vocabulary.known, False, irregular, spans, firsts, begins.copy()
        )


@pytest.mark.parametrize(("begin", "end"), OUTSIDE)
def test_row_outside_of_the_text(begin: int, end: int) -> None:
    irregular, escaped, firsts = np.zeros(1, np.bool_), np.zeros(1, np.bool_), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="outside"):
        kernel.cut_rows(
            TEXT,
            np.array([begin]),
            np.array([end]),
            2,
            np.array([2, 2, 2]),
            irregular,
            escaped,
            np.empty((9, 3), np.int32),
            firsts,
        )


@pytest.mark.parametrize("depth", [-1, 1 << 31])
def test_depth_that_no_text_has(depth: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        kernel.count_values(TEXT, depth)


@pytest.mark.parametrize(
    ("codes", "ends", "size"), [((2, 9), (1, 10), 5), ((2, 9), (1, 9), 6), ((2, 9), (1, 10), 7), ((1, 9), (0, 0), 2)]
)
def test_bits_for_other_rows_than_there_are(codes: tuple[int, int], ends: tuple[int, int], size: int) -> None:
    with pytest.raises(ValueError, match="sizes"):
        kernel.finish(np.zeros(codes, np.int32), np.zeros(ends, np.int32), np.zeros(size, np.uint8))


def test_bits_of_the_rows_that_have_a_text() -> None:
    codes = np.array([[0, -1, 3, -1, -1, -1, -1, -1, 2]], np.int32)
    ends = np.array([[0, 4, 0, 0, 1, 0, 0, 0, 0, 7]], np.int32)
    valid = np.full(4, 255, np.uint8)
    kernel.finish(codes, ends, valid)
    assert valid.tolist() == [0b101, 1, 0b1001, 1]
    assert codes.tolist() == [[0, 0, 3, 0, 0, 0, 0, 0, 2]]
    assert ends.tolist() == [[0, 4, 4, 4, 5, 5, 5, 5, 5, 12]]


HEADERS = b'[{"a":"b"},{"c":"d"}]'


def cut_headers(*, begin: int = 0, end: int = len(HEADERS), room: int = 2, size: int = 2, names: int = 2) -> None:
    kernel.cut_headers(
        np.frombuffer(HEADERS, np.uint8),
        np.array([begin, end], np.int32),
        np.zeros(1, np.bool_),
        np.zeros(2, np.int32),
        np.zeros(room, np.int32),
        np.zeros(room + 1, np.int32),
        np.zeros(room + 1, np.int32),
        np.zeros(size, np.uint8),
        np.zeros(names + 1, np.int32),
        np.zeros(names, np.uint8),
    )


@pytest.mark.parametrize(("begin", "end"), [(-1, 5), (0, len(HEADERS) + 1), (9, 8)])
def test_headers_outside_of_the_text(begin: int, end: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        cut_headers(begin=begin, end=end)


@pytest.mark.parametrize("too_small", [{"size": 1}, {"names": 1}])
def test_no_room_for_headers(too_small: dict[str, int]) -> None:
    cut_headers()
    with pytest.raises(ValueError, match="no room"):
        cut_headers(**too_small)
