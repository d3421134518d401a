"""Formats: what goes out means the same as what came in, whatever format it is written in."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.forward.formats import WRITERS
from airflow_provider_imperva.testing import forge_events, write_body

SOURCE = LogSource(file="8416_1.log", sequence=1, fetched_time=1_800_000_000_000)
_ABOUT = frozenset({"raw", "src_format", "src_line", "parse_warnings", "rule_type_code", "signature_id", "extra"})
"""What is about the line, or has no place in LEEF."""


def table(lines: list[bytes]) -> pa.Table:
    parsed = list(parse([b"\n".join(lines) + b"\n"], SOURCE, keep_raw=True))
    assert not sum(block.quarantined.num_rows for block in parsed)
    return pa.concat_tables([block.events for block in parsed])


def meanings(events: pa.Table) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in _ABOUT and value not in (None, [])}
        for row in events.to_pylist()
    ]


def written(events: pa.Table, name: str) -> list[bytes]:
    return WRITERS[name](events, {})


@pytest.mark.parametrize(("received", "wanted"), [("CEF", "leef"), ("LEEF", "cef"), ("W3C", "cef"), ("W3C", "leef")])
def test_a_converted_event_has_the_same_columns(received: Any, wanted: str) -> None:
    body = write_body(received, forge_events(60, seed="formats", format=received))
    events = table(body.encode().splitlines())
    again = table(written(events, wanted))
    usual = {"device_vendor": "Incapsula", "device_product": "SIEMintegration", "device_version": "1"}
    assert meanings(again) == [usual | row for row in meanings(events)]
    assert set(again["src_format"].to_pylist()) == {wanted.upper()}


def test_what_was_received_in_the_format_goes_as_it_was() -> None:
    lines = [line.encode() for line in forge_events(20, seed="formats")]
    assert written(table(lines), "cef") == lines
    assert written(table(lines), "as_received") == lines


@given(
    agent=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=40).map(str.strip),
    query=st.text("ab=&|\\%\"'{}[]", max_size=30),
)
def test_no_text_of_a_client_breaks_out_of_its_value(agent: str, query: str) -> None:
    """What is written is read again as one event, with the same action and address."""
    event = forge_events(1, seed="formats")[0]
    events = table([event.encode()])
    for name, value in (("user_agent", agent), ("query_string", query)):
        place = events.schema.get_field_index(name)
        field = events.schema.field(place)
        events = events.set_column(place, field, pa.array([value]).cast(field.type))
    for wanted in ("cef", "leef"):
        other = events.set_column(
            events.schema.get_field_index("src_format"), "src_format", pa.array(["W3C"]).dictionary_encode()
        )
        (line,) = written(other, wanted)
        assert b"\n" not in line
        again = list(parse([line + b"\n"], SOURCE, keep_raw=True))
        assert sum(block.events.num_rows for block in again) == 1
        row = again[0].events.to_pylist()[0]
        assert (row["action"], row["client_ip"]) == (events["action"][0].as_py(), events["client_ip"][0].as_py())


def test_ecs_has_the_fields_that_elastic_searches() -> None:
    events = table([line.encode() for line in forge_events(50, seed="formats")])
    for line, row in zip(written(events, "ecs"), events.to_pylist(), strict=True):
        document = json.loads(line)
        assert document["source"]["ip"] == row["client_ip"]
        assert document["event"]["action"] == row["action"]
        assert document["@timestamp"].startswith(f"{row['event_time']:%Y-%m-%dT%H:%M:%S}")
        assert document["url"]["original"] == row["url"]
        assert document["event"]["kind"] == ("alert" if row["event_class"] == "security" else "event")
        assert document["ecs"]["version"].startswith("8.")


def test_ecs_has_only_addresses_in_fields_of_the_type_ip() -> None:
    """Elasticsearch refuses a whole document with anything else in them, such as what Imperva masked at the source."""
    events = table([b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| sip=xxx.xxx.31.120 src=192.0.2.1 act=REQ_PASSED"])
    assert events["server_ip"].to_pylist() == ["xxx.xxx.31.120"]
    document = json.loads(written(events, "ecs")[0])
    assert document["destination"] == {"address": "xxx.xxx.31.120"}
    assert document["related"]["ip"] == ["192.0.2.1"]


def test_json_has_the_columns_and_no_nulls() -> None:
    events = table([line.encode() for line in forge_events(5, seed="formats")])
    document = json.loads(written(events, "json")[0])
    assert document["src_line"] == 1
    assert document["event_class"] in ("access", "security")
    assert None not in document.values()
    assert "raw" not in document
