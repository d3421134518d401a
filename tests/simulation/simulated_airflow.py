"""Airflow's side of the simulation: runs, tasks and their tries, as the operators do them."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Plan, Run
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.options import DecodePolicy, PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing.faults import CALM
from tests.simulation.simulated_imperva import BYTE_CAP, HOUR, MINUTE, WINDOW, Imperva
from tests.simulation.simulated_weather import cuts_the_index, draw_storm, nobody_answers
from tests.simulation.simulated_workers import Disk, Fate, FateKind, Hung, Killed, WorkerStore, run_until_it_hangs

TRIES = (1, 2)
"""How often a task is tried; a task that has only one try leaves more behind."""
OPTIONS = NormalizeOptions(policy=DecodePolicy(clear_checksum="quarantine"))
"""A checksum counts in clear logs too, or else a body that was cut unseen would pass for whole."""

Steps = Iterator[None]
Task = Callable[[Ledger, RepositoryClient], Any]


class TaskFailedError(Exception):
    """All tries of a task are used up."""


@dataclass
class CalmRun:
    """A run that nothing disturbed: what was served from its begin to its end must be in the lake."""

    began: datetime
    ended: datetime


@dataclass
class Airflow:
    """Runs the DAG now and then, in fair weather and foul, loses its database, and loses workers."""

    imperva: Imperva
    disk: Disk
    rng: random.Random
    calm: bool = False
    calm_runs: list[CalmRun] = field(default_factory=list)
    cut_indexes: list[tuple[datetime, datetime]] = field(default_factory=list)
    hung: list[tuple[int, Hung]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _turns: int = 0

    @property
    def ledger(self) -> Ledger:
        return Ledger(WorkerStore(self.disk), self.imperva.repository.name)

    def live(self, until: datetime, *, outages: list[tuple[datetime, datetime, str]], losses: list[datetime]) -> None:
        """Run until a time. In an outage nobody runs, or nobody answers; at a loss the database is gone."""
        imperva = self.imperva
        while imperva.clock() < until:
            outage = next((item for item in outages if item[0] <= imperva.clock() < item[1]), None)
            loss = bool(losses) and losses[0] <= imperva.clock()
            if outage and outage[2] == "we are down":
                imperva.advance(outage[1] - imperva.clock())
                continue
            if outage:
                self._outage_turn(outage[2])
            elif loss:
                losses.pop(0)
                self._storm_turn(abandon=True)
            elif self.rng.random() < 0.6:
                self.calm_turn()
            else:
                self._storm_turn(abandon=self.rng.random() < 0.1)
            pause = self.rng.uniform(20, 130) * MINUTE
            if outage:
                pause = min(self.rng.uniform(2, 8) * HOUR, outage[1] - imperva.clock())
            imperva.advance(max(pause, timedelta()))

    def calm_turn(self) -> None:
        """One run that nothing disturbs leaves nothing open that was listed when it began."""
        self.calm = True
        self._wake(all_of_them=False)
        imperva = self.imperva
        began, listed = imperva.clock(), imperva.served()
        imperva.repository.script = CALM
        for _ in self._dag_run("scheduled"):
            pass
        self.calm_runs.append(CalmRun(began, imperva.clock()))
        head = self.ledger.head()
        assert head.plan is None, "a run that nothing disturbed left a plan without a commit"
        for name in listed:
            prefix = head.prefixes[name.prefix]
            assert name.sequence <= prefix.highest, f"{name} is listed, and unknown after a run that nothing disturbed"
            state = next((item.state for item in prefix.open if item.first <= name.sequence <= item.last), None)
            at_hand = self.disk.store.exists(self.ledger.layout.raw(name))
            assert state is None or at_hand, f"{name} is {state} after a run that nothing disturbed"
        self._count("calm run")

    def _outage_turn(self, kind: str) -> None:
        self.calm = False
        if kind == "no connection":
            self.imperva.repository.stop()
        else:
            self.imperva.repository.script = nobody_answers()
        self._drive([self._dag_run("scheduled")])
        if kind == "no connection":
            self.imperva.repository.start()
        self._count(f"run while {kind}")

    def _storm_turn(self, *, abandon: bool) -> None:
        self.calm = False
        self._wake(all_of_them=False)
        self.imperva.repository.script = storm = draw_storm(self.rng)
        began = self.imperva.clock()
        runs = [self._dag_run("scheduled")]
        if self.rng.random() < 0.2:
            runs.append(self._dag_run("manual"))
            self._count("two runs at once")
        self._drive(runs, steps=self.rng.randint(1, 8) if abandon else None)
        if cuts_the_index(storm):
            self.cut_indexes.append((began, self.imperva.clock()))
        self._count("abandoned run" if abandon else "run in a storm")

    def _drive(self, runs: list[Steps], *, steps: int | None = None) -> None:
        """Go on with one of the runs or another, step by step, to the end of all or for so many steps."""
        while runs and steps != 0:
            run = self.rng.choice(runs)
            try:
                next(run)
            except (StopIteration, TaskFailedError):
                runs.remove(run)
            self.imperva.advance(self.rng.uniform(0, 3) * MINUTE)
            if self.rng.random() < 0.05:
                self._wake(all_of_them=False)
            steps = steps - 1 if steps is not None else None

    def _wake(self, *, all_of_them: bool) -> None:
        """Let workers go on that hung until now."""
        due = [item for item in self.hung if all_of_them or item[0] <= self._turns]
        self._turns += 1
        for item in due:
            self.hung.remove(item)
            outcome = item[1].wake()
            if outcome is not None and not isinstance(outcome, ImpervaError):
                raise outcome
            self._count("zombie")

    def wake_all(self) -> None:
        """Let every worker go on that hangs."""
        self._wake(all_of_them=True)

    def _dag_run(self, kind: str) -> Steps:
        """Plan, fetch and normalize each batch, commit; a step is what may be the last before something happens."""
        run = Run("imperva_logs_to_parquet", f"{kind}__{self.imperva.clock().isoformat()}")
        key_ids = self.imperva.key_ring.ids
        clock = self.imperva.clock
        options = PlanOptions(window=WINDOW, window_bytes=BYTE_CAP, logs_per_batch=self.rng.choice([5, 20, None]))
        plan = yield from self._task(
            lambda ledger, client: make_plan(ledger, client, run=run, key_ids=key_ids, options=options, clock=clock)
        )
        if plan is None:
            return
        for batch in range(len(plan.batches)):
            try:
                yield from self._batch(plan, batch)
            except TaskFailedError:
                continue  # the commit comes whatever became of the batches
        yield from self._task(lambda ledger, _: commit_plan(ledger, plan, by=run, provider_version="0.0.0", at=clock()))

    def _batch(self, plan: Plan, batch: int) -> Steps:
        # One request at a time, so that the same seed gives the same order of things.
        fetched = yield from self._task(
            lambda ledger, client: fetch(
                ledger, client, plan, batch, max_concurrency=1, window=WINDOW, clock=self.imperva.clock
            ),
            again=lambda fetched: bool(fetched.unavailable),
        )
        keys = self.imperva.key_ring
        yield from self._task(lambda ledger, client: normalize(ledger, client, keys, plan, fetched, options=OPTIONS))

    def _task(self, task: Task, *, again: Callable[[Any], bool] = lambda _: False) -> Generator[None, None, Any]:
        """Do a task in as many tries as it has; return what it returned."""
        tries = 2 if self.calm else self.rng.choice(TRIES)
        for attempt in range(1, tries + 1):
            yield
            fate = self._draw_fate()
            store = WorkerStore(self.disk, fate)
            ledger = Ledger(store, self.imperva.repository.name)
            results: list[Any] = []

            def work(ledger: Ledger = ledger, results: list[Any] = results) -> None:
                with self._client() as client:
                    results.append(task(ledger, client))

            try:
                if fate and fate.kind == "hangs":
                    self._work_until_it_hangs(store, work)
                else:
                    work()
            except (Killed, OSError, ImpervaError) as error:
                if self.calm:
                    raise AssertionError("a task failed in a run that nothing disturbed") from error
                self._count(f"task ended by {type(error).__name__}")
            if results and not (again(results[0]) and attempt < tries):
                return results[0]
        raise TaskFailedError

    def _work_until_it_hangs(self, store: WorkerStore, work: Callable[[], None]) -> None:
        hung = run_until_it_hangs(store, work)
        if hung:
            # Some sleep for longer than commits look back for what they may have written.
            self.hung.append((self._turns + self.rng.choice([0, 1, 3, 10, 15]), hung))

    def _draw_fate(self) -> Fate | None:
        if self.calm or self.rng.random() > 0.2:
            return None
        kinds: list[FateKind] = ["dies", "dies", "hangs", "hangs", "loses the answer"]
        return Fate(self.rng.choice(kinds), self.rng.choice([1, 1, 2, 2, 3, 4, 6, 9]), after=self.rng.random() < 0.5)

    @contextmanager
    def _client(self) -> Iterator[RepositoryClient]:
        repository = self.imperva.repository
        with RepositoryClient(
            url=repository.url,
            login=repository.login,
            password=repository.password,
            read_timeout=1 if not self.calm else 20,
            attempts=2,
            sleep=lambda _: None,
        ) as client:
            yield client

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def was_at_hand(name: LogName, imperva: Imperva, calm_runs: list[CalmRun]) -> bool:
    """Whether a log was served all through a run that nothing disturbed."""
    log = imperva.logs[name]
    return any(log.written_at <= run.began and (log.left_at is None or run.ended < log.left_at) for run in calm_runs)
