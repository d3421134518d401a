"""``python -m benchmarks.beside_vendor``: what is missing after a receiver was killed, beside the vendor's script.

The clients of Imperva's script (``incapsula-logs-downloader``, 03cdb86) are described here by what they do, and do the
same on the wire: a log is a list of lines; it is sent at once, over a connection or in a request of its own, and counts
as sent once the call returns without an error. What fails is sent again.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.forward.transports import open_transport
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.testing.forge import ForgedLog, KeyPair, forge_repository
from airflow_provider_imperva.testing.siem import HecReceiver, SiemAnswer
from benchmarks.batch import Batch
from tests.forward.rsyslog import Rsyslog

LOGS = 12
EVENTS = 1000
KILLED_AFTER = (3, 8)
"""Logs that were handed over when the receiver is killed."""

DOWN = 0.3
"""Seconds until it is back."""

INDEXED_AFTER = 0.1
"""Seconds for which the receiver by HTTP has what it said yes to in a queue only."""

TOKEN = "11111111-2222-3333-4444-555555555555"  # noqa: S105
Send = Callable[[Sequence[str]], bool]


class QueueingHec(HecReceiver):
    """Splunk's HEC with a queue in memory, which dies with it."""

    def __init__(self, *, acknowledges: bool) -> None:
        super().__init__(TOKEN, acknowledges=acknowledges)
        self.queue: list[tuple[float, list[tuple[str, Any]]]] = []

    def _take(self, events: list[tuple[str, Any]]) -> SiemAnswer:
        self.index(until=time.monotonic() - INDEXED_AFTER)
        if self.acknowledges:
            return super()._take(events)
        self.queue.append((time.monotonic(), events))
        return SiemAnswer(200, {"text": "Success", "code": 0})

    def index(self, *, until: float) -> None:
        """Index what came before a time."""
        while self.queue and self.queue[0][0] <= until:
            for name, event in self.queue.pop(0)[1]:
                self.keep(name, event)

    def kill(self) -> None:
        """Die, with all that is not indexed."""
        self.stop()
        self.index(until=time.monotonic() - INDEXED_AFTER)
        self.queue.clear()
        self.forget_acknowledgements()

    def lines(self) -> list[str]:
        """What is indexed in the end."""
        self.index(until=time.monotonic())
        return [event["event"].rstrip("\n") for event in self.events]


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.beside_vendor", description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    print(f"| {options.runs} runs each, {LOGS * EVENTS:,} events | missing although said to be sent | there twice |")
    print("| --- | --: | --: |")
    for way, play in _WAYS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            outcomes = [
                play(folder / str(number), random.Random(number))  # noqa: S311
                for number in range(options.runs)
            ]
        missing, twice = ([outcome[column] for outcome in outcomes] for column in (0, 1))
        print(f"| {way} | {_range_of(missing)} | {_range_of(twice)} |", flush=True)


def _range_of(figures: list[int]) -> str:
    lowest, highest = min(figures), max(figures)
    if lowest == highest:
        return f"{lowest:,}"
    return f"{lowest:,} to {highest:,}, median {sorted(figures)[len(figures) // 2]:,}"


def _counted(received: list[str], logs: list[ForgedLog]) -> tuple[int, int]:
    """Return how many lines are missing, and how many are there once more."""
    expected, received_lines = Counter(line for log in logs for line in log.events), Counter(received)
    return (expected - received_lines).total(), (received_lines - expected).total()


def _script_by_syslog(folder: Path, chance: random.Random) -> tuple[int, int]:
    """Have the script's TCP client send: each log over a connection of its own, by one ``send``."""
    with _rsyslog(folder, "tcp") as receiver:

        def send(lines: Sequence[str]) -> bool:
            content = "".join(f"<30>Nov 30 12:00:00 waf cwaf {line}\n" for line in lines).encode()
            try:
                with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
                    connection.send(content)
            except OSError:
                return False
            return True

        logs = _by_script(send, receiver, chance)
        receiver.stop()
        received = [line.partition(" cwaf ")[2].strip("\n") for line in _texts(receiver)]
        return _counted(received, logs)


def _script_by_hec(folder: Path, chance: random.Random) -> tuple[int, int]:
    """Have the script's client for Splunk send: each log in one request, without a channel."""
    with QueueingHec(acknowledges=False) as receiver:
        url = f"http://127.0.0.1:{receiver.port}/services/collector/event"

        def send(lines: Sequence[str]) -> bool:
            # It sends an array, which Splunk takes as well as objects one after the other.
            body = "".join(json.dumps({"host": "waf", "sourcetype": "imperva:cef", "event": line}) for line in lines)
            try:
                answer = requests.post(url, body, timeout=15, headers={"Authorization": f"Splunk {TOKEN}"})
            except requests.RequestException:
                return False
            return 199 < answer.status_code < 299

        logs = _by_script(send, receiver, chance)
        return _counted(receiver.lines(), logs)


def _by_script(send: Send, receiver: Any, chance: random.Random) -> list[ForgedLog]:
    logs = list(forge_repository(LOGS, events_per_log=EVENTS))
    for number, log in enumerate(logs, 1):
        while not send(log.events):
            time.sleep(0.05)
        if number in KILLED_AFTER:
            _kill(receiver, chance)
    return logs


def _ours(receiver: Any, folder: Path, chance: random.Random, **settings: Any) -> list[ForgedLog]:
    logs = list(forge_repository(LOGS, events_per_log=EVENTS))
    pair = KeyPair.generate()
    batch = Batch(folder / "lake", [log.name for log in logs])
    batch.fetch(log.content for log in logs)
    batch.commit(KeyRing({pair.public_key_id: pair.private_key}))
    address = Address(host="127.0.0.1", port=receiver.port, password=TOKEN, plain=True)
    handed = 0

    def kill_twice(messages: int) -> None:
        nonlocal handed
        handed += messages
        if handed in [number * EVENTS for number in KILLED_AFTER]:
            _kill(receiver, chance)

    sending = _forwarding(batch.ledger, address, DestinationOptions(**settings))
    sending.begin()
    for _ in sending.send(sending.pending(), on_messages=kill_twice):
        pass
    return logs


def _forwarding(ledger: Ledger, address: Address, options: DestinationOptions) -> Forwarding:
    return Forwarding(
        ledger=ledger,
        keys=KeyRing(),
        name="siem",
        address=str(address),
        options=options,
        connect=lambda: open_transport(options, address),
        run=Run("benchmark", "benchmark"),
    )


def _ours_by_syslog(folder: Path, chance: random.Random) -> tuple[int, int]:
    return _ours_to_rsyslog(folder, chance, "tcp")


def _ours_by_relp(folder: Path, chance: random.Random) -> tuple[int, int]:
    return _ours_to_rsyslog(folder, chance, "relp")


def _ours_to_rsyslog(folder: Path, chance: random.Random, kind: Any) -> tuple[int, int]:
    with _rsyslog(folder, kind) as receiver:
        logs = _ours(receiver, folder, chance, transport=kind)
        receiver.stop()
        return _counted([text.partition('"] ')[2] for text in _texts(receiver)], logs)


def _ours_by_hec(folder: Path, chance: random.Random) -> tuple[int, int]:
    with QueueingHec(acknowledges=False) as receiver:
        logs = _ours(receiver, folder, chance, transport="hec")
        return _counted(receiver.lines(), logs)


def _ours_by_acknowledged_hec(folder: Path, chance: random.Random) -> tuple[int, int]:
    with QueueingHec(acknowledges=True) as receiver:
        logs = _ours(receiver, folder, chance, transport="hec", acknowledge=True, confirm_within=2)
        return _counted(receiver.lines(), logs)


def _kill(receiver: Any, chance: random.Random) -> None:
    """Kill a receiver a moment later, and have it back after a while."""
    time.sleep(chance.uniform(0, 0.02))
    receiver.kill()
    threading.Timer(DOWN, receiver.start).start()


@contextmanager
def _rsyslog(folder: Path, kind: Any) -> Iterator[Rsyslog]:
    receiver = Rsyslog(folder, kind)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.kill()


def _texts(receiver: Rsyslog) -> list[str]:
    return [message.decode() for message in receiver.messages()]


_WAYS: dict[str, Callable[[Path, random.Random], tuple[int, int]]] = {
    "the script's syslog client, TCP": _script_by_syslog,
    "this provider, TCP": _ours_by_syslog,
    "this provider, RELP": _ours_by_relp,
    "the script's HEC client": _script_by_hec,
    "this provider, HEC": _ours_by_hec,
    "this provider, HEC with indexer acknowledgement": _ours_by_acknowledged_hec,
}


if __name__ == "__main__":
    main()
