"""The compiled reader and the plain one, written apart from each other, give the same tables of any body."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.events.parse import ParsedBlock
from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import BACKSLASH, PLAIN, QUOTE
from airflow_provider_imperva.events.scan.texts import copy_texts
from airflow_provider_imperva.testing.forge import forge_events
from benchmarks import corpus
from tests.events.readers import READERS, reading_with
from tests.events.test_scan_agrees import AS_LONG_AS_IT_TAKES, LONG, bodies, mutated
from tests.events.test_w3c_rows import NAMES, ROW
from tests.fuzz.fuzz_parsers import Fuzz
from tests.long_form import EXAMPLES

T = TypeVar("T")
SOURCE = LogSource(file="8416_7.log", sequence=7, start_time=1_700_000_000_000, fetched_time=1_795_300_000_000)
FUZZ = Fuzz(seed=18)


@pytest.fixture(autouse=True, scope="module")
def reader() -> None:
    """Each test compares both, so none runs twice."""


def read(body: bytes, *, block_bytes: int) -> list[ParsedBlock]:
    return list(parse([body], SOURCE, keep_raw=True, block_bytes=block_bytes))


def with_each(one: Callable[[], T]) -> Iterator[T]:
    """Do one thing with each reader."""
    for name in READERS:
        with reading_with(name):
            yield one()


def assert_same(body: bytes, *, block_bytes: int = 12 << 20) -> None:
    """Give the body to both; tables and counts have to be the same, block by block."""
    compiled, plain = with_each(lambda: read(body, block_bytes=block_bytes))
    assert [parsed.lines for parsed in compiled] == [parsed.lines for parsed in plain]
    for one, other in zip(compiled, plain, strict=True):
        assert one.format == other.format
        assert one.events.equals(other.events), (one.events.to_pylist(), other.events.to_pylist())
        assert one.quarantined.equals(other.quarantined)


@st.composite
def w3c_bodies(draw: st.DrawFn) -> bytes:
    rows = draw(st.lists(ROW, max_size=12))
    return "\n".join([f"#Fields: {' '.join(NAMES)}", *rows]).encode(errors="surrogateescape")


@st.composite
def damaged_bodies(draw: st.DrawFn) -> bytes:
    """A stretch of a body of any format, damaged here and there."""
    FUZZ.random = random.Random(draw(st.integers(0, 2**32)))
    body = FUZZ.bodies[draw(st.sampled_from(sorted(FUZZ.bodies)))]
    begin = FUZZ.random.choice([0, FUZZ.random.randrange(len(body))])
    return FUZZ.mutated(body[begin : begin + FUZZ.random.choice([300, 3000])])


@AS_LONG_AS_IT_TAKES
@LONG
@given(bodies("CEF") | st.lists(mutated(), max_size=6).map(b"\n".join))
def test_both_read_any_cef_alike(body: bytes) -> None:
    assert_same(body)


@AS_LONG_AS_IT_TAKES
@LONG
@given(bodies("LEEF"))
def test_both_read_any_leef_alike(body: bytes) -> None:
    assert_same(body)


@AS_LONG_AS_IT_TAKES
@LONG
@given(w3c_bodies())
def test_both_read_any_w3c_alike(body: bytes) -> None:
    assert_same(body)


@AS_LONG_AS_IT_TAKES
@LONG
@given(damaged_bodies(), st.sampled_from([100, 1000, 12 << 20]))
def test_both_read_any_damaged_body_alike(body: bytes, block_bytes: int) -> None:
    assert_same(body, block_bytes=block_bytes)


@pytest.mark.parametrize("format_name", corpus.FORMATS)
def test_both_read_usual_logs_alike(format_name: str) -> None:
    events = list(forge_events(800, seed=11, security_share=0.3))
    assert_same("\n".join(corpus._WRITERS[format_name](events)).encode())


PIECES = st.sampled_from([b"\\", b"\\", b'"', b'"', b"=", b"n", b"r", b"a", b" ", b"|", "é".encode()])
TEXT = st.lists(PIECES, min_size=1, max_size=8).map(b"".join)


@settings(max_examples=3 * EXAMPLES)
@given(
    st.lists(TEXT, max_size=8),
    st.sampled_from([PLAIN, BACKSLASH, QUOTE]),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
@example([b'a""b'] * 8, QUOTE, [True, False, True, False])
@example([b"a\\=b"] * 8, BACKSLASH, [False, True, False, True])
def test_both_copy_texts_alike(texts: list[bytes], escape: int, escaped: list[bool]) -> None:
    """With whatever quotes and backslashes in them; the plain reader leaves rows with both to the careful one."""
    block = b"".join(b"=" + text + b" " for text in texts)
    begins = np.cumsum([0, *(len(text) + 2 for text in texts)])[:-1] + 1
    lengths = np.array([len(text) for text in texts], np.int64)
    numbers = np.arange(len(texts)) % 2
    found = np.column_stack((numbers, begins, begins + lengths)).astype(np.int32)
    firsts = np.append(np.arange(0, len(texts), 2), len(texts))
    rows = np.arange(len(firsts) - 1)

    def copied() -> list[list[str | None]]:
        columns = copy_texts(
            block,
            found,
            firsts,
            rows,
            numbers=[0, 1],
            recurring=[1],
            escape=escape,
            escaped=np.array(escaped[: len(rows)], np.bool_),
        )
        return [column.to_pylist() for column in columns]

    compiled, plain = with_each(copied)
    assert compiled == plain


@given(st.lists(st.sampled_from([b"a" * 7, b"a" * 8, b"a" * 9, b"a" * 15 + b"b" + b"a" * 9, b"a" * 25, b"b" * 8])))
def test_texts_that_recur_are_told_apart(texts: list[bytes]) -> None:
    """Whatever their lengths, and though they begin and end alike."""
    block = b"".join(texts) + b" " * 40
    ends = np.cumsum([0, *map(len, texts)])
    found = np.column_stack((np.zeros(len(texts)), ends[:-1], ends[1:])).astype(np.int32)
    places = np.arange(len(texts) + 1)
    (column,) = copy_texts(block, found, places, places[:-1], numbers=[0], recurring=[0])
    assert column.to_pylist() == [text.decode() for text in texts]
    assert column.dictionary.to_pylist() == list(dict.fromkeys(text.decode() for text in texts))


@given(st.lists(st.integers(-2, 9)))
def test_both_number_codes_anew_alike(codes: list[int]) -> None:
    def recoded() -> tuple[list[int], list[int], list[int]]:
        new, used, new_of_old = np.array(codes, np.int32), np.empty(10, np.int32), np.empty(10, np.int32)
        count = kernel.recode(new, used, new_of_old)
        return new.tolist(), used[:count].tolist(), new_of_old.tolist()

    old = list(dict.fromkeys(code for code in codes if code >= 0))
    compiled, plain = with_each(recoded)
    assert compiled == plain
    assert compiled == (
        [old.index(code) if code >= 0 else code for code in codes],
        old,
        [old.index(code) if code in old else -1 for code in range(10)],
    )


def test_a_code_beyond_the_dictionary_is_refused() -> None:
    with reading_with("compiled"), pytest.raises(ValueError, match="outside of its array"):
        kernel.recode(np.array([3], np.int32), np.empty(1, np.int32), np.empty(3, np.int32))
