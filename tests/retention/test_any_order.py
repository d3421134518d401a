"""Loads, replays, merges, expiry, holds, erasures in any order: sums hold, and who was erased is in no byte."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from airflow_provider_imperva.audit.explanation import explain_log
from airflow_provider_imperva.errors import HoldError
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.retention.holds import holds_in_force, lift_hold, set_hold
from tests.load.load_runs import Clock
from tests.long_form import LONG
from tests.retention.kept_account import KeptAccount, day_of
from tests.retention.test_erase import forget, merge

SEEDS = range(20 if LONG else 1)
STEPS = 14
PEOPLE = ("203.0.113.71", "203.0.113.72", "2001:db8:77::9")

Row = tuple[str, int]


@dataclass
class Model:
    """What has to be in the lake, told without looking into it.

    :ivar days: the date of each event; ``of`` whose it is.
    :ivar alive: the events that are in the lake.
    :ivar homes: the logs that were loaded together.
    """

    days: dict[Row, str] = field(default_factory=dict)
    of: dict[Row, str] = field(default_factory=dict)
    alive: set[Row] = field(default_factory=set)
    homes: list[list[str]] = field(default_factory=list)


class Play:
    """A lake, its model, and what may happen to both."""

    def __init__(self, account: KeptAccount, clock: Clock, seed: int) -> None:
        self.account = account
        self.clock = clock
        self.rng = random.Random(seed)
        self.model = Model()
        self.number = 0

    def load(self) -> None:
        logs = []
        for _ in range(self.rng.randint(1, 2)):
            self.number += 1
            people = tuple(self.rng.sample(PEOPLE, self.rng.randint(0, 2)))
            days_ago = self.rng.randint(0, 12)
            broken = self.rng.randint(0, 1)
            log = self.account.serve_day(self.number, days_ago, broken=broken, people=people)
            for position in range(len(log.events)):
                row = (log.name, position + 1 + broken)
                self.model.days[row] = f"{day_of(days_ago):%Y-%m-%d}"
                self.model.alive.add(row)
                if position < len(people):
                    self.model.of[row] = people[position]
            logs.append(log.name)
        while self.account.run() is not None:
            pass
        self.model.homes.append(logs)

    def expire(self) -> None:
        days = self.rng.randint(3, 14)
        first = f"{(self.account.clock() - timedelta(days=days)).date()}"
        holds = holds_in_force(self.account.ledger)
        gone = {
            row
            for row in self.model.alive
            if (day := self.model.days[row]) < first and not any(hold.covers(day) for hold in holds)
        }
        policy = {"events": {"access": days, "security": days}, "quarantine": days}
        self.account.expire(**policy, **({"raw": days} if self.rng.random() < 0.4 else {}))
        self.model.alive -= gone

    def replay(self) -> None:
        plan = make_replay_plan(
            self.account.ledger,
            run=self.account.next_run(),
            selection=Selection(state="all"),
            take_over=False,
            clock=self.clock,
        )
        if plan is None:
            return
        replay(self.account.ledger, self.account.keys, plan, options=NormalizeOptions(), clock=self.clock)
        for home in self.model.homes:
            if not any(self.account.record(name)["raw_removed"] for name in home):
                self.model.alive |= {row for row in self.model.days if row[0] in home}

    def compact(self) -> None:
        merge(self.account)

    def hold(self) -> None:
        first = self.rng.randint(0, 12)
        since, until = (day_of(first + self.rng.randint(0, 3)).date(), day_of(first).date())
        reference = f"CASE-{self.rng.randint(1, 3)}"
        if any(hold.reference == reference for hold in holds_in_force(self.account.ledger)):
            self.lift(reference)
        else:
            set_hold(
                self.account.ledger,
                reference=reference,
                by="a",
                why="b",
                since=since,
                until=until,
                run=self.account.maintenance_run(),
                clock=self.clock,
            )

    def lift(self, reference: str) -> None:
        run = self.account.maintenance_run()
        lift_hold(self.account.ledger, reference=reference, by="a", why="b", run=run, clock=self.clock)

    def erase(self) -> None:
        person = self.rng.choice(PEOPLE)
        try:
            forget(self.account, client_ip=person)
        except HoldError:
            assert holds_in_force(self.account.ledger)
            return
        self.model.alive -= {row for row, of in self.model.of.items() if of == person}

    def wait(self) -> None:
        self.clock.ahead += timedelta(days=self.rng.randint(1, 4))
        self.account.run()


@pytest.mark.parametrize("seed", SEEDS)
def test_sums_hold_and_who_was_erased_is_in_no_byte(tabled: KeptAccount, clock: Clock, seed: int) -> None:
    play = Play(tabled, clock, seed)
    play.load()
    steps = [play.load, play.expire, play.compact, play.replay, play.hold, play.erase, play.wait]
    for step in [*steps, *play.rng.choices(steps, k=STEPS - len(steps))]:
        step()
        assert tabled.live_rows() == Counter(play.model.alive), step.__name__
        tabled.assert_sound()
    for hold in holds_in_force(tabled.ledger):
        play.lift(hold.reference)
    play.load()
    for person in PEOPLE:
        forget(tabled, client_ip=person)
    clock.ahead += timedelta(days=8)
    tabled.serve_day(play.number + 1, 0)
    while tabled.run() is not None:
        pass
    assert [tabled.where(person) for person in PEOPLE] == [[], [], []]
    tabled.assert_sound()
    store = tabled.ledger.store
    for log in tabled.forged:
        whole = explain_log(store, tabled.repository.name, log, thorough=True)
        assert explain_log(store, tabled.repository.name, log) == whole
