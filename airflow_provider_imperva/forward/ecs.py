"""The Elastic Common Schema (ECS 8): which of its fields each column of ``events/`` is."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

VERSION = "8.11.0"

FIELDS: Mapping[str, str] = {
    "event_time": "@timestamp",
    "end_time": "event.end",
    "event_name": "event.code",
    "action": "event.action",
    "request_id": "event.id",
    "severity": "event.severity",
    "account_id": "cloud.account.id",
    "account_name": "cloud.account.name",
    "client_address": "source.ip",
    "client_ip": "source.address",
    "client_port": "source.port",
    "client_country_code": "source.geo.country_iso_code",
    "client_city": "source.geo.city_name",
    "x_forwarded_for": "network.forwarded_ip",
    "server_ip": "destination.ip",
    "server_port": "destination.port",
    "site_name": "destination.domain",
    "protocol": "network.protocol",
    "tls_version": "tls.version_protocol",
    "tls_cipher": "tls.cipher",
    "http_method": "http.request.method",
    "http_status": "http.response.status_code",
    "response_bytes": "http.response.bytes",
    "referrer": "http.request.referrer",
    "request_body": "http.request.body.content",
    "url": "url.original",
    "url_host": "url.domain",
    "url_path": "url.path",
    "query_string": "url.query",
    "user_agent": "user_agent.original",
    "rule_names": "rule.name",
    "attack_ids": "rule.id",
    "device_vendor": "observer.vendor",
    "device_product": "observer.product",
    "pop": "observer.geo.name",
    "src_file": "log.file.path",
    "src_line": "log.offset",
}
"""ECS field by column. What is not here is below ``imperva``, under the column's own name."""

SEVERITIES: Mapping[str, int] = {"informational": 0, "low": 21, "medium": 47, "high": 73, "critical": 99}
"""``event.severity`` by ``severity``: Elastic's own scale, that of ``event.risk_score`` of its rules."""

OUTCOMES: Mapping[str, str] = {"passed": "success", "cached": "success", "blocked": "failure", "challenged": "failure"}
TYPES: Mapping[str, list[str]] = {
    "passed": ["access", "allowed"],
    "cached": ["access", "allowed"],
    "blocked": ["access", "denied"],
}
_CONVERTED: Mapping[str, Callable[[Any], Any]] = {
    "account_id": str,
    "severity": SEVERITIES.__getitem__,
    "protocol": lambda value: str(value).lower(),
    "tls_version": lambda value: str(value).lower(),
    # ECS has one address there.
    "x_forwarded_for": lambda value: value[0],
}
_ADDRESSES = {"destination.ip": "destination.address"}
"""Where text goes that is not an address, such as a mask or a pseudonym: fields of the type ``ip`` refuse it."""


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of ECS.

    :param row: columns of ``events/`` by name, null ones left out.
    """
    nested: dict[str, Any] = {"ecs": {"version": VERSION}}
    event_class = row.get("event_class")
    _put(nested, "event.module", "imperva")
    _put(nested, "event.dataset", f"imperva.{event_class}")
    _put(nested, "event.kind", "alert" if row.get("is_alert") else "event")
    _put(nested, "event.category", ["web"] if event_class == "access" else ["web", "intrusion_detection"])
    if "outcome" in row:
        _put(nested, "event.outcome", OUTCOMES.get(row["outcome"], "unknown"))
        if row["outcome"] in TYPES:
            _put(nested, "event.type", TYPES[row["outcome"]])
    if "event_time" in row:
        _put(nested, "event.start", row["event_time"])
    if row.get("is_alert") and "event_name" in row:
        _put(nested, "rule.category", row["event_name"])
    if "url" in row and "protocol" in row:
        scheme = str(row["protocol"]).lower()
        _put(nested, "url.scheme", scheme)
        _put(nested, "url.full", f"{scheme}://{row['url']}")
    if "duration_ms" in row:
        _put(nested, "event.duration", row["duration_ms"] * 1_000_000)
    if "client_latitude" in row and "client_longitude" in row:
        _put(nested, "source.geo.location", {"lat": row["client_latitude"], "lon": row["client_longitude"]})
    addresses = [row[name] for name in ("client_address", "server_ip") if name in row and _is_address(row[name])]
    if addresses:
        _put(nested, "related.ip", addresses)
    for name, value in row.items():
        field = FIELDS.get(name, f"imperva.{name}")
        converted = _CONVERTED[name](value) if name in _CONVERTED else value
        if field in _ADDRESSES and not _is_address(converted):
            field = _ADDRESSES[field]
        elif name == "x_forwarded_for" and not _is_address(converted):
            field, converted = f"imperva.{name}", value
        _put(nested, field, converted)
    return nested


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _put(document: dict[str, Any], field: str, value: Any) -> None:
    *folders, name = field.split(".")
    for folder in folders:
        document = document.setdefault(folder, {})
    document[name] = value
