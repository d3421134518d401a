"""The forge writes the same events in each format, as the package's own reader and the format's rules see them."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.testing.forge import FORGED_START, forge_events, forge_repository
from airflow_provider_imperva.testing.formats import Format, write_body

SOURCE = LogSource(file="8416_1.log", fetched_time=FORGED_START)


def rows(format: Format) -> list[dict[str, Any]]:
    events = forge_events(40, seed=3, security_share=0.4, format=format)
    parsed = list(parse([write_body(format, events).encode()], SOURCE))
    assert not any(piece.quarantined.num_rows for piece in parsed)
    found = [row for piece in parsed for row in piece.events.to_pylist()]
    assert len(found) == 40
    return found


def test_all_formats_tell_the_same_as_far_as_they_go() -> None:
    cef = rows("CEF")
    by_format = {
        "LEEF": {"rule_type_code", "signature_id", "device_version", "src_format"},
        "W3C": {
            *("rule_type_code", "signature_id", "device_version", "device_vendor", "device_product", "src_format"),
            *("pop", "delivery_rules", "rule_info", "additional_request_headers", "additional_response_headers"),
            "src_line",
        },
    }
    for format, other in by_format.items():
        for one, two in zip(cef, rows(format), strict=True):  # type: ignore[arg-type]
            assert {key for key in one if one[key] != two[key]} <= other
    for one, two in zip(cef, rows("JSON"), strict=True):
        for column in ("event_time", "event_name", "action", "request_id", "client_ip", "user_agent", "query_string"):
            assert one[column] == two[column], column


def test_a_w3c_body_names_as_many_fields_as_its_rows_have() -> None:
    head, row = write_body("W3C", forge_events(1, format="W3C")).splitlines()[2:]
    assert head.startswith("#Fields: date time ")
    assert len(head.split()[1:]) == row.count('" "') + 1


@pytest.mark.parametrize("format", get_args(Format))
def test_a_forged_log_says_which_format_it_is_in(format: Format) -> None:
    (log,) = forge_repository(1, format=format, compress=False, events_per_log=2)
    if format == "JSON":
        assert [json.loads(line)["event"]["code"] for line in log.content.splitlines()]
    else:
        head, body = log.content.decode().split("|==|\n", 1)
        assert f"format:{format}\n" in head
        assert body == write_body(format, log.events)
