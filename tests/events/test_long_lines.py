"""A line that no column could hold goes to quarantine by its head, in flat memory, and harms no other."""

from __future__ import annotations

import json
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse
from airflow_provider_imperva.events.bodies.brackets import Brackets
from airflow_provider_imperva.events.scan.lines import BLOCK_BYTES
from airflow_provider_imperva.events.scan.long_lines import LongLine, ShortLines
from tests.events.cef_lines import SOURCE, TOO_LONG, cef

LONG_LINES = import_module("airflow_provider_imperva.events.scan.long_lines")
TEXT_BLOCK = import_module("airflow_provider_imperva.events.bodies.text_block")
VALUES = import_module("airflow_provider_imperva.events.bodies.values")
OBJECTS = import_module("airflow_provider_imperva.events.bodies.objects")

GOOD = cef("start=1700000000001 src=192.0.2.1 act=REQ_PASSED deviceExternalId=7").encode()
ENDS = b"\n\r\0\x0b\x0c\x1c\x1d\x1e\x1f"
BOUND = 400


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (LONG_LINES, "MAX_LINE_BYTES"),
        (TEXT_BLOCK, "MAX_RECORD_BYTES"),
        (VALUES, "MAX_RECORD_BYTES"),
        (OBJECTS, "MAX_RECORD_BYTES"),
        (VALUES, "MAX_ENVELOPE_BYTES"),
    ):
        monkeypatch.setattr(module, name, BOUND)
    monkeypatch.setattr(LONG_LINES, "HEAD_BYTES", 100)


def loaded(body: bytes, *, step: int | None = None) -> tuple[list[int], list[tuple[int, str, bytes]], int]:
    places = [*range(0, len(body), step or len(body)), len(body)]
    blocks = list(parse((body[a:b] for a, b in pairwise(places)), SOURCE))
    quarantined = [row for block in blocks for row in block.quarantined.to_pylist()]
    return (
        sorted(line for block in blocks for line in block.events["src_line"].to_pylist()),
        [(row["src_line"], row["reason"], row["raw"]) for row in quarantined],
        sum(block.lines for block in blocks),
    )


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"x" * 5, b"\n", b"\r", b"\n\n"])))
def test_every_byte_is_in_the_short_lines_or_in_a_long_one(chunks: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LONG_LINES, "MAX_LINE_BYTES", 8)
        patch.setattr(LONG_LINES, "HEAD_BYTES", 5)
        lines = ShortLines(chunks)
        short = b"".join(lines)
    body = b"".join(chunks)
    expected, number, line = b"", 1, b""
    long: list[LongLine] = []
    for byte in [*body, None]:
        if byte is not None and byte not in ENDS:
            line += bytes([byte])
            continue
        if len(line) > 8:
            long.append(LongLine(number, line[:5]))
            line = b""
        expected += line + (b"" if byte is None else bytes([byte]))
        number += byte == ENDS[0]
        line = b""
    assert short == expected
    assert lines.long == long


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("step", [1, 7, 399, 400, 401, 5000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_other_records_keep_their_number(step: int, end: bytes) -> None:
    long = cef("start=1 request=" + "x" * 500).encode()
    lines = [GOOD, long, GOOD, b"y" * 2000, GOOD, long]
    events, quarantined, counted = loaded(end.join(lines) + end, step=step)
    per_line = end.count(b"\n")
    assert events == [1, 1 + 2 * per_line, 1 + 4 * per_line]
    assert quarantined == [(1 + place * per_line, TOO_LONG, lines[place][:100]) for place in (1, 3, 5)]
    assert counted == len(lines)


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("end", [b"\r", b"\0"])
def test_body_without_line_feeds_is_not_one_long_line(end: bytes) -> None:
    events, quarantined, counted = loaded(end.join([GOOD] * 20))
    assert (len(events), quarantined, counted) == (20, [], 20)


@pytest.mark.usefixtures("bound")
def test_log_of_one_long_line_only() -> None:
    for begin in (b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| ", b"nonsense ", b'"2024-01-01" "'):
        events, quarantined, counted = loaded(begin + b"x" * 5000)
        assert (events, [row[1] for row in quarantined], counted) == ([], [TOO_LONG], 1)


def values(
    body: str, *, step: int | None = None, block_bytes: int = BLOCK_BYTES
) -> tuple[list[dict[str, str]], list[tuple[str, bytes]], int]:
    content = body.encode()
    places = [*range(0, len(content), step or len(content)), len(content)]
    blocks = list(parse((content[a:b] for a, b in pairwise(places)), SOURCE, block_bytes=block_bytes))
    return (
        [dict(row["extra"]) for block in blocks for row in block.events.to_pylist()],
        [(row["reason"], row["raw"]) for block in blocks for row in block.quarantined.to_pylist()],
        sum(block.lines for block in blocks),
    )


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("step", [1, 11, 100_000])
@pytest.mark.parametrize(
    "long",
    [
        {"a": "x" * 5000},
        {"a": [1] * 2000},
        {"a": {str(number): {"b": ']}"\\'} for number in range(300)}},
        {"a": '"{[' * 900},
    ],
)
@pytest.mark.parametrize("shape", ["{}\n{}\n{}\n", "[{},{},{}]", "{}{}{}", "[\n  {},\n  {},\n  {}\n]\n"])
def test_json_records_beside_a_long_one_are_loaded(long: Any, shape: str, step: int) -> None:
    text = json.dumps(long)
    events, quarantined, counted = values(shape.format('{"b":1}', text, '{"c":2}'), step=step, block_bytes=150)
    assert events == [{"b": "1"}, {"c": "2"}]
    assert quarantined == [(TOO_LONG, text.encode()[:1024].rstrip())]
    assert counted == 3


@pytest.mark.usefixtures("bound")
def test_long_json_that_never_closes_is_one_record() -> None:
    for long in ('{"a":"' + "x" * 5000, '{"a":[' + "1," * 3000, '"' + "x" * 5000, "x" * 5000):
        events, quarantined, counted = values('{"b":1}\n' + long)
        assert (events, [reason for reason, _ in quarantined], counted) == ([{"b": "1"}], [TOO_LONG], 2)


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    st.data(),
)
def test_a_value_ends_where_its_brackets_close(value: Any, data: st.DataObject) -> None:
    text = json.dumps([value], ensure_ascii=data.draw(st.booleans()))
    rest = data.draw(st.text())
    brackets, left, passed = Brackets(), "", 0
    pieces = iter(_cut(text + rest, data))
    while (piece := next(pieces, None)) is not None:
        left += piece
        looked_at, closed = brackets.close(left)
        left, passed = left[looked_at:], passed + looked_at
        if closed:
            break
    assert passed == len(text)


def _cut(text: str, data: st.DataObject) -> list[str]:
    places = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text))))})
    return [text[a:b] for a, b in pairwise(places)]
