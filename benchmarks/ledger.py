"""``python -m benchmarks.ledger FOLDER``: what it costs to ask a ledger of a year.

A commit every ten minutes makes 52,560 of them. The ledger is forged once, into FOLDER, and kept there: each commit has
two logs and a part, and each night a compaction merges the parts of the day before and deletes those of the night
before that. The objects in ``events/`` and ``raw/`` are holes of the right size: none is read. At last two more logs
are loaded, which adds a commit each time.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb
import msgspec

from airflow_provider_imperva.audit.certificate import issue
from airflow_provider_imperva.audit.explanation import explain_log
from airflow_provider_imperva.audit.history import last_number
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.verify import verify
from airflow_provider_imperva.clock import wall_clock
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.commit import _logs_parquet, _totals, advance, commit_plan, last_revision
from airflow_provider_imperva.lake.gathered import gather_logs
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.packing import encode
from airflow_provider_imperva.lake.records import (
    VERSION,
    Commit,
    Intent,
    Kind,
    LogRecord,
    Part,
    Plan,
    PlannedLog,
    Removal,
    Report,
    Run,
)
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.lake.watermark import Prefix, Range, State
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize
from airflow_provider_imperva.load.plan import find_work, make_plan
from airflow_provider_imperva.load.pulled import PulledLogs
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import forge_repository

REPOSITORY = "8416_1745073"
COMMITS = 52_560
_A_NIGHT = 144
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
_PAUSE = timedelta(minutes=10)
_LAYOUT = Layout(REPOSITORY)
_SHA256 = "5" * 64
_SQL = Path(__file__).parents[1] / "airflow_provider_imperva/examples/sql"
_T = TypeVar("_T")


def forge(lake: Path, commits: int = COMMITS) -> None:
    """Write the ledger."""
    before: Commit | None = None
    sha256 = None
    merged: tuple[Part, ...] = ()
    for plan, reports in _plans(commits):
        number = plan.commit
        logs = _logs_parquet(plan, reports)
        removed = tuple(part for report in reports for part in report.removed)
        retired = tuple(part.path for part in merged) if plan.retires else ()
        merged = removed or merged
        commit = Commit(
            v=VERSION,
            repository=REPOSITORY,
            commit=number,
            previous_sha256=sha256,
            logs_sha256=hashlib.sha256(logs).hexdigest(),
            run=plan.run,
            committed_by=plan.run,
            provider_version="0.1.0",
            committed_at=plan.created_at + timedelta(minutes=1),
            observed_at=plan.observed_at,
            batches=tuple(report.batch for report in reports),
            failed_batches=(),
            parts=tuple(part for report in reports for part in report.parts),
            totals=_totals(plan, reports),
            open={},
            prefixes=advance(plan, [log for report in reports for log in report.logs]),
            kind=plan.kind,
            removed=removed,
            carried_rows=sum(report.carried_rows for report in reports),
            retired=retired,
            unretired=(Removal(number, plan.created_at),) if removed else (),
            revised=last_revision(before, plan),
        )
        before = commit
        content = encode(commit)
        folder = lake / _LAYOUT.thousand(number)
        folder.mkdir(parents=True, exist_ok=True)
        (lake / _LAYOUT.plan(number)).write_bytes(encode(plan))
        for report in reports:
            paths = tuple(part.path for part in report.parts)
            (lake / _LAYOUT.intent(number, report.batch)).write_bytes(encode(Intent(VERSION, paths, _SHA256)))
            (lake / _LAYOUT.report(number, report.batch)).write_bytes(encode(report))
        (lake / _LAYOUT.logs(number)).write_bytes(logs)
        (lake / _LAYOUT.commit(number)).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()


def _plans(commits: int) -> Iterator[tuple[Plan, list[Report]]]:
    sequence = 0
    prefix = Prefix(0, 0)
    day: list[Part] = []
    for number in range(1, commits + 1):
        at = _BEGAN + number * _PAUSE
        plan = Plan(
            v=VERSION,
            repository=REPOSITORY,
            commit=number,
            run=Run("imperva_logs_to_parquet", f"scheduled__{at.isoformat()}"),
            provider_version="0.1.0",
            created_at=at,
            observed_at=at,
            listed=0,
            batches=(),
            closed=(),
            prefixes={"8416": prefix},
        )
        if number % _A_NIGHT == 0:
            merged = tuple(day)
            day.clear()
            rows = sum(part.rows for part in merged)
            part = msgspec.structs.replace(merged[0], path=_part(number, at - timedelta(days=1)), rows=rows)
            yield (
                msgspec.structs.replace(plan, kind=Kind.COMPACT, batches=((),), inputs={0: merged}),
                [Report(VERSION, number, 0, (part,), (), removed=merged, carried_rows=rows)],
            )
            continue
        if number > _A_NIGHT and number % _A_NIGHT == 1:
            yield msgspec.structs.replace(plan, kind=Kind.RETIRE, retires=(number - 1,)), []
            continue
        first, last = sequence + 1, sequence + 2
        sequence = last
        listed = Prefix(prefix.contiguous, last, (Range(first, last, State.LISTED, at),))
        planned = tuple(PlannedLog(f"8416_{one}.log", at) for one in (first, last))
        plan = msgspec.structs.replace(plan, listed=576, batches=(planned,), prefixes={"8416": listed})
        prefix = Prefix(last, last)
        part = Part(_part(number, at), 200, 30_000, _SHA256, "access", f"{at:%Y-%m-%d}")
        day.append(part)
        logs = tuple(_log(one, at) for one in (first, last))
        yield plan, [Report(VERSION, number, 0, (part,), logs)]


def _part(number: int, at: datetime) -> str:
    return f"{_LAYOUT.events_folder}/event_class=access/event_date={at:%Y-%m-%d}/part-{number:012d}-0000.parquet"


def _log(number: int, at: datetime) -> LogRecord:
    name = f"8416_{number}.log"
    return LogRecord(
        prefix="8416",
        sequence=number,
        sequence_to=number,
        state=State.COMMITTED,
        name=name,
        first_listed_at=at,
        fetched_at=at,
        raw_key=f"{_LAYOUT.raw_root}/8416/{number // 1000:09d}/{name}",
        raw_bytes=20_000,
        raw_sha256=_SHA256,
        account_id=1745073,
        config_id=8416,
        checksum="5" * 32,
        format="CEF",
        encrypted=True,
        compressed=True,
        checksum_ok=True,
        lines=100,
        rows=100,
    )


def lay_objects(lake: Path, commits: int) -> None:
    """Give the lake the objects that the ledger names, as holes."""
    merged: tuple[Part, ...] = ()
    for plan, reports in _plans(commits):
        for report in reports:
            sizes = {part.path: part.size for part in report.parts}
            sizes |= {log.raw_key: log.raw_bytes or 0 for log in report.logs if log.raw_key}
            for path, size in sizes.items():
                (lake / path).parent.mkdir(parents=True, exist_ok=True)
                with (lake / path).open("wb") as file:
                    file.truncate(size)
            merged = report.removed or merged
        if plan.retires:
            for part in merged:
                (lake / part.path).unlink()


class _Table:
    """The table for the documentation, row by row."""

    def __init__(self) -> None:
        print("| question | seconds | of them this process |\n|---|--:|--:|")

    def ask(self, question: str, ask: Callable[[], _T]) -> _T:
        """Ask, and tell how long it took."""
        began, cpu = time.monotonic(), time.process_time()
        answer = ask()
        print(f"| {question} | {time.monotonic() - began:.2f} | {time.process_time() - cpu:.2f} |", flush=True)
        return answer


def _audit(table: _Table, store: Store, *, last: int, at: datetime) -> None:
    month = Period.parse(f"{_BEGAN + last * _PAUSE - timedelta(days=40):%Y-%m}")
    for part, name in {"first": 1, "middle": last, "last": 19 * last // 10}.items():
        question = f"`explain` a log of the {part} month"
        table.ask(question, lambda name=name: explain_log(store, REPOSITORY, f"8416_{name}.log"))  # type: ignore[misc]
    table.ask("a certificate of a month (`--ledger-only`)", lambda: issue(store, REPOSITORY, month, at=at, looks=False))
    for processes in (1, os.cpu_count() or 1):
        shown: list[str] = []
        verification = table.ask(
            f"`verify --sample 0`, {processes} processes",
            lambda processes=processes, shown=shown: verify(  # type: ignore[misc]
                store, REPOSITORY, sample=0, at=at, processes=processes, announce=shown.append
            ),
        )
        print(f"\n{''.join(shown) or 'No estimate'}; {len(verification.findings)} findings\n")


def _query(table: _Table, store: Store, lake: Path) -> None:
    ledger = Ledger(store, REPOSITORY)
    table.ask("to gather the rows about logs, once", lambda: sum(1 for _ in iter(lambda: gather_logs(ledger), [])))
    sql = (_SQL / "views.duckdb.sql").read_text().replace("{lake}", str(lake.absolute()))
    connection = duckdb.connect()
    # The other views look into parts, which are holes here.
    of_logs = [one.query for one in duckdb.extract_statements(sql) if "ledger_logs" in one.query]
    table.ask("to make the view `logs`", lambda: [connection.execute(one) for one in of_logs])
    table.ask(
        "to count logs by state in it",
        lambda: connection.execute("SELECT state, count(*) FROM logs GROUP BY ALL").fetchall(),
    )


def _load(table: _Table, store: Store) -> None:
    """Load two logs more."""
    ledger = Ledger(store, REPOSITORY)
    head = ledger.head()
    # mypy: a ledger of a year has a last commit.
    assert head.commit  # noqa: S101
    following = head.commit.prefixes["8416"].highest + 1
    options, run, nothing = PlanOptions(), Run("imperva_logs_to_parquet", f"benchmark-{following}"), frozenset[str]()
    with FakeRepository(name=REPOSITORY) as repository:
        for log in forge_repository(2, first=following, events_per_log=100):
            repository.add(log.name, log.content)
        with RepositoryClient(url=repository.url, login=repository.login, password=repository.password) as client:
            logs = PulledLogs(client, ledger)
            table.ask(
                "a look whether there is work",
                lambda: find_work(ledger, logs, key_ids=nothing, options=options),
            )
            plan = table.ask(
                "`plan`",
                lambda: make_plan(ledger, logs, run=run, key_ids=nothing, options=options),
            )
            assert plan  # noqa: S101
            fetched = fetch(ledger, logs, plan, 0, max_concurrency=1, window=options.window)
            normalize(ledger, logs, KeyRing(), plan, fetched, options=NormalizeOptions())
            table.ask("`commit`", lambda: commit_plan(ledger, plan, by=run, provider_version="0.1.0", at=wall_clock()))


def main() -> int:
    """Forge the ledger if it is not there, ask it, and print a table."""
    lake = Path(sys.argv[1])
    commits = int(sys.argv[2]) if len(sys.argv) > 2 else COMMITS
    store = open_store(lake.absolute().as_uri())
    if not lake.exists():
        forge(lake, commits)
        lay_objects(lake, commits)
        claim(Ledger(store, REPOSITORY), REPOSITORY)
    last = last_number(store, _LAYOUT)
    at = wall_clock()
    print(f"A ledger of {last:,} commits\n")
    table = _Table()
    _audit(table, store, last=last, at=at)
    _query(table, store, lake)
    _load(table, store)
    return 0


if __name__ == "__main__":
    sys.exit(main())
