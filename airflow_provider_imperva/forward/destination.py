"""What is sent to a destination, and how: the settings that a DAG or a command gives, checked while they are read.

Nothing heavy is imported here, since a scheduler parses DAG files all day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from airflow_provider_imperva.errors import ConfigurationError, quoted
from airflow_provider_imperva.forward.framing import Framing
from airflow_provider_imperva.forward.syslog import FACILITIES, SEVERITIES, Header
from airflow_provider_imperva.options import check_type, unknown_name

TransportName: TypeAlias = Literal[
    "tls", "tcp", "udp", "relp", "relp_tls", "hec", "sumo", "gelf_http", "gelf_tls", "gelf_tcp", "bulk", "kafka"
]
"""Syslog over TLS, TCP or UDP; RELP plain or in TLS; Splunk's HTTP Event Collector; Sumo Logic's HTTP source; GELF; the
bulk interface of Elasticsearch and OpenSearch; Kafka."""

Format: TypeAlias = Literal["as_received", "cef", "leef", "json", "ecs"]
Replays: TypeAlias = Literal["changed", "none", "all"]
"""Which logs that a replay loaded again are sent again: those of which it made something else, none, or all."""

OnLarge: TypeAlias = Literal["truncate", "split", "reject"]

MARGIN_BYTES = 4 << 20
"""How much is sent again after a broken connection without acknowledgements."""

TEXT_FORMATS = frozenset({"as_received", "cef", "leef"})
EVENT_CLASSES = ("access", "security", "attack_analytics", "other")

_HEADER_FIELD = re.compile(r"[\x21-\x7e]{1,48}")
"""What a host or application name of a syslog header may be (RFC 5424, 6): printable ASCII without blanks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationOptions:
    """What is sent, and how.

    :ivar transport: ``tls`` (syslog over TLS), ``tcp``, ``udp``, ``relp`` or ``relp_tls``; ``hec``, ``sumo``,
        ``gelf_http``, ``gelf_tls``, ``gelf_tcp``, ``bulk`` or ``kafka``.
    :ivar format: ``as_received`` sends each record as Imperva wrote it; ``cef`` and ``leef`` write what was received in
        another format in this one; ``json`` an object of the columns of ``events/``; ``ecs`` one of the Elastic Common
        Schema.
    :ivar header: of syslog messages: ``rfc5424``, which has a place for the event's id, ``rfc3164`` or ``none``.
    :ivar framing: of syslog over TLS and TCP: ``octet`` (RFC 5425 and 6587), ``lf`` or ``nul``.
    :ivar facility, severity: of syslog messages, by name, such as ``local0`` and ``info``.
    :ivar host_name, app_name: of syslog messages; many SIEMs tell their sources apart by the host name.
    :ivar classes: the classes of events that are sent; None for all.
    :ivar sites: ids or names of the sites whose events are sent; None for all.
    :ivar sample: the share of access events that is sent, 0 to 1. An event's id decides, so that a second try sends the
        same ones.
    :ivar quarantined: whether lines in quarantine are sent, too; only ``as_received``, and whatever their site.
    :ivar replays: whether logs that a replay loaded again are sent again: ``changed`` (those that it made something
        else of), ``none`` or ``all``.
    :ivar events_per_second, bytes_per_second: the most that is sent on average; None for no limit.
    :ivar largest_event: bytes of the largest event; None for no limit.
    :ivar on_large: what becomes of larger ones: ``truncate``, ``split`` or ``reject``. JSON can only be rejected.
    :ivar window: how many messages may be sent beyond those that the lake says are acknowledged; the most that can come
        twice after a crash.
    :ivar resend_bytes: how much is sent again after a broken connection without acknowledgements.
    :ivar acknowledge: HEC: whether to wait until Splunk has indexed (not on Splunk Cloud).
    :ivar confirm_within: HEC: seconds that this may take, before a request is sent again.
    :ivar raw_endpoint: HEC: whether to send bare lines, which have no place for the event's id.
    :ivar source, source_type: HEC: of each event. ``source`` and ``category`` are metadata of Sumo Logic, too.
    :ivar index: the index: of Splunk (empty for the token's own), of Elasticsearch and OpenSearch.
    :ivar topic: Kafka's.
    :ivar batch_bytes: the most that a request by HTTP has, before it is compressed.
    :ivar gzip: whether requests by HTTP are compressed.
    """

    transport: TransportName = "tls"
    format: Format = "as_received"
    header: Header = "rfc5424"
    framing: Framing = "octet"
    facility: str = "local0"
    severity: str = "info"
    host_name: str = "imperva-cloud-waf"
    app_name: str = "imperva"
    classes: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None
    sample: float = 1.0
    quarantined: bool = False
    replays: Replays = "changed"
    events_per_second: float | None = None
    bytes_per_second: float | None = None
    largest_event: int | None = None
    on_large: OnLarge = "truncate"
    window: int = 20_000
    resend_bytes: int = MARGIN_BYTES
    acknowledge: bool = False
    confirm_within: float = 300
    raw_endpoint: bool = False
    source: str = "Imperva:Incapsula"
    source_type: str = "cef"
    category: str = ""
    index: str = ""
    topic: str = "imperva-waf"
    batch_bytes: int = 900_000
    gzip: bool = True

    def __post_init__(self) -> None:
        for name, known in (("facility", FACILITIES), ("severity", SEVERITIES)):
            if getattr(self, name) not in known:
                raise ConfigurationError(unknown_name(getattr(self, name), known), do="Correct its name", about=name)
        for name in ("host_name", "app_name"):
            if not _HEADER_FIELD.fullmatch(getattr(self, name)):
                raise ConfigurationError(
                    f"{name} is {quoted(getattr(self, name))}",
                    do="Give 1 to 48 printable ASCII characters without blanks",
                )
        for event_class in self.classes or ():
            if event_class not in EVENT_CLASSES:
                raise ConfigurationError(
                    unknown_name(event_class, EVENT_CLASSES), do="Correct its name", about="classes"
                )
        if self.classes == () or self.sites == ():
            raise ConfigurationError("no class or no site is chosen", do="Leave classes or sites out to send all")
        check_type("sample", self.sample, float)
        if not 0 <= self.sample <= 1:
            raise ConfigurationError(f"sample is {self.sample}", do="Give a share from 0 to 1")
        for name in ("events_per_second", "bytes_per_second", "largest_event", "batch_bytes", "confirm_within"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is {value}", do=f"Set {name} above 0, or leave it out")
        if self.window < 1 or self.resend_bytes < 0:
            raise ConfigurationError(
                "window or resend_bytes is too small", do="Set window above 0, resend_bytes to 0 or more"
            )
        if self.raw_endpoint and self.format not in TEXT_FORMATS:
            raise ConfigurationError("the raw endpoint of HEC takes lines", do="Set raw_endpoint=False for JSON")
        if self.largest_event is not None and self.format not in TEXT_FORMATS and self.on_large != "reject":
            raise ConfigurationError(
                f"events in the format {self.format} cannot be cut", do='Set on_large="reject", or another format'
            )
        if self.quarantined and self.format not in TEXT_FORMATS:
            raise ConfigurationError(
                f"lines in quarantine have no fields to write as {self.format}",
                do="Set quarantined=False, or a format of lines",
            )
