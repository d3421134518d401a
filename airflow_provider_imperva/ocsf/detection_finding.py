"""Detection Finding (2004): the incidents of Attack Analytics, a line each, which are never updated."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.ocsf.arrays import CODED, INT, LONG, constant, decide, one_item, structs
from airflow_provider_imperva.ocsf.events import Events
from airflow_provider_imperva.ocsf.vocabulary import OTHER, SEVERITIES, SEVERITY_IDS, UNKNOWN

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
        **_severity(events),
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
                "related_events_count": events.modern_only(events.integer("analytics_events")),
            }
        ),
        "evidences": _evidences(events),
        "raw_data": events.text("raw"),
    }
    members["unmapped"] = events.unmapped({name: events.column(name) for name in _UNMAPPED})
    return pa.table({name: array for name, array in members.items() if array is not None})


def _severity(events: Events) -> dict[str, pa.Array]:
    def severity(known: str | None, level: str | None) -> tuple[int, str]:
        if known is not None:
            return SEVERITY_IDS[known], SEVERITIES[SEVERITY_IDS[known]]
        return (UNKNOWN, SEVERITIES[UNKNOWN]) if level is None else (OTHER, level)

    keys = [events.column("severity"), events.column("analytics_severity")]
    return dict(zip(("severity_id", "severity"), decide(keys, severity, (INT, CODED)), strict=True))


def _evidences(events: Events) -> pa.Array:
    """Return one evidence for each incident: who attacked, and what."""
    client, server = events.client(), events.server()
    there = pc.or_(client.is_valid(), server.is_valid())
    return one_item(structs({"src_endpoint": client, "dst_endpoint": server}), there)
