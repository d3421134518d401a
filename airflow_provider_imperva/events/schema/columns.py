"""The one table of columns: what each means, how its text is read, and what every format calls it.

All else follows from it: the Arrow schema, the key look-ups of the formats, the conversions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Format = Literal["CEF", "LEEF", "W3C", "JSON"]
"""A format an event was found in, as ``src_format`` names it."""

Kind = Literal[
    "text", "int", "float", "bool", "time", "ip", "country", "list", "slots", "json", "derived", "completed", "row"
]
"""How a column comes about.

``list`` is cut at commas and trimmed; ``slots`` is one of the parallel lists, whose empty elements mean something;
``json`` is text in which blanks and equals signs bound nothing; ``derived`` is computed from other columns where the
format has no key of its own for it; ``completed`` follows from the others too, but only once rows are protected, when
they are written; ``row`` is about the record: where it came from and how reading it went.
"""

TEXT = pa.string()
CATEGORY = pa.dictionary(pa.int32(), pa.string())
INT16, INT32, INT64 = pa.int16(), pa.int32(), pa.int64()
FLOAT, BOOL = pa.float64(), pa.bool_()
TIME = pa.timestamp("ms", tz="UTC")
LIST = pa.list_(pa.string())
EXTRA = pa.map_(pa.string(), pa.string())
BINARY = pa.binary()
HEADERS = pa.map_(pa.string(), pa.list_(pa.string()))
VIOLATIONS = pa.list_(
    pa.struct([(name, TEXT) for name in ("attack_type", "attack_type_name", "attack_id", "rule_name", "rule_info")])
)

_RECURRING = {
    *("account_name", "account_ref", "site_name", "site_ref", "session_id", "visitor_id"),
    *("client_ip", "client_edge_ip", "client_city", "user_agent", "client_application", "client_signature"),
    *("client_address", "client_address_bytes", "client_subnet", "analytics_host"),
    *("server_ip", "tls", "url", "url_host", "url_path", "additional_response_headers", "src_file"),
}
"""Columns of strings and bytes that recur: those of an account, a site, a client or a page."""

_HELD_AS = {TEXT: CATEGORY, BINARY: pa.dictionary(pa.int32(), BINARY)}
"""Arrow types of what recurs, until it is written."""

HEADER = "header "
"""What the keys of header parts begin with; no key in a record holds a blank."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of ``events/``.

    :param name: its name, fixed for ever.
    :param type: its Arrow type.
    :param kind: how it comes about.
    :param cef: CEF key, or ``header`` and the part of the header.
    :param leef: LEEF key, likewise.
    :param w3c: W3C field.
    :param json: dotted paths, the first that is there counts.
    :param meaning: meaning and unit.
    """

    name: str
    type: pa.DataType
    kind: Kind
    cef: str = ""
    leef: str = ""
    w3c: str = ""
    json: tuple[str, ...] = ()
    meaning: str = ""

    def key(self, format_name: Format) -> str:
        """Name of the column's source in a format, without ``header``; the first path in JSON; empty where none."""
        return self.source(format_name).removeprefix(HEADER)

    @property
    def recurs(self) -> bool:
        """Whether most of its texts come again and again, so that each is copied and converted once per block."""
        return self.type == CATEGORY or self.kind in ("bool", "float", "country") or self.name in _RECURRING

    @property
    def held_as(self) -> pa.DataType:
        """Arrow type that its values have until they are written: a dictionary for strings and bytes that recur."""
        return _HELD_AS.get(self.type, self.type) if self.recurs else self.type

    def source(self, format_name: Format) -> str:
        """Name of the column's source in a format, as the table has it; the first path in JSON; empty where none."""
        json = self.json[0] if self.json else ""
        return {"CEF": self.cef, "LEEF": self.leef, "W3C": self.w3c, "JSON": json}[format_name]


# fmt: off
COLUMNS: tuple[Column, ...] = (
    # name, type, kind, CEF, LEEF, W3C, JSON,
    #      meaning
    Column("event_time", TIME, "time", "start", "start", "cs-start",
           ("timestamp", "@timestamp", "event.timestamp", "imperva.timestamp", "imperva.audit_trail.timestamp"),
           "start of the request; epoch ms, or ISO 8601 (W3C: else date + time)"),
    Column("end_time", TIME, "time", "end", "end", "cs-end", (),
           "end of the response"),
    Column("duration_ms", INT64, "derived",
           meaning="end - start in milliseconds; null if either is missing or it is negative"),
    Column("event_name", CATEGORY, "text", "header name", "header event id", "cs-rule", ("event.code",),
           "rule type; Normal for access events (W3C: when empty)"),
    Column("rule_type_code", INT16, "int", "header severity", "", "cs-severity", (),
           "Imperva's rule-type number (not a severity); null if it is not a number"),
    Column("action", CATEGORY, "text", "act", "cat", "sc-action", ("event.action",),
           "how the request was handled (REQ_...); unknown values are kept"),
    Column("outcome", CATEGORY, "derived",
           meaning="how the request ended, by action: passed, cached, blocked, challenged, error or other; null "
                   "without an action"),
    Column("account_id", INT64, "int", "suid", "suid", "s-suid", ("imperva.ids.account_id",),
           "account of the site's owner"),
    Column("account_name", TEXT, "text", "Customer", "Customer", "s-accountname", ("imperva.ids.account_name",),
           "free text; often an e-mail address"),
    Column("account_ref", TEXT, "text", "tag", "tag", "s-tag", (),
           "the account's reference id"),
    Column("site_id", INT64, "int", "siteid", "siteid", "s-siteid", ("imperva.ids.site_id",),
           "id of the site"),
    Column("site_name", TEXT, "text", "sourceServiceName", "sourceServiceName", "s-computername",
           ("imperva.ids.site_name", "server.domain"),
           "the site's domain"),
    Column("site_ref", TEXT, "text", "siteTag", "siteTag", "s-sitetag", (),
           "the site's reference id"),
    Column("session_id", TEXT, "text", "fileId", "fileId", "cs-sessionid", ("imperva.request_session_id",),
           "visit; digits kept as text (up to 19)"),
    Column("request_id", TEXT, "text", "deviceExternalId", "deviceExternalId", "s-externalid",
           ("event.id", "imperva.request_id"),
           "request; digits kept as text"),
    Column("visitor_id", TEXT, "text", "cs4", "cs4", "cs-vid", (),
           "UUID"),
    Column("client_ip", TEXT, "ip", "src", "src", "c-ip", ("client.ip",),
           "IPv4 or IPv6; what is not an address is kept as text with a warning"),
    Column("client_port", INT32, "int", "cpt", "srcPort", "c-port", (),
           "TCP port of the client"),
    Column("client_edge_ip", TEXT, "ip", "caIP", "caIP", "s-caip", (),
           "second client-side address; only in old logs"),
    Column("x_forwarded_for", LIST, "list", "xff", "xff", "s-xff", (),
           "split at commas and trimmed; may hold anything a client sends"),
    Column("client_country_code", TEXT, "country", "ccode", "calCountryOrRegion", "cs-countrycode",
           ("client.geo.country_iso_code", "imperva.country"),
           "ISO 3166-1 alpha-2; brackets removed"),
    Column("client_city", TEXT, "text", "cicode", "cicode", "cs-cicode", (),
           "city of the client"),
    Column("client_latitude", FLOAT, "float", "cs7", "cs7", "cs-lat", (),
           "degrees, north is positive"),
    Column("client_longitude", FLOAT, "float", "cs8", "cs8", "cs-long", (),
           "degrees, east is positive"),
    Column("user_agent", TEXT, "text", "requestClientApplication", "requestClientApplication", "cs(User-Agent)",
           ("user_agent.original",),
           "User-Agent header, sent by the client"),
    Column("client_application", TEXT, "text", "cs6", "cs6", "cs-clapp", ("imperva.declared_client",),
           "Imperva's name for the client: Firefox, Bot, ..."),
    Column("client_type", CATEGORY, "text", "dproc", "dproc", "cs-browsertype", ("imperva.classified_client",),
           "Browser, Crawler, ..."),
    Column("client_signature", TEXT, "text", "cs5", "cs5", "cs-clappsig", (),
           "Imperva's signature of the client, hexadecimal"),
    Column("captcha_support", CATEGORY, "text", "cs1", "cs1", "s-capsupport", (),
           "NA, NOT_SUPPORTED, ..."),
    Column("javascript_support", BOOL, "bool", "cs2", "cs2", "cs-js-support", (),
           "whether the client runs JavaScript"),
    Column("cookie_support", BOOL, "bool", "cs3", "cs3", "cs-co-support", (),
           "whether the client keeps cookies"),
    Column("pop", CATEGORY, "text", "deviceFacility", "popName", "", ("server.geo.name",),
           "Imperva point of presence"),
    Column("server_ip", TEXT, "ip", "sip", "dst", "s-ip", (),
           "origin server; null for 0.0.0.0 (no origin was asked)"),
    Column("server_port", INT32, "int", "spt", "dstPort", "s-port", (),
           "port of the origin server; null for 0"),
    Column("protocol", CATEGORY, "text", "app", "proto", "cs-version", (),
           "HTTP or HTTPS"),
    Column("tls", TEXT, "text", "ver", "protoVer", "cs-protver", (),
           "as logged and trimmed: version then cipher"),
    Column("tls_version", CATEGORY, "derived", meaning="first word of tls"),
    Column("tls_cipher", CATEGORY, "derived", meaning="rest of tls"),
    Column("http_method", CATEGORY, "text", "requestMethod", "requestMethod", "cs-method", ("http.request.method",),
           "method of the request"),
    Column("url", TEXT, "text", "request", "url", "cs-uri", (),
           "host and path without scheme, as logged"),
    Column("url_host", TEXT, "derived", "", "", "", ("server.domain",),
           "url up to the first /, without port"),
    Column("url_path", TEXT, "derived", "", "", "", ("url.path",),
           "url from the first / up to ?"),
    Column("query_string", TEXT, "text", "qstr", "qstr", "cs-uri-query", ("url.query",),
           "percent-encoded, without ?; where the log has it in the URL only, what stands there after the ?"),
    Column("referrer", TEXT, "text", "ref", "ref", "cs(Referrer)", ("imperva.referrer",),
           "Referer header, sent by the client"),
    Column("request_body", TEXT, "text", "postbody", "postbody", "cs-postbody", (),
           "sent by the client, may hold anything"),
    Column("http_status", INT16, "int", "cn1", "cn1", "sc-status", (),
           "sent to the client; null when no response was"),
    Column("response_bytes", INT64, "int", "in", "in", "cs-bytes", (),
           "size of the response in bytes"),
    Column("attack_type_codes", LIST, "slots", "fileType", "fileType", "cs-attacktype", (),
           'one trailing comma removed; inner empty slots kept as ""'),
    Column("attack_ids", LIST, "slots", "filePermission", "filePermission", "cs-attackid", (),
           "aligned with attack_type_codes"),
    Column("rule_names", LIST, "slots", "cs9", "cs9", "s-ruleName", ("imperva.abp.policy_name",),
           "names of the rules that fired, aligned with attack_type_codes"),
    Column("delivery_rules", TEXT, "json", "cs10", "cs10", "", (),
           "JSON text of the delivery rules applied"),
    Column("rule_info", TEXT, "json", "cs11", "cs11", "cs-ruleInfo", ("imperva.abp",),
           "JSON text on the violation; leading empty slots kept"),
    Column("additional_request_headers", TEXT, "json", "additionalReqHeaders", "additionalReqHeaders", "", (),
           "JSON text of the request headers asked for"),
    Column("additional_response_headers", TEXT, "json", "additionalResHeaders", "additionalResHeaders", "", (),
           "JSON text of the response headers asked for"),
    Column("device_vendor", CATEGORY, "text", "header vendor", "header vendor", "", ("event.provider",),
           "Incapsula; Imperva Inc for Attack Analytics"),
    Column("device_product", CATEGORY, "text", "header product", "header product", "", ("event.dataset",),
           "SIEMintegration or Attack Analytics"),
    Column("device_version", CATEGORY, "text", "header device version", "header version", "", (),
           "version of the event format"),
    Column("signature_id", CATEGORY, "text", "header signature id", "", "", (),
           "carries no information in WAF events"),
    Column("is_alert", BOOL, "completed",
           meaning="whether a rule fired, or it is an incident; null for other products"),
    Column("severity", CATEGORY, "completed",
           meaning="informational, low, medium, high or critical: by rule type, or by the level of an incident"),
    Column("bot_classification", CATEGORY, "completed",
           meaning="browser, good_bot, bad_bot or bot, by client_type and rule type; null where they do not tell"),
    Column("violations", VIOLATIONS, "completed",
           meaning="attack_type_codes, attack_ids, rule_names and rule_info by slot; what a slot lacks is null; null "
                   "without any"),
    Column("client_address", TEXT, "completed",
           meaning="client_ip in one spelling: IPv4 (also where mapped to IPv6), or IPv6 in lower case and compressed; "
                   "null if it is not an address"),
    Column("client_address_bytes", BINARY, "completed",
           meaning="client_address as 16 bytes in network order, IPv4 mapped to IPv6; sorts as addresses do"),
    Column("client_subnet", TEXT, "completed",
           meaning="network of client_address: its /24 (IPv4) or /48 (IPv6)"),
    Column("incident_id", TEXT, "completed",
           meaning="session_id-request_id, which a block page shows; null if the request was let through without an "
                   "alert"),
    Column("request_headers", HEADERS, "completed",
           meaning="additional_request_headers by name in lower case, values in order; null if that is not JSON of "
                   "headers"),
    Column("response_headers", HEADERS, "completed",
           meaning="additional_response_headers, likewise"),
    Column("analytics_severity", CATEGORY, "completed",
           meaning="level of an incident of Attack Analytics as logged: CRITICAL, MAJOR, MINOR or CUSTOM"),
    Column("analytics_host", TEXT, "completed",
           meaning="host that an incident is about; null if there are several (Distributed)"),
    Column("analytics_events", INT64, "completed",
           meaning="how many events an incident has"),
    Column("analytics_blocked_percent", FLOAT, "completed",
           meaning="percent of them that were blocked"),
    Column("extra", EXTRA, "row", meaning="what has no column, under the name the log used"),
    Column("parse_warnings", LIST, "row",
           meaning="short codes, for example bad_int:cn1, time_from_file, joined_lines, replaced_bytes"),
    Column("raw", TEXT, "row", meaning="the line as it was, but redacted; null unless switched on"),
    Column("src_file", TEXT, "row", meaning="the log's name as the index gave it; its path, if it was delivered"),
    Column("src_seq", INT64, "row", meaning="Y of X_Y.log; which arrival a delivered log was; null if neither"),
    Column("src_line", INT64, "row",
           meaning="1-based line (JSON: record) in the plain body; for each record that begins before it on that line "
                   "10,000,000,000 more"),
    Column("src_account_id", INT64, "row", meaning="account id in the header"),
    Column("src_config_id", INT64, "row", meaning="configuration id in the header"),
    Column("src_format", CATEGORY, "row", meaning="CEF, LEEF, W3C or JSON: as found, whatever the header says"),
    Column("src_file_start", TIME, "row", meaning="start time in the header"),
    Column("src_file_end", TIME, "row", meaning="end time in the header"),
    Column("src_checksum_ok", BOOL, "row", meaning="null without a checksum"),
    Column("src_encrypted", BOOL, "row", meaning="whether the body was encrypted"),
    Column("src_compressed", BOOL, "row", meaning="whether the body was compressed"),
)
# fmt: on

LABELS: Mapping[str, str] = {
    "cs1": "Cap Support",
    "cs2": "Javascript Support",
    "cs3": "CO Support",
    "cs4": "VID",
    "cs5": "clappsig",
    "cs6": "clapp",
    "cs7": "latitude",
    "cs8": "longitude",
    "cs9": "Rule name",
    "cs10": "Rule Info",
    "cs11": "Rule Additional Info",
}
"""The label that each custom key must carry to mean its column (CEF and LEEF).

Attack Analytics uses the same numbers for other things, so the number alone says nothing.
"""
