"""A record that goes on in the next line is one record, wherever the body is cut, and nothing of it is lost."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise

import pytest

from airflow_provider_imperva.events import parse
from tests.events.cef_lines import SOURCE, TOO_LONG, cef, rows

TEXT_BLOCK = import_module("airflow_provider_imperva.events.bodies.text_block")
POST = "start=1700000000001 src=192.0.2.1 postbody=first line"
CEF = [cef(f"{POST}{end} act=REQ_PASSED") for end in ("", "\nsecond\r\n\n  third", '\n{\n"a":1\n}\n#x: y\n')]
LEEF = [
    f"LEEF:1.0|Incapsula|SIEMintegration|1|Normal|{text}".replace(" act=", "\tcat=").replace(" post", "\tpost")
    for text in (f"{POST.replace(' src', chr(9) + 'src')}{end} act=REQ_PASSED" for end in ("", "\nmore\n\n\tor less"))
]


@pytest.mark.parametrize("records", [CEF, LEEF], ids=["CEF", "LEEF"])
def test_lines_are_joined_and_noted(records: list[str]) -> None:
    events = rows(*records, keep_raw=True)
    assert [row["raw"] for row in events] == records
    assert [row["request_body"] for row in events][:2] == [
        "first line",
        "first line\nsecond\r\n\n  third" if records is CEF else "first line\nmore\n\n\tor less",
    ]
    assert [row["action"] for row in events] == ["REQ_PASSED"] * len(records)
    assert [row["parse_warnings"] for row in events] == [[], *[["joined_lines"]] * (len(records) - 1)]
    starts = [1]
    for record in records[:-1]:
        starts.append(starts[-1] + record.count("\n") + 1)
    assert [row["src_line"] for row in events] == starts


@pytest.mark.parametrize("records", [CEF, LEEF], ids=["CEF", "LEEF"])
@pytest.mark.parametrize("block_bytes", [1, 7, 100, 250, 400])
def test_record_across_blocks_is_the_same(records: list[str], block_bytes: int) -> None:
    body = "\n".join(records * 2).encode()
    whole = [row for block in parse([body], SOURCE) for row in block.events.to_pylist()]
    for step in (3, 50, len(body)) if block_bytes == 1 else (1, 50):
        places = [*range(0, len(body), step), len(body)]
        blocks = list(parse((body[a:b] for a, b in pairwise(places)), SOURCE, block_bytes=block_bytes))
        assert [row for block in blocks for row in block.events.to_pylist()] == whole
        assert sum(block.lines for block in blocks) == len(records) * 2
        assert sum(block.quarantined.num_rows for block in blocks) == 0


def test_lines_before_the_first_record_belong_to_none() -> None:
    (block,) = parse([f"rest of\n\na body\n{CEF[1]}\n".encode()], SOURCE)
    assert block.quarantined.select(["src_line", "reason", "raw"]).to_pylist() == [
        {"src_line": 1, "reason": "not_a_record", "raw": b"rest of"},
        {"src_line": 3, "reason": "not_a_record", "raw": b"a body"},
    ]
    assert (block.events["src_line"].to_pylist(), block.lines) == ([4], 3)


def test_line_after_a_broken_record_is_quarantined_by_itself() -> None:
    (block,) = parse([f"{CEF[0]}\nCEF:0|a\nmore\n{CEF[0]}".encode()], SOURCE)
    assert sorted(block.quarantined.select(["src_line", "reason", "raw"]).to_pylist(), key=lambda q: q["src_line"]) == [
        {"src_line": 2, "reason": "bad_header", "raw": b"CEF:0|a"},
        {"src_line": 3, "reason": "not_a_record", "raw": b"more"},
    ]
    assert (block.events["src_line"].to_pylist(), block.lines) == ([1, 4], 4)


def test_joined_record_has_the_bound_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TEXT_BLOCK, "MAX_RECORD_BYTES", 300)
    long = CEF[0].removesuffix(" act=REQ_PASSED") + "\nmore" * 60
    (block,) = parse([f"{long}\n{CEF[1]}".encode()], SOURCE)
    assert block.quarantined.select(["src_line", "reason", "raw"]).to_pylist() == [
        {"src_line": 1, "reason": TOO_LONG, "raw": long.encode()}
    ]
    assert (block.events["src_line"].to_pylist(), block.lines) == ([62], 2)
