"""Events of other products as their JSON has them, and what their views show of them, written down by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.store import open_store

Row = dict[str, Any]

_IDS = {"account_id": "1745073", "account_name": "Example", "site_id": "77", "site_name": "shop.example.com"}
_AT = "2026-06-05T01:02:03Z"
TIME = datetime(2026, 6, 5, 1, 2, 3, tzinfo=UTC)

EVENTS: tuple[Row, ...] = (
    {
        "event": {"provider": "audit", "dataset": "AUDIT_TRAIL", "timestamp": _AT},
        "imperva": {
            "ids": _IDS,
            "audit_trail": {
                "event_action": "SITE_REMOVE",
                "event_action_description": "Site removed",
                "resource_type": "Site",
                "resource_id": 77,
                "resource_name": "shop.example.com",
                "event_context": "API",
                "new_field": "kept",
            },
        },
        "user": {"email": "alice@example.com"},
        "message": "Site removed",
    },
    # Some deliver it without what names the product.
    {
        "imperva": {"audit_trail": {"event_action": "USER_LOGIN", "timestamp": _AT}},
        "user": {"email": "bob@example.com"},
    },
    {
        "event": {"provider": "ATO", "dataset": "ATO"},
        "timestamp": _AT,
        "client": {"ip": "2001:0DB8::0007"},
        "imperva": {
            "ids": _IDS,
            "event_type": "LOGIN_FAILURE",
            "risk_level": "high",
            "risk_reason": "Credential_Stuffing",
            "request_id": "901",
            "request_session_id": "801",
            "request_user": "5f4dcc3b",
            "declared_client": "Chrome",
            "classified_client": "Bot",
            "country": "DE",
            "path": "/login",
            "device_reputation": [],
            "credentials_leaked": True,
            "failed_logins_last_24h": 412,
            "successful_logins_last_24h": "many",
            "additional_factors": ["Site under risk", "Client Classification Mismatch"],
        },
    },
    {
        "event": {"provider": "ABP", "dataset": "ABP", "id": "e-1", "action": "block"},
        "timestamp": _AT,
        "client": {"ip": "192.0.2.9", "geo": {"country_iso_code": "US"}},
        "server": {"domain": "shop.example.com"},
        "url": {"path": "/buy", "query": "a=1"},
        "http": {"request": {"method": "POST"}},
        "imperva": {
            "ids": _IDS,
            "abp": {
                "policy_name": "Shop",
                "monitor_action": "captcha",
                "bot_violations": ["aggregator", "rate"],
                "bot_deciding_condition_names": ["Too fast"],
                "header_lengths": [10, 200],
                "tcp_rtt_ms": 12.5,
                "requests_per_minute": 61,
                "new_field": {"a": 1},
            },
        },
    },
    {"event.dataset": "ABP", "@timestamp": _AT, "imperva.abp.policy_id": "p-7", "imperva.abp.triggered_tags": ["x"]},
    {"event": {"provider": "NETSEC", "dataset": "CONNECTION"}, "timestamp": _AT, "message": "up", "bps": 12},
    {
        "timestamp": _AT,
        "account_id": 1745073,
        "account_name": "Example",
        "zone_id": "9",
        "zone_name": "example.com",
        "ip": "192.0.2.5",
        "destination_addr": "198.51.100.1",
        "query_hostname": "www.example.com",
    },
    {"event": {"dataset": "DNSMS_SECURITY_LOGS"}, "timestamp": _AT, "client": {"ip": "192.0.2.6"}, "ip": "192.0.2.7"},
    # Client-Side Protection has no view, and the WAF's own events are in none.
    {"event": {"provider": "CSP", "dataset": "CSP_HEADER_HEALTH"}, "timestamp": _AT, "message": "x"},
    {"event": {"dataset": "CLOUD_WAF_ACCESS", "code": "Normal"}, "timestamp": _AT, "message": "x"},
)

SHOWN: dict[str, list[Row]] = {
    "audit_trail_events": [
        {
            "dataset": "AUDIT_TRAIL",
            "account_id": 1745073,
            "site_name": "shop.example.com",
            "user_email": "alice@example.com",
            "assumed_by": None,
            "event_action": "SITE_REMOVE",
            "event_action_description": "Site removed",
            "resource_type": "Site",
            "resource_id": "77",
            "event_context": "API",
            "message": "Site removed",
        },
        {"dataset": None, "account_id": None, "user_email": "bob@example.com", "event_action": "USER_LOGIN"},
    ],
    "ato_events": [
        {
            "client_address": "2001:db8::7",
            "client_country_code": "DE",
            "client_application": "Chrome",
            "client_type": "Bot",
            "session_id": "801",
            "request_id": "901",
            "event_type": "LOGIN_FAILURE",
            "risk_level": "high",
            "risk_reason": "Credential_Stuffing",
            "request_user": "5f4dcc3b",
            "path": "/login",
            "fingerprint": None,
            "device_reputation": [],
            "credentials_leaked": True,
            "failed_logins_last_24h": 412,
            "successful_logins_last_24h": None,
            "additional_factors": ["Site under risk", "Client Classification Mismatch"],
        }
    ],
    "abp_events": [
        {
            "client_ip": "192.0.2.9",
            "action": "block",
            "outcome": "blocked",
            "url_path": "/buy",
            "rule_names": ["Shop"],
            "policy_name": "Shop",
            "policy_id": None,
            "monitor_action": "captcha",
            "bot_violations": ["aggregator", "rate"],
            "bot_deciding_condition_names": ["Too fast"],
            "header_lengths": ["10", "200"],
            "tcp_rtt_ms": 12.5,
            "requests_per_minute": 61.0,
        },
        {"policy_id": "p-7", "policy_name": None, "triggered_tags": ["x"], "bot_violations": None},
    ],
    "netsec_events": [{"dataset": "CONNECTION", "message": "up"}],
    "dns_events": [
        {
            "account_id": 1745073,
            "account_name": "Example",
            "zone_name": "example.com",
            "client_ip": "192.0.2.5",
            "destination_addr": "198.51.100.1",
            "query_hostname": "www.example.com",
        },
        {"client_ip": "192.0.2.6", "query_hostname": None, "dataset": "DNSMS_SECURITY_LOGS"},
    ],
}
"""By view: some columns of each row, in the order of the events."""


def write_products(lake: Path) -> None:
    """Write the events as a lake has them."""
    body = "\n".join(map(json.dumps, EVENTS)).encode()
    with BatchParts(open_store(str(lake)), Layout("8416_1"), commit=1, batch=0) as parts:
        for block in parse([body], LogSource(file="8416_1.log", sequence=1)):
            parts.add(block.events, block.quarantined)
        parts.write()
