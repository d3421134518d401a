"""Destinations by name: the transport, format and limits that a receiver is known to want."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.options import checked_options, unknown_name


@dataclass(frozen=True, slots=True)
class Preset:
    """What is known of a kind of receiver.

    :ivar title: what people call it.
    :ivar port: the one it usually listens on.
    :ivar options: fields of :class:`~airflow_provider_imperva.forward.destination.DestinationOptions` that are not the
        default.
    """

    title: str
    port: int
    options: Mapping[str, Any]


_CEF = {"transport": "tls", "format": "cef"}
_BSD_LINES = {"header": "rfc3164", "framing": "lf"}
_CEF_LINES = _CEF | _BSD_LINES | {"largest_event": 8000}

PRESETS: Mapping[str, Preset] = {
    "arcsight": Preset("OpenText ArcSight SmartConnector, syslog over TLS", 6514, _CEF | {"largest_event": 30_000}),
    "splunk": Preset("Splunk, HTTP Event Collector", 8088, {"transport": "hec"}),
    "trellix_esm": Preset("Trellix (McAfee) ESM, syslog over TLS", 6514, _CEF_LINES),
    "graylog": Preset("Graylog, GELF by HTTP", 12201, {"transport": "gelf_http"}),
    "sumo_logic": Preset("Sumo Logic, HTTP source", 443, {"transport": "sumo", "largest_event": 64_000}),
    "logrhythm": Preset("LogRhythm (Exabeam), syslog over TLS", 6514, _CEF_LINES),
    "qradar": Preset(
        "IBM QRadar, syslog over TLS",
        6514,
        {"transport": "tls", "format": "leef", "largest_event": 32_000} | _BSD_LINES,
    ),
    "usm_anywhere": Preset("LevelBlue (AlienVault) USM Anywhere, syslog over TLS", 6514, _CEF_LINES),
    "elasticsearch": Preset("Elasticsearch", 9200, {"transport": "bulk", "format": "ecs"}),
    "opensearch": Preset("OpenSearch", 9200, {"transport": "bulk", "format": "ecs"}),
    "kafka": Preset("Apache Kafka", 9092, {"transport": "kafka"}),
    "syslog": Preset("Syslog over TLS (RFC 5425)", 6514, {"transport": "tls"}),
    "relp": Preset("RELP in TLS (rsyslog)", 2514, {"transport": "relp_tls"}),
}
"""By the name that ``destination`` has."""


_UNSUPPORTED = {
    "sentinel": "Microsoft Sentinel is not supported: Airflow's provider for Azure has no hook for its Logs Ingestion"
    " API"
}
"""What people ask for, and why it is not there."""


def preset_of(destination: str) -> Preset:
    """Return the preset of a name.

    :raises ConfigurationError: if there is none.
    """
    if destination in _UNSUPPORTED:
        raise ConfigurationError(_UNSUPPORTED[destination], do="Forward to Kafka or by syslog, and take it from there")
    if destination not in PRESETS:
        raise ConfigurationError(
            unknown_name(destination, PRESETS),
            do="Take the one that is nearest to your receiver, and set what differs in options",
            about="destination",
        )
    return PRESETS[destination]


def destination_options(destination: str, given: Mapping[str, Any] | None) -> DestinationOptions:
    """Return the options of a destination: its preset's, with those given in their place.

    :raises ConfigurationError: if there is no such preset or option, or a value cannot be meant.
    """
    merged = dict(preset_of(destination).options) | dict(given or {})
    for name in ("classes", "sites"):
        if isinstance(merged.get(name), list):
            merged[name] = tuple(merged[name])
    return DestinationOptions(**checked_options(DestinationOptions, merged))
