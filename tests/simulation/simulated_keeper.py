"""Who keeps the lake in the simulation: merges quiet days and lets old ones go, holds some, erases, destroys a key.

What is in the lake before and after each of these is read by DuckDB, and what left is held against the rule.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb

from airflow_provider_imperva.container.decode import decode
from airflow_provider_imperva.errors import ContainerError, DestroyedKeyError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.load.compact import compact
from airflow_provider_imperva.options import CompactionOptions
from airflow_provider_imperva.retention.destroy import destroy_key
from airflow_provider_imperva.retention.erase import erase
from airflow_provider_imperva.retention.expire import expire
from airflow_provider_imperva.retention.holds import lift_hold, set_hold
from airflow_provider_imperva.retention.policy import RetentionPolicy
from airflow_provider_imperva.retention.subject import Subject
from airflow_provider_imperva.table.settle import settle
from airflow_provider_imperva.testing import VirtualClock
from tests.retention.kept_account import texts_of
from tests.simulation.simulated_imperva import HOUR, Event, Imperva
from tests.simulation.simulated_sender import REPOSITORY as SENT

_HOLD = "CASE-7"
_CLASSES = ("access", "security", "attack_analytics", "other")


Line = tuple[str, str, bool]
"""A row in quarantine: repository, file, and whether it stands for the whole log."""


class Row(NamedTuple):
    """An event in the lake."""

    repository: str
    file: str
    sequence: int
    line: int
    request: str
    day: date
    address: str | None


@dataclass
class Keeper:
    """Keeps a lake of two repositories.

    :ivar days: how long events, bytes and quarantine are kept.
    :ivar gone: events that left on purpose, by repository, file and its number.
    :ivar gone_lines: lines that left quarantine, by repository and file.
    """

    lake: Path
    clock: VirtualClock
    ledger: Callable[[bool], Ledger]
    imperva: Imperva
    hold_from: datetime
    hold_until: datetime
    days: int
    gone: dict[tuple[str, str, int], Counter[Event]] = field(default_factory=dict)
    gone_lines: Counter[Line] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    _next: datetime | None = None
    _held: dict[str, tuple[date, date]] = field(default_factory=dict)
    _runs: int = 0

    def keep(self) -> None:
        """Do what is to be done by now; no run is under way."""
        self._next = self._next or self.clock() + 24 * HOUR
        if self.clock() < self._next:
            return
        self._next = self.clock() + 24 * HOUR
        rows, lines = self.rows(), self.lines()
        for pushed in (False, True):
            ledger = self.ledger(pushed)
            self._hold_or_lift(ledger)
            commits = list(
                compact(ledger, run=self._run(), options=CompactionOptions(quiet=6 * HOUR), clock=self.clock)
            )
            self.counts["parts merged"] += sum(len(commit.removed) for commit in commits)
            assert (self.rows(), self.lines()) == (rows, lines), "a compaction changed what is in the lake"
            rows, lines = self._expire(ledger, rows, lines)

    def _expire(self, ledger: Ledger, rows: Counter[Row], lines: Counter[Line]) -> tuple[Counter[Row], Counter[Line]]:
        """Let go what is old, see that it is what the rule says, and return what is left."""
        # Some bytes of the month that is over are there when its key is destroyed.
        policy = RetentionPolicy(raw=self.days + 2, events=dict.fromkeys(_CLASSES, self.days), quarantine=self.days)
        expire(ledger, policy, run=self._run(), clock=self.clock)
        self._delete_removed(ledger)
        first = self.clock().date() - timedelta(days=self.days)
        own = ledger.layout.repository
        since, until = self._held.get(own, (date.max, date.min))
        due = Counter(
            {
                row: count
                for row, count in rows.items()
                if row.repository == own and row.day < first and not since <= row.day <= until
            }
        )
        left, left_lines = self.rows(), self.lines()
        gone = rows - left
        assert gone == due, f"too many left: {gone - due}; too few: {due - gone}"
        self._note(gone)
        self._note_lines(lines, left_lines)
        return left, left_lines

    def _delete_removed(self, ledger: Ledger) -> None:
        if head := ledger.head().commit:
            settle(ledger, head, run=self._run(), clock=self.clock)

    def _hold_or_lift(self, ledger: Ledger) -> None:
        wanted, own = self.hold_from <= self.clock() < self.hold_until, ledger.layout.repository
        if wanted and own not in self._held and ledger.head().commit:
            today = self.clock().date()
            since, until = today - timedelta(days=self.days), today - timedelta(days=self.days - 2)
            set_hold(
                ledger, reference=_HOLD, by="a", why="b", since=since, until=until, run=self._run(), clock=self.clock
            )
            self._held[own] = since, until
            self.counts["hold set"] += 1
        if not wanted and own in self._held:
            del self._held[own]
            lift_hold(ledger, reference=_HOLD, by="a", why="b", run=self._run(), clock=self.clock)
            self.counts["hold lifted"] += 1

    def erase_somebody(self) -> str:
        """Erase the address that is in most events, of both repositories; return it."""
        before = self.rows()
        address = Counter(row.address for row in before.elements() if row.address).most_common(1)[0][0]
        for pushed in (False, True):
            lines = self.lines()
            ledger = self.ledger(pushed)
            erase(
                ledger,
                Subject(client_ip=address),
                keys=self.imperva.key_ring,
                by="dpo@example.com",
                why="article 17",
                reference="DSR-1",
                run=self._run(),
                clock=self.clock,
            )
            self._note_lines(lines, self.lines())
            self._delete_removed(ledger)
        gone = before - self.rows()
        assert gone.total() > 0
        assert gone == Counter({row: n for row, n in before.items() if row.address == address})
        self._note(gone)
        self.counts["events erased"] += gone.total()
        return address

    def destroy_keys(self, month: str) -> None:
        """Destroy the data keys of a month, and see that nobody can read what they encrypted; rows stay."""
        rows, lines = self.rows(), self.lines()
        for pushed in (False, True):
            ledger = self.ledger(pushed)
            if ledger.raw.keys.record(month) is None:
                continue
            destroy_key(
                ledger, month, by="dpo@example.com", why="art. 17", reference="DSR-2", run=self._run(), clock=self.clock
            )
            self.counts["keys destroyed"] += 1
            for path in self.lake.glob(f"raw/repository={ledger.layout.repository}/*/*/*"):
                self.counts["objects nobody can read"] += self._is_unreadable(str(path.relative_to(self.lake)), pushed)
        assert (self.rows(), self.lines()) == (rows, lines)

    def _is_unreadable(self, path: str, pushed: bool) -> bool:
        try:
            self._bytes_of(path, pushed)
        except DestroyedKeyError:
            return True
        return False

    def _bytes_of(self, path: str, pushed: bool) -> bytes:
        with self.ledger(pushed).raw.open(path) as file:
            return file.read()

    def _texts(self, path: Path) -> Iterator[bytes]:
        """Yield what is in an object as it lies there, and in what was encrypted there."""
        yield from texts_of(path, self.imperva.key_ring)
        name = str(path.relative_to(self.lake))
        if name.startswith("raw/"):
            with suppress(ContainerError, DestroyedKeyError):
                content = self._bytes_of(name, f"repository={SENT}/" in name)
                yield decode(content, log=path.name, keys=self.imperva.key_ring).body

    def where(self, value: str) -> list[str]:
        """The objects of raw/, events/ and quarantine/ that hold a value, whatever they are packed in."""
        trees = (path for tree in ("raw", "events", "quarantine") for path in (self.lake / tree).rglob("*"))
        # Not as a part of a longer address.
        whole = re.compile(rb"(?<![\d.])" + re.escape(value.encode()) + rb"(?!\d)")
        return [str(path) for path in trees if path.is_file() and any(map(whole.search, self._texts(path)))]

    def rows(self) -> Counter[Row]:
        """All that is in events/."""
        columns = "repository, src_file, src_seq, src_line, request_id, event_date, client_ip"
        return Counter(Row(*row) for row in self._read("events", columns))

    def lines(self) -> Counter[Line]:
        """All that is in quarantine/."""
        return Counter(self._read("quarantine", "repository, src_file, src_line IS NULL"))

    def _read(self, tree: str, columns: str) -> Iterator[tuple]:  # type: ignore[type-arg]
        """Read what the commits say that the lake is made of: what a dead task left is not part of it."""
        live: set[str] = set()
        for path in sorted(self.lake.glob("ledger/*/*/*.commit.json")):
            commit = json.loads(path.read_bytes())
            live -= {part["path"] for part in commit.get("removed", ())}
            live |= {part["path"] for part in commit["parts"]}
        files = [str(self.lake / path) for path in sorted(live) if path.startswith(f"{tree}/")]
        if files:
            yield from duckdb.execute(
                f"SELECT {columns} FROM read_parquet(?, hive_partitioning=true)", [files]
            ).fetchall()

    def _note(self, gone: Counter[Row]) -> None:
        for row in gone.elements():
            self.gone.setdefault((row.repository, row.file, row.sequence), Counter())[row.line, row.request] += 1
        self.counts["events gone"] += gone.total()

    def _note_lines(self, before: Counter[Line], after: Counter[Line]) -> None:
        assert not after - before
        self.gone_lines += before - after

    def _run(self) -> Run:
        self._runs += 1
        return Run("imperva_keeping", f"{self._runs}")
