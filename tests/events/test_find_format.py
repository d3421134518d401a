"""The body tells its format, whatever the header says; what is none of them goes to quarantine, shown safely."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.beginnings import format_at_begin
from airflow_provider_imperva.events import parse
from airflow_provider_imperva.events.grammar.answers import Answer, classify
from airflow_provider_imperva.events.grammar.formats import find_format
from tests.events.cef_lines import SOURCE, cef

CEF = cef("src=192.0.2.1").encode()
LEEF = b"LEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=192.0.2.1\tcn1=200"
ROW = b" ".join(b'"%d"' % number for number in range(41))
W3C = b"#Software: x\n#Fields: c-ip cs-rule\n" + b'"192.0.2.1" ""'
JSON = b'{"client": {"ip": "192.0.2.1"}}'


@pytest.mark.parametrize("header", [None, "CEF", "LEEF", "W3C", "JSON", "nonsense"])
@pytest.mark.parametrize(
    ("body", "format_name"),
    [
        (CEF, "CEF"),
        (CEF.removeprefix(b"CEF:"), "CEF"),
        (b"\xef\xbb\xbf" + CEF, "CEF"),
        (b"\n \r\n\t" + CEF, "CEF"),
        (b"rest of a record\n" + CEF, "CEF"),
        (LEEF, "LEEF"),
        (W3C, "W3C"),
        (ROW, "W3C"),
        (b"\xef\xbb\xbf" + JSON, "JSON"),
        (b"[\n" + JSON + b"\n]", "JSON"),
        (b"nonsense", None),
        (b"", None),
        (b"\n\n", None),
    ],
)
def test_body_decides(body: bytes, format_name: str | None, header: str | None) -> None:
    assert find_format(body, header) == format_name


@pytest.mark.parametrize(
    ("first", "format_name"),
    [(ROW, "W3C"), (JSON, "JSON"), (W3C, "W3C"), (CEF, "CEF"), (LEEF, "LEEF"), (b'"2025-07-23" "17:02:01" "a', "W3C")],
)
@pytest.mark.parametrize(
    "later", [CEF, b"CEF:0|", LEEF, b"#Fields: c-ip", JSON, b"  " + CEF, b"<134>Nov 14 22:13:20 h " + CEF, b'"' + CEF]
)
def test_first_record_outweighs_a_later_one(first: bytes, format_name: str, later: bytes) -> None:
    for between in (b"\n", b"\r\n", b"\r", b"\n\n\t"):
        body = first + between + later + b"\n" + first
        assert [find_format(body, hint) for hint in (None, format_name, "nonsense")] == [format_name] * 3


def test_header_decides_between_what_a_body_begins_with_and_a_line_in_it() -> None:
    """A log may begin with the rest of a record, and what that begins with says nothing."""
    for rest in (ROW, b'{"rest": "of a body"}'):
        body = rest + b"\n" + CEF
        assert (find_format(body, "CEF"), find_format(body, "LEEF")) == ("CEF", find_format(rest, None))


@pytest.mark.parametrize(
    ("body", "format_name"),
    [
        (b"<134>Nov 14 22:13:20 host imperva: " + CEF, "CEF"),
        (b"<134>1 2025-07-23T17:02:01.123Z host imperva - - - " + CEF, "CEF"),
        (b"412 <134>1 2025-07-23T17:02:01Z host imperva - - - " + LEEF, "LEEF"),
        (b"412 " + CEF, "CEF"),
        (b"\0\0\r\n\x0c" + CEF, "CEF"),
        (b"# Fields: c-ip", "W3C"),
        (b"  #Fields: c-ip", "W3C"),
        (b"\t#Software: x\r#Fields: c-ip", "W3C"),
        (b'\x1e{"a": 1}\n', "JSON"),
        (b"\xef\xbb\xbf\r\n[ {", "JSON"),
        (b"[]", "JSON"),
        (b"[1, 2]", "JSON"),
    ],
)
def test_what_may_stand_before_the_first_record(body: bytes, format_name: str) -> None:
    assert (find_format(body, None), format_at_begin(body)) == (format_name, format_name)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n \n",
        b"<html><body>#Fields: c-ip</body></html>",
        b"<!-- x --><html>",
        b'<?xml version="1.0"?>\n<Error><Code>InternalError</Code></Error>',
        b"<Error>",
        b"<134>x",
        b"upstream connect error or disconnect/reset before headers. reset reason: overflow",
        b"404 Not Found",
        b"[error] upstream timed out",
        b"{bad",
        b'"quoted" text',
        b"#!/bin/sh",
        b"# a heading",
        b"accountId:1",
        b"\x78\x9c\x00",
    ],
)
def test_answer_that_is_no_log_begins_with_no_format(answer: bytes) -> None:
    assert format_at_begin(answer) is None
    assert format_at_begin(answer + b"\n" + JSON) == (format_at_begin(JSON) if not answer.strip() else None)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "x"}',
        b'{"error": {"code": 503, "message": "x"}}',
        b'{"errors": [{"code": 1}]}',
        b'\xef\xbb\xbf{"errorCode": 503, "errorMessage": "x"}',
        b'{"res":1,"res_message":"Unexpected error","debug_info":{"id-info":"999999"}}',
        b'{"status": 404, "title": "Not Found", "type": "about:blank", "detail": "x"}',
        b'{"code": "Throttled", "message": "x"}',
        b'{"message": "Forbidden", "status": 403}',
        b'{"fault": {"faultstring": "x"}}',
        b'[{"error": "x"}]',
        b'{"Error": "x", "data": []}',
        b'{"error": "x", "data": null}\n',
    ],
)
def test_answer_that_tells_of_an_error(body: bytes) -> None:
    assert classify(body) is Answer.ERROR


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text",
        JSON,
        b'{"event": {"id": 1}, "error": "x", "message": "m", "code": 1}',
        b'{"events": [{"a": 1}], "errors": []}',
        b'{"events": [{"a": 1}], "errors": [{"b": 1}]}',
        b'{"error": null, "a": 1}',
        b"[]",
        b'{"error": ' * 5000,
        b'{"error": "' + b"x" * 100_000 + b'"}',
    ],
)
def test_what_is_no_error(body: bytes) -> None:
    assert classify(body) is not Answer.ERROR


@pytest.mark.parametrize(("body", "format_name"), [(CEF, "CEF"), (LEEF, "LEEF"), (W3C, "W3C"), (JSON, "JSON")])
def test_rows_have_the_format_found(body: bytes, format_name: str) -> None:
    lying = replace(SOURCE, format="LEEF" if format_name == "CEF" else "CEF")
    blocks = [block for block in parse([body], lying) if block.events.num_rows]
    assert [block.format for block in blocks] == [format_name]
    (row,) = blocks[0].events.to_pylist()
    assert (row["src_format"], row["client_ip"]) == (format_name, "192.0.2.1")


def test_other_format_after_the_first_line_is_quarantined_with_its_bytes() -> None:
    (block,) = parse([CEF + b"\n" + LEEF], SOURCE)
    assert (block.events.num_rows, block.lines) == (1, 2)
    assert block.quarantined.select(["src_line", "reason", "raw"]).to_pylist() == [
        {"src_line": 2, "reason": "not_a_record", "raw": LEEF}
    ]


def test_unknown_body_is_quarantined_whole_and_shown_escaped() -> None:
    body = "Grüße\t'x'\n\n".encode() + b"\x1b[31m" + b"y" * 200
    (block,) = parse([body], replace(SOURCE, format="CEF"))
    assert (block.format, block.events.num_rows, block.lines) == (None, 0, 2)
    assert block.quarantined["raw"].to_pylist() == ["Grüße\t'x'".encode(), b"\x1b[31m" + b"y" * 200]
    assert block.quarantined["src_line"].to_pylist() == [1, 3]
    (reason,) = set(block.quarantined["reason"].to_pylist())
    code, shown = reason.split(": begins with ")
    assert code == "unknown_format"
    assert shown == (r"Gr\xc3\xbc\xc3\x9fe\t'x'\n\n\x1b[31m" + "y" * 80)[:80]


def test_binary_body_has_no_lines_and_gives_one_row() -> None:
    (block,) = parse([b"\x7fELF\x00\n\n" + bytes(range(256)) * 10, b"more\n" * 100], SOURCE)
    assert (block.format, block.lines, block.events.num_rows) == (None, 1, 0)
    (row,) = block.quarantined.to_pylist()
    assert row["raw"] == (b"\x7fELF\x00\n\n" + bytes(range(256)))[:80]
    assert row["reason"].startswith(r"unknown_format: begins with \x7fELF\x00\n\n\x00\x01")


@given(st.binary(max_size=300))
def test_what_is_shown_is_short_and_printable(body: bytes) -> None:
    for block in parse([body], SOURCE):
        for reason in pa.Table.to_pylist(block.quarantined.select(["reason"])):
            code, _, shown = reason["reason"].partition(": begins with ")
            assert code.isidentifier()
            assert len(shown) <= 80
            assert not shown or (shown.isascii() and shown.isprintable())


def test_how_chunks_are_cut_does_not_change_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("airflow_provider_imperva.events.parse"), "HEAD_BYTES", 40)
    body = b"nonsense " * 5 + b"\n" + CEF
    found = [{block.format for block in parse(chunks, SOURCE)} for chunks in ([body], [body[:3], body[3:]])]
    assert found == [{None}, {None}]
