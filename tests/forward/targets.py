"""A receiver for each transport, and what tells what it has received."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_imperva.testing import (
    BulkReceiver,
    GelfReceiver,
    GelfTcpReceiver,
    HecReceiver,
    SumoReceiver,
    SyslogReceiver,
)
from tests.forward.conftest import Certificates
from tests.forward.kafka_cluster import TOPIC, KafkaCluster
from tests.forward.killed_sender import TOKEN
from tests.forward.rsyslog import Input, Rsyslog


@dataclass(frozen=True)
class Target:
    """A kind of receiver.

    :ivar options: of the destination.
    :ivar make: makes a receiver with `port`, `start` and `stop`, which keeps what it has in a folder if it needs one.
    :ivar received: the ids of what it has received; the lines, where there is no place for an id.
    """

    options: dict[str, Any]
    make: Callable[[Path, Certificates], Any]
    received: Callable[[Any], list[str]]
    has_ids: bool = True
    tls: bool = False
    exactly_once: bool = False


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """Return what a server on this machine speaks TLS with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


def _ids(receiver: Any) -> list[str]:
    found: list[str] = receiver.ids
    return found


def _lines(receiver: Any) -> list[str]:
    return [event if isinstance(event, str) else event.decode() for event in receiver.events]


def _uids(receiver: SyslogReceiver) -> list[str]:
    return [message.split(b'uid="', 1)[1].split(b'"', 1)[0].decode() for message in receiver.messages]


def _http(make: Callable[..., Any], transport: str, **more: Any) -> Target:
    has_ids = more.pop("has_ids", True)
    exactly_once = more.pop("exactly_once", False)
    return Target(
        {"transport": transport, **more},
        lambda _folder, _certificates: make(),
        _ids if has_ids else _lines,
        has_ids=has_ids,
        exactly_once=exactly_once,
    )


def _rsyslog(kind: Input) -> Target:
    def make(folder: Path, certificates: Certificates) -> Rsyslog:
        return Rsyslog(folder, kind, certificates.certificate, certificates.key)

    return Target({"transport": kind}, make, Rsyslog.ids, tls=kind.endswith("tls"))


HTTP_TARGETS = {
    "hec": _http(lambda: HecReceiver(TOKEN), "hec"),
    "hec acknowledged": _http(
        lambda: HecReceiver(TOKEN, acknowledges=True), "hec", acknowledge=True, confirm_within=0.05
    ),
    "hec raw": _http(lambda: HecReceiver(TOKEN), "hec", raw_endpoint=True, has_ids=False),
    "sumo": _http(lambda: SumoReceiver(TOKEN), "sumo", has_ids=False),
    "gelf by http": _http(GelfReceiver, "gelf_http"),
    "bulk": _http(lambda: BulkReceiver(authorization=f"ApiKey {TOKEN}"), "bulk", exactly_once=True),
}
STREAM_TARGETS = {
    "syslog over tcp": Target({"transport": "tcp"}, lambda _folder, _certificates: SyslogReceiver(), _uids),
    "syslog over tls": Target(
        {"transport": "tls"},
        lambda _folder, certificates: SyslogReceiver(ssl_context=server_context(certificates)),
        _uids,
        tls=True,
    ),
    "gelf over tcp": Target({"transport": "gelf_tcp"}, lambda _folder, _certificates: GelfTcpReceiver(), _ids),
    "gelf over tls": Target(
        {"transport": "gelf_tls"},
        lambda _folder, certificates: GelfTcpReceiver(ssl_context=server_context(certificates)),
        _ids,
        tls=True,
    ),
}
RELP_TARGETS = {"relp": _rsyslog("relp"), "relp over tls": _rsyslog("relp_tls")}
TARGETS = (
    HTTP_TARGETS
    | STREAM_TARGETS
    | RELP_TARGETS
    | {
        "kafka": Target(
            {"transport": "kafka", "topic": TOPIC}, lambda _folder, _certificates: KafkaCluster(), KafkaCluster.ids
        )
    }
)
