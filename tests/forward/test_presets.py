"""Destinations by name: each of them against a receiver of its kind, the events compared with the lake's lines."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.forward.presets import PRESETS, destination_options
from airflow_provider_imperva.testing.siem import BulkReceiver, GelfReceiver, HecReceiver, SumoReceiver
from tests.forward.conftest import Certificates
from tests.forward.rsyslog import Rsyslog
from tests.forward.sending import forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]
SYSLOG = ["arcsight", "trellix_esm", "logrhythm", "qradar", "usm_anywhere", "syslog", "relp"]
HTTP: dict[str, Callable[..., Any]] = {
    "splunk": lambda **more: HecReceiver("token", **more),
    "graylog": GelfReceiver,
    "sumo_logic": lambda **more: SumoReceiver("token", **more),
    "elasticsearch": lambda **more: BulkReceiver(authorization="ApiKey token", **more),
    "opensearch": lambda **more: BulkReceiver(authorization="ApiKey token", **more),
}
pytestmark = pytest.mark.needs("openssl")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def send(account: Account, name: str, port: int, certificates: Certificates) -> Any:
    address = Address(
        host="localhost", port=port, password="token", verify=str(certificates.certificate), read_timeout=10
    )
    options = destination_options(name, {})
    (outcome,) = send_all(
        forwarding(account, options, address=address, name=name, retry_policy=RetryPolicy(attempts=2))
    )
    return outcome


@pytest.mark.needs("rsyslog", "rsyslog-relp", "rsyslog-openssl")
@pytest.mark.parametrize("name", SYSLOG)
def test_by_syslog(
    account: Account, load: Load, stack: ExitStack, certificates: Certificates, tmp_path: Path, name: str
) -> None:
    load(1, 2, format="LEEF" if name == "qradar" else "CEF")
    kind: Any = PRESETS[name].options["transport"]
    receiver = Rsyslog(tmp_path / "rsyslog", kind, certificates.certificate, certificates.key)
    receiver.start()
    stack.callback(receiver.kill)
    outcome = send(account, name, receiver.port, certificates)
    receiver.stop()
    begin = b"LEEF:" if name == "qradar" else b"CEF:"
    assert [begin + message.split(begin, 1)[1] for message in receiver.messages()] == lines_of(account)
    assert (outcome.sent, outcome.truncated, outcome.rejected) == (100, 0, {})


@pytest.mark.parametrize("name", sorted(HTTP))
def test_by_http(account: Account, load: Load, stack: ExitStack, certificates: Certificates, name: str) -> None:
    load(1, 2)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    receiver = stack.enter_context(HTTP[name](ssl_context=context))
    outcome = send(account, name, receiver.port, certificates)
    assert outcome.sent == 100
    if name in ("elasticsearch", "opensearch"):
        assert list(receiver.documents) == ids_of(account)
        assert receiver.documents[ids_of(account)[0]]["log"] == {"file": {"path": "8416_1.log"}, "offset": 1}
        return
    texts = [
        event if isinstance(event, bytes) else event.get("event", event.get("short_message"))
        for event in receiver.events
    ]
    assert [text if isinstance(text, bytes) else text.encode() for text in texts] == lines_of(account)


def line_of(event: Any) -> bytes:
    return event if isinstance(event, bytes) else str(event.get("event", event.get("short_message"))).encode()


def test_every_preset_is_tried_here_or_with_kafka() -> None:
    assert set(PRESETS) == {*SYSLOG, *HTTP, "kafka"}


def test_the_eight_that_imperva_names_are_there() -> None:
    named = ("arcsight", "splunk", "trellix_esm", "graylog", "sumo_logic", "logrhythm", "qradar", "usm_anywhere")
    assert set(named) <= set(PRESETS)


def test_what_is_not_supported_is_said_with_the_reason() -> None:
    with pytest.raises(ConfigurationError, match="Sentinel is not supported: Airflow's provider for Azure has no hook"):
        destination_options("sentinel", {})
