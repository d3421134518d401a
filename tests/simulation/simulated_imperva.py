"""Imperva's side of the simulation: thirty days of logs, and the truth about every event in them.

A name says little: counters begin again, names come in other forms, and two servers answer of which one may lag. So the
truth goes by bytes.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import get_args

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.repository.index import INDEX_NAME
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing import FakeRepository, KeyPair, VirtualClock, forge_events, forge_log, write_body
from airflow_provider_imperva.testing.formats import Format
from airflow_provider_imperva.testing.server import Answer

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
WINDOW = 48 * HOUR
BYTE_CAP = 420_000
"""Never reached in quiet times; a flood of logs overwrites the oldest after a day."""

CHANGING, CHANGED, OTHER = "8416", "8417", "9001"
"""A prefix that another takes the place of, that other, and one beside them whose logs are in JSON."""

_REQUEST_ID = re.compile(r" deviceExternalId=(\d+) ")

Event = tuple[int, str]
"""Line and request id."""


@dataclass(eq=False)
class WrittenLog:
    """A log that Imperva wrote.

    :ivar listed_as: its name in the index; another log may have it later.
    :ivar sha256: of its bytes.
    :ivar events: what is in it, to be in the lake.
    :ivar junk: how many lines are no event, to be in quarantine.
    :ivar damaged: it does not decode, as it was written.
    :ivar overwrote: another log was listed under its name until then.
    :ivar listed_at: when an index that listed it first came to us.
    :ivar left_at: when it was overwritten or removed; None as long as it is served.
    """

    listed_as: str
    size: int
    sha256: str
    events: Counter[Event]
    junk: int
    damaged: bool
    written_at: datetime
    overwrote: bool = False
    listed_at: datetime | None = None
    left_at: datetime | None = None

    @property
    def name(self) -> LogName | None:
        """Its name, if that has the usual form."""
        try:
            return LogName.parse(self.listed_as)
        except ValueError:
            return None


@dataclass
class Style:
    """How logs are written until somebody changes a setting."""

    format: Format = "CEF"
    compress: bool = True
    encrypt: bool = True


class Servers(FakeRepository):
    """Two servers behind one name, by chance the one or the other; one of them may lag.

    :ivar lacking: names that the one that lags does not have yet.
    :ivar index_body: the first index since this was emptied that came to us for a whole one, as it arrived.
    """

    lacking: frozenset[str] = frozenset()
    index_body: bytes = b""
    chance = random.Random(0)

    def _answer(self, asked: str | None) -> Answer:
        lags = bool(self.lacking) and self.chance.random() < 0.5
        if lags and asked in self.lacking:
            return Answer(404)
        answer = super()._answer(asked)
        if asked != INDEX_NAME:
            return answer
        if lags:
            lines = [
                line for line in answer.body.splitlines(keepends=True) if line.decode().strip() not in self.lacking
            ]
            answer = Answer(answer.status, b"".join(lines))
        return answer

    def _respond(self, method: str, path: str, authorization: str, wanted: str) -> Answer:
        answer = super()._respond(method, path, authorization, wanted)
        if path.endswith(f"/{INDEX_NAME}") and answer.status == 200 and not answer.close and not self.index_body:
            self.index_body = answer.body[: answer.length]
        return answer


@dataclass
class Imperva:
    """The account's logs as they come and go."""

    seed: str
    clock: VirtualClock
    repository: Servers
    pairs: list[KeyPair]
    days: int
    logs: list[WrittenLog] = field(default_factory=list)
    serving: dict[str, WrittenLog] = field(default_factory=dict)
    skipped: set[LogName] = field(default_factory=set)
    restarts: list[tuple[datetime, str]] = field(default_factory=list)
    """When which counter began again."""
    overwritten: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}/imperva")
        self._began = self.clock()
        self._style = Style()
        scale = self.days / 30
        self._rotations = [(0 * HOUR, 0 * HOUR)] + [
            (at * scale, at * scale + self._rng.uniform(20, 30) * HOUR) for at in (200 * HOUR, 470 * HOUR)
        ]
        self._change_of_prefix = self._rng.uniform(0.5, 0.6) * self.days * 24 * HOUR
        flood = self._rng.uniform(0.2, 0.8) * self.days * 24 * HOUR
        self.flood = (flood, flood + 14 * HOUR)
        # The second one soon after the first, so that the new counter comes to numbers that are still listed.
        last = self.days * self._rng.uniform(0.65, 0.8) * 24 * HOUR
        self._restarts = [
            (self.days * self._rng.uniform(0.25, 0.4) * 24 * HOUR, CHANGING),
            (last, CHANGED),
            (last + self._rng.uniform(8, 30) * HOUR, CHANGED),
        ]
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
            again = [moment for moment, name in self._restarts if name == prefix]
            while at < until:
                fast = 8 if prefix != OTHER and self.flood[0] <= at <= self.flood[1] else 1
                at += self._rng.uniform(0.3, 1.7) * pause / fast
                if again and at >= again[0]:
                    again.pop(0)
                    number = 1
                while self._rng.random() < 0.18:
                    self.skipped.add(LogName(prefix, number))
                    number += 1
                late = self._rng.choice([1, 10, 30, 50, 60]) * HOUR if self._rng.random() < 0.02 else 0 * HOUR
                if not any(at <= moment <= at + late for moment in again[:1]) and at + late < end:
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
            while self._restarts and self._began + self._restarts[0][0] <= self._coming[-1][0]:
                at = self._began + self._restarts[0][0]
                self.clock.advance(max(at - self.clock(), timedelta()))
                self._begin_again()
            at, name = self._coming.pop()
            self.clock.advance(at - self.clock())
            self._write(name)
            self._note_who_left()
        self.clock.advance(until - self.clock())
        self._note_who_left()

    def _begin_again(self) -> None:
        """Make a log configuration again: its old logs are gone at once, or stay for as long as the window."""
        _, prefix = self._restarts.pop(0)
        self.restarts.append((self.clock(), prefix))
        if self._rng.random() < 0.5:
            for name in self.repository.names():
                if name.prefix == prefix:
                    self.repository.remove(name)
        self._note_who_left()

    def lag(self) -> None:
        """Let one of the two servers lack the newest logs for now."""
        newest = sorted(self.serving.values(), key=lambda log: log.written_at)[-self._rng.randint(1, 2) :]
        self.repository.lacking = frozenset(log.listed_as for log in newest)

    def note_listed(self) -> None:
        """An index has come to us."""
        for line in self.repository.index_body.decode().split("\n")[:-1]:
            log = self.serving.get(line.strip())
            if log and log.listed_at is None:
                log.listed_at = self.clock()

    def _note_who_left(self) -> None:
        """Note which logs are not served any more, and really remove them."""
        repository = self.repository
        oldest = self.clock() - WINDOW
        for listed_as in [name for name in repository.files if self.serving[name].written_at < oldest]:
            del repository.files[listed_as]
        served = {*map(str, repository.names()), *repository.files}
        for listed_as in self.serving.keys() - served:
            log = self.serving.pop(listed_as)
            log.left_at = self.clock()
            if log.name:
                try:
                    repository.remove(log.name)
                except KeyError:
                    continue  # made again

    def _write(self, name: LogName) -> None:
        rng = self._rng
        if rng.random() < 0.03:
            self._style = Style(rng.choice(["CEF", "CEF", "LEEF", "W3C"]), rng.random() < 0.7, rng.random() < 0.6)
        style = Style("JSON", compress=False, encrypt=False) if name.prefix == OTHER else self._style
        serial = len(self.logs)
        seed, count = f"{self.seed}/{serial}", rng.randint(0 if rng.random() < 0.1 else 2, 5)
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
        ids = [request_id(event) for event in forge_events(count, seed=seed, start=start)]
        assert style.format in get_args(Format)
        listed_as = str(name) if rng.random() > 0.04 or damaged else f"waf_{name.prefix}.{serial}.log"
        if before := self.serving.pop(listed_as, None):
            before.left_at = self.clock()
            self.overwritten += 1
        log = WrittenLog(
            listed_as,
            len(content),
            hashlib.sha256(content).hexdigest(),
            Counter(enumerate(ids, first_line)),
            int(junk),
            damaged,
            self.clock(),
            overwrote=before is not None,
        )
        self.logs.append(log)
        self.serving[listed_as] = log
        if self.repository.lacking:
            # A server that lags does not have what comes after what it lacks.
            self.repository.lacking |= {listed_as}
        if log.name:
            self.repository.add(listed_as, content)
        else:
            self.repository.files[listed_as] = content
            self.skipped.add(name)

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


def request_id(event: str) -> str:
    """Return the request's id of an event in CEF."""
    match = _REQUEST_ID.search(event)
    assert match
    return match[1]
