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


PRESETS: Mapping[str, Preset] = {
    "syslog": Preset("Syslog over TLS (RFC 5425)", 6514, {"transport": "tls"}),
    "relp": Preset("RELP in TLS (rsyslog)", 2514, {"transport": "relp_tls"}),
}
"""By the name that ``destination`` has."""


def preset_of(destination: str) -> Preset:
    """Return the preset of a name.

    :raises ConfigurationError: if there is none.
    """
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
