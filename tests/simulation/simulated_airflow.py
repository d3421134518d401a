"""Airflow's side of the simulation: runs, tasks and their tries, as the operators do them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.complaints import left_behind
from airflow_provider_imperva.lake.data_keys import MasterKeys
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.quarantine import too_much
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.records import Plan, Run
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.load.delivered import DeliveredLogs
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.load.pulled import PulledLogs
from airflow_provider_imperva.options import DecodePolicy, PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing.faults import CALM
from tests.simulation.simulated_imperva import BYTE_CAP, HOUR, MINUTE, WINDOW, Imperva, WrittenLog
from tests.simulation.simulated_sender import REPOSITORY, Sender
from tests.simulation.simulated_weather import cuts_the_index, draw_storm, nobody_answers
from tests.simulation.simulated_workers import Disk, Fate, FateKind, Hung, Killed, WorkerStore, run_until_it_hangs

TRIES = (1, 2)
"""How often a task is tried; a task that has only one try leaves more behind."""
OPTIONS = NormalizeOptions(policy=DecodePolicy(clear_checksum="quarantine"))
"""A checksum counts in clear logs too, or else a body that was cut unseen would pass for whole."""

Steps = Iterator[None]
Task = Callable[[Ledger, LogOrigin], Any]

PULL_OPTIONS = PlanOptions(window=WINDOW, window_bytes=BYTE_CAP)
PUSH_OPTIONS = PlanOptions(window=WINDOW, window_bytes=None, account_group=REPOSITORY)
SHARE = 0.01
"""Of a commit's lines in quarantine, above which a run is red."""


class TaskFailedError(Exception):
    """All tries of a task are used up."""


@dataclass
class CalmRun:
    """A run that nothing disturbed: what was served from its begin to its end must be in the lake."""

    began: datetime
    ended: datetime


_ENCRYPTION_ADDS = 80
"""Bytes that an encrypted object of one chunk has more than what was received."""


@dataclass
class Airflow:
    """Runs the DAG now and then, in fair weather and foul, loses its database, and loses workers."""

    imperva: Imperva
    sender: Sender
    disk: Disk
    rng: random.Random
    green: Callable[[datetime, bool], None]
    """Called after a green run: when it was planned, and whether it was of what is delivered."""
    told: Callable[[WrittenLog], object]
    """What the ledger has said of a log, for messages."""
    pause: tuple[timedelta, timedelta]
    """The shortest and the longest between two runs."""
    keep: Callable[[], object] = lambda: None
    """Called after a run that nothing disturbed: keeps the lake."""
    master: MasterKeys | None = None
    """What the data keys of raw/ are wrapped by, if it is encrypted."""
    calm: bool = False
    calm_runs: list[CalmRun] = field(default_factory=list)
    cut_indexes: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when to when names may have been missing in an index that nothing else told from a whole one."""
    lags: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when to when one of two servers lacked the newest logs."""
    hung: list[tuple[int, Hung]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _turns: int = 0

    def ledger(self, *, pushed: bool = False) -> Ledger:
        return self.ledger_of(WorkerStore(self.disk), REPOSITORY if pushed else self.imperva.repository.name)

    def ledger_of(self, store: WorkerStore, repository: str) -> Ledger:
        """Open a ledger; its data keys are of the months of the virtual clock."""
        ledger = Ledger(store, repository, master=self.master)
        ledger.raw = RawBytes(store, ledger.layout, master=self.master, clock=self.imperva.clock)
        return ledger

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
            shortest, longest = self.pause
            pause = shortest + self.rng.random() * (longest - shortest)
            if outage:
                pause = min(self.rng.uniform(2, 8) * HOUR, outage[1] - imperva.clock())
            imperva.advance(max(pause, timedelta()))

    def calm_turn(self) -> None:
        """One run each that nothing disturbs leaves nothing open that was listed when it began."""
        self.calm = True
        self._wake(all_of_them=False)
        imperva = self.imperva
        began, served = imperva.clock(), list(imperva.serving.values())
        imperva.repository.script = CALM
        for pushed in (False, True):
            for _ in self._dag_run("scheduled", pushed=pushed):
                pass
        self.calm_runs.append(CalmRun(began, imperva.clock()))
        head = self.ledger().head()
        assert head.plan is None, "a run that nothing disturbed left a plan without a commit"
        in_raw, came = self._in_raw()
        damaged = {
            (name.partition("-")[0], number)
            for name, prefix in head.prefixes.items()
            for state in (State.DAMAGED, State.AWAITING_KEY)
            for number, _ in prefix.numbers(state)
        }
        only_fetched = head.commit is not None and self.ledger().plan(head.commit.commit).urgent
        for log in served:
            # Something else came in its place before, and the pause is not over. Or nobody has looked at it yet: while
            # logs are about to leave the window, a plan only fetches, and the next one looks at what came.
            waits = (only_fetched and log.listed_as in came) or (
                (log.name.prefix, log.name.sequence) in damaged if log.name else any(name == "0" for name, _ in damaged)
            )
            # That one known name is another log's by now is found within some runs.
            assert waits or log.overwrote or log.size in in_raw, (
                f"{log} is not in raw/ after a run that nothing disturbed: {self.told(log)}"
            )
        self._count("calm run")
        self.keep()

    def _in_raw(self) -> tuple[set[int], set[str]]:
        """The sizes of all objects in ``raw/``, of which hardly two are the same, and the names that they had."""
        store, root = self.disk.store, f"raw/repository={self.imperva.repository.name}"
        folders = [f"{root}/{prefix}" for prefix in store.folders(root)]
        thousands = [f"{folder}/{name}" for folder in folders for name in store.folders(folder)]
        objects = [item for folder in thousands for item in store.objects(folder)]
        added = _ENCRYPTION_ADDS if self.master else 0
        return {item.size - added for item in objects}, {as_listed(item.path.rsplit("/", 1)[-1]) for item in objects}

    def _outage_turn(self, kind: str) -> None:
        self.calm = False
        if kind == "no connection":
            self.imperva.repository.stop()
        else:
            self.imperva.repository.script = nobody_answers()
        self._drive([self._dag_run("scheduled", pushed=False)])
        if kind == "no connection":
            self.imperva.repository.start()
        self._count(f"run while {kind}")

    def _storm_turn(self, *, abandon: bool) -> None:
        self.calm = False
        self._wake(all_of_them=False)
        self.imperva.repository.script = storm = draw_storm(self.rng)
        began = self.imperva.clock()
        runs = [self._dag_run("scheduled", pushed=False)]
        if self.rng.random() < 0.2:
            runs.append(self._dag_run("manual", pushed=False))
            self._count("two runs at once")
        if self.rng.random() < 0.3:
            runs.append(self._dag_run("scheduled", pushed=True))
        lags = self.rng.random() < 0.3
        if lags:
            self.imperva.lag()
            self._count("a server lags")
        self._drive(runs, steps=self.rng.randint(1, 8) if abandon else None)
        self.imperva.repository.lacking = frozenset()
        if cuts_the_index(storm):
            self.cut_indexes.append((began, self.imperva.clock()))
        if lags:
            self.lags.append((began, self.imperva.clock()))
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

    def release_all(self) -> None:
        """Let every worker end, however."""
        for _, hung in self.hung:
            hung.go_on.set()

    def _dag_run(self, kind: str, *, pushed: bool) -> Steps:
        """Plan, fetch and normalize each batch, commit; a step is what may be the last before something happens."""
        clock, planned_at = self.imperva.clock, self.imperva.clock()
        run = Run("imperva_logs_to_parquet", f"{kind}__{planned_at.isoformat()}")
        key_ids = self.imperva.key_ring.ids
        options = replace(PUSH_OPTIONS if pushed else PULL_OPTIONS, logs_per_batch=self.rng.choice([5, 20, None]))

        def plan_it(ledger: Ledger, origin: LogOrigin) -> Plan | None:
            self.imperva.repository.index_body = b""
            plan = make_plan(ledger, origin, run=run, key_ids=key_ids, options=options, clock=clock)
            if not pushed:
                self.imperva.note_listed()
            return plan

        plan = yield from self._task(plan_it, pushed=pushed)
        if plan is None:
            self._is_green(planned_at, pushed=pushed)
            return
        failed = False
        for batch in range(len(plan.batches)):
            try:
                yield from self._batch(plan, batch, pushed=pushed)
            except TaskFailedError:
                failed = True  # the commit comes whatever became of the batches
        commit = yield from self._task(
            lambda ledger, _: commit_plan(ledger, plan, by=run, provider_version="0.0.0", at=clock()), pushed=pushed
        )
        if failed or left_behind(commit) or list(too_much(self.ledger(pushed=pushed), commit, share=SHARE)):
            self._count("red run")
        else:
            self._is_green(plan.created_at, pushed=pushed)

    def _is_green(self, planned_at: datetime, *, pushed: bool) -> None:
        self._count("green run")
        self.green(planned_at, pushed)

    def _batch(self, plan: Plan, batch: int, *, pushed: bool) -> Steps:
        # One request at a time, so that the same seed gives the same order of things.
        fetched = yield from self._task(
            lambda ledger, origin: fetch(
                ledger, origin, plan, batch, max_concurrency=1, window=WINDOW, clock=self.imperva.clock
            ),
            again=lambda fetched: bool(fetched.unavailable),
            pushed=pushed,
        )
        keys = self.imperva.key_ring
        yield from self._task(
            lambda ledger, origin: normalize(ledger, origin, keys, plan, fetched, options=OPTIONS), pushed=pushed
        )

    def _task(
        self, task: Task, *, pushed: bool, again: Callable[[Any], bool] = lambda _: False
    ) -> Generator[None, None, Any]:
        """Do a task in as many tries as it has; return what it returned."""
        tries = 2 if self.calm else self.rng.choice(TRIES)
        for attempt in range(1, tries + 1):
            yield
            fate = self._draw_fate()
            store = WorkerStore(self.disk, fate)
            ledger = self.ledger_of(store, REPOSITORY if pushed else self.imperva.repository.name)
            results: list[Any] = []

            def work(ledger: Ledger = ledger, results: list[Any] = results) -> None:
                with self._delivered(ledger) if pushed else self._client(ledger) as origin:
                    results.append(task(ledger, origin))

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
    def _delivered(self, ledger: Ledger) -> Iterator[LogOrigin]:
        with self.sender.open() as folder:
            yield DeliveredLogs(folder, ledger)

    @contextmanager
    def _client(self, ledger: Ledger) -> Iterator[LogOrigin]:
        repository = self.imperva.repository
        with RepositoryClient(
            url=repository.url,
            login=repository.login,
            password=repository.password,
            read_timeout=1 if not self.calm else 20,
            attempts=2,
            sleep=lambda _: None,
        ) as client:
            yield PulledLogs(client, ledger)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def as_listed(name: str) -> str:
    """Return the name that Imperva has for a log, of which the lake knows the generation."""
    return re.sub(r"^(\d+)-\d+_", r"\1_", name)


def was_at_hand(log: WrittenLog, calm_runs: list[CalmRun]) -> bool:
    """Whether a log was served all through a run that nothing disturbed."""
    return any(log.written_at <= run.began and (log.left_at is None or run.ended < log.left_at) for run in calm_runs)
