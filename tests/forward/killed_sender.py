"""A sender in a process of its own, which is killed at an operation of the lake or at a step of the transport."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.event import Event, Transport
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.forward.transports import open_transport
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from tests.crash.stopping_store import Hook, StoppingStore, nothing_happens

_PROCESSES = multiprocessing.get_context("forkserver")
# So that a sender is a fork of a process that has all of this imported, which it takes a second to do.
_PROCESSES.set_forkserver_preload(["pytest", __name__])

TOKEN = "11111111-2222-3333-4444-555555555555"
WINDOW = 20


@dataclass(frozen=True)
class KilledSender:
    """What sends, and where it is killed.

    :ivar verify: the certificate to check the receiver's by; None speaks without TLS, where there is a choice.
    """

    lake: Path
    repository: str
    port: int
    options: dict[str, Any]
    verify: str | None = None
    at_lake: Hook = nothing_happens
    at_transport: Hook = nothing_happens

    def __call__(self) -> None:
        store: Any = StoppingStore(open_store(str(self.lake)), self.at_lake)
        options = DestinationOptions(window=WINDOW, **self.options)
        address = Address(
            host="localhost" if self.verify else "127.0.0.1",
            port=self.port,
            password=TOKEN,
            plain=not self.verify,
            verify=self.verify or True,
            read_timeout=5,
        )
        sending = Forwarding(
            ledger=Ledger(store, self.repository),
            keys=KeyRing(),
            name="siem",
            address=str(address),
            options=options,
            connect=lambda: _Stopping(_open(options, address), self.at_transport),
            run=Run("test", "run"),
        )
        sending.begin()
        for _ in sending.send(sending.pending()):
            pass

    def run(self) -> int | None:
        """Run it, and return its exit code: 0, or the number of the signal that killed it, negative."""
        process = _PROCESSES.Process(target=self)
        process.start()
        process.join(60)
        return process.exitcode


def _open(options: DestinationOptions, address: Address) -> Transport:
    if options.transport != "kafka":
        return open_transport(options, address)
    from confluent_kafka import Producer

    from airflow_provider_imperva.forward.kafka import KafkaTransport

    producer = Producer({"bootstrap.servers": str(address), "acks": "all"})
    return KafkaTransport(producer, topic=options.topic, about="kafka")


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
