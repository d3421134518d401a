"""Forwarding to a real rsyslog: what it writes is what the lake has, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from airflow_provider_imperva.errors import DestinationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.framing import Framing
from airflow_provider_imperva.forward.link import Patience
from tests.forward.conftest import Certificates
from tests.forward.rsyslog import Input, Rsyslog, free_port
from tests.forward.sending import forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]
ALL = ("tcp", "tls", "relp", "relp_tls", "udp")
pytestmark = pytest.mark.needs("rsyslog", "rsyslog-relp", "rsyslog-openssl", "openssl")
ONCE = Patience(attempts=1)


@pytest.fixture
def receive(tmp_path: Path, certificates: Certificates) -> Iterator[Callable[[Input], Rsyslog]]:
    started: list[Rsyslog] = []

    def receive(kind: Input) -> Rsyslog:
        receiver = Rsyslog(tmp_path / f"rsyslog-{kind}", kind, certificates.certificate, certificates.key)
        receiver.start()
        started.append(receiver)
        return receiver

    yield receive
    for receiver in started:
        receiver.kill()


def address_of(receiver: Rsyslog, certificates: Certificates) -> Address:
    return Address(host="localhost", port=receiver.port, verify=str(certificates.certificate), read_timeout=10)


@pytest.mark.parametrize("kind", ALL)
def test_what_arrives_is_what_the_lake_has(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, kind: Input
) -> None:
    assert set(ALL) == set(get_args(Input))
    load(1, 2, 3)
    receiver = receive(kind)
    options = DestinationOptions(transport=kind)
    (outcome,) = send_all(forwarding(account, options, address=address_of(receiver, certificates)))
    receiver.stop()
    lines, ids = lines_of(account), ids_of(account)
    if kind == "udp":
        # A datagram that finds no room is gone, and nobody knows: that is what UDP promises.
        assert outcome.acknowledgement == "sent"
        assert outcome.rejected.get("too_large_for_udp", 0) == outcome.lines - outcome.sent
        assert receiver.ids()
        assert set(receiver.bodies()) <= set(lines)
        return
    assert receiver.ids() == ids
    assert receiver.bodies() == lines
    assert outcome.acknowledgement == ("delivered" if kind in ("tcp", "tls") else "acknowledged")
    assert (outcome.sent, outcome.resent) == (150, 0)


@pytest.mark.parametrize("framing", ["octet", "lf"])
def test_each_framing_is_understood(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, framing: Framing
) -> None:
    load(1)
    receiver = receive("tcp")
    options = DestinationOptions(transport="tcp", framing=framing)
    send_all(forwarding(account, options, address=address_of(receiver, certificates)))
    receiver.stop()
    assert receiver.bodies() == lines_of(account)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["relp", "relp_tls"])
def test_a_receiver_that_is_killed_loses_nothing_that_was_acknowledged(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, kind: Input
) -> None:
    load(*range(1, 7), events=500)
    receiver = receive(kind)
    options = DestinationOptions(transport=kind, window=1000)
    sending = forwarding(account, options, address=address_of(receiver, certificates))
    sending.begin()
    handed = 0

    def kill_now_and_then(messages: int) -> None:
        nonlocal handed
        handed += messages
        if handed in (1000, 2000):
            receiver.kill()
            receiver.start()

    (outcome,) = sending.send(sending.pending(), on_messages=kill_now_and_then)
    receiver.stop()
    received = receiver.ids()
    assert set(received) == set(ids_of(account))
    assert 0 < outcome.resent <= 2 * 1000
    assert len(received) - len(set(received)) <= outcome.resent


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_receiver_that_is_killed_misses_nothing_within_the_margin(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, kind: Input
) -> None:
    """Without the margin this loses events: what lies in buffers when a connection breaks is gone."""
    load(*range(1, 7), events=500)
    receiver = receive(kind)
    options = DestinationOptions(transport=kind)
    sending = forwarding(account, options, address=address_of(receiver, certificates))
    sending.begin()
    handed = 0

    def kill_now_and_then(messages: int) -> None:
        nonlocal handed
        handed += messages
        if handed in (1000, 2000, 3000):
            receiver.kill()
            receiver.start()

    (outcome,) = sending.send(sending.pending(), on_messages=kill_now_and_then)
    receiver.stop()
    received = receiver.ids()
    assert set(received) == set(ids_of(account))
    assert outcome.resent > 0


def test_without_a_receiver_the_error_says_so_and_nothing_is_noted(account: Account, load: Load) -> None:
    load(1)
    address = Address(host="127.0.0.1", port=free_port())
    sending = forwarding(account, DestinationOptions(transport="tcp"), address=address, patience=ONCE)
    with pytest.raises(DestinationUnavailableError, match=r"the connection was refused\. See that the receiver runs"):
        send_all(sending)
    assert sending.pending() == [1]


@pytest.mark.parametrize("kind", ["tls", "relp_tls"])
def test_a_certificate_of_a_strange_authority_is_refused(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, kind: Input
) -> None:
    load(1)
    receiver = receive(kind)
    strange = replace(address_of(receiver, certificates), verify=True)
    sending = forwarding(account, DestinationOptions(transport=kind), address=strange, patience=ONCE)
    with pytest.raises(DestinationRefusedError, match=r"certificate does not verify.*CA bundle"):
        send_all(sending)
    receiver.stop()
    assert receiver.ids() == []


@pytest.mark.parametrize(("speaks", "spoken"), [("tcp", "tls"), ("tcp", "relp"), ("tls", "relp_tls")])
def test_the_wrong_transport_is_an_error_and_nothing_is_noted(
    account: Account,
    load: Load,
    receive: Callable[[Input], Rsyslog],
    certificates: Certificates,
    speaks: Input,
    spoken: Input,
) -> None:
    load(1)
    receiver = receive(speaks)
    address = replace(address_of(receiver, certificates), read_timeout=1, connect_timeout=1)
    sending = forwarding(account, DestinationOptions(transport=spoken), address=address, patience=ONCE)
    with pytest.raises(DestinationError):
        send_all(sending)
    assert sending.pending() == [1]
