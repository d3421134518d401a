"""Real public events in LEEF, W3C and JSON come out right, column by column."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_imperva.events.schema.schema import READ_SCHEMA
from tests.events.cef_lines import START
from tests.events.test_cef_samples import SAMPLES, brief, read, values

# All that each event holds. Times are epoch milliseconds; a long text is its first and last 24 characters.
# fmt: off
EXPECTED: dict[str, dict[str, Any]] = {
    "leef.log:1": values(
        event_time=1460303291788, event_class="security", event_name="SQL Injection", action="REQ_PASSED",
        outcome="passed", account_id=300656, account_name="siemtest", site_id=1333546,
        site_name="test56111115.incaptest.co", session_id="3412364560000000008", request_id="2323800832649",
        visitor_id="936e64c2-bdd1-4719-9bd0-2d882a72f30d", client_ip="127.0.0.1", client_port=443,
        x_forwarded_for=["127.0.0.1"], client_country_code="IL", client_city="Rehovot", client_latitude=31.8969,
        client_longitude=34.8186, client_application="Firefox", client_type="Browser",
        user_agent="Mozilla/5.0 (Windows NT 6.1; WOW64; rv:38.0) Gecko/20100101 Firefox/38.0",
        client_signature="bab1712be85b00ab21d20bf0d7b5db82701f27f53fbac19a4252efc722ac9131fdc60c0da620282b02dfb8051e7a60f9",
        captcha_support="NA", javascript_support=True, cookie_support=True, pop="mia", server_ip="54.195.35.43",
        server_port=80, protocol="HTTP", tls="TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", tls_version="TLSv1.2",
        tls_cipher="ECDHE-RSA-AES128-GCM-SHA256", http_method="GET", url="test56111115.incaptest.co/",
        url_host="test56111115.incaptest.co", url_path="/", http_status=200, response_bytes=406,
        query_string="keywords=3%29%29%29%20AN...D%20%28%28%283793%3d3793",
        attack_type_codes=["12999", "50999", "50037", "50044"], attack_ids=["37", "20", "1", "1"],
        rule_names=["", "High Risk SQL Expressions", "", "SQL SELECT Expression"],
        device_vendor="Incapsula", device_product="SIEMintegration", device_version="0", extra={}, parse_warnings=[],
        src_format="LEEF",
    ),
    "w3c.log:5": values(
        event_time=1498634795555, event_class="access", event_name="Normal", action="REQ_PASSED", outcome="passed",
        account_id=774502, account_name="Customer", account_ref="LS", site_id=44850949, site_name="www.example.com",
        session_id="452000660051880893", request_id="118866685985031205",
        visitor_id="a1f36498-c34a-45b9-b3a5-ee0bd00f91b6", client_ip="123.123.123.123",
        x_forwarded_for=["123.123.123.123"], client_country_code="SE", client_city="Stockholm", client_latitude=32.0,
        client_longitude=32.0, user_agent="Mozilla/5.0 (Windows NT ...0.3029.110 Safari/537.36",
        client_application="Chrome", client_type="Browser",
        client_signature="62a660e57ba257275cf7ccf6...bf9a6a7802bb898226378938",
        captcha_support="NA", javascript_support=False, cookie_support=True, server_ip="124.124.124.124",
        server_port=80, protocol="HTTP", http_method="GET", url="www.example.com/page.php",
        url_host="www.example.com", url_path="/page.php", query_string="variable=test", http_status=200,
        response_bytes=10117, extra={}, parse_warnings=[], src_format="W3C",
    ),
    "json.log:1": values(
        event_time=1710000000000, event_class="other", extra={"message": "first array log", "host.name": "site-a"},
        parse_warnings=[], src_format="JSON",
    ),
    "json.log:2": values(
        event_time=START, event_class="other", account_id=98765, account_name="ACME Production", site_id=12345,
        extra={
            "imperva.audit_trail.event_action": "SITE_REMOVE",
            "imperva.audit_trail.event_action_description": "Site removed",
            "imperva.audit_trail.assumed_by": "alice@example.com",
            "imperva.audit_trail.resource_type": "Site",
            "imperva.audit_trail.resource_id": "12345",
            "imperva.audit_trail.resource_name": "www.acme.local",
            "imperva.audit_trail.event_context": "site_management",
            "imperva.audit_trail.event_context_description": "Site management ops",
            "user.email": "alice@example.com",
            "user.name": "Alice Admin",
        },
        parse_warnings=["time_from_file"], src_format="JSON",
    ),
}
# fmt: on


@pytest.mark.skipif(not SAMPLES.exists(), reason="the public sample events are not beside this checkout")
@pytest.mark.parametrize("place", EXPECTED)
def test_sample_has_these_values_and_no_others(place: str) -> None:
    name, line = place.split(":")
    row = read(name)[int(line)]
    row["extra"] = {key: brief(text) for key, text in row["extra"]}
    events = ["event_class", *(name for name in READ_SCHEMA.names if not name.startswith("src_")), "src_format"]
    assert {column: brief(row[column]) for column in events if row[column] is not None} == EXPECTED[place]


@pytest.mark.skipif(not SAMPLES.exists(), reason="the public sample events are not beside this checkout")
def test_every_sample_line_is_expected() -> None:
    assert {f"{name}:{line}" for name in ("leef.log", "w3c.log", "json.log") for line in read(name)} == set(EXPECTED)
