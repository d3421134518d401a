"""Imperva's side of the simulation: thirty days of logs, and the truth about every event in them."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import get_args

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing import FakeRepository, KeyPair, VirtualClock, forge_events, forge_log, write_body
from airflow_provider_imperva.testing.formats import Format

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
WINDOW = 48 * HOUR
BYTE_CAP = 420_000
"""Never reached in quiet times; a flood of logs overwrites the oldest after a day."""

CHANGING, CHANGED, OTHER = "8416", "8417", "9001"
"""A prefix that another takes the place of, that other, and one beside them whose logs are in JSON."""

_REQUEST_ID = re.compile(r" deviceExternalId=(\d+) ")

Event = tuple[str, int, str]
"""Log, line and request id."""


@dataclass
class WrittenLog:
    """A log that Imperva wrote.

    :ivar events: what is in it, to be in the lake.
    :ivar junk: lines that are no event, to be in quarantine.
    :ivar damaged: it does not decode, as it was written.
    :ivar left_at: when it was overwritten; None as long as it is served.
    """

    name: LogName
    size: int
    events: Counter[Event]
    junk: int
    damaged: bool
    written_at: datetime
    left_at: datetime | None = None


@dataclass
class Style:
    """How logs are written until somebody changes a setting."""

    format: Format = "CEF"
    compress: bool = True
    encrypt: bool = True


@dataclass
class Imperva:
    """The account's logs as they come and go."""

    seed: str
    clock: VirtualClock
    repository: FakeRepository
    pairs: list[KeyPair]
    days: int
    logs: dict[LogName, WrittenLog] = field(default_factory=dict)
    skipped: set[LogName] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}/imperva")
        self._began = self.clock()
        self._style = Style()
        scale = self.days / 30
        self._rotations = [(0 * HOUR, 0 * HOUR)] + [
            (at * scale, at * scale + self._rng.uniform(20, 30) * HOUR) for at in (200 * HOUR, 470 * HOUR)
        ]
        self._change_of_prefix = self._rng.uniform(0.5, 0.7) * self.days * 24 * HOUR
        flood = self._rng.uniform(0.2, 0.8) * self.days * 24 * HOUR
        self.flood = (flood, flood + 14 * HOUR)
        self._coming = sorted(self._timeline(), key=lambda item: item[0], reverse=True)

    def _timeline(self) -> Iterator[tuple[datetime, LogName]]:
        """Draw when which log is written, numbers left out and numbers that come late included."""
        end = self.days * 24 * HOUR
        streams = {
            CHANGING: (0 * HOUR, self._change_of_prefix, 40 * MINUTE),
            CHANGED: (self._change_of_prefix, end, 40 * MINUTE),
            OTHER: (0 * HOUR, end, 200 * MINUTE),
        }
        for prefix, (at, until, pause) in streams.items():
            number = self._rng.choice([1, 995, 99_998])
            while at < until:
                fast = 8 if prefix != OTHER and self.flood[0] <= at <= self.flood[1] else 1
                at += self._rng.uniform(0.3, 1.7) * pause / fast
                while self._rng.random() < 0.18:
                    self.skipped.add(LogName(prefix, number))
                    number += 1
                late = self._rng.choice([1, 10, 30, 50, 60]) * HOUR if self._rng.random() < 0.02 else 0 * HOUR
                if at + late < end:
                    yield self._began + at + late, LogName(prefix, number)
                else:
                    self.skipped.add(LogName(prefix, number))
                number += 1

    @property
    def key_ring(self) -> KeyRing:
        """The private keys at hand: each new one comes a day after Imperva encrypts for it."""
        passed = self.clock() - self._began
        return KeyRing(
            {
                pair.public_key_id: pair.private_key
                for pair, (_, known) in zip(self.pairs, self._rotations, strict=True)
                if known <= passed
            }
        )

    def advance(self, by: timedelta) -> None:
        """Let time pass: logs are written, and others leave."""
        until = self.clock() + by
        while self._coming and self._coming[-1][0] <= until:
            at, name = self._coming.pop()
            self.clock.advance(at - self.clock())
            self._write(name)
            self._note_who_left()
        self.clock.advance(until - self.clock())
        self._note_who_left()

    def served(self) -> set[LogName]:
        """The logs that can be had now."""
        return set(self.repository.names())

    def _note_who_left(self) -> None:
        served = self.served()
        for name in self._present - served:
            self.logs[name].left_at = self.clock()
            self.repository.remove(name)
        self._present = served

    _present: set[LogName] = field(default_factory=set)

    def _write(self, name: LogName) -> None:
        rng = self._rng
        if rng.random() < 0.03:
            self._style = Style(rng.choice(["CEF", "CEF", "LEEF", "W3C"]), rng.random() < 0.7, rng.random() < 0.6)
        style = Style("JSON", compress=False, encrypt=False) if name.prefix == OTHER else self._style
        seed, count = f"{self.seed}/{name}", rng.randint(0 if rng.random() < 0.1 else 2, 5)
        start = int(self.clock().timestamp() * 1000) - 600_000
        events = forge_events(count, seed=seed, start=start, format=style.format)
        body = write_body(style.format, events)
        first_line = 4 if style.format == "W3C" else 1
        junk = style.format == "CEF" and rng.random() < 0.03
        if junk:
            body, first_line = "a line of no format\n" + body, 2
        content = self._content(name, body, style, start=start)
        damaged = style.format != "JSON" and count > 0 and rng.random() < 0.01
        if damaged:
            content = content[:-20]
        # The same seed gives the same events in every format, and in CEF their ids are easy to find.
        ids = [_request_id(event) for event in forge_events(count, seed=seed, start=start)]
        rows = Counter((str(name), line, found) for line, found in enumerate(ids, first_line))
        self.logs[name] = WrittenLog(name, len(content), rows, int(junk), damaged, self.clock())
        assert style.format in get_args(Format)
        self.repository.add(name, content)

    def _content(self, name: LogName, body: str, style: Style, *, start: int) -> bytes:
        passed = self.clock() - self._began
        pair = [pair for pair, (used, _) in zip(self.pairs, self._rotations, strict=True) if used <= passed][-1]
        return forge_log(
            body,
            config_id=int(name.prefix),
            format=style.format,
            start=start,
            end=start + 300_000,
            header=style.format != "JSON",
            compress=style.compress,
            key=pair if style.encrypt else None,
        )


def _request_id(event: str) -> str:
    found = _REQUEST_ID.search(event)
    assert found
    return found[1]
