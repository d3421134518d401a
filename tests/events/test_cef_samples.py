"""Real public events come out right, column by column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.events import LogSource, parse
from tests.events.cef_lines import FETCHED, START, without_gaps

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"


def values(**columns: Any) -> dict[str, Any]:
    return columns


# What each line holds. Times are epoch milliseconds; a long text is its first and last 24 characters.
# fmt: off
EXPECTED: dict[str, dict[str, Any]] = {
    "cef-access.log:1": values(
        event_time=1453290121336, event_class="access", event_name="Normal", action=None, outcome=None,
        account_id=50005477, site_id=1509732, session_id=None, request_id="33411452762204224",
        client_ip="12.12.12.12", client_port=443, http_status=200, tls_version="TLSv1.2", duration_ms=113010549556,
        site_ref="my-site-tag", referrer="www.incapsula.com/lama", url_path="/main.css",
        additional_response_headers='[{"Content-Type":"text/html; charset=UTF-8"}]', response_bytes=54, extra={},
        parse_warnings=[],
    ),
    "cef-access.log:2": values(
        event_time=1453290121336, event_class="access", event_name="Normal", action=None, outcome=None,
        account_id=50005477, site_id=1509732, session_id=None, request_id="33411452762204224",
        client_ip="12.12.12.12", client_port=443, http_status=200, tls_version="TLSv1.2", duration_ms=None,
        client_edge_ip="13.13.13.13", tls_cipher="ECDHE-RSA-AES128-GCM-SHA256", end_time=None,
        client_latitude=31.8969, extra={}, parse_warnings=[],
    ),
    "cef-access.log:3": values(
        event_time=1624809714018, event_class="access", event_name="Normal", action="REQ_CACHED_FRESH",
        outcome="cached", account_id=1843222, site_id=61539044, session_id="438000490120534212",
        request_id="269605585508764744", client_ip="172.105.147.48", client_port=42709, http_status=200,
        tls_version=None, duration_ms=253, server_ip=None, server_port=None, client_longitude=-84.3871,
        javascript_support=False, client_type="Crawler", pop="atl", extra={}, parse_warnings=[],
    ),
    "cef-access.log:4": values(
        event_time=1624809715984, event_class="access", event_name="Normal",
        action="REQ_BAD_CLIENT_CLOSED_CONNECTION", outcome="error", account_id=1843222, site_id=61539044,
        session_id="387000480007874940", request_id="9285040714484748", client_ip="172.105.147.33", client_port=45469,
        http_status=None, tls_version=None, duration_ms=9999, server_ip="33.33.33.33", server_port=8000,
        response_bytes=None, extra={}, parse_warnings=[],
    ),
    "cef-access.log:5": values(
        event_time=1624809796792, event_class="access", event_name="Normal", action="REQ_CACHED_FRESH",
        outcome="cached", account_id=1843222, site_id=61539044, session_id="438000490120554325",
        request_id="461836287179361353", client_ip="172.105.147.18", client_port=50803, http_status=200,
        tls_version=None, duration_ms=1, x_forwarded_for=None, captcha_support="NA",
        visitor_id="5117ee43-9fb8-4cc0-8511-da04c8bb6be2", extra={}, parse_warnings=[],
    ),
    "cef-access.log:6": values(
        event_time=1624459982372, event_class="access", event_name="Normal", action="REQ_PASSED", outcome="passed",
        account_id=1843222, site_id=61539044, session_id="536000420203631383", request_id="133619516400208512",
        client_ip="33.222.11.33", client_port=61269, http_status=405, tls_version=None, duration_ms=6,
        http_method="POST", client_country_code="UA", client_city="Kyiv", extra={}, parse_warnings=[],
    ),
    "cef-access.log:7": values(
        event_time=1624671299714, event_class="access", event_name="Normal",
        action="REQ_BAD_CLIENT_CLOSED_CONNECTION", outcome="error", account_id=1843222, site_id=61539044,
        session_id="1344000210263575150", request_id="963340059111589198", client_ip="34.86.35.29", client_port=39255,
        http_status=None, tls_version="TLSv1.2", duration_ms=9963, client_type="Developer Tool",
        client_application="Go HTTP library", tls_cipher="ECDHE-RSA-AES128-GCM-SHA256", protocol="HTTPS",
        server_port=8443, extra={}, parse_warnings=[],
    ),
    "cef-access.log:8": values(
        event_time=1720396716929, event_class="access", event_name="Normal", action="REQ_CACHED_VALIDATED",
        outcome="cached", account_id=123456, site_id=1234567, session_id="1234567890123456789",
        request_id="12345678901234567", client_ip="123.123.123.123", client_port=10401, http_status=200,
        tls_version="TLSv1.3", duration_ms=206, cookie_support=True, client_city=None,
        client_application="Microsoft Edge", url_host="example.com", extra={}, parse_warnings=[],
    ),
    "cef-security.log:1": values(
        event_time=1453290121336, event_class="security", event_name="Illegal Resource Access",
        action="REQ_CHALLENGE_CAPTCHA", outcome="challenged", account_id=50005477, site_id=1509732,
        session_id="3412341160002518171", request_id="33411452762204224", client_ip="1.128.0.1", client_port=443,
        http_status=200, tls_version="TLSv1.2", duration_ms=113010549556, rule_type_code=3,
        query_string="p=%2fetc%2fpasswd", attack_type_codes=["30037", "1001"], attack_ids=["2", "1"],
        rule_names=["Block Malicious User", "High Risk Resources"],
        rule_info='[{"api_specification_violation_type":"INVALID_PARAM_NAME","parameter_name":"somename"}]',
        extra={"ccode": "IL"}, parse_warnings=["duplicate_key:ccode"],
    ),
    "cef-security.log:2": values(
        event_time=1453290121336, event_class="security", event_name="Illegal Resource Access",
        action="REQ_CHALLENGE_CAPTCHA", outcome="challenged", account_id=50005477, site_id=1509732,
        session_id="3412341160002518171", request_id="33411452762204224", client_ip="12.12.12.12", client_port=443,
        http_status=200, tls_version="TLSv1.2", duration_ms=113010549556, server_ip=None,
        query_string="p=%2fetc%2fpasswd", attack_type_codes=["30037", "1001"],
        rule_names=["Block Malicious User", "High Risk Resources"], client_country_code="IL", site_ref="my-site-tag",
        extra={"ccode": "IL"}, parse_warnings=["duplicate_key:ccode"],
    ),
    "cef-security.log:3": values(
        event_time=1649772598763, event_class="security", event_name="Blocked country", action="REQ_BLOCKED_VISITOR",
        outcome="blocked", account_id=1928034, site_id=38097258, session_id="393000630126853202",
        request_id="195557299895996363", client_ip="1.2.3.4", client_port=45208, http_status=None, tls_version=None,
        duration_ms=2, rule_type_code=-1, client_country_code="FR", client_city="Strasbourg",
        client_application="Webkit Browser", server_ip=None, extra={}, parse_warnings=[],
    ),
    "cef-security.log:4": values(
        event_time=1649772598763, event_class="security", event_name="Blocked country", action="REQ_BAD_PARSE_ERROR",
        outcome="error", account_id=1928034, site_id=38097258, session_id="393000630126853202",
        request_id="195557299895996363", client_ip="1.2.3.4", client_port=45208, http_status=None, tls_version=None,
        duration_ms=2, rule_type_code=-1, account_name="mycustomer@example.org",
        visitor_id="a99e6166-5092-4cce-8fb6-afae61ef7493", extra={}, parse_warnings=[],
    ),
    "cef-security.log:5": values(
        event_time=1649772598763, event_class="security", event_name="Accepted country", action="REQ_PASSED",
        outcome="passed", account_id=1928034, site_id=38097258, session_id="393000630126853202",
        request_id="195557299895996363", client_ip="1.2.3.4", client_port=45208, http_status=None, tls_version=None,
        duration_ms=2, rule_type_code=-1, account_name="mycustomer@example.org", client_longitude=7.4508, extra={},
        parse_warnings=[],
    ),
    "cef-security.log:6": values(
        event_time=1624459989430, event_class="security", event_name="SQL Injection", action="REQ_BLOCKED_SESSION",
        outcome="blocked", account_id=1843222, site_id=61539044, session_id="536000420203633562",
        request_id="300754127159822978", client_ip="77.222.131.19", client_port=63326, http_status=None,
        tls_version=None, duration_ms=1, rule_type_code=0, attack_type_codes=["50033"], attack_ids=["666"],
        rule_names=None, pop="fra", extra={}, parse_warnings=[],
    ),
    "cef-security.log:7": values(
        event_time=1524770802082, event_class="security", event_name="IncapRules(bad client)", action="REQ_PASSED",
        outcome="passed", account_id=2047415, site_id=10286633, session_id="295037710147327529",
        request_id="284592737231615225", client_ip="110.202.200.66", client_port=5353, http_status=200,
        tls_version="TLSv1.2", duration_ms=None, rule_type_code=11, account_name="Test - External",
        x_forwarded_for=["12.206.204.56", "186.240.270.97", "103.28.41.7"], tls="TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256",
        attack_type_codes=["90879"], rule_names=None, end_time=None, extra={}, parse_warnings=[],
    ),
    "cef-security.log:8": values(
        event_time=1750766178780, event_class="attack_analytics",
        event_name="Illegal Resource Access attack by a single IP from Indonesia using python-requests HackingTool",
        action=None, outcome=None, account_id=None, site_id=None, session_id=None, request_id=None,
        client_ip="1.2.3.4", client_port=None, http_status=None, tls_version=None, duration_ms=9737,
        rule_type_code=None, device_vendor="Imperva Inc", user_agent="python-requests", url="Distributed",
        captcha_support=None, client_latitude=None, rule_names=None,
        extra={
            "severity": "MAJOR",
            "msg": 'On host "www.host.com" targeting the URL pattern "/*****/*****/phpunit/*****/*****/*****/*****"',
            "dhost": "www.host.com",
            "ImpervaAANumberOfEvents": "7",
            "ImpervaAAPercentBlocked": "100",
            "ImpervaAACountry": "Indonesia",
            "ImpervaAAPlatform": "CloudWAF",
            "ImpervaAADominantIps": "1.2.3.4",
            "ImpervaAASampleEvents": "1756000350349119178-2544...19178-739768087755884754",
            "ImpervaAAAttackType": "Illegal Resource Access",
            "ImpervaAADominantSiteIds": "627764935",
            "ImpervaAACves": "CVE-2017-1234,CVE-2023-5678",
        },
        parse_warnings=[],
    ),
    "anomalies.cef:1": values(
        event_time=1453290121336, event_class="security", event_name="Illegal Resource Access",
        action="REQ_CHALLENGE_CAPTCHA", outcome="challenged", account_id=50005477, site_id=1509732,
        session_id="3412341160002518171", request_id="33411452762204224", client_ip="12.12.12.12", client_port=443,
        http_status=200, tls_version="TLSv1.2", duration_ms=None,
        client_signature="de3c633ac428e0678f3aac20cf7f239431e54cbb8a17e8302f53653923305e1835a9cd871db32aa4fc7b8a9463366cc4",
        client_type="Browser", client_country_code="IL", rule_names=["Block Malicious User", "High Risk Resources"],
        attack_ids=["2", "1"], query_string="p=%2fetc%2fpasswd", extra={"ccode": "IL"},
        parse_warnings=["lost_space:dproc", "duplicate_key:ccode"],
    ),
    "anomalies.cef:2": values(
        event_time=1788660690618, event_class="security", event_name="IncapRules(Temp_dump)",
        action="REQ_BLOCKED_SECURITY", outcome="blocked", account_id=1843258, site_id=37659315,
        session_id="1415000720207605958", request_id="82528629909033475", client_ip="xxx.xxx.31.120",
        client_port=24804, http_status=None, tls_version=None, duration_ms=5, user_agent='"Xpanse-bot', pop="den",
        delivery_rules=None, rule_type_code=11, extra={"cs10": '[{""rule_id"":""4709724""}]'},
        parse_warnings=["no_label:cs10"],
    ),
    "anomalies.cef:3": values(
        event_time=1700000000000, event_class="access", event_name="Normal", action="ALLOW", outcome="passed",
        account_id=None, site_id=None, session_id=None, request_id=None, client_ip="192.168.1.100", client_port=None,
        http_status=None, tls_version=None, duration_ms=None, client_city="Al 'Ayyat",
        url="https://example.com/login", url_host="example.com", url_path="/login", extra={},
        parse_warnings=["time_from_file"],
    ),
    "anomalies.cef:4": values(
        event_time=1700000000000, event_class="security", event_name="IncapRules(Rule|Special)", action=None,
        outcome=None, account_id=None, site_id=None, session_id=None, request_id=None, client_ip="10.0.0.1",
        client_port=None, http_status=None, tls_version=None, duration_ms=None, rule_type_code=11,
        device_product="SIEMintegration", signature_id="1", extra={}, parse_warnings=["time_from_file"],
    ),
    "anomalies.cef:5": values(
        event_time=1700000000000, event_class="access", event_name="Normal", action=None, outcome=None,
        account_id=None, site_id=None, session_id=None, request_id=None, client_ip="10.0.0.1", client_port=None,
        http_status=None, tls_version=None, duration_ms=None, rule_type_code=0, device_vendor="Incapsula",
        device_product="SIEMintegration", extra={}, parse_warnings=["time_from_file"],
    ),
    "anomalies.cef:6": values(
        event_time=1498509920937, event_class="access", event_name="Normal", action="REQ_PASSED", outcome="passed",
        account_id=774502, site_id=44850949, session_id="262000500012870279", request_id="20679399964017444",
        client_ip="123.123.123.123", client_port=None, http_status=301, tls_version=None, duration_ms=None,
        client_country_code="US", account_ref="LK", client_city="Mountain View", x_forwarded_for=["123.123.123.123"],
        pop=None, end_time=None, extra={}, parse_warnings=[],
    ),
    "anomalies.cef:7": values(
        event_time=1681893621111, event_class="security", event_name="Illegal Resource Access",
        action="REQ_BLOCKED_COOKIELESS_SESSION", outcome="blocked", account_id=1872333, site_id=6562222,
        session_id="1111111", request_id="542440032913592222", client_ip="1.2.3.4", client_port=56333,
        http_status=None, tls_version="TLSv1.3", duration_ms=1000,
        url="source.example.org/chakisg.htm?Sip=1.1.1.1 | cat /etc/passwd", url_path="/chakisg.htm",
        query_string=None, client_signature=None, client_application=None, rule_names=None,
        attack_type_codes=["900111"],
        extra={"clapaaaa": "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b", "clapb": "Bot"},
        parse_warnings=[],
    ),
    "anomalies.cef:8": values(
        event_time=1681755370111, event_class="access", event_name="Normal", action="REQ_CACHED_FRESH",
        outcome="cached", account_id=1872230, site_id=4766000, session_id="687000970097065000",
        request_id="444186935136557111", client_ip="92.140.985.97", client_port=41148, http_status=200,
        tls_version="TLSv1.3", duration_ms=None,
        user_agent="Android 11(70) | prodLalaland 1.47.9(162) | Redmi M2000K6G", client_longitude=None,
        delivery_rules=None, server_ip=None, server_port=None, visitor_id=None,
        extra={
            "VOD": "1320a44a-69e8-4497-b18e-65b3aaafc574",
            "clappsog": "1ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
            "clapea": "Android Dalvok VM",
            "cs10": "10.2444",
        },
        parse_warnings=["no_label:cs10", "bad_ip:src"],
    ),
    "anomalies.cef:9": values(
        event_time=1720396716929, event_class="access", event_name="Normal", action="REQ_CACHED_VALIDATED",
        outcome="cached", account_id=123456, site_id=1234567, session_id="1234567890123456789",
        request_id="12345678901234567", client_ip="123.123.123.123", client_port=10401, http_status=200,
        tls_version="TLSv1.3", duration_ms=206, user_agent="Mozilla/5.0 (Windows NT ...fari/537.36 Edg/99.0.0.0",
        client_application="Microsoft Edge", delivery_rules='[{"rule_id":"1234567","t...rd_to_dc_id":"1234567"}]',
        client_city=None, extra={},
        parse_warnings=[
            "quoted_value:requestClientApplication",
            "quoted_value:cs5",
            "quoted_value:cs6",
            "quoted_value:cs10",
        ],
    ),
}
# fmt: on


def read(name: str) -> dict[int, dict[str, Any]]:
    source = LogSource(file=name, start_time=START, fetched_time=FETCHED)
    blocks = list(parse([(SAMPLES / name).read_bytes()], source))
    assert all(block.lines == block.events.num_rows for block in blocks), "no sample line may be quarantined"
    return {row["src_line"]: row for block in blocks for row in block.events.to_pylist()}


def brief(value: Any) -> Any:
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    if isinstance(value, str) and len(value) > 100:
        return f"{value[:24]}...{value[-24:]}"
    return value


@pytest.mark.skipif(not SAMPLES.exists(), reason="the public sample events are not beside this checkout")
@pytest.mark.parametrize("place", EXPECTED)
def test_sample_has_these_values(place: str) -> None:
    name, line = place.split(":")
    row = read(name)[int(line)]
    row["extra"] = {key: brief(text) for key, text in row["extra"]}
    expected = EXPECTED[place]
    assert len(expected) > 12
    row["parse_warnings"] = without_gaps(row["parse_warnings"])
    assert {column: brief(row[column]) for column in expected} == expected


@pytest.mark.skipif(not SAMPLES.exists(), reason="the public sample events are not beside this checkout")
def test_samples_that_lack_what_every_event_has_say_so() -> None:
    lacking = {
        f"{name}:{line}": [code for code in row["parse_warnings"] if code not in without_gaps(row["parse_warnings"])]
        for name in ("cef-access.log", "cef-security.log", "anomalies.cef")
        for line, row in read(name).items()
    }
    assert {place: codes for place, codes in lacking.items() if codes} == {
        "cef-access.log:1": ["incomplete:act"],
        "cef-access.log:2": ["incomplete:act", "follows_incomplete"],
        "cef-access.log:3": ["follows_incomplete"],
        "anomalies.cef:3": ["incomplete:start", "incomplete:deviceExternalId"],
        "anomalies.cef:4": [f"incomplete:{key}" for key in ("act", "start", "deviceExternalId")]
        + ["follows_incomplete"],
        "anomalies.cef:5": [f"incomplete:{key}" for key in ("act", "start", "deviceExternalId")]
        + ["follows_incomplete"],
        "anomalies.cef:6": ["follows_incomplete"],
    }


@pytest.mark.skipif(not SAMPLES.exists(), reason="the public sample events are not beside this checkout")
def test_every_sample_line_is_expected() -> None:
    places = {
        f"{name}:{line}" for name in ("cef-access.log", "cef-security.log", "anomalies.cef") for line in read(name)
    }
    assert places == set(EXPECTED)
