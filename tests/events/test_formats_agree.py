"""One event, written by hand in each format, gives one row: every mapping of the table of columns is walked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_imperva.events.schema.columns import COLUMNS, Column, Format
from tests.events.cef_lines import rows

# Keys are spelled out here, not taken from the table, so that a wrong one in the table cannot agree with itself.
CEF = r"""
CEF:0|Incapsula|SIEMintegration|1|1|SQL Injection|3|
fileId=443000270123456789 sourceServiceName=shop.example siteid=1509732 suid=50005477
requestClientApplication=Agent/1.0 (x | y\=z) deviceFacility=mia cs1=NA cs1Label=Cap Support
cs2=true cs2Label=Javascript Support cs3=false cs3Label=CO Support cs4=5a6b-77 cs4Label=VID
cs5=ab12 cs5Label=clappsig dproc=Browser cs6=Firefox cs6Label=clapp ccode=IL cicode=Kefar Sava
cs7=31.5 cs7Label=latitude cs8=-34.25 cs8Label=longitude Customer=Shop Ltd tag=acct-1 siteTag=site-1
start=1700000000123 end=1700000000456 request=shop.example:8080/a b/c requestMethod=POST
qstr=q\=1&r\=2 ref=other.example/from postbody=user\=me&pass\=x cn1=403 app=HTTPS
act=REQ_BLOCKED_SECURITY deviceExternalId=98765432109876543 sip=192.0.2.80 spt=443 in=1234
xff=198.51.100.7, 203.0.113.9 cpt=51234 src=2001:db8::1 caIP=192.0.2.33 ver=TLSv1.3 AES-GCM SHA
fileType=30037,,1001, filePermission=2,,37, cs9=,Rule two,, cs9Label=Rule name
cs10=[{"rule_id":"7 mode\=x"}] cs10Label=Rule Info cs11=,,[{"kind":"bad in\=1"}] cs11Label=Rule Additional Info
additionalReqHeaders=[{"accept":"a b"}] additionalResHeaders=[{"etag":"c d"}]
"""

LEEF = r"""
LEEF:1.0|Incapsula|SIEMintegration|1|SQL Injection|
fileId=443000270123456789;sourceServiceName=shop.example;siteid=1509732;suid=50005477;
requestClientApplication=Agent/1.0 (x | y\=z);popName=mia;cs1=NA;cs1Label=Cap Support;
cs2=true;cs2Label=Javascript Support;cs3=false;cs3Label=CO Support;cs4=5a6b-77;cs4Label=VID;
cs5=ab12;cs5Label=clappsig;dproc=Browser;cs6=Firefox;cs6Label=clapp;calCountryOrRegion=IL;cicode=Kefar Sava;
cs7=31.5;cs7Label=latitude;cs8=-34.25;cs8Label=longitude;Customer=Shop Ltd;tag=acct-1;siteTag=site-1;
start=1700000000123;end=1700000000456;url=shop.example:8080/a b/c;requestMethod=POST;
qstr=q\=1&r\=2;ref=other.example/from;postbody=user\=me&pass\=x;cn1=403;proto=HTTPS;
cat=REQ_BLOCKED_SECURITY;deviceExternalId=98765432109876543;dst=192.0.2.80;dstPort=443;in=1234;
xff=198.51.100.7, 203.0.113.9;srcPort=51234;src=2001:db8::1;caIP=192.0.2.33;protoVer=TLSv1.3 AES-GCM SHA;
fileType=30037,,1001,;filePermission=2,,37,;cs9=,Rule two,,;cs9Label=Rule name;
cs10=[{"rule_id":"7 mode\=x"}];cs10Label=Rule Info;cs11=,,[{"kind":"bad in\=1"}];cs11Label=Rule Additional Info;
additionalReqHeaders=[{"accept":"a b"}];additionalResHeaders=[{"etag":"c d"}]
"""

W3C = {
    "date": "2023-11-14",
    "time": "22:13:20",
    "cs-vid": "5a6b-77",
    "cs-clapp": "Firefox",
    "cs-browsertype": "Browser",
    "cs-js-support": "true",
    "cs-co-support": "false",
    "c-ip": "2001:db8::1",
    "c-port": "51234",
    "s-caip": "192.0.2.33",
    "cs-clappsig": "ab12",
    "s-capsupport": "NA",
    "s-suid": "50005477",
    "cs(User-Agent)": "Agent/1.0 (x | y=z)",
    "cs-sessionid": "443000270123456789",
    "s-siteid": "1509732",
    "cs-countrycode": "IL",
    "s-tag": "acct-1",
    "s-sitetag": "site-1",
    "cs-cicode": "Kefar Sava",
    "s-computername": "shop.example",
    "cs-lat": "31.5",
    "cs-long": "-34.25",
    "s-accountname": "Shop Ltd",
    "cs-uri": "shop.example:8080/a b/c",
    "cs-postbody": "user=me&pass=x",
    "cs-version": "HTTPS",
    "cs-protver": "TLSv1.3 AES-GCM SHA",
    "sc-action": "REQ_BLOCKED_SECURITY",
    "s-externalid": "98765432109876543",
    "cs(Referrer)": "other.example/from",
    "s-ip": "192.0.2.80",
    "s-port": "443",
    "cs-method": "POST",
    "cs-uri-query": "q=1&r=2",
    "sc-status": "403",
    "s-xff": "198.51.100.7, 203.0.113.9",
    "cs-bytes": "1234",
    "cs-start": "1700000000123",
    "cs-end": "1700000000456",
    "cs-rule": "SQL Injection",
    "cs-severity": "3",
    "cs-attacktype": "30037,,1001,",
    "cs-attackid": "2,,37,",
    "s-ruleName": ",Rule two,,",
    "cs-ruleInfo": ',,[{""kind"":""bad in=1""}]',
}

JSON = {
    "timestamp": 1700000000123,
    "event": {
        "code": "SQL Injection",
        "action": "REQ_BLOCKED_SECURITY",
        "id": 98765432109876543,
        "provider": "Incapsula",
        "dataset": "SIEMintegration",
    },
    "imperva": {
        "ids": {"account_id": "50005477", "account_name": "Shop Ltd", "site_id": 1509732, "site_name": "shop.example"},
        "request_session_id": "443000270123456789",
        "declared_client": "Firefox",
        "classified_client": "Browser",
        "referrer": "other.example/from",
        "abp": {"policy_name": ["", "Rule two", ""]},
    },
    "client": {"ip": "2001:db8::1", "geo": {"country_iso_code": "IL"}},
    "user_agent": {"original": "Agent/1.0 (x | y=z)"},
    "server": {"domain": "shop.example", "geo": {"name": "mia"}},
    "http": {"request": {"method": "POST"}},
    "url": {"path": "/a b/c", "query": "q=1&r=2"},
}

BODIES: dict[Format, str] = {
    "CEF": CEF.strip().replace("\n", " "),
    "LEEF": LEEF.strip().replace("\n", "").replace(";", "\t"),
    "W3C": f"#Fields: {' '.join(W3C)}\n" + " ".join(f'"{text}"' for text in W3C.values()),
    "JSON": json.dumps(JSON),
}

EVENT: dict[str, Any] = {
    "event_time": 1_700_000_000_123,
    "end_time": 1_700_000_000_456,
    "duration_ms": 333,
    "event_name": "SQL Injection",
    "rule_type_code": 3,
    "action": "REQ_BLOCKED_SECURITY",
    "outcome": "blocked",
    "account_id": 50005477,
    "account_name": "Shop Ltd",
    "account_ref": "acct-1",
    "site_id": 1509732,
    "site_name": "shop.example",
    "site_ref": "site-1",
    "session_id": "443000270123456789",
    "request_id": "98765432109876543",
    "visitor_id": "5a6b-77",
    "client_ip": "2001:db8::1",
    "client_port": 51234,
    "client_edge_ip": "192.0.2.33",
    "x_forwarded_for": ["198.51.100.7", "203.0.113.9"],
    "client_country_code": "IL",
    "client_city": "Kefar Sava",
    "client_latitude": 31.5,
    "client_longitude": -34.25,
    "user_agent": "Agent/1.0 (x | y=z)",
    "client_application": "Firefox",
    "client_type": "Browser",
    "client_signature": "ab12",
    "captcha_support": "NA",
    "javascript_support": True,
    "cookie_support": False,
    "pop": "mia",
    "server_ip": "192.0.2.80",
    "server_port": 443,
    "protocol": "HTTPS",
    "tls": "TLSv1.3 AES-GCM SHA",
    "tls_version": "TLSv1.3",
    "tls_cipher": "AES-GCM SHA",
    "http_method": "POST",
    "url": "shop.example:8080/a b/c",
    "url_host": "shop.example",
    "url_path": "/a b/c",
    "query_string": "q=1&r=2",
    "referrer": "other.example/from",
    "request_body": "user=me&pass=x",
    "http_status": 403,
    "response_bytes": 1234,
    "attack_type_codes": ["30037", "", "1001"],
    "attack_ids": ["2", "", "37"],
    "rule_names": ["", "Rule two", ""],
    "delivery_rules": '[{"rule_id":"7 mode=x"}]',
    "rule_info": ',,[{"kind":"bad in=1"}]',
    "additional_request_headers": '[{"accept":"a b"}]',
    "additional_response_headers": '[{"etag":"c d"}]',
    "device_vendor": "Incapsula",
    "device_product": "SIEMintegration",
    "device_version": "1",
    "signature_id": "1",
}

NEEDS = {
    "duration_ms": ("end_time",),
    "outcome": ("action",),
    "tls_version": ("tls",),
    "tls_cipher": ("tls",),
    "url_host": ("url",),
    "url_path": ("url",),
}
"""What a derived column is derived from, besides the event's time."""


@pytest.fixture(scope="module")
def written() -> dict[str, dict[str, Any]]:
    """The event's row by the format it was written in; times are epoch milliseconds."""
    found: dict[str, dict[str, Any]] = {name: rows(body)[0] for name, body in BODIES.items()}
    for row in found.values():
        for name in ("event_time", "end_time"):
            row[name] = row[name] and round(row[name].timestamp() * 1000)
    return found


def has(column: Column, format_name: Format) -> bool:
    own = bool(column.key(format_name))
    return own or any(has(other, format_name) for other in COLUMNS if other.name in NEEDS.get(column.name, ()))


def test_the_event_has_every_column() -> None:
    assert list(EVENT) == [column.name for column in COLUMNS if column.kind not in ("completed", "row")]


@pytest.mark.parametrize("format_name", ["CEF", "LEEF", "W3C", "JSON"])
@pytest.mark.parametrize("column", [c for c in COLUMNS if c.name in EVENT], ids=lambda column: column.name)
def test_every_format_gives_the_same_value(
    column: Column, format_name: Format, written: dict[str, dict[str, Any]]
) -> None:
    expected = EVENT[column.name] if has(column, format_name) else None
    if (column.name, format_name) == ("rule_info", "JSON"):
        # Here the object itself is the information.
        expected = '{"policy_name":["","Rule two",""]}'
    assert written[format_name][column.name] == expected


@pytest.mark.parametrize("format_name", ["CEF", "LEEF", "W3C", "JSON"])
def test_nothing_is_left_over(format_name: Format, written: dict[str, dict[str, Any]]) -> None:
    row = written[format_name]
    assert (row["extra"], row["parse_warnings"], row["src_format"]) == ({}, [], format_name)
    assert row["event_class"] == "security"
