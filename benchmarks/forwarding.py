"""``python -m benchmarks.forwarding``: how many events a second of one core go to a SIEM; memory; an outage.

What is measured is the sender alone: reading ``raw/``, decoding, parsing, redaction, choice, format, compression, TLS,
and what it notes in the lake.
"""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.forward.transports import open_transport
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.testing.forge import KeyPair
from benchmarks.batch import Batch
from benchmarks.corpus import Log, forge_corpus
from benchmarks.receivers import make_certificate, receiver, take_requests, take_stream

_WAYS: dict[str, dict[str, Any]] = {
    "syslog over TLS, as received": {"transport": "tls"},
    "syslog over TLS, not redacted": {"transport": "tls"},
    "HEC with gzip, as received": {"transport": "hec"},
    "HEC with gzip, JSON": {"transport": "hec", "format": "json"},
    "bulk with gzip, ECS": {"transport": "bulk", "format": "ecs"},
    "syslog over TLS, CEF to LEEF": {"transport": "tls", "format": "leef"},
}
_PLAIN = "syslog over TLS, not redacted"
_COMMITS_A_DAY = 144
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class _Lake:
    """A lake with commits to forward, and what opens its logs."""

    ledger: Ledger
    keys: KeyRing
    events: int
    certificate: Path
    key: Path


def main() -> None:
    """Measure, and print tables for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.forwarding", description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="of the corpus")
    parser.add_argument("--rounds", type=int, default=3, help="how often it is sent; the median counts")
    parser.add_argument("--memory", type=int, metavar="EVENTS", help="send so many events, and tell the memory alone")
    parser.add_argument("--outage", action="store_true", help="tell of a destination that is down for a day alone")
    parser.add_argument("--way", action="append", choices=_WAYS, help="this way only; can be given again")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    ways = {name: settings for name, settings in _WAYS.items() if not options.way or name in options.way}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.outage:
            _tell_outage(folder, events=options.events)
            return
        lake = _fill(folder, events=options.events, commits=1)
        if options.memory:
            _tell_memory(lake, ways, events=options.memory)
        else:
            _tell_speed(lake, ways, rounds=options.rounds)


def _tell_speed(lake: _Lake, ways: dict[str, dict[str, Any]], *, rounds: int) -> None:
    print("| | events a second of the core |")
    print("| --- | --: |")
    for way, settings in ways.items():
        with _listening(lake, settings) as port:
            sending = _forwarding(lake, settings, port, redact=way != _PLAIN)
            speeds = []
            for _ in range(rounds):
                began = time.process_time()
                sent = sum(outcome.sent for outcome in sending.send([1], again=True))
                speeds.append(sent / (time.process_time() - began))
        print(f"| {way} | {sorted(speeds)[len(speeds) // 2]:,.0f} |", flush=True)


def _tell_memory(lake: _Lake, ways: dict[str, dict[str, Any]], *, events: int) -> None:
    """Send the same commit again and again, over one connection object, and tell memory as it goes."""
    print("| | events | MB of memory | of them most so far | events a second of the core |")
    print("| --- | --: | --: | --: | --: |")
    for way, settings in ways.items():
        with _listening(lake, settings) as port:
            sending = _forwarding(lake, settings, port, redact=way != _PLAIN)
            sent, tenths, began = 0, 0, time.process_time()
            for outcome in sending.send([1] * -(-events // lake.events), again=True):
                sent += outcome.sent
                if sent * 10 >= events * (tenths + 1):
                    tenths = sent * 10 // events
                    now, most = _memory("VmRSS"), _memory("VmHWM")
                    speed = sent / (time.process_time() - began)
                    print(f"| {way} | {sent:,} | {now:,.0f} | {most:,.0f} | {speed:,.0f} |", flush=True)


def _tell_outage(folder: Path, *, events: int) -> None:
    """Load a day of commits, once with nothing else and once with a destination that is down, and catch up."""
    print("| | |")
    print("| --- | --: |")
    alone = _seconds_of_loading(folder / "alone", events=events, forward=False)
    print(f"| processor seconds of loading {_COMMITS_A_DAY} commits, {events:,} events | {alone[0]:.1f} |")
    beside = _seconds_of_loading(folder / "beside", events=events, forward=True)
    print(f"| the same, with a destination that is down and tried after each | {beside[0]:.1f} |")
    lake = beside[1]
    with _listening(lake, {"transport": "tls"}) as port:
        sending = _forwarding(lake, {"transport": "tls"}, port)
        pending = sending.pending()
        began, processor = time.monotonic(), time.process_time()
        outcomes = list(sending.send(pending))
        seconds, processor = time.monotonic() - began, time.process_time() - processor
    in_order = [outcome.commit for outcome in outcomes] == list(range(1, _COMMITS_A_DAY + 1))
    sent = sum(outcome.sent for outcome in outcomes)
    how = "in order" if in_order else "OUT OF ORDER"
    print(f"| afterwards {len(outcomes)} commits were sent {how}, in seconds | {seconds:.1f} |")
    print(f"| ... processor seconds | {processor:.1f} |")
    print(f"| ... events a second of the core | {sent / processor:,.0f} |")


def _seconds_of_loading(folder: Path, *, events: int, forward: bool) -> tuple[float, _Lake]:
    """Return the processor seconds of loading alone, whatever is forwarded in between."""
    folder.mkdir()
    pair = KeyPair.generate()
    keys = KeyRing({pair.public_key_id: pair.private_key})
    certificate, key = make_certificate(folder)
    seconds = 0.0
    lake: _Lake | None = None
    for number, logs in enumerate(batched(_corpus(pair, events=events, logs=_COMMITS_A_DAY), 1, strict=True), 1):
        batch = Batch(folder / "lake", [log.name for log in logs], commit=number)
        batch.fetch(log.content for log in logs)
        began = time.process_time()
        batch.commit(keys)
        seconds += time.process_time() - began
        lake = lake or _Lake(batch.ledger, keys, events, certificate, key)
        if forward:
            _fail(lake)
    assert lake  # noqa: S101
    return seconds, lake


def _fail(lake: _Lake) -> None:
    """Try a destination that is down."""
    sending = _forwarding(lake, {"transport": "tls"}, 1, retry_policy=RetryPolicy(attempts=1))
    sending.begin()
    try:
        list(sending.send(sending.pending()))
    except DestinationUnavailableError:
        return
    raise AssertionError("nothing is to listen there")


def _fill(folder: Path, *, events: int, commits: int) -> _Lake:
    pair = KeyPair.generate()
    keys = KeyRing({pair.public_key_id: pair.private_key})
    certificate, key = make_certificate(folder)
    logs = _corpus(pair, events=events, logs=max(1, events // 10_000))
    for number, some in enumerate(batched(logs, -(-len(logs) // commits), strict=False), 1):
        batch = Batch(folder / "lake", [log.name for log in some], commit=number)
        batch.fetch(log.content for log in some)
        batch.commit(keys)
    return _Lake(batch.ledger, keys, sum(log.events for log in logs), certificate, key)


def _corpus(pair: KeyPair, *, events: int, logs: int) -> Sequence[Log]:
    return forge_corpus(pair, events=events, logs=logs)["CEF"]


def _listening(lake: _Lake, settings: dict[str, Any]) -> Any:
    take = take_requests if settings["transport"] in ("hec", "bulk") else take_stream
    return receiver(take, lake.certificate, lake.key)


def _forwarding(
    lake: _Lake, settings: dict[str, Any], port: int, *, redact: bool = True, retry_policy: RetryPolicy | None = None
) -> Forwarding:
    address = Address(host="localhost", port=port, password="token", verify=str(lake.certificate))  # noqa: S106
    options = DestinationOptions(**settings)
    retry_policy = retry_policy or RetryPolicy()
    return Forwarding(
        ledger=lake.ledger,
        keys=lake.keys,
        name="siem",
        address=str(address),
        options=options,
        connect=lambda: open_transport(options, address, retry_policy=retry_policy),
        run=Run("benchmark", "benchmark"),
        protection=Protection() if redact else None,
    )


def _memory(name: str) -> float:
    """Return a figure of the process's memory in MB."""
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert match  # noqa: S101
    return int(match[1]) / 1024


if __name__ == "__main__":
    main()
