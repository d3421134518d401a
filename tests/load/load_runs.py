"""Runs from a fake repository into a lake on disk, step by step or whole, and what an independent reader finds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from airflow_provider_imperva.clock import wall_clock
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit, Part, Plan, Report, Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.fetch import Fetched, fetch
from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize
from airflow_provider_imperva.load.plan import Work, find_work, make_plan
from airflow_provider_imperva.load.pulled import PulledLogs
from airflow_provider_imperva.options import PlanOptions, TableKind
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.table.settle import settle
from airflow_provider_imperva.testing import FakeRepository, Fault
from airflow_provider_imperva.testing.forge import ForgedLog, forge_repository

_REQUEST_ID = re.compile(r" deviceExternalId=(\d+) ")

Row = tuple[str, int, str]
"""Log, line and request id of an event."""


class Clock:
    """The wall clock, which can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return wall_clock() + self.ahead


@dataclass
class Account:
    """A repository, the lake its logs go to, and the runs in between."""

    repository: FakeRepository
    lake: Path
    keys: KeyRing = field(default_factory=KeyRing)
    options: PlanOptions = field(default_factory=PlanOptions)
    clock: Callable[[], datetime] = wall_clock
    table: bool | TableKind = False
    normalize_options: NormalizeOptions = field(default_factory=NormalizeOptions)

    def __post_init__(self) -> None:
        self.ledger = Ledger(open_store(str(self.lake)), self.repository.name)
        self.forged: dict[str, ForgedLog] = {}
        self._runs = count(1)

    @contextmanager
    def client(self) -> Iterator[PulledLogs]:
        address: dict[str, Any] = {
            "url": self.repository.url,
            "login": self.repository.login,
            "password": self.repository.password,
        }
        with RepositoryClient(**address, attempts=2, sleep=lambda _: None) as client:
            yield PulledLogs(client, self.ledger)

    def serve(self, *numbers: int, prefix: str = "8416", events: int = 5, **options: object) -> list[ForgedLog]:
        """Forge logs of these numbers and serve them."""
        logs: list[ForgedLog] = []
        for number in numbers:
            logs += forge_repository(1, prefix=prefix, first=number, events_per_log=events, **options)  # type: ignore[arg-type]
        for log in logs:
            self.forged[log.name] = log
            self.repository.add(log.name, log.content)
        return logs

    def next_run(self) -> Run:
        return Run("imperva_logs_to_parquet", f"run-{next(self._runs)}")

    def plan(self, run: Run | None = None) -> Plan:
        plan = self.plan_if_any(run)
        assert plan is not None
        return plan

    def plan_if_any(self, run: Run | None = None) -> Plan | None:
        with self.client() as client:
            run = run or self.next_run()
            self._claim(client.source)
            return make_plan(
                self.ledger, client, run=run, key_ids=self.keys.ids, options=self.options, clock=self.clock
            )

    def _claim(self, source: str) -> None:
        """As a task does before it plans; by a store of its own, which does not break off."""
        if not (self.lake / self.ledger.layout.claim).exists():
            claim(Ledger(open_store(str(self.lake)), self.ledger.layout.repository), source)

    def fetch(self, plan: Plan, batch: int = 0) -> Fetched:
        with self.client() as client:
            return fetch(
                self.ledger, client, plan, batch, max_concurrency=4, window=self.options.window, clock=self.clock
            )

    def normalize(self, plan: Plan, fetched: Fetched) -> Report:
        with self.client() as client:
            return normalize(self.ledger, client, self.keys, plan, fetched, options=self.normalize_options)

    def commit(self, plan: Plan) -> Commit:
        now = self.clock()
        commit = commit_plan(self.ledger, plan, by=plan.run, provider_version="0.0.0", at=now)
        if problem := settle(self.ledger, commit, run=plan.run, create=self._kind, clock=self.clock):
            raise problem
        return commit

    @property
    def _kind(self) -> TableKind | None:
        return "delta" if self.table is True else self.table or None

    def finish(self, plan: Plan) -> Commit:
        """Do all that comes after planning."""
        for batch in range(len(plan.batches)):
            self.normalize(plan, self.fetch(plan, batch))
        return self.commit(plan)

    def run(self) -> Commit | None:
        """Do all that one run of the DAG does; None if there was nothing to do."""
        plan = self.plan_if_any()
        return self.finish(plan) if plan else None

    def run_some(self) -> Commit:
        commit = self.run()
        assert commit is not None
        return commit

    def work(self) -> Work | None:
        """Tell what there is to do, but not which logs these are."""
        with self.client() as client:
            work = find_work(self.ledger, client, key_ids=self.keys.ids, options=self.options, clock=self.clock)
        return msgspec.structs.replace(work, digest="") if work else None

    def rows(self) -> Counter[Row]:
        return Counter(self._read("events", "src_file, src_line, request_id"))

    def expected(self, names: Iterable[str] | None = None) -> Counter[Row]:
        """What the events of these logs (of all, if not given) come to."""
        logs = [self.forged[name] for name in names] if names is not None else list(self.forged.values())
        return Counter((log.name, line, request_id(event)) for log in logs for line, event in enumerate(log.events, 1))

    def event_times(self) -> list[datetime | None]:
        """The times of all events, in the order of logs and lines."""
        return [
            time for *_, time in sorted(self._read("events", "src_file, src_line, event_time"), key=lambda row: row[:2])
        ]

    def quarantined(self) -> list[tuple[str, int | None, str]]:
        return sorted(self._read("quarantine", "src_file, src_line, reason"), key=str)

    def _read(self, folder: str, columns: str) -> list[tuple]:  # type: ignore[type-arg]
        if not list(self.lake.glob(f"{folder}/repository=*/**/*.parquet")):
            return []
        glob = f"{self.lake}/{folder}/repository=*/**/*.parquet"
        return duckdb.execute(f"SELECT {columns} FROM read_parquet('{glob}', hive_partitioning=true)").fetchall()

    def states(self) -> dict[str, str]:
        """The state of each log and range that any commit decided; the last one counts."""
        found = {}
        for commit in self.ledger.commits():
            for row in self.ledger.logs(commit.commit).to_pylist():
                name = row["name"] or f"{row['prefix']}_{row['sequence']}..{row['sequence_to']}"
                found[name] = row["state"]
        return found

    def record(self, name: str) -> dict[str, object]:
        """The last row about a log."""
        for commit in self.ledger.commits(newest_first=True):
            for row in self.ledger.logs(commit.commit).to_pylist():
                if row["name"] == name:
                    return dict(row)
        raise KeyError(name)

    def raw(self, name: str) -> Path:
        (path,) = self.lake.glob(f"raw/**/{name}")
        return path

    def requested(self, ending: str = ".log") -> list[str]:
        """The last segments of the paths asked for so far, in order; not those of which only the beginning was."""
        names = [request.path.rsplit("/", 1)[1] for request in self.repository.requests if request.status != 206]
        return [name for name in names if name.endswith(ending)]

    def assert_balanced(self) -> None:
        """Hold what the ledger says against what is in the lake: P2 as a whole, seen from outside."""
        commits = list(self.ledger.commits())
        rows = [row for commit in commits for row in self.ledger.logs(commit.commit).to_pylist()]
        # The last row about a log counts.
        logs = {(row["prefix"], row["sequence"]): row for row in rows}.values()
        assert sum(log["lines"] for log in logs) == sum(log["rows"] + log["quarantined_lines"] for log in logs)
        per_log = Counter(row[0] for row in self.rows().elements())
        assert per_log == Counter({log["name"]: log["rows"] for log in logs if log["rows"]})
        named = {str(self.lake / path) for path in self.parts()}
        found = {
            str(path)
            for folder in ("events", "quarantine")
            for path in self.lake.glob(f"{folder}/repository=*/**/*.parquet")
        }
        assert found == named, "a part that no commit names, or one that is named and not there"
        assert not list(self.lake.glob(".tmp/*"))

    def parts(self) -> dict[str, Part]:
        """The parts that the lake is made of, by path."""
        return current_parts(self.ledger.commits())


def current_parts(commits: Iterable[Commit]) -> dict[str, Part]:
    """Return all parts of all commits less all that were removed."""
    parts: dict[str, Part] = {}
    for commit in commits:
        for part in commit.removed:
            assert parts.pop(part.path) == part
        assert not any(part.path in parts for part in commit.parts), "a name that was committed is written again"
        parts |= {part.path: part for part in commit.parts}
    return parts


def request_id(event: str) -> str:
    match = _REQUEST_ID.search(event)
    assert match
    return match[1]


def without_notice(content: bytes, size: int) -> Fault:
    """A fault that cuts a body without the client being able to see it."""
    return Fault(cut=size, wrong_length=size - len(content))
