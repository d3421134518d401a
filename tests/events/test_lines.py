"""Lines are found where LF ends them, and joined to the record they belong to."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.events.scan.lines import Lines, Tally, blocks

LINES = import_module("airflow_provider_imperva.events.scan.lines")

PIECES = [b"a", b"a" * 37, b" ", b"\t", b"\r", b"\n", b"\x0b", b"\x0c", b"\x00", b"\x85", b"\xff"]
BLOCK = st.lists(st.sampled_from(PIECES)).map(b"".join)


def found(lines: Lines) -> list[tuple[int, bytes]]:
    return [(int(number), lines.text(index)) for index, number in enumerate(lines.numbers)]


@given(BLOCK, st.integers(1, 10**12))
def test_lines_are_those_a_loop_finds(block: bytes, first: int) -> None:
    lines = Lines.split(block, first_number=first)
    expected = [(number, line.rstrip(b"\r")) for number, line in enumerate(block.split(b"\n"), first) if line.strip()]
    assert found(lines) == expected
    assert len(lines) == len(expected)


@given(BLOCK, st.binary(max_size=3))
@example(b"a" * 30 + b"\n" + b"a" * 7 + b"\n\x8a\x0b" + b"a" * 9, b"a")
def test_the_tally_is_that_of_a_loop(block: bytes, prefix: bytes) -> None:
    lines = block.split(b"\n")
    begun = sum(line.startswith(prefix) for line in (lines if lines[-1] else lines[:-1]))
    assert Tally.of(block, prefix) == (block.count(b"\n"), sum(bool(line.strip()) for line in lines), begun)


@given(BLOCK, st.data())
def test_what_starts_no_record_is_joined_to_the_one_before(block: bytes, data: st.DataObject) -> None:
    lines = Lines.split(block, first_number=1)
    starts = data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)))
    records: list[list[int]] = []
    begun = False
    for index, start in enumerate(starts):
        begun = begun or start
        if start or not begun:
            records.append([index])
        else:
            records[-1].append(index)
    joined, several = lines.joined(np.array(starts, np.bool_))
    assert several.tolist() == [len(record) > 1 for record in records]
    assert found(joined) == [
        (int(lines.numbers[record[0]]), block[lines.begins[record[0]] : lines.ends[record[-1]]]) for record in records
    ]


@given(BLOCK, st.binary(max_size=3))
def test_begins_of_lines_are_compared(block: bytes, prefix: bytes) -> None:
    lines = Lines.split(block, first_number=1)
    assert lines.begin_with(prefix).tolist() == [text.startswith(prefix) for _, text in found(lines)]


@given(BLOCK)
def test_lines_that_are_no_utf8_are_found(block: bytes) -> None:
    lines = Lines.split(block, first_number=1)
    assert lines.undecodable() == [
        index for index, (_, text) in enumerate(found(lines)) if text.decode(errors="ignore").encode() != text
    ]


@given(st.lists(BLOCK))
def test_blocks_hold_all_bytes_and_end_with_a_line(chunks: list[bytes]) -> None:
    found = list(blocks(chunks))
    assert b"".join(found) == b"".join(chunks)
    assert all(block.endswith(b"\n") for block in found[:-1])


@pytest.mark.parametrize(("block", "bytes_at_most", "lines_at_most"), [(b"a\n", 60, 1000), (b"\n", 1000, 50)])
def test_a_body_in_which_no_record_starts_is_cut_all_the_same(
    block: bytes, bytes_at_most: int, lines_at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LINES, "_LARGEST_BYTES", bytes_at_most)
    monkeypatch.setattr(LINES, "_LARGEST_LINES", lines_at_most)
    found = list(blocks([block * 500], block_bytes=10, cut=lambda _: 0))
    assert b"".join(found) == block * 500
    assert max(map(len, found)) <= bytes_at_most + 10
    assert max(piece.count(b"\n") for piece in found) <= lines_at_most + 10


def test_a_block_has_no_more_than_so_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions of lines take memory too, twenty times that of the shortest."""
    monkeypatch.setattr(LINES, "BLOCK_LINES", 100)
    monkeypatch.setattr(LINES, "_PIECE_BYTES", 20)
    found = list(blocks([b"\n" * 1000]))
    assert b"".join(found) == b"\n" * 1000
    assert max(map(len, found)) <= 120


def test_a_chunk_of_usual_lines_is_not_copied() -> None:
    """Copies of small pieces leave memory so scattered that a large log takes more of it than a small one."""
    chunk = (b"a" * 500 + b"\n") * 1000
    (only,) = blocks([chunk])
    assert only is chunk


def test_long_run_of_cr_takes_no_step_for_each_in_all_lines() -> None:
    """A step for all lines at each CR would take hours here."""
    block = b"a\n" * 100_000 + b"a" + b"\r" * 4_000_000 + b"\n" + b"a\r\r\n" * 10
    lines = Lines.split(block, first_number=1)
    assert (lines.ends - lines.begins).tolist() == [1] * 100_011
