"""Sender and receiver are killed at every step: all that was sent arrives, and no more than a window comes twice.

In the short form a part of the steps is tried, others by each kind of receiver.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.testing.siem import SiemAnswer, SiemRequest
from tests.crash.stopping_store import Moment, StopAt
from tests.forward.conftest import Certificates
from tests.forward.killed_sender import TOKEN, WINDOW, KilledSender
from tests.forward.sending import forwarding, ids_of, lines_of
from tests.forward.targets import HTTP_TARGETS, STREAM_TARGETS, TARGETS, Target
from tests.load.load_runs import Account

EVENTS = 40
KILLS = (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)
STRIDE = int(os.environ.get("IMPERVA_CRASH_STRIDE", "4"))
"""Of so many points one is tried; in the long form, each."""

pytestmark = pytest.mark.needs("openssl", "rsyslog", "rsyslog-relp", "rsyslog-openssl")


@pytest.fixture
def filled(account: Account) -> Account:
    account.serve(1, 2, events=EVENTS // 2)
    account.run_some()
    return account


def expected_of(account: Account, target: Target) -> set[str]:
    return set(ids_of(account) if target.has_ids else [line.decode() for line in lines_of(account)])


def assert_all_is_there(account: Account, target: Target, receiver: Any, point: object) -> None:
    received = Counter(target.received(receiver))
    assert set(received) == expected_of(account, target), point
    twice = sum(count - 1 for count in received.values())
    assert twice <= (0 if target.exactly_once else WINDOW), (point, twice)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(TARGETS))
@pytest.mark.parametrize("where", ["lake", "transport"])
def test_the_sender_is_killed_at_every_step(
    filled: Account, certificates: Certificates, tmp_path: Path, kind: str, where: str
) -> None:
    target = TARGETS[kind]
    tried, code = 0, None
    first = (sorted(TARGETS).index(kind) * 2 + (where == "lake")) % STRIDE
    for number in range(first, 200, STRIDE):
        moment = KILLS[number % 2]
        receiver = target.make(tmp_path / f"receiver-{number}", certificates)
        receiver.start()
        sender = KilledSender(
            filled.lake,
            filled.repository.name,
            receiver.port,
            target.options,
            verify=str(certificates.certificate) if target.tls else None,
        )
        try:
            stop = StopAt(number // 2 + 1, moment)
            killed = replace(sender, at_lake=stop) if where == "lake" else replace(sender, at_transport=stop)
            code = killed.run()
            if code:
                assert code == -signal.SIGKILL
                tried += 1
                assert sender.run() == 0
        finally:
            receiver.stop()
        assert_all_is_there(filled, target, receiver, (number // 2 + 1, moment))
        shutil.rmtree(filled.lake / "forwards")
        if not code:
            break
    assert code == 0, "it went on to its end"
    assert tried >= (4 if STRIDE == 1 else 1)


class Mortal:
    """Has a receiver by HTTP die at a request, before or after it has taken it, and forget what it has not indexed."""

    def __init__(self, receiver: Any, *, at: int, moment: Moment) -> None:
        self.requests = 0
        self._receiver = receiver
        self._at = at
        self._moment = moment
        self._respond = receiver.respond
        receiver.respond = self

    def __call__(self, request: SiemRequest) -> SiemAnswer:
        self.requests += 1
        if self.requests != self._at:
            return self._respond(request)  # type: ignore[no-any-return]
        if self._moment is Moment.KILLED_AFTER:
            self._respond(request)
        if hasattr(self._receiver, "forget_acknowledgements"):
            self._receiver.forget_acknowledgements()
        self._receiver.stop()
        return SiemAnswer(0)


def send_to(filled: Account, target: Target, receiver: Any, certificates: Certificates, **more: Any) -> None:
    """Send, from this process; whenever it would wait, the receiver is started again if it is down."""
    address = Address(
        host="localhost" if target.tls else "127.0.0.1",
        port=receiver.port,
        password=TOKEN,
        plain=not target.tls,
        verify=str(certificates.certificate),
        read_timeout=5,
    )
    options = DestinationOptions(window=WINDOW, batch_bytes=5000, **target.options)
    retry_policy = RetryPolicy(attempts=40, sleep=lambda _: receiver.start())
    sending = forwarding(filled, options, address=address, retry_policy=retry_policy)
    sending.begin()
    list(sending.send(sending.pending(), **more))


@pytest.mark.parametrize("kind", sorted(HTTP_TARGETS))
def test_a_receiver_by_http_is_killed_at_every_request(
    filled: Account, certificates: Certificates, tmp_path: Path, kind: str
) -> None:
    target = HTTP_TARGETS[kind]
    tried = 0
    for number in range(sorted(HTTP_TARGETS).index(kind) % STRIDE, 200, STRIDE):
        receiver = target.make(tmp_path, certificates)
        mortal = Mortal(receiver, at=number // 2 + 1, moment=KILLS[number % 2])
        with receiver:
            send_to(filled, target, receiver, certificates)
        assert_all_is_there(filled, target, receiver, number)
        shutil.rmtree(filled.lake / "forwards")
        if mortal.requests <= number // 2:
            break
        tried += 1
    assert tried >= 4


@pytest.mark.parametrize("kind", sorted(STREAM_TARGETS))
def test_a_receiver_of_a_stream_is_killed_at_every_step(
    filled: Account, certificates: Certificates, tmp_path: Path, kind: str
) -> None:
    """Each time with what was handed over in the buffers of both sides."""
    target = STREAM_TARGETS[kind]
    receiver = target.make(tmp_path, certificates)
    kills = 0

    def kill(_: int) -> None:
        nonlocal kills
        kills += 1
        receiver.stop()

    with receiver:
        send_to(filled, target, receiver, certificates, on_messages=kill)
    assert kills == EVENTS // WINDOW
    assert set(target.received(receiver)) == expected_of(filled, target)
