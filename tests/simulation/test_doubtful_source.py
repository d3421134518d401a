"""Weeks of a source that is not to be believed: counters begin again, names change, and one server lags.

Runs are far closer together than the window is long, so not one event may be lost, and no run may be green in which one
was. ``IMPERVA_SIMULATION_SEEDS=10`` tries ten seeds of thirty days; by default it is one of ten days.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import LOST
from airflow_provider_imperva.testing import FakeRepository, Fault, VirtualClock
from airflow_provider_imperva.testing.forge import forge_repository
from tests.load.load_runs import Account, request_id
from tests.simulation.simulated_workers import Disk, WorkerStore
from tests.simulation.test_simulation import LONG, seeds

HOUR = timedelta(hours=1)
WINDOW = 48 * HOUR
DAYS = 30 if LONG else 10
PREFIXES = ("8416", "9001")


@dataclass
class Source:
    """Imperva's side: what is written, and every event in it."""

    repository: FakeRepository
    clock: VirtualClock
    rng: random.Random
    events: Counter[str] = field(default_factory=Counter)
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PREFIXES, 1))
    restarts: int = 0
    overwritten: int = 0
    unknown: int = 0
    _written: int = 0
    _kept: set[str] = field(default_factory=set)
    _mixed_until: datetime | None = None
    _newest: dict[str, list[str]] = field(default_factory=lambda: {prefix: [] for prefix in PREFIXES})

    def write(self, *, prefix: str | None = None) -> None:
        """Write a log: under the next number, after a number left out, or now and then under a name of another form."""
        self._written += 1
        prefix = prefix or self.rng.choice(PREFIXES)
        self.counters[prefix] += self.rng.random() < 0.15
        number = self.counters[prefix]
        (log,) = forge_repository(1, prefix=prefix, first=number, events_per_log=3, seed=self._written)
        self.events.update(map(request_id, log.events))
        if self.rng.random() < 0.05:
            self.unknown += 1
            self.repository.files[f"waf_{prefix}.{self._written}.log"] = log.content
            return
        # After a restart old logs may still be there when the counter comes to their numbers.
        self.overwritten += log.name in self._kept
        self.repository.add(log.name, log.content)
        self._newest[prefix].append(log.name)
        self.counters[prefix] += 1

    def begin_again(self) -> None:
        """Make a log configuration anew: old logs are gone at once, or stay for as long as the window."""
        self.restarts += 1
        prefix = self.rng.choice(PREFIXES)
        if self.rng.random() < 0.5:
            for name in self.repository.names():
                if name.prefix == prefix:
                    self.repository.remove(name)
        else:
            self._kept |= set(map(str, self.repository.names()))
            self._mixed_until = self.clock() + WINDOW
        self.counters[prefix] = 1
        self._newest[prefix].clear()
        for _ in range(self.rng.randint(1, 4)):
            self.write(prefix=prefix)

    def lag(self) -> None:
        """Answer as a server does that has the newest logs of a prefix not yet."""
        newest = self._newest[self.rng.choice(PREFIXES)]
        # Among old logs that are still listed, a new one that is not cannot be told from one that is gone.
        if len(newest) < 4 or (self._mixed_until and self.clock() < self._mixed_until):
            return
        lacking = newest[-self.rng.randint(1, 2) :]
        listed = [str(name) for name in self.repository.names() if str(name) not in lacking]
        self.repository.index = "\n".join([*listed, *self.repository.files, ""]).encode()
        for name in lacking:
            self.repository.fail(name, Fault(status=404))

    def catch_up(self) -> None:
        self.repository.index = None


@dataclass
class Runs:
    """Our side: runs, and what each of them told."""

    account: Account
    source: Source
    commits: list[Commit] = field(default_factory=list)

    def run(self, *, lags: str | None = None) -> None:
        if lags == "plan":
            self.source.lag()
        plan = self.account.plan_if_any()
        self.source.catch_up()
        if plan is None:
            return
        if lags == "fetch":
            self.source.lag()
        self.commits.append(self.account.finish(plan))
        self.source.catch_up()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", seeds(), ids="seed-{}".format)
def test_nothing_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    clock = VirtualClock()
    rng = random.Random(f"{seed}/doubtful")
    with FakeRepository(window=WINDOW, clock=clock) as repository:
        account = Account(repository, tmp_path, clock=clock)
        account.ledger = Ledger(WorkerStore(Disk(open_store(str(tmp_path)), clock)), repository.name)
        source = Source(repository, clock, rng)
        runs = Runs(account, source)
        for _ in range(5):
            source.write()
        runs.run()
        end = clock() + timedelta(days=DAYS)
        restarts = sorted(clock() + timedelta(days=DAYS) * part for part in (0.2, 0.45, 0.8))
        while clock() < end:
            if restarts and restarts[0] <= clock():
                restarts.pop(0)
                # All that was there is loaded, or else it would be overwritten before anybody could have it.
                runs.run()
                runs.run()
                source.begin_again()
            elif rng.random() < 0.7:
                source.write()
            runs.run(lags=rng.choice([None, None, "plan", "fetch"]))
            clock.advance(rng.uniform(0.2, 3) * HOUR)
        for _ in range(4):
            clock.advance(2 * HOUR)
            runs.run()
        read = f"SELECT request_id FROM read_parquet('{tmp_path}/events/repository=*/**/*.parquet')"
        found = Counter(request for (request,) in duckdb.execute(read).fetchall())
        assert found - source.events == Counter(), "doubled, or made up"
        assert source.events - found == Counter(), "lost"
        told = [restart for commit in runs.commits for restart in commit.restarts]
        assert source.restarts == 3
        assert len(told) >= source.restarts, "each is told"
        assert len(told) <= source.restarts + source.overwritten, "and nothing is taken for one but other bytes"
        assert source.unknown > 0
        rows = [row for commit in runs.commits for row in account.ledger.logs(commit.commit).to_pylist()]
        lost = [row["reason_code"] for row in rows if row["state"] in LOST]
        # All of it is there. But a log that was not fetched when its counter began again may be another one than what
        # comes under its name; and among old logs that are still listed, one that a lagging server lacks looks gone.
        assert len(lost) <= source.restarts, "hardly anything that came was reported as lost"
        assert not verify_lake(account.ledger.store, at=clock()).repositories[0].findings
