"""A lake of two repositories with all that can happen to a log in it, loaded over seven days in a few seconds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.records import Commit, Plan
from airflow_provider_imperva.load.fetch import Fetched
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import FakeRepository, Fault, KeyPair, VirtualClock
from airflow_provider_imperva.testing.forge import forge_events, forge_log
from tests.load.load_runs import Account

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPAN = HOUR
"""Time one log covers here."""


@dataclass
class TimedAccount(Account):
    """An account whose logs, runs and files have the times of a virtual clock."""

    clock: VirtualClock = field(default_factory=lambda: VirtualClock(BEGIN))
    options: PlanOptions = field(default_factory=lambda: PlanOptions(window_bytes=None))
    next_number: int = 1

    def write_logs(self, count: int, *, key: KeyPair | None, skip: Iterable[int] = (), events: int = 30) -> None:
        """Write the logs of the time that has just passed."""
        start = self.clock() - count * SPAN
        for position in range(count):
            number, self.next_number = self.next_number, self.next_number + 1
            if number in skip:
                continue
            begin = int((start + position * SPAN).timestamp() * 1000)
            busy = events // 2 + events * ((begin // 3_600_000 - 6) % 24) // 24
            lines = forge_events(busy, seed=number, start=begin, span_ms=3_600_000, security_share=0.2)
            self.add(number, "".join(f"{line}\n" for line in lines).encode(), key=key)

    def add(self, number: int, body: bytes, *, key: KeyPair | None = None, cut: int | None = None) -> None:
        end = int(self.clock().timestamp() * 1000)
        content = forge_log(body, start=end - 3_600_000, end=end, key=key)
        self.repository.add(f"{self.prefix}_{number}.log", content[:cut])

    @property
    def prefix(self) -> str:
        return self.repository.name.split("_")[0]

    def fetch(self, plan: Plan, batch: int = 0) -> Fetched:
        fetched = super().fetch(plan, batch)
        now = self.clock().timestamp()
        for log in plan.batches[batch]:
            for path in self.lake.glob(f"raw/repository={self.repository.name}/**/{log.name}"):
                os.utime(path, (now, now))
        return fetched


def make_eventful_lake(lake: Path) -> None:
    """Load two repositories over seven days; all times are made up, so that each lake is like the other."""
    right, wrong, later = (KeyPair.generate(key_id) for key_id in ("1", "1", "2"))
    clock = VirtualClock(BEGIN)
    with ExitStack() as stack:
        repository, other = (
            stack.enter_context(FakeRepository(name=name, window=48 * HOUR, clock=clock))
            for name in ("8416_1745073", "9001_1745073")
        )
        account = TimedAccount(repository, lake, clock=clock, next_number=101)
        beside = TimedAccount(other, lake, clock=clock, next_number=7)
        _first_days(account, beside, right=right, wrong=wrong)
        # Nobody looks for longer than the window.
        for _ in range(14):
            clock.advance(4 * HOUR)
            account.write_logs(4, key=right, skip={account.next_number + 1})
        account.run()
        _last_days(account, beside, right=right, later=later)


def make_small_lake(lake: Path) -> None:
    """Load one repository in four runs, with a gap, a log and a line in quarantine; then replay all."""
    with FakeRepository() as repository:
        right, other = KeyPair.generate(), KeyPair.generate()
        keys = KeyRing({"1": right.private_key})
        account = Account(repository, lake, keys=keys, options=PlanOptions(logs_per_batch=2))
        account.serve(1, 2, 3, 5)
        account.run_some()
        account.serve(6, 7)
        repository.add("8416_8.log", forge_log(b"CEF:0|Incapsula|no event\n"))
        account.run_some()
        repository.add("8416_9.log", forge_log(b"", key=other))
        account.run_some()
        account.serve(10, 11)
        account.run_some()
        replay_all(account, Selection.of(sequences=["8416:6-7"]))


def _first_days(account: TimedAccount, beside: TimedAccount, *, right: KeyPair, wrong: KeyPair) -> None:
    account.keys = KeyRing({"1": right.private_key})
    for round_ in range(12):
        account.clock.advance(4 * HOUR)
        account.write_logs(4, key=right, skip={108, 109, 123, 140})
        beside.write_logs(1, key=None, events=8)
        if round_ == 3:
            account.add(account.next_number, b"CEF:0|Incapsula|cut", key=right, cut=300)
            account.next_number += 1
        if round_ == 5:
            lines = [*forge_events(12, start=int(account.clock().timestamp() * 1000)), "CEF:0|Incapsula|no event", ""]
            account.add(account.next_number, "\n".join(lines).encode(), key=right)
            account.next_number += 1
        if round_ == 6:
            account.keys = KeyRing({"1": wrong.private_key})
        account.run()
        beside.run()
        if round_ == 6:
            account.keys = KeyRing({"1": right.private_key})
            account.clock.advance(HOUR / 2)
            replay_all(account, Selection(state="quarantined"))
        if round_ == 9:
            account.write_logs(3, key=right)
            plan = account.plan()
            for number in (account.next_number - 3, account.next_number - 2):
                account.repository.remove(f"8416_{number}.log")
            account.clock.advance(HOUR / 3)
            account.finish(plan)


def _last_days(account: TimedAccount, beside: TimedAccount, *, right: KeyPair, later: KeyPair) -> None:
    for round_ in range(14):
        account.clock.advance(4 * HOUR)
        skip = {} if 0 < round_ < 10 else {account.next_number + 2}
        account.write_logs(4, key=right if round_ < 12 else later, skip=skip)
        beside.write_logs(2, key=None, events=8)
        if round_ == 13:
            account.repository.fail(f"8416_{account.next_number - 4}.log", *[Fault(status=500)] * 4)
        account.run()
        beside.run()


def replay_all(account: Account, selection: Selection, *, options: NormalizeOptions | None = None) -> Commit:
    plan = make_replay_plan(
        account.ledger, run=account.next_run(), selection=selection, take_over=True, clock=account.clock
    )
    assert plan is not None
    return replay(account.ledger, account.keys, plan, options=options or NormalizeOptions(), clock=account.clock)
