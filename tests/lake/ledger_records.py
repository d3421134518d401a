"""Plans and reports for tests of the ledger, without a repository."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pyarrow as pa

from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, QUARANTINE_SCHEMA
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import (
    VERSION,
    Closed,
    Commit,
    LogRecord,
    Part,
    Plan,
    PlannedLog,
    Report,
    Run,
)
from airflow_provider_imperva.lake.watermark import Prefix, Range, State

T0 = datetime(2026, 11, 22, 10, tzinfo=UTC)
RUN = Run("dag", "run-1")
OTHER_RUN = Run("dag", "run-2")


def plan_of(
    *batches: Sequence[int],
    commit: int = 1,
    run: Run = RUN,
    closed: tuple[Closed, ...] = (),
    contiguous: int | None = None,
) -> Plan:
    """A plan of the numbers given, each batch a sequence; all of them are listed in its watermark."""
    numbers = sorted(number for batch in batches for number in batch)
    lowest, highest = (numbers[0], numbers[-1]) if numbers else (1, 0)
    listed = tuple(Range(number, number, State.LISTED, T0) for number in numbers)
    return Plan(
        v=VERSION,
        repository="8416_1745073",
        commit=commit,
        run=run,
        provider_version="0.0.0",
        created_at=T0,
        observed_at=T0,
        listed=len(numbers),
        batches=tuple(tuple(PlannedLog(f"8416_{number}.log", T0) for number in batch) for batch in batches),
        closed=closed,
        prefixes={"8416": Prefix(lowest - 1 if contiguous is None else contiguous, highest, listed)},
    )


def record_of(number: int, state: State = State.COMMITTED, *, rows: int = 0, **fields: object) -> LogRecord:
    return LogRecord(
        prefix="8416",
        sequence=number,
        sequence_to=number,
        state=state,
        name=f"8416_{number}.log",
        lines=rows,
        rows=rows,
        **fields,  # type: ignore[arg-type]
    )


def report_of(*logs: LogRecord, commit: int = 1, batch: int = 0, parts: tuple[Part, ...] = ()) -> Report:
    return Report(VERSION, commit, batch, parts, logs)


def finish_batch(ledger: Ledger, plan: Plan, batch: int = 0, *, rows: int = 2) -> Report:
    """Write the parts and the report of a batch, as its normalize task would."""
    numbers = [int(log.name.split("_")[1].removesuffix(".log")) for log in plan.batches[batch]]
    parts = parts_of(ledger, plan, batch, numbers, rows=rows)
    ledger.create_intent(plan.commit, batch, parts.paths, outcome="")
    report = report_of(
        *(record_of(number, rows=rows) for number in numbers), commit=plan.commit, batch=batch, parts=parts.write()
    )
    ledger.write_report(report)
    return report


def parts_of(ledger: Ledger, plan: Plan, batch: int, numbers: Sequence[int], *, rows: int = 2) -> BatchParts:
    parts = BatchParts(ledger.store, ledger.layout, commit=plan.commit, batch=batch)
    for number in numbers:
        parts.add(events(number, rows), QUARANTINE_SCHEMA.empty_table())
    return parts


def events(number: int, rows: int, *, day: date = date(2026, 11, 22)) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "event_time": datetime(day.year, day.month, day.day, 1, tzinfo=UTC),
                "src_file": f"8416_{number}.log",
                "src_seq": number,
                "src_line": line,
                "event_class": "access",
                "event_date": day,
            }
            for line in range(1, rows + 1)
        ],
        schema=PARSED_SCHEMA,
    )


def commit_of(ledger: Ledger, plan: Plan, *, by: Run | None = None) -> Commit:
    return commit_plan(ledger, plan, by=by or plan.run, provider_version="0.0.0", at=T0)


def commit_empty(ledger: Ledger, number: int) -> Commit:
    """Plan and commit nothing, to make the ledger grow."""
    return commit_of(ledger, ledger.create_plan(plan_of(commit=number)))


def event_parts(ledger: Ledger) -> list[str]:
    folder = "events/repository=8416_1745073/event_class=access/event_date=2026-11-22"
    return [item.path.rsplit("/", 1)[1] for item in ledger.store.objects(folder)]
