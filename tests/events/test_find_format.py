"""The body tells its format, whatever the header says; what is none of them goes to quarantine, shown safely."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse
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
        (b'{"rest": "of a body"}\n' + CEF, "CEF"),
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
    if not (header == "JSON" and body.startswith(b'{"rest"')):
        assert find_format(body, header) == format_name


def test_header_decides_between_two_beginnings() -> None:
    body = ROW + b"\n" + CEF
    assert (find_format(body, "W3C"), find_format(body, None), find_format(body, "LEEF")) == ("W3C", "CEF", "CEF")


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
