"""Who delivers logs to a folder, and the truth about every event in them.

Some files come whole, some under the name of an upload under way that is changed at the end, some grow in place while
they are looked at, with rests in between. What is under a path may be replaced by something else.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import fsspec

from airflow_provider_imperva.delivery.folder import SETTLED, DeliveryFolder
from airflow_provider_imperva.testing import VirtualClock, forge_events, forge_log, write_body
from airflow_provider_imperva.testing.formats import Format
from tests.simulation.simulated_imperva import HOUR, MINUTE, Event, request_id

REPOSITORY = "pushed"

PAUSE = 5 * HOUR
"""Between two files, on average."""


@dataclass(eq=False)
class SentFile:
    """A file that was delivered.

    :ivar sha256: of its bytes once it was whole, which was at ``whole_at``.
    :ivar left_at: when something else took its place.
    """

    path: str
    size: int
    sha256: str
    events: Counter[Event]
    whole_at: datetime
    left_at: datetime | None = None


@dataclass
class Sender:
    """Delivers files as time passes."""

    seed: str
    clock: VirtualClock
    folder: Path
    files: list[SentFile] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}/sender")
        self._next = self.clock()
        self._coming: list[tuple[datetime, int, Callable[[], object]]] = []
        self._turn = 0
        self.folder.mkdir()

    def catch_up(self) -> None:
        """Do all that was to be done by now."""
        while self._next <= self.clock():
            self._send(self._next)
            self._next += self._rng.uniform(0.2, 1.8) * PAUSE
        while self._coming and self._coming[0][0] <= self.clock():
            _, _, act = self._coming.pop(0)
            act()

    @contextmanager
    def open(self) -> Iterator[DeliveryFolder]:
        """Open the folder as a run does."""
        self.catch_up()
        fs = fsspec.filesystem("file")
        with DeliveryFolder(
            lambda: fs, str(self.folder), in_bucket=False, url="file:///inbox/", clock=self.clock, settled=SETTLED
        ) as folder:
            yield folder

    def _send(self, at: datetime) -> None:
        rng = self._rng
        serial = len(self.files)
        kind: Format = rng.choice(["CEF", "LEEF", "W3C", "JSON", "JSON"])
        count, seed = rng.randint(4, 9), f"{self.seed}/sent/{serial}"
        start = int(at.timestamp() * 1000) - 600_000
        body = write_body(kind, forge_events(count, seed=seed, start=start, format=kind))
        content = forge_log(body, format=kind, start=start, end=start + 300_000, header=kind != "JSON", compress=False)
        if rng.random() < 0.25:
            content = gzip.compress(content, mtime=0)
        ids = [request_id(event) for event in forge_events(count, seed=seed, start=start)]
        first_line = 4 if kind == "W3C" else 1
        earlier = [file for file in self.files if file.left_at is None and file.whole_at < at - 12 * HOUR]
        path = f"day {at:%d}/{serial}.log"
        if earlier and rng.random() < 0.05:
            replaced = rng.choice(earlier)
            path, replaced.left_at = replaced.path, at
            self.counts["replaced"] += 1
        how = rng.choice(["whole", "renamed", "grows", "grows"])
        self.counts[how] += 1
        sent = SentFile(
            path, len(content), hashlib.sha256(content).hexdigest(), Counter(enumerate(ids, first_line)), at
        )
        self.files.append(sent)
        if how == "grows":
            sizes = sorted(rng.randrange(1, len(content)) for _ in range(rng.randint(1, 3)))
            if kind == "JSON" and rng.random() < 0.5 and content.count(b"\n") > 1:
                # At the end of a line nobody can tell that there is more to come.
                sizes[-1] = content.index(b"\n", sizes[-1] % content.rindex(b"\n", 0, -1)) + 1
            for size in sorted(sizes):
                self._at(at, lambda size=size, at=at: self._put(path, content[:size], at=at))  # type: ignore[misc]
                at += rng.choice([2 * MINUTE, 30 * MINUTE, 3 * HOUR, 9 * HOUR])
        elif how == "renamed":
            under_way = path + rng.choice([".part", ".filepart", ".tmp", "~"])
            self._at(at, lambda at=at: self._put(under_way, content[: len(content) // 2], at=at))  # type: ignore[misc]
            at += rng.choice([2 * MINUTE, 40 * MINUTE])
            self._at(at, lambda: (self.folder / under_way).replace(self._made(path)))
        sent.whole_at = at
        self._at(at, lambda: self._put(path, content, at=at))

    def _at(self, at: datetime, act: Callable[[], object]) -> None:
        self._turn += 1
        self._coming.append((at, self._turn, act))
        self._coming.sort(key=lambda item: item[:2])

    def _made(self, path: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        return target

    def _put(self, path: str, content: bytes, *, at: datetime) -> None:
        target = self._made(path)
        target.write_bytes(content)
        os.utime(target, (at.timestamp(), at.timestamp()))

    def due(self, planned_at: datetime) -> list[SentFile]:
        """What has been whole for so long that a run must have seen it."""
        return [file for file in self.files if file.whole_at < planned_at - 24 * HOUR and file.left_at is None]

    def check_events(self, rows: dict[tuple[str, int], Counter[Event]]) -> None:
        """What is in the lake is what was sent, as multisets, file by file."""
        sent = {request: file for file in self.files for _, request in file.events}
        found: dict[SentFile, tuple[str, int]] = {}
        for where, events in rows.items():
            file = sent[next(iter(events))[1]]
            assert file not in found, f"{file} is in the lake twice, as {found[file]} and {where}"
            found[file] = where
            assert events == file.events, f"{where}: {events - file.events} too many, {file.events - events} missing"
            assert where[0] == file.path
        end = self.clock() - timedelta(hours=24)
        missing = [file for file in self.files if file not in found and file.whole_at < end and file.left_at is None]
        assert not missing, f"not in the lake: {missing}"

    def summary(self, commits: int) -> str:
        """Tell what was sent."""
        how = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return f"{len(self.files)} files delivered ({how}); {commits} commits of them"
