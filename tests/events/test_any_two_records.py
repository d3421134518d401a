"""Two records of any format, whatever is between them: two rows, or rows and quarantined lines that add up."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.test_boundaries import EVENTS, SEPARATORS, Body, as_leef, joined

EXAMPLES = int(os.environ.get("IMPERVA_EXAMPLES", "50"))
FIELDS = "#Fields: date time c-ip sc-status cs(User-Agent) s-externalid"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters='"\\=\r\n\0\x0b\x0c\x1c\x1d\x1e\x1f'), max_size=20)


def w3c(number: int, text: str) -> str:
    return f'"2025-07-23" "17:02:0{number}" "192.0.2.{number}" "200" "{text}" "{90 + number}"'


def bare(number: int, text: str) -> str:
    word = "".join(character for character in text if character.isalnum()) or "x"
    return f"2025-07-23 17:02:0{number} 192.0.2.{number} 200 {word} {90 + number}"


def json(number: int, text: str) -> str:
    quoted = "".join(character for character in text if character.isprintable())
    return (
        f'{{"timestamp": 175329012133{number}, "event": {{"id": "{90 + number}"}}, "x": "{quoted}", '
        f'"client": {{"ip": "192.0.2.{number}"}}}}'
    )


WRITERS: dict[str, tuple[str, Callable[[int, str], str]]] = {
    "W3C": (FIELDS + "\n", w3c),
    "W3C without quotes": (FIELDS + "\n", bare),
    "JSON": ("", json),
}
READ = {
    "W3C": {"\n", "\r\n", "\r\r\n", "\r", "\n\r", "\0", "\x0c", "\x0b", "\n\x0c", "\n\ufeff", "\n\n \n"},
    "JSON": {*SEPARATORS} - {"\ncollector1 says "},
}
READ["W3C without quotes"] = READ["W3C"] - {"\n\ufeff"}
"""What certainly ends a record; between other separators quoted rows are one line, which goes to quarantine whole."""


def identity(row: dict[str, Any]) -> tuple[Any, Any]:
    return row["client_ip"], row["request_id"]


@pytest.mark.parametrize("format_name", WRITERS)
@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_two_are_never_one(format_name: str, data: st.DataObject) -> None:
    head, write = WRITERS[format_name]
    one, other = (write(number, data.draw(TEXT)) for number in (1, 2))
    separator = data.draw(st.sampled_from(SEPARATORS))
    body = Body.of(head + joined(one, separator, other))
    known = {("192.0.2.1", "91"), ("192.0.2.2", "92")}
    assert {identity(row) for row in body.rows} <= known, "each row has the values of one record"
    assert len({identity(row) for row in body.rows}) == len(body.rows)
    if separator in READ[format_name] or separator.startswith("\n<"):
        assert (len(body.rows), body.refused) == (2, [])
    else:
        in_quarantine = b"".join(raw for _, raw in body.refused)
        for text, row in zip((one, other), sorted(known), strict=True):
            is_row = row in {identity(one) for one in body.rows}
            assert is_row or row[0].encode() in in_quarantine, text


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_two_of_two_formats_are_never_one(data: st.DataObject) -> None:
    """The first record decides how the body is read; whatever is of another format is in quarantine."""
    writers = {
        "CEF": lambda number: EVENTS[number],
        "LEEF": lambda number: as_leef(EVENTS[number]),
        "W3C": lambda number: w3c(number, "a"),
        "JSON": lambda number: json(number, "a"),
    }
    first, second = (data.draw(st.sampled_from(sorted(writers))) for _ in range(2))
    separator = data.draw(st.sampled_from([some for some in SEPARATORS if some.startswith("\n")]))
    one, other = writers[first](1), writers[second](2)
    head = FIELDS + "\n" if "W3C" in (first, second) else ""
    body = Body.of(head + joined(one, separator, other))
    lines = 2 + bool(head and first != "W3C" and second != "W3C")
    assert len(body.rows) + len(body.refused) >= lines - 1
    whole = " ".join(str(value) for row in body.rows for value in [*row.values(), *row["extra"].values()])
    kept = whole.encode() + b"".join(raw for _, raw in body.refused)
    for text in (one, other):
        ids = [part for part in text.replace('"', " ").replace("=", " ").split() if part.startswith("192.0.2.")]
        assert all(part.encode() in kept for part in ids)
