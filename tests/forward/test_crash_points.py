"""The sender is killed at every step: all that was sent arrives, and no more than a window comes twice."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.event import Event, Transport
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.forward.transports import open_transport
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing.siem import BulkReceiver, HecReceiver, HttpReceiver
from airflow_provider_imperva.testing.syslog import SyslogReceiver
from tests.crash.stopping_store import Hook, Moment, StopAt, StoppingStore, nothing_happens
from tests.forward.sending import ids_of
from tests.load.load_runs import Account

WINDOW = 20
EVENTS = 40
TOKEN = "token"
KILLS = (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)


@dataclass(frozen=True)
class Sender:
    """A sender in a process of its own, that is killed at an operation of the lake, or at a step of the transport."""

    lake: Path
    repository: str
    port: int
    options: dict[str, Any]
    at_lake: Hook = nothing_happens
    at_transport: Hook = nothing_happens

    def __call__(self) -> None:
        store: Any = StoppingStore(open_store(str(self.lake)), self.at_lake)
        address = Address(host="127.0.0.1", port=self.port, password=TOKEN, plain=True, read_timeout=5)
        options = DestinationOptions(window=WINDOW, **self.options)
        sending = Forwarding(
            ledger=Ledger(store, self.repository),
            keys=KeyRing(),
            name="siem",
            address=str(address),
            options=options,
            connect=lambda: _Stopping(open_transport(options, address), self.at_transport),
            run=Run("test", "run"),
        )
        sending.begin()
        for _ in sending.send(sending.pending()):
            pass

    def run(self) -> int | None:
        process = multiprocessing.get_context("spawn").Process(target=self)
        process.start()
        process.join(60)
        return process.exitcode


class _Stopping:
    """A transport, each step of which counts."""

    def __init__(self, transport: Transport, hook: Hook) -> None:
        self._transport = transport
        self._hook = hook
        self._steps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send(self, events: Sequence[Event]) -> None:
        self._step(lambda: self._transport.send(events))

    def settle(self) -> None:
        self._step(self._transport.settle)

    def _step(self, do: Callable[[], None]) -> None:
        self._steps += 1
        self._hook(self._steps, False)
        do()
        self._hook(self._steps, True)


RECEIVERS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "hec acknowledged": (lambda: HecReceiver(TOKEN, acknowledges=True), {"transport": "hec", "acknowledge": True}),
    "bulk": (lambda: BulkReceiver(authorization=f"ApiKey {TOKEN}"), {"transport": "bulk"}),
    "syslog": (SyslogReceiver, {"transport": "tcp"}),
}


def received_by(receiver: Any) -> list[str]:
    if isinstance(receiver, HttpReceiver):
        return receiver.ids
    return [message.split(b'uid="', 1)[1].split(b'"', 1)[0].decode() for message in receiver.messages]


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(RECEIVERS))
@pytest.mark.parametrize("where", ["lake", "transport"])
def test_killed_at_every_step(account: Account, kind: str, where: str) -> None:
    account.serve(1, 2, events=EVENTS // 2)
    account.run_some()
    make, options = RECEIVERS[kind]
    forwards = account.lake / "forwards"
    expected = set(ids_of(account))
    points = 0
    for number in range(1, 100):
        kept = True
        for moment in KILLS:
            with ExitStack() as stack:
                receiver = stack.enter_context(make())
                stop = StopAt(number, moment)
                sender = Sender(account.lake, account.repository.name, receiver.port, options, **{f"at_{where}": stop})
                code = sender.run()
                kept = kept and code == 0
                if code != 0:
                    assert code == -signal.SIGKILL
                    points += 1
                    assert Sender(account.lake, account.repository.name, receiver.port, options).run() == 0
                received = Counter(received_by(receiver))
            assert set(received) == expected, (number, moment)
            twice = sum(count - 1 for count in received.values())
            assert twice <= (0 if kind == "bulk" else WINDOW), (number, moment, twice)
            shutil.rmtree(forwards)
        if kept:
            break
    assert points >= 4
