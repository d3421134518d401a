"""The names of logs: what is one, what is none, and how they are ordered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.repository.names import LogName

numbers = st.integers(min_value=0, max_value=2**63 - 1)
log_names = st.builds(LogName, prefix=numbers.map(str), sequence=numbers)


@given(log_names)
def test_a_name_comes_back_verbatim(name: LogName) -> None:
    assert LogName.parse(str(name)) == name


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{0,21}_[0-9]{0,21}(\.log)?\n?", fullmatch=True))
def test_whatever_parses_is_given_back_unchanged(text: str) -> None:
    """Else a log would be asked for under a name the repository does not know."""
    try:
        name = LogName.parse(text)
    except ValueError:
        return
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "logs.index",
        "8416_179",
        "8416_179.log\n",
        " 8416_179.log",
        "8416_179.log.gz",
        "x8416_179.log",
        "8416-179.log",
        "8416_.log",
        "_179.log",
        "8416_179.LOG",
        "../8416_179.log",
        "8416_179.log/../../etc/passwd",
        "08416_179.log",
        "8416_0179.log",
        "8416_00.log",
        "-1_5.log",
        "8416_+5.log",
        "٨٤١٦_١٧٩.log",
        "8416_9223372036854775808.log",
        "12345678901234567890_1.log",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"log's name|name of a log"):
        LogName.parse(text)


@pytest.mark.parametrize(
    ("prefix", "sequence"), [("../x", 1), ("", 1), ("08", 1), ("8416\n", 1), ("8416", -1), ("8416", 2**63)]
)
def test_a_name_that_was_not_parsed_is_checked_too(prefix: str, sequence: int) -> None:
    """Names become paths in the lake, wherever they come from."""
    with pytest.raises(ValueError, match="log's name"):
        LogName(prefix, sequence)


def test_names_are_ordered_by_number_not_by_letter() -> None:
    ordered = ["9_5.log", "9_40.log", "8416_99.log", "8416_100.log", "798724459616_1.log"]
    assert [str(name) for name in sorted(map(LogName.parse, reversed(ordered)))] == ordered


@given(log_names, log_names)
def test_the_order_is_that_of_the_numbers(one: LogName, other: LogName) -> None:
    assert (one < other) == ((int(one.prefix), one.sequence) < (int(other.prefix), other.sequence))
    assert (one <= other) == (not other < one)
