"""Every row becomes an event that OCSF's own schemas take, and none of its values is lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_imperva.events.schema.schema import SCHEMA
from tests.load.older_release import ADDED
from tests.long_form import LONG
from tests.ocsf.ocsf_rows import FORMATS, INCIDENTS, ODD, completed, forged, made, rows_of, with_holes
from tests.ocsf.validation import as_event, problems

ROWS = 10_000 if LONG else 120
VERSIONS = ("1.8", "1.1")


def events_of(table: pa.Table, **options: Any) -> list[dict[str, Any]]:
    return [as_event(row) for row in made(table, **options).to_pylist()]


def event_of(line: str, **options: Any) -> dict[str, Any]:
    (event,) = events_of(rows_of([line]), **options)
    return event


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("format_name", FORMATS)
def test_rows_of_every_format_validate(format_name: str, version: str) -> None:
    table = forged(ROWS, format_name)
    whole = table.slice(0, ROWS // 2)
    holes = with_holes(table.slice(ROWS // 2))
    for rows in (whole, holes):
        events = events_of(rows, version=version)
        assert len(events) == rows.num_rows
        assert len({event["metadata"]["uid"] for event in events}) == len(events)
        for event in events:
            assert problems(event) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("lines", [ODD, INCIDENTS], ids=["odd", "incidents"])
def test_odd_rows_and_incidents_validate(lines: tuple[str, ...], version: str) -> None:
    for rows in (rows_of(lines), with_holes(rows_of(lines)), with_holes(rows_of(lines), share=1)):
        for event in events_of(rows, version=version):
            assert problems(event) == []


def test_the_validator_takes_not_everything() -> None:
    event = event_of(ODD[0])
    assert problems(event | {"severity_id": 7})
    assert problems({name: value for name, value in event.items() if name != "time"})
    assert problems(event | {"dst_endpoint": {"uid": "1", "somewhere": "else"}})
    assert problems(event | {"metadata": event["metadata"] | {"product": {"name": 1}}})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("event_class", ["access", "attack_analytics"])
def test_no_value_is_lost(event_class: str, version: str) -> None:
    """Of an event of which nothing but one column is known, that column shows."""
    # What was derived from other columns is in the event with these.
    derived = {"outcome", "tls_cipher", "url_host", "src_line", "src_file", *ADDED}
    derived |= {"tls_version", "url_path"} if event_class == "attack_analytics" else set()
    names = sorted(set(SCHEMA.names) - derived)
    empty = with_holes(rows_of(ODD[:1]), share=1)
    empty = _with(empty, "event_class", _text(event_class))
    rows = [_with(empty, name, _value_of(empty.schema.field(name).type)) for name in names]
    rows = [completed(row) for row in (empty, *rows)]
    nothing, *events = events_of(pa.concat_tables(rows).unify_dictionaries().combine_chunks(), version=version)
    assert [name for name, event in zip(names, events, strict=True) if event == nothing] == []


def _with(table: pa.Table, name: str, value: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), table.schema.field(name), value)


def _text(value: str) -> pa.Array:
    return pa.array([value]).dictionary_encode()


def _value_of(kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return _text("some text")
    if pa.types.is_map(kind):
        return pa.array([[("a", "b")]], kind)
    if pa.types.is_list(kind):
        return pa.array([["some text"]], kind)
    if pa.types.is_string(kind):
        return pa.array(["some text"], kind)
    if pa.types.is_timestamp(kind):
        return pa.array([1_767_225_600_001], pa.int64()).cast(kind)
    return pa.array([1], pa.int16()).cast(kind)


class TestWhatFitsNoEnumeration:
    def test_a_method(self) -> None:
        event = event_of(ODD[0])
        assert (event["activity_id"], event["activity_name"], event["type_uid"]) == (99, "PROPFIND", 400299)
        assert "http_method" not in event["http_request"]
        assert event_of(ODD[1])["activity_id"] == 9
        assert event_of(ODD[1], version="1.1")["activity_name"] == "PATCH"

    def test_an_action(self) -> None:
        event = event_of(ODD[2])
        assert (event["action_id"], event["action"], event["status_code"]) == (99, *["REQ_SOMETHING_NEW"] * 2)
        assert event["disposition_id"] == event["status_id"] == 99

    def test_a_rule_type(self) -> None:
        event = event_of(ODD[7])
        assert (event["severity_id"], event["severity"]) == (99, "77")
        assert event_of(ODD[7], severities={77: 5})["severity"] == "Critical"

    def test_a_level_of_an_incident(self) -> None:
        found = [(event["severity_id"], event["severity"]) for event in events_of(rows_of(INCIDENTS))]
        assert found == [(4, "High"), (5, "Critical"), (99, "CUSTOM"), (99, "UNHEARD OF"), (0, "Unknown")]

    def test_what_is_no_address_or_port(self) -> None:
        event = event_of(ODD[0])
        assert event["src_endpoint"] == {"name": "not-an-address"}
        event = event_of(ODD[1])
        assert event["http_request"]["x_forwarded_for"] == ["198.51.100.7", "2001:db8::1"]
        assert event["unmapped"]["x_forwarded_for"] == ["unknown"]
        assert event_of(ODD[2])["unmapped"]["client_port"] == 70_000

    def test_a_text_that_ocsf_1_1_bounds(self) -> None:
        assert len(event_of(ODD[-1])["http_request"]["referrer"]) > 70_000
        event = event_of(ODD[-1], version="1.1")
        assert len(event["http_request"]["referrer"]) == 65_535
        assert event["unmapped"]["truncated"] == ["referrer"]


class TestVerdicts:
    @pytest.mark.parametrize(
        ("line", "modern", "old"),
        [
            (ODD[6], (2, "Denied", 2, "Blocked", 1), (2, "Denied", 2, "Blocked", 1)),
            (ODD[7], (4, "Modified", 22, "Captcha", 1), (1, "Allowed", 22, "Captcha", 1)),
            (ODD[8], (4, "Modified", 23, "Challenge", 1), (1, "Allowed", 23, "Challenge", 1)),
            (ODD[3], (99, "REQ_BAD_TIMEOUT", 27, "Error", 2), (99, "REQ_BAD_TIMEOUT", 27, "Error", 2)),
            (ODD[4], (2, "Denied", 25, "Rejected", 1), (2, "Denied", 25, "Rejected", 1)),
            (ODD[5], (0, "Unknown", 0, "Unknown", 0), (0, "Unknown", 0, "Unknown", 0)),
        ],
    )
    def test_by_action(self, line: str, modern: tuple[Any, ...], old: tuple[Any, ...]) -> None:
        for version, expected in (("1.8", modern), ("1.1", old)):
            event = event_of(line, version=version)
            names = ("action_id", "action", "disposition_id", "disposition", "status_id")
            assert tuple(event[name] for name in names) == expected

    def test_a_rule_that_only_alerts(self) -> None:
        line = ODD[6].replace("REQ_BLOCKED_SECURITY", "REQ_PASSED")
        event = event_of(line)
        assert (event["action"], event["disposition"], event["is_alert"]) == ("Observed", "Detected", True)
        assert event["firewall_rule"] == {"name": "SQL Injection", "category": "SQL Injection"}


def test_the_first_rule_and_all_of_them() -> None:
    event = event_of(ODD[7])
    assert event["firewall_rule"] == {"uid": "50033", "name": "My rule", "type": "30", "category": "New Rule"}
    second = {"attack_type": "30", "attack_id": "50033", "rule_name": "My rule"}
    assert event["unmapped"]["violations"] == [{}, second], "the first slot is empty"


def test_headers_come_without_cookies() -> None:
    event = event_of(ODD[8])
    assert event["http_request"]["http_headers"] == [{"name": "a", "value": 'x"y'}]
    event = event_of(ODD[9])
    assert event["unmapped"]["request_headers"] == "nothing"
