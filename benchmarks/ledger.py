"""``python -m benchmarks.ledger FOLDER``: what it costs to ask a ledger of a year.

A commit every ten minutes makes 52,560 of them. The ledger is forged once, into FOLDER, and kept there: each commit has
two logs and a part, and each night a compaction merges the parts of the day before and deletes those of the night
before that. There are no events in the lake and no bytes in ``raw/``.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from airflow_provider_imperva.audit.certificate import issue
from airflow_provider_imperva.audit.explanation import explain_log
from airflow_provider_imperva.audit.history import last_number
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.reading import read_ledger
from airflow_provider_imperva.lake.commit import _logs_parquet, _totals, advance, last_revision
from airflow_provider_imperva.lake.layout import Layout
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
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import Prefix, Range, State
from airflow_provider_imperva.seal.signature import PublicKeys

REPOSITORY = "8416_1745073"
COMMITS = 52_560
_A_NIGHT = 144
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
_PAUSE = timedelta(minutes=10)
_LAYOUT = Layout(REPOSITORY)
_SHA256 = "5" * 64


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


def main() -> int:
    """Forge the ledger if it is not there, ask it, and print a table."""
    lake = Path(sys.argv[1])
    commits = int(sys.argv[2]) if len(sys.argv) > 2 else COMMITS
    store = open_store(lake.absolute().as_uri())
    if not lake.exists():
        forge(lake, commits)
    last = last_number(store, _LAYOUT)
    at = _BEGAN + (last + 1) * _PAUSE
    month = Period.parse(f"{_BEGAN + last * _PAUSE - timedelta(days=40):%Y-%m}")
    middle = f"8416_{last}.log"
    questions: dict[str, Callable[[], object]] = {
        "explain a log of the middle": lambda: explain_log(store, REPOSITORY, middle),
        "certificate of a month": lambda: issue(store, REPOSITORY, month, at=at, looks=False),
        "read the ledger as verify does": lambda: read_ledger(store, _LAYOUT, anchors=(), keys=PublicKeys(), at=at),
    }
    print(f"| a ledger of {last:,} commits | seconds | of them processor |\n|---|--:|--:|")
    for question, ask in questions.items():
        began, cpu = time.monotonic(), time.process_time()
        ask()
        print(f"| {question} | {time.monotonic() - began:.1f} | {time.process_time() - cpu:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
