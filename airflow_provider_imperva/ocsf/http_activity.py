"""HTTP Activity (4002): access and security events, and those of other products."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.ocsf.arrays import (
    CODED,
    INT,
    LONG,
    any_of,
    by_value,
    constant,
    decide,
    first_text,
    headers,
    is_address,
    is_hostname,
    joined,
    keep,
    one_item,
    only,
    plain,
    split,
    structs,
)
from airflow_provider_imperva.ocsf.events import Events
from airflow_provider_imperva.ocsf.vocabulary import (
    OTHER,
    SEVERITIES,
    SEVERITY_IDS,
    UNKNOWN,
    methods,
    verdict,
)

CLASS_UID = 4002
CLASS_NAME = "HTTP Activity"
PROFILES = ["security_control", "network_proxy"]

_CATEGORY = (4, "Network Activity")
_INBOUND = 1


def http_activity(events: Events) -> pa.Table:
    """Return events as HTTP Activity, a row each, in their order."""
    rows = events.rows
    is_alert = events.column("is_alert").fill_null(False)
    uid = events.uid
    response = _response(events)
    rule = _rule(events, is_alert)
    request = _request(events)
    tls = _tls(events)
    session = events.text("session_id")
    pop = events.text("pop")
    members: dict[str, pa.Array | None] = {
        "time": events.time,
        "start_time": events.milliseconds("event_time"),
        "end_time": events.milliseconds("end_time"),
        "duration": events.column("duration_ms"),
        "category_uid": constant(_CATEGORY[0], rows, INT),
        "category_name": constant(_CATEGORY[1], rows),
        "class_uid": constant(CLASS_UID, rows, INT),
        "class_name": constant(CLASS_NAME, rows),
        **_activity(events),
        **_severity(events),
        **_verdict(events, is_alert),
        "is_alert": events.modern_only(is_alert),
        "message": events.text("event_name"),
        "metadata": events.metadata(uid, profiles=PROFILES),
        "src_endpoint": events.client(),
        "dst_endpoint": events.server(),
        "proxy_endpoint": structs({"name": pop}, where=pop.is_valid()),
        "connection_info": structs(
            {"direction_id": constant(_INBOUND, rows, INT), "session": structs({"uid": session})},
            where=session.is_valid(),
        ),
        "app_name": events.text("client_application"),
        "app_protocol_name": events.modern_only(events.text("protocol")),
        "http_request": request,
        "http_response": response,
        "tls": tls,
        "traffic": structs(
            {"bytes_out": events.column("response_bytes")}, where=events.column("response_bytes").is_valid()
        ),
        "firewall_rule": rule,
        "raw_data": events.text("raw"),
    }
    members["unmapped"] = events.unmapped(_unmapped(events, request, response, rule, tls))
    return pa.table({name: array for name, array in members.items() if array is not None})


def _activity(events: Events) -> dict[str, pa.Array]:
    known = methods(modern=events.modern)

    def activity(method: str | None) -> tuple[int, str, int, str]:
        number, name = (UNKNOWN, "Unknown") if method is None else known.get(method, (OTHER, method))
        caption = "Other" if number == OTHER else name
        return number, name, CLASS_UID * 100 + number, f"{CLASS_NAME}: {caption}"

    names = ("activity_id", "activity_name", "type_uid", "type_name")
    return dict(zip(names, decide([events.text("http_method")], activity, (INT, CODED, LONG, CODED)), strict=True))


def _severity(events: Events) -> dict[str, pa.Array]:
    """Return the severity that the lake has, unless the export's options have another for the rule type."""
    own = events.options.severities

    def severity(known: str | None, code: int | None, is_alert: bool | None) -> tuple[int, str]:
        if is_alert and code is not None and code in own:
            severity_id = own[code]
        elif known is not None:
            severity_id = SEVERITY_IDS[known]
        else:
            severity_id = UNKNOWN if code is None or not is_alert else OTHER
        return severity_id, str(code) if severity_id == OTHER else SEVERITIES[severity_id]

    keys = [events.column(name) for name in ("severity", "rule_type_code", "is_alert")]
    return dict(zip(("severity_id", "severity"), decide(keys, severity, (INT, CODED)), strict=True))


def _verdict(events: Events, is_alert: pa.Array) -> dict[str, pa.Array]:
    names = ("action_id", "action", "disposition_id", "disposition", "status_id", "status")

    def made(action: str | None, outcome: str | None, alert: bool) -> tuple[int | str, ...]:
        return verdict(action, outcome, is_alert=alert, modern=events.modern)

    action = events.text("action")
    columns = decide([action, events.column("outcome"), is_alert], made, (INT, CODED) * 3)
    return {**dict(zip(names, columns, strict=True)), "status_code": action}


def _request(events: Events) -> pa.StructArray:
    url, path = events.text("url"), events.text("url_path")
    scheme = by_value(events.text("protocol"), str.lower, CODED)
    whole = pc.if_else(scheme.is_valid(), joined([scheme, "://", url]), plain(url))
    address = structs(
        {
            "url_string": whole,
            "scheme": scheme,
            "hostname": keep(events.text("url_host"), is_hostname),
            "path": path,
            "query_string": events.text("query_string"),
        },
        where=any_of(url, path),
    )
    known = methods(modern=events.modern)
    body = events.column("request_body")
    return structs(
        {
            "uid": events.text("request_id"),
            "http_method": keep(events.text("http_method"), known.__contains__),
            "url": address,
            "user_agent": events.text("user_agent"),
            "referrer": events.text("referrer"),
            "x_forwarded_for": split(events.column("x_forwarded_for"), is_address)[0],
            "body_length": events.modern_only(pc.binary_length(body).cast(INT)),
            "http_headers": headers(events.column("request_headers")),
        }
    )


def _response(events: Events) -> pa.StructArray:
    """Return ``http_response``; without a response, OCSF 1.1, which requires it, gets the code 0."""
    code = events.integer("http_status")
    members = {
        "length": events.integer("response_bytes"),
        "http_headers": headers(events.column("response_headers")),
    }
    if events.modern:
        return structs({"code": code, **members}, where=code.is_valid())
    return structs({"code": code.fill_null(0), **members})


def _rule(events: Events, is_alert: pa.Array) -> pa.StructArray:
    """Return ``firewall_rule``: the first of the rules that fired; all of them are in ``unmapped.violations``."""
    uid = first_text(events.column("attack_ids"))
    event_name = events.text("event_name")
    of_event = only(plain(event_name), is_alert)
    name = pc.coalesce(first_text(events.column("rule_names")), of_event)
    return structs(
        {
            "uid": uid,
            "name": name,
            "type": first_text(events.column("attack_type_codes")),
            "category": of_event.dictionary_encode(),
            "match_details": one_item(events.column("rule_info")),
        },
        where=any_of(uid, name),
    )


def _tls(events: Events) -> pa.StructArray:
    version = events.text("tls_version")
    return structs({"version": version, "cipher": events.text("tls_cipher")}, where=version.is_valid())


def _unmapped(
    events: Events, request: pa.StructArray, response: pa.StructArray, rule: pa.StructArray, tls: pa.StructArray
) -> Mapping[str, pa.Array | None]:
    """Return what has no place, and what had one in an object that an event does not have."""
    column = events.column
    no_url = pc.is_null(request.field("url"))
    edge = plain(column("client_edge_ip"))
    latitude, longitude = column("client_latitude"), column("client_longitude")
    unplaced = (
        pc.invert(any_of(column("client_country_code"), column("client_city")))
        if events.modern
        else pc.invert(pc.and_(latitude.is_valid(), longitude.is_valid()))
    )
    return {
        "client_signature": events.old_only(column("client_signature")),
        "client_edge_ip": only(edge, keep(edge, is_address).is_null()),
        "client_port": events.not_a_port("client_port"),
        "client_latitude": only(latitude, unplaced),
        "client_longitude": only(longitude, unplaced),
        "server_ip": only(plain(column("server_ip")), keep(column("server_ip"), is_address).is_null()),
        "server_port": events.not_a_port("server_port"),
        "x_forwarded_for": split(column("x_forwarded_for"), is_address)[1],
        "captcha_support": column("captcha_support"),
        "javascript_support": column("javascript_support"),
        "cookie_support": column("cookie_support"),
        "tls": only(plain(column("tls")), tls.is_null()),
        "query_string": only(column("query_string"), no_url),
        "url_host": only(plain(column("url_host")), pc.or_(no_url, keep(column("url_host"), is_hostname).is_null())),
        "request_body": column("request_body"),
        "violations": column("violations"),
        "incident_id": column("incident_id"),
        "bot_classification": column("bot_classification"),
        "delivery_rules": column("delivery_rules"),
        "rule_info": only(column("rule_info"), rule.is_null()),
        "request_headers": only(column("additional_request_headers"), pc.is_null(request.field("http_headers"))),
        "response_headers": only(
            plain(column("additional_response_headers")),
            pc.or_(response.is_null(), pc.is_null(response.field("http_headers"))),
        ),
        "response_bytes": only(column("response_bytes"), pc.is_null(events.integer("response_bytes"))),
        "protocol": events.old_only(only(plain(column("protocol")), no_url)),
    }
