"""The index: every line checked by itself, whatever it is written with."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import InvalidIndexError
from airflow_provider_imperva.repository.index import LogIndex, parse_index
from airflow_provider_imperva.repository.names import LogName

ABOUT = "https://logs.example.com/8416_1745073/logs.index"

log_names = st.builds(
    LogName,
    prefix=st.sampled_from(["8416", "99", "798724459616"]),
    sequence=st.integers(min_value=0, max_value=2**63 - 1),
)
junk_lines = st.binary(min_size=1, max_size=200).filter(
    lambda line: line.strip() and b"\n" not in line and not line.strip().endswith(b".log")
)


def names_of(index: LogIndex) -> list[str]:
    return [str(name) for name in index.names]


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n", b" \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_an_index_that_lists_nothing(body: bytes) -> None:
    assert parse_index(body, about=ABOUT) == LogIndex(names=(), junk=(), junk_count=0, duplicates=0)


@pytest.mark.parametrize(
    "body",
    [
        b"8416_9.log\n8416_10.log\n",
        b"8416_9.log\n8416_10.log",
        b"8416_9.log\r\n8416_10.log\r\n",
        b"\n8416_10.log\n\n8416_9.log\n\n",
        b"\xef\xbb\xbf8416_9.log\n8416_10.log\n",
        b"8416_9.log \n\t8416_10.log\n",
    ],
)
def test_line_ends_blank_lines_and_order_do_not_matter(body: bytes) -> None:
    index = parse_index(body, about=ABOUT)
    assert names_of(index) == ["8416_9.log", "8416_10.log"]
    assert index.junk_count == 0


@given(
    names=st.lists(log_names, min_size=1, max_size=30),
    junk=st.lists(junk_lines, max_size=30),
    newline=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
    final=st.booleans(),
    random=st.randoms(use_true_random=False),
)
def test_every_name_comes_out_once_whatever_stands_between(
    names: list[LogName], junk: list[bytes], newline: bytes, final: bool, random: Random
) -> None:
    lines = [str(name).encode() for name in names] + junk
    random.shuffle(lines)
    index = parse_index(newline.join(lines) + (newline if final else b""), about=ABOUT)
    assert list(index.names) == sorted(set(names))
    assert index.duplicates == len(names) - len(set(names))
    assert index.junk_count == len(junk)
    assert len(index.junk) == min(20, len(junk))
    assert all(len(line) <= 80 and line.isascii() and line.isprintable() for line in index.junk)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_index_or_a_clear_error(body: bytes) -> None:
    try:
        index = parse_index(body, about=ABOUT)
    except InvalidIndexError:
        return
    assert index.names or not body.removeprefix(b"\xef\xbb\xbf").strip()


def test_a_body_cut_within_a_name_does_not_list_another_log() -> None:
    """The first bytes of ``8416_179.log`` must not pass for ``8416_17.log``."""
    whole = b"8416_178.log\n8416_179.log"
    for end in range(len(b"8416_178.log\n"), len(whole)):
        assert names_of(parse_index(whole[:end], about=ABOUT)) == ["8416_178.log"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in, session 4711-secret</body></html>\n", "HTML"),
        (b"\r\n<HTML>\n<a href='8416_179.log'>8416_179.log</a>\n", "HTML"),
        (b'{"error": "4711-secret"}', "1 lines"),
        (b"8416_1.log\n".decode().encode("utf-16"), "none of them"),
    ],
)
def test_what_holds_no_name_is_no_index(body: bytes, found: str) -> None:
    """A login page with status 200 must never be taken for "all logs are gone"."""
    with pytest.raises(InvalidIndexError, match=found) as caught:
        parse_index(body, about=ABOUT)
    assert "4711-secret" not in str(caught.value)


def test_junk_is_counted_in_full_and_kept_in_part() -> None:
    body = b"8416_1.log\n" + b"\x1b[31m\xff%s\n" % (b"x" * 500) * 50
    index = parse_index(body, about=ABOUT)
    assert (index.junk_count, len(index.junk)) == (50, 20)
    assert index.junk[0].startswith(r"\x1b[31m\xffxxx")
    assert len(index.junk[0]) == 80


def test_a_heavy_account_s_index_is_read_at_once() -> None:
    """50,000 names, unsorted, twice over, with as much junk: linear, far below what a poll may take."""
    lines = [b"8416_%d.log" % (number * 7919 % 50_000) for number in range(50_000)]
    body = b"\n".join(lines + lines + [b"junk"] * 50_000)
    started = time.process_time()
    index = parse_index(body, about=ABOUT)
    assert time.process_time() - started < 5
    assert (len(index.names), index.duplicates, index.junk_count) == (50_000, 50_000, 50_000)
