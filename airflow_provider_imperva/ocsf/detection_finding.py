"""Detection Finding (2004): the incidents of Attack Analytics, a line each, which are never updated."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.ocsf.arrays import CODED, INT, LONG, TEXT, constant, decide, one_item, structs
from airflow_provider_imperva.ocsf.events import Events
from airflow_provider_imperva.ocsf.vocabulary import LEVEL_SEVERITIES, OTHER, SEVERITIES, UNKNOWN

CLASS_UID = 2004
CLASS_NAME = "Detection Finding"

_CATEGORY = (2, "Findings")
_CREATE = (1, "Create")
_PRODUCT = "Attack Analytics"
_UNTITLED = "Attack Analytics incident"

_UNMAPPED = (
    *("action", "outcome", "site_ref", "session_id", "client_application", "x_forwarded_for"),
    *("captcha_support", "javascript_support", "cookie_support", "pop", "protocol", "tls", "http_method"),
    *("url", "query_string", "referrer", "user_agent", "request_body", "http_status", "response_bytes"),
    *("attack_type_codes", "attack_ids", "rule_names", "delivery_rules", "rule_info"),
    *("additional_request_headers", "additional_response_headers", "client_latitude", "client_longitude"),
    *("client_signature", "client_port", "server_ip", "server_port", "client_edge_ip"),
)
"""Columns that are as good as never there in an incident, and have no place in a finding."""


def detection_finding(events: Events) -> pa.Table:
    """Return incidents as Detection Findings, a row each, in their order."""
    rows = events.rows
    uid = events.uid
    extra = events.column("extra")
    title = events.text("event_name").dictionary_decode()
    kind = pc.map_lookup(extra, "ImpervaAAAttackType", "first")
    count = pc.map_lookup(extra, "ImpervaAANumberOfEvents", "first")
    members: dict[str, pa.Array | None] = {
        "time": events.time,
        "start_time": events.milliseconds("event_time"),
        "end_time": events.milliseconds("end_time"),
        "duration": events.column("duration_ms"),
        "category_uid": constant(_CATEGORY[0], rows, INT),
        "category_name": constant(_CATEGORY[1], rows),
        "class_uid": constant(CLASS_UID, rows, INT),
        "class_name": constant(CLASS_NAME, rows),
        "activity_id": constant(_CREATE[0], rows, INT),
        "activity_name": constant(_CREATE[1], rows),
        "type_uid": constant(CLASS_UID * 100 + _CREATE[0], rows, LONG),
        "type_name": constant(f"{CLASS_NAME}: {_CREATE[1]}", rows),
        **_severity(extra),
        "is_alert": events.modern_only(constant(True, rows, pa.bool_())),
        "message": events.text("event_name"),
        "metadata": events.metadata(uid, profiles=[], product=_PRODUCT),
        "finding_info": structs(
            {
                "uid": uid,
                "title": title.fill_null(_UNTITLED),
                "desc": pc.map_lookup(extra, "msg", "first"),
                "types": one_item(kind),
                "first_seen_time": events.milliseconds("event_time"),
                "last_seen_time": events.milliseconds("end_time"),
                "related_events_count": events.modern_only(_whole(count)),
            }
        ),
        "evidences": _evidences(events),
        "raw_data": events.text("raw"),
    }
    members["unmapped"] = events.unmapped({name: events.column(name) for name in _UNMAPPED})
    return pa.table({name: array for name, array in members.items() if array is not None})


def _severity(extra: pa.Array) -> dict[str, pa.Array]:
    def severity(level: str | None) -> tuple[int, str]:
        if level is None:
            return UNKNOWN, SEVERITIES[UNKNOWN]
        found = LEVEL_SEVERITIES.get(level.upper(), OTHER)
        return found, level if found == OTHER else SEVERITIES[found]

    level = pc.map_lookup(extra, "severity", "first")
    return dict(zip(("severity_id", "severity"), decide([level], severity, (INT, CODED)), strict=True))


def _evidences(events: Events) -> pa.Array:
    """Return one evidence for each incident: who attacked, and what."""
    client, server = events.client(), events.server()
    there = pc.or_(client.is_valid(), server.is_valid())
    return one_item(structs({"src_endpoint": client, "dst_endpoint": server}), there)


def _whole(texts: pa.Array) -> pa.Array:
    """Return texts as ``integer_t``; null where a text is no such number."""
    is_whole = pc.match_substring_regex(texts, r"^[0-9]{1,9}$").fill_null(False)
    return pc.if_else(is_whole, texts, pa.scalar(None, TEXT)).cast(INT)
