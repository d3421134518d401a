"""The door: lines are counted, numbered and never lost, however the body is cut and whatever is in it."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events import QUARANTINE_SCHEMA, SCHEMA, LogSource, parse
from airflow_provider_imperva.events.scan.lines import BLOCK_BYTES
from airflow_provider_imperva.events.schema.columns import COLUMNS, LABELS
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA
from tests.events.cef_lines import FETCHED, SOURCE, TOO_LONG, cef, rows

TEXT_BLOCK = import_module("airflow_provider_imperva.events.bodies.text_block")
LEEF = b"LEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=192.0.2.1\tstart=1700000000001"
ROW = b" ".join(b'"%d"' % number for number in range(41))
GOOD = cef("start=1700000000001 src=192.0.2.1").encode()


def tables(*chunks: bytes, block_bytes: int = BLOCK_BYTES) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    events: list[dict[str, Any]] = []
    quarantined: list[dict[str, Any]] = []
    lines = 0
    for block in parse(chunks, SOURCE, block_bytes=block_bytes):
        assert block.events.schema.equals(PARSED_SCHEMA, check_metadata=True)
        assert block.quarantined.schema.equals(QUARANTINE_SCHEMA, check_metadata=True)
        block.events.validate(full=True)
        events += block.events.to_pylist()
        quarantined += block.quarantined.to_pylist()
        lines += block.lines
    return events, quarantined, lines


def test_only_lf_ends_a_line_and_blank_lines_keep_their_number() -> None:
    odd = cef("requestClientApplication=a\x85b\u2028c\x0cd\re src=192.0.2.1").encode()
    events, quarantined, lines = tables(b"\n" + GOOD + b"\r\n\r\n \t\nCEF:nonsense\r\n" + odd)
    assert [event["src_line"] for event in events] == [2, 6]
    assert [(row["src_line"], row["raw"]) for row in quarantined] == [(5, b"CEF:nonsense")]
    assert lines == 3
    assert events[0]["client_ip"] == "192.0.2.1"
    assert events[1]["user_agent"] == "a\x85b\u2028c\x0cd\re"


def test_bytes_that_are_no_utf8_are_replaced_and_noted() -> None:
    events = rows(cef("start=1700000000001 cicode=").encode() + b"Stra\xdfe", cef("start=1700000000001 cicode=Straße"))
    assert [row["client_city"] for row in events] == ["Stra\ufffde", "Straße"]
    assert [row["parse_warnings"] for row in events] == [["replaced_bytes"], []]


def test_every_row_says_where_it_came_from() -> None:
    source = LogSource(
        file="8416_179.log",
        sequence=179,
        account_id=8416,
        config_id=55,
        format="LEEF",
        start_time=1_700_000_000_000,
        end_time=1_700_000_060_000,
        checksum_ok=True,
        encrypted=True,
        compressed=False,
        fetched_time=FETCHED,
    )
    (block,) = parse([GOOD + b"\nCEF:nonsense"], source)
    (event,) = block.events.select([name for name in SCHEMA.names if name.startswith("src_")]).to_pylist()
    starts = [event.pop(name).timestamp() for name in ("src_file_start", "src_file_end")]
    assert starts == [1_700_000_000, 1_700_000_060]
    assert event == {
        "src_file": "8416_179.log",
        "src_seq": 179,
        "src_line": 1,
        "src_account_id": 8416,
        "src_config_id": 55,
        "src_format": "CEF",
        "src_checksum_ok": True,
        "src_encrypted": True,
        "src_compressed": False,
    }
    assert block.quarantined.to_pylist() == [
        {
            "src_file": "8416_179.log",
            "src_seq": 179,
            "src_line": 2,
            "reason": "not_a_record",
            "raw": b"CEF:nonsense",
            "src_account_id": 8416,
            "src_config_id": 55,
            "src_format": "LEEF",
        }
    ]


def test_raw_is_null_unless_wanted() -> None:
    line = cef("src=192.0.2.1  cicode= x ")
    assert rows(line)[0]["raw"] is None
    assert rows(line, keep_raw=True)[0]["raw"] == line


def test_empty_body_gives_nothing() -> None:
    assert list(parse([], SOURCE)) == []
    assert list(parse([b"", b""], SOURCE)) == []
    assert tables(b"\n \r\n") == ([], [], 0)


def test_line_too_long_for_any_column_is_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TEXT_BLOCK, "MAX_RECORD_BYTES", 200)
    events, quarantined, lines = tables(GOOD + b"\n" + GOOD + b"x" * 200)
    assert ([event["src_line"] for event in events], lines) == ([1], 2)
    assert [(row["src_line"], row["reason"]) for row in quarantined] == [(2, TOO_LONG)]


def test_block_too_large_to_scan_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tables(GOOD + b"\n" + GOOD)
    monkeypatch.setattr(TEXT_BLOCK, "SCANNED_BYTES", len(GOOD))
    monkeypatch.setattr(
        import_module("airflow_provider_imperva.events.bodies.keyed"), "scan", lambda *_, **__: pytest.fail("scanned")
    )
    assert tables(GOOD + b"\n" + GOOD) == whole


# What lines a body has is told by its first lines, so nearly every body begins with a record of some format.
BODY = st.tuples(
    st.sampled_from([b"", GOOD, LEEF, ROW, b'{"a":1}', b"[", b'#Fields: date time "x"', b"nonsense"]),
    st.lists(
        st.sampled_from(
            [GOOD, LEEF, ROW, b"", b" \r", b"nonsense", b"CEF:0|a", cef('cs10=[{"a":"b').encode(), b"\xff\xfe"]
        )
        | st.sampled_from(
            [b'{"a":1},', b"]", b'{"records":[{},{"b":{"c":[]}}]}', b"#Fields: c-ip cs-rule", b'"::1" "R"']
        )
        | st.binary(max_size=40)
        | st.tuples(st.sampled_from([GOOD, LEEF, ROW]), st.binary(max_size=80)).map(b"".join)
    ),
).map(lambda parts: b"\n".join([parts[0], *parts[1]]))


@given(BODY)
def test_any_bytes_are_rows_or_quarantined_and_counted(body: bytes) -> None:
    events, quarantined, lines = tables(body)
    numbers = [row["src_line"] for row in (*events, *quarantined)]
    assert len(numbers) == len(set(numbers)) == lines
    assert [row["src_line"] for row in events] == sorted(row["src_line"] for row in events)
    if not any(row["src_format"] == "JSON" for row in events):
        assert all(1 <= number <= body.count(b"\n") + 1 for number in numbers)
    assert all(row["raw"] in body for row in quarantined if b"[" not in body)


@given(BODY, st.lists(st.integers(0, 400)), st.integers(1, 300))
def test_cuts_change_nothing(body: bytes, cuts: list[int], block_bytes: int) -> None:
    whole = tables(body)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert tables(*(body[a:b] for a, b in pairwise(places)), block_bytes=block_bytes) == whole


def test_memory_stays_flat_because_blocks_are_yielded_on_the_way() -> None:
    blocks = list(parse([(GOOD + b"\n") * 100], SOURCE, block_bytes=4 * len(GOOD)))
    assert len(blocks) > 20
    assert sum(block.events.num_rows for block in blocks) == 100
    assert [n for block in blocks for n in block.events.column("src_line").to_pylist()] == list(range(1, 101))


# Text that survives: blanks around a value go, and quotes that wrap it; a JSON key's brackets have their own tests.
FREE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t"), min_size=1, max_size=30).filter(
    lambda text: text == text.strip(" ") and text and text[0] not in '"[{,'
)
TEXT_COLUMNS = [c for c in COLUMNS if c.type == pa.string() and c.kind in ("text", "ip", "json") and c.cef]


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=")


@given(st.dictionaries(st.sampled_from(TEXT_COLUMNS), FREE), st.randoms())
def test_escaped_values_come_back_as_they_were(values: dict[Any, str], random: Any) -> None:
    pairs = [f"{column.cef}={escaped(text)}" for column, text in values.items()]
    pairs += [f"{column.cef}Label={LABELS[column.cef]}" for column in values if column.cef in LABELS]
    random.shuffle(pairs)
    (event,) = rows(cef(" ".join(pairs)))
    wanted = {column.name: text for column, text in values.items() if (column.name, text) != ("server_ip", "0.0.0.0")}
    assert {name: event[name] for name in wanted} == wanted
    assert event["extra"] == {}


@given(st.dictionaries(st.from_regex(r"new[A-Z][A-Za-z0-9]{0,20}", fullmatch=True), FREE))
def test_unknown_keys_come_back_as_they_were(values: dict[str, str]) -> None:
    (event,) = rows(cef(" ".join(["src=192.0.2.1", *(f"{key}={escaped(text)}" for key, text in values.items())])))
    assert event["extra"] == values
