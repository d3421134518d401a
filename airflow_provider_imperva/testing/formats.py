"""One event in each format that Imperva writes: CEF, LEEF, W3C and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["CEF", "LEEF", "W3C", "JSON"]
"""What a log may be written in. JSON logs have no header, and are neither compressed nor encrypted."""

_LEEF_KEYS = {
    "deviceFacility": "popName",
    "ccode": "calCountryOrRegion",
    "request": "url",
    "app": "proto",
    "act": "cat",
    "sip": "dst",
    "spt": "dstPort",
    "cpt": "srcPort",
    "ver": "protoVer",
}
"""LEEF's keys where they are other than CEF's."""

_W3C_FIELDS = {
    "cs-vid": "cs4",
    "cs-clapp": "cs6",
    "cs-browsertype": "dproc",
    "cs-js-support": "cs2",
    "cs-co-support": "cs3",
    "c-ip": "src",
    "c-port": "cpt",
    "cs-clappsig": "cs5",
    "s-capsupport": "cs1",
    "s-suid": "suid",
    "cs(User-Agent)": "requestClientApplication",
    "cs-sessionid": "fileId",
    "s-siteid": "siteid",
    "cs-countrycode": "ccode",
    "s-tag": "tag",
    "s-sitetag": "siteTag",
    "cs-cicode": "cicode",
    "s-computername": "sourceServiceName",
    "cs-lat": "cs7",
    "cs-long": "cs8",
    "s-accountname": "Customer",
    "cs-uri": "request",
    "cs-postbody": "postbody",
    "cs-version": "app",
    "cs-protver": "ver",
    "sc-action": "act",
    "s-externalid": "deviceExternalId",
    "cs(Referrer)": "ref",
    "s-ip": "sip",
    "s-port": "spt",
    "cs-method": "requestMethod",
    "cs-uri-query": "qstr",
    "sc-status": "cn1",
    "s-xff": "xff",
    "cs-bytes": "in",
    "cs-start": "start",
    "cs-end": "end",
    "cs-attacktype": "fileType",
    "cs-attackid": "filePermission",
    "s-ruleName": "cs9",
}
"""CEF's key of each W3C field that is a key there too, in the order of the row."""

_W3C_ALL = ("date", "time", *_W3C_FIELDS, "cs-rule", "cs-severity")

_JSON_PATHS = {
    "event.action": "act",
    "event.id": "deviceExternalId",
    "imperva.ids.account_id": "suid",
    "imperva.ids.site_id": "siteid",
    "imperva.request_session_id": "fileId",
    "client.ip": "src",
    "client.geo.country_iso_code": "ccode",
    "user_agent.original": "requestClientApplication",
    "server.domain": "sourceServiceName",
    "http.request.method": "requestMethod",
    "url.query": "qstr",
}


def write_event(format: Format, *, name: str, code: int, fields: Mapping[str, str]) -> str:
    """Write one event as a line, without line end.

    :param name: rule type; ``Normal`` for access events.
    :param code: the number of the rule type.
    :param fields: values by CEF key.
    """
    return {"CEF": _cef, "LEEF": _leef, "W3C": _w3c, "JSON": _json}[format](name, code, fields)


def write_body(format: Format, events: Iterable[str]) -> str:
    """Put events together, each with its line end; W3C has directives before them."""
    head = f"#Software: Incapsula LOGS API\n#Version: 1.1\n#Fields: {' '.join(_W3C_ALL)}\n" if format == "W3C" else ""
    return head + "".join(f"{event}\n" for event in events)


def _cef(name: str, code: int, fields: Mapping[str, str]) -> str:
    # A bar is escaped in the header, an equals sign in the extension.
    title = name.replace("\\", "\\\\").replace("|", "\\|")
    extension = " ".join(f"{key}={_escaped(value)}" for key, value in fields.items())
    return f"CEF:0|Incapsula|SIEMintegration|1|1|{title}|{code}| {extension}"


def _leef(name: str, code: int, fields: Mapping[str, str]) -> str:
    title = name.replace("\\", "\\\\").replace("|", "\\|")
    attributes = "\t".join(f"{_LEEF_KEYS.get(key, key)}={_escaped(value)}" for key, value in fields.items())
    return f"LEEF:1.0|Incapsula|SIEMintegration|1|{title}|{attributes}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("=", "\\=")


def _w3c(name: str, code: int, fields: Mapping[str, str]) -> str:
    at = datetime.fromtimestamp(int(fields["start"]) / 1000, UTC)
    values = [f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}", *(fields.get(key, "") for key in _W3C_FIELDS.values())]
    # An access event has no rule here.
    values += ["", ""] if name == "Normal" else [name, str(code)]
    return " ".join('"' + value.replace('"', '""') + '"' for value in values)


def _json(name: str, code: int, fields: Mapping[str, str]) -> str:
    tree: dict[str, Any] = {"timestamp": int(fields["start"]), "event": {"code": name}}
    for path, key in _JSON_PATHS.items():
        if key in fields:
            *parents, leaf = path.split(".")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = fields[key]
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
