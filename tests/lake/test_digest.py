"""Digests of rows: the same whatever files and order the rows are in, another for any other rows."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.lake.digest import RowsDigest, digest_of, digests_of

_ALL = 2**64
_LOGS = st.tuples(st.sampled_from(["8416_1.log", "8416_2.log", "a/ä.log"]), st.integers(1, 3))
_ROWS = st.lists(st.tuples(_LOGS, st.integers(1, 2**31)), max_size=30)


def by_definition(file: str, line: int) -> int:
    """The hash as the definition has it, in whole numbers."""
    z = (int.from_bytes(hashlib.sha256(file.encode()).digest()[:8], "little") + line * 0x9E3779B97F4A7C15) % _ALL
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % _ALL
    z = (z ^ z >> 27) * 0x94D049BB133111EB % _ALL
    return z ^ z >> 31


def table_of(rows: list[tuple[tuple[str, int], int]]) -> pa.Table:
    columns = {
        "src_file": pa.array([log[0] for log, _ in rows], pa.string()),
        "src_seq": pa.array([log[1] for log, _ in rows], pa.int64()),
        "src_line": pa.array([line for _, line in rows], pa.int64()),
    }
    return pa.table(columns)


@given(_ROWS)
def test_it_is_what_the_definition_says(rows: list[tuple[tuple[str, int], int]]) -> None:
    expected: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for log, line in rows:
        expected[log].append(by_definition(log[0], line))
    found = digests_of(table_of(rows))
    assert found.keys() == expected.keys()
    for log, hashes in expected.items():
        mixed = 0
        for value in hashes:
            mixed ^= value
        assert found[log] == RowsDigest(len(hashes), sum(hashes) % _ALL, mixed)


@given(_ROWS, st.randoms(), st.integers(0, 30))
def test_neither_order_nor_files_matter(rows: list[tuple[tuple[str, int], int]], random: object, cut: int) -> None:
    whole = digests_of(table_of(rows))
    random.shuffle(rows)  # type: ignore[attr-defined]
    total: defaultdict[tuple[str, int], RowsDigest] = defaultdict(RowsDigest)
    for some in (rows[:cut], rows[cut:]):
        for log, digest in digests_of(table_of(some)).items():
            total[log] += digest
    assert total == whole


@given(st.lists(st.integers(1, 1000), min_size=1, unique=True), st.data())
def test_a_row_lost_doubled_or_put_in_place_of_another_changes_it(lines: list[int], data: st.DataObject) -> None:
    right = digest_of("8416_1.log", pa.array(lines, pa.int64()))
    at = data.draw(st.integers(0, len(lines) - 1))
    for wrong in (lines[:at] + lines[at + 1 :], [*lines, lines[at]], [*lines[:at], 1001, *lines[at + 1 :]]):
        assert digest_of("8416_1.log", pa.array(wrong, pa.int64())) != right
    assert digest_of("8416_2.log", pa.array(lines, pa.int64())) != right


def test_its_text_is_for_ever() -> None:
    """Ledgers have it."""
    assert str(digest_of("8416_179.log", pa.array([1, 2, 3], pa.int64()))) == "4ac6b435a6c46dc8dfc84bd65abb1c74"
    assert str(RowsDigest()) == "0" * 32
