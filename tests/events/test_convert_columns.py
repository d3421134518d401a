"""Texts become typed values, and what does not fit is kept with a note."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from ipaddress import ip_address

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.events import LogSource
from airflow_provider_imperva.events.grammar.record import TextRecord
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.typed.convert import (
    floats,
    integers,
    no_addresses,
    slots,
    times,
    trimmed_lists,
    url_parts,
)
from airflow_provider_imperva.events.typed.dates import LogDates
from airflow_provider_imperva.events.typed.table import to_table
from tests.events.cef_lines import FETCHED, SOURCE, START, cef, row, rows


def milliseconds(value: datetime | None) -> int | None:
    return None if value is None else round(value.timestamp() * 1000)


@given(st.lists(st.none() | st.integers(-(10**20), 10**20).map(str) | st.text(max_size=25)))
@example(["9223372036854775807", "9223372036854775808", "-9223372036854775808", "0x1F", "1_0", "٣", " 1", "+7", "007"])
def test_integers_are_exact_or_null(texts: list[str | None]) -> None:
    for text, value in zip(texts, integers(pa.array(texts, pa.string())).to_pylist(), strict=True):
        plain = (
            text is not None
            and text.isascii()
            and text.lstrip("+-").isdigit()
            and len(text.lstrip("+-")) >= len(text) - 1
        )
        expected = int(text) if plain and text is not None and -(2**63) <= int(text) < 2**63 else None
        assert value == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**16), 10**16)))
def test_floats_are_those_python_reads(values: list[float]) -> None:
    assert floats(pa.array([str(v) for v in values], pa.string())).to_pylist() == [float(str(v)) for v in values]


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1,5", "0x1p3", "1_0.0", "", "--1"])
def test_what_is_no_finite_number_is_null(text: str) -> None:
    assert floats(pa.array([text])).to_pylist() == [None]


@given(st.lists(st.ip_addresses().map(str) | st.text("0123456789abcdef:.", max_size=24) | st.none()))
@example(["::", "::1", "1::", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1::2::3", "::ffff:192.0.2.1"])
@example(["1::3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "1:2:3:4:5:6::8", "1:2:3:4:5:6::7:8", "::1:2:3:4:5:6:7:8"])
@example(["92.140.985.97", "xxx.xxx.31.120", "01.2.3.4", "1.2.3", "Distributed", "1.2.3.4\n"])
def test_addresses_are_those_python_reads(texts: list[str | None]) -> None:
    def is_address(text: str) -> bool:
        try:
            return bool(ip_address(text))
        except ValueError:
            return False

    expected = [row for row, text in enumerate(texts) if text and not is_address(text)]
    column = pa.array(texts, pa.string())
    assert no_addresses(column) == expected
    assert no_addresses(column.dictionary_encode()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000123", 1_700_000_000_123),
        ("1700000000", 1_700_000_000_000),
        ("2023-11-14T22:13:20.123Z", 1_700_000_000_123),
        ("2023-11-14 22:13:20", 1_700_000_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000_000),
        ("170000000", None),
        ("20231114", None),
        ("2023-11-99", None),
        ("Distributed", None),
    ],
)
def test_times(text: str, expected: int | None) -> None:
    assert milliseconds(times(pa.array([text]))[0].as_py()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30037,1001,", ["30037", "1001"]),
        ("30037", ["30037"]),
        (",High Risk,,Select,", ["", "High Risk", "", "Select"]),
        (",,", ["", ""]),
        (",", [""]),
    ],
)
def test_one_trailing_comma_goes_and_empty_slots_stay(text: str, expected: list[str]) -> None:
    assert slots(pa.array([text])).to_pylist() == [expected]


@given(st.lists(st.text(", \taé\xa0", min_size=1, max_size=12) | st.none()))
def test_lists_are_cut_at_commas(texts: list[str | None]) -> None:
    """As Python cuts them; a slot is kept as it is, an element of a trimmed list loses its blanks."""
    given = pa.array(texts, pa.string())
    in_slots = [None if text is None else text.removesuffix(",").split(",") for text in texts]
    trimmed = [None if text is None else [part.strip(" \t") for part in text.split(",")] for text in texts]
    assert slots(given).to_pylist() == in_slots
    assert trimmed_lists(given).to_pylist() == trimmed


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("a.example/x/y?q=/z", "a.example", "/x/y"),
        ("a.example:8443/", "a.example", "/"),
        ("a.example", "a.example", None),
        ("a.example?x=/y", "a.example", None),
        ("https://a.example:1/p", "a.example", "/p"),
        ("[2001:db8::1]:443/p", "[2001:db8::1]", "/p"),
        ("[2001:db8::1]/p", "[2001:db8::1]", "/p"),
        ("2001:db8::1/p", "2001:db8::1", "/p"),
        ("u:7@a.example:80/p", "u:7@a.example", "/p"),
        ("a.example:/p", "a.example", "/p"),
        ("a.example:8x/p", "a.example:8x", "/p"),
        ("/only/path", None, "/only/path"),
        ("a.example/line\nbreak?x", "a.example", "/line\nbreak"),
        (None, None, None),
    ],
)
def test_url_parts(url: str | None, host: str | None, path: str | None) -> None:
    hosts, paths = url_parts(pa.array([url], pa.string()).dictionary_encode())
    assert (hosts.to_pylist(), paths.to_pylist()) == ([host], [path])


def test_misfits_are_null_kept_and_noted() -> None:
    event = row(
        "cn1=70000 suid=12a spt=9999999999 in=99999999999999999999 cs2=maybe cs2Label=Javascript Support "
        "cs7=north cs7Label=latitude end=soon start=1700000000001 ccode=[]"
    )
    columns = ("http_status", "account_id", "server_port", "response_bytes", "javascript_support", "client_latitude")
    assert [event[column] for column in (*columns, "end_time", "client_country_code")] == [None] * 8
    assert event["extra"] == {
        "cn1": "70000",
        "suid": "12a",
        "spt": "9999999999",
        "in": "99999999999999999999",
        "cs2": "maybe",
        "cs7": "north",
        "end": "soon",
        "ccode": "[]",
    }
    assert set(event["parse_warnings"]) == {
        "bad_int:cn1",
        "bad_int:suid",
        "bad_int:spt",
        "bad_int:in",
        "bad_bool:cs2",
        "bad_float:cs7",
        "bad_time:end",
        "bad_country:ccode",
    }


def test_misfits_stay_in_their_own_row() -> None:
    good = cef("start=1700000000001 cn1=200")
    events = rows(good, cef("start=1700000000001 cn1=x foo=1"), good, cef("start=1700000000001 src=x"))
    assert [r["extra"] for r in events] == [{}, {"cn1": "x", "foo": "1"}, {}, {}]
    assert [r["parse_warnings"] for r in events] == [[], ["bad_int:cn1"], [], ["bad_ip:src"]]
    assert [r["http_status"] for r in events] == [200, None, 200, None]


def test_ids_of_nineteen_digits_are_exact() -> None:
    event = row("fileId=9223372036854775807 deviceExternalId=123456789012345679 suid=9007199254740993")
    assert (event["session_id"], event["request_id"]) == ("9223372036854775807", "123456789012345679")
    assert event["account_id"] == 9_007_199_254_740_993


def test_no_origin_was_asked() -> None:
    event = row("sip=0.0.0.0 spt=0 src=0.0.0.0 cpt=0 start=1700000000001")
    assert (event["server_ip"], event["server_port"]) == (None, None)
    assert (event["client_ip"], event["client_port"]) == ("0.0.0.0", 0)
    assert (event["extra"], event["parse_warnings"]) == ({}, [])


def test_small_conversions() -> None:
    event = row(
        "ccode=[US] xff=192.0.2.1,  unknown ,x y ver=TLSv1.3 A_B_C src=2001:db8::1 cs3=TRUE cs3Label=CO Support"
    )
    assert event["client_country_code"] == "US"
    assert event["x_forwarded_for"] == ["192.0.2.1", "unknown", "x y"]
    assert (event["tls"], event["tls_version"], event["tls_cipher"]) == ("TLSv1.3 A_B_C", "TLSv1.3", "A_B_C")
    assert (event["client_ip"], event["cookie_support"]) == ("2001:db8::1", True)
    assert row("ver=TLSv1.3")["tls_cipher"] is None


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("REQ_PASSED", "passed"),
        ("REQ_CACHED_FRESH", "cached"),
        ("REQ_BLOCKED_NEW_REASON", "blocked"),
        ("REQ_CHALLENGE_CAPTCHA", "challenged"),
        ("REQ_CHALLENGED_X", "challenged"),
        ("REQ_BAD_TIMEOUT", "error"),
        ("REQ_UNRESOLVED_SITE_UNKNOWN", "error"),
        ("REQ_NO_IP_FOUND", "error"),
        ("REQ_NEW", "other"),
    ],
)
def test_outcome_goes_by_action(action: str, outcome: str) -> None:
    event = row(f"act={action}")
    assert (event["action"], event["outcome"]) == (action, outcome)


def test_duration() -> None:
    assert row("start=1700000000001 end=1700000000009")["duration_ms"] == 8
    assert row("start=1700000000009 end=1700000000001")["duration_ms"] is None
    # Not from the log's own start: that is no time of the request.
    assert row("end=1700000000009")["duration_ms"] is None


def test_host_and_path_of_the_format_itself_count() -> None:
    texts = {"url": "a.example/x", "url_host": "b.example", "url_path": "/y"}
    columns = TextColumns.of([TextRecord("other", texts)], format_name="JSON", lines=[1], raw=None)
    (found,) = to_table(columns, SOURCE, LogDates.of(SOURCE)).to_pylist()
    assert (found["url_host"], found["url_path"], found["src_format"]) == ("b.example", "/y", "JSON")


def test_parallel_lists_of_unequal_length_are_noted() -> None:
    assert "unaligned:cs9" in row("fileType=1,2, cs9=One, or two,Three, cs9Label=Rule name")["parse_warnings"]
    assert "unaligned:filePermission" in row("fileType=1,2, filePermission=1,")["parse_warnings"]
    assert row("start=1700000000001 fileType=1,2, filePermission=1,2,")["parse_warnings"] == []


class TestEventTime:
    DAY = 86_400_000

    @pytest.mark.parametrize(
        "start", ["", "start=soon ", "start=0 ", "start=1262303999999 ", f"start={FETCHED + DAY + 1} "]
    )
    def test_missing_or_impossible_time_is_the_logs(self, start: str) -> None:
        event = row(f"{start}src=192.0.2.1")
        assert milliseconds(event["event_time"]) == START
        assert event["event_date"] == date(2023, 11, 14)
        assert "time_from_file" in event["parse_warnings"]
        assert ("bad_time:start" in event["parse_warnings"]) == bool(start)
        assert ("start" in event["extra"]) == bool(start)

    @pytest.mark.parametrize("start", [1_262_304_000_000, FETCHED + DAY])
    def test_times_at_the_bounds_count(self, start: int) -> None:
        event = row(f"start={start}")
        assert (milliseconds(event["event_time"]), event["parse_warnings"]) == (start, [])

    def test_seconds_are_told_from_milliseconds(self) -> None:
        event = row("start=1700000001")
        assert (milliseconds(event["event_time"]), event["parse_warnings"]) == (
            1_700_000_001_000,
            ["epoch_seconds:start"],
        )

    def test_without_any_time_the_date_is_that_of_the_fetch(self) -> None:
        for start_time in (None, 5):
            (event,) = rows(cef("src=192.0.2.1"), source=replace(SOURCE, start_time=start_time))
            assert (event["event_time"], event["parse_warnings"]) == (None, ["no_time"])
            assert event["event_date"] == date(2026, 11, 21)
        (event,) = rows(cef("src=192.0.2.1"), source=LogSource(file="x"))
        assert event["event_date"] == date(1970, 1, 1)

    def test_date_is_that_of_utc(self) -> None:
        last = int(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp() * 1000)
        assert [r["event_date"] for r in rows(cef(f"start={last}"), cef(f"start={last + 1000}"))] == [
            date(2024, 2, 29),
            date(2024, 3, 1),
        ]
