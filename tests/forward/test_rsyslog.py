"""Forwarding to a real rsyslog: what it writes is what the lake has, byte for byte."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from airflow_provider_imperva.errors import DestinationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.framing import Framing
from airflow_provider_imperva.forward.link import RetryPolicy
from tests.forward.conftest import Certificates
from tests.forward.rsyslog import Input, Rsyslog, free_port
from tests.forward.sending import forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account
from tests.long_form import LONG

Load = Callable[..., None]
ALL = ("tcp", "tls", "relp", "relp_tls", "udp")
pytestmark = pytest.mark.needs("rsyslog", "rsyslog-relp", "rsyslog-openssl", "openssl")
ONCE = RetryPolicy(attempts=1)
KILLS = 50 if LONG else 3
WINDOW = 1000


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
@pytest.mark.parametrize("kind", ["tcp", "tls", "relp", "relp_tls"])
def test_a_receiver_that_is_killed_again_and_again_misses_nothing(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, kind: Input
) -> None:
    """Each time right after events were handed over, so that they lie in buffers of both sides.

    Over TCP and TLS that is within the margin, without which events are lost. By RELP no more than what was not
    acknowledged comes twice.
    """
    load(*range(1, KILLS + 2), events=500)
    receiver = receive(kind)
    acknowledges = kind.startswith("relp")
    options = DestinationOptions(transport=kind, window=WINDOW if acknowledges else 20_000)
    sending = forwarding(account, options, address=address_of(receiver, certificates))
    sending.begin()
    kills = 0

    def kill(_: int) -> None:
        nonlocal kills
        if kills < KILLS:
            # Before it has read anything of them, or while it does.
            time.sleep(kills % 3 * 0.005)
            receiver.kill()
            receiver.start()
            kills += 1

    (outcome,) = sending.send(sending.pending(), on_messages=kill)
    receiver.stop()
    received = receiver.ids()
    assert kills == KILLS
    assert set(received) == set(ids_of(account))
    assert outcome.resent > 0
    assert len(received) - len(set(received)) <= outcome.resent
    if acknowledges:
        assert outcome.resent <= KILLS * WINDOW


@pytest.mark.parametrize("kind", ["tcp", "tls", "relp"])
def test_a_receiver_that_hangs_is_told_and_nothing_is_noted(
    account: Account, load: Load, receive: Callable[[Input], Rsyslog], certificates: Certificates, kind: Input
) -> None:
    """Its system goes on to take what it does not read any more: to write it to the connection proves nothing."""
    load(1)
    receiver = receive(kind)
    address = replace(address_of(receiver, certificates), read_timeout=0.5, connect_timeout=0.5)
    sending = forwarding(account, DestinationOptions(transport=kind, window=10), address=address, retry_policy=ONCE)
    sending.begin()
    with pytest.raises(DestinationUnavailableError, match="hangs"):
        list(sending.send(sending.pending(), on_messages=lambda _: receiver.hang()))
    assert sending.pending() == [1]
    receiver.kill()
    receiver.start()
    send_all(sending)
    receiver.stop()
    assert set(receiver.ids()) == set(ids_of(account))


def test_without_a_receiver_the_error_says_so_and_nothing_is_noted(account: Account, load: Load) -> None:
    load(1)
    address = Address(host="127.0.0.1", port=free_port())
    sending = forwarding(account, DestinationOptions(transport="tcp"), address=address, retry_policy=ONCE)
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
    sending = forwarding(account, DestinationOptions(transport=kind), address=strange, retry_policy=ONCE)
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
    sending = forwarding(account, DestinationOptions(transport=spoken), address=address, retry_policy=ONCE)
    with pytest.raises(DestinationError):
        send_all(sending)
    assert sending.pending() == [1]
