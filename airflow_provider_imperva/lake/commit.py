"""Committing a plan: from the reports of its batches to the one write that makes them true.

The run that planned commits, or any later one that finds its plan without a commit (*recovery*). Both do the same, and
doing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.lake.data_keys import Destroyed
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import parts_of_batch
from airflow_provider_imperva.lake.records import (
    LOGS_SCHEMA,
    VERSION,
    BatchId,
    Closed,
    Commit,
    Hold,
    LeftOpen,
    LogRecord,
    OpenCode,
    Part,
    Plan,
    Removal,
    Replaying,
    Report,
    Run,
    Totals,
    open_fields,
)
from airflow_provider_imperva.lake.register import register, registered
from airflow_provider_imperva.lake.watermark import Prefix, State, Waiting, decide

SWEPT_COMMITS = 3
"""How many commits back a commit looks for what a task wrote after its plan was committed without it."""


def commit_plan(ledger: Ledger, plan: Plan, *, by: Run, provider_version: str, at: datetime) -> Commit:
    """Commit what the finished batches of a plan did, and remove the parts of the others.

    :param by: who commits.
    :param at: now, UTC.
    :returns: the commit; the one that is there already if the plan was committed before.
    """
    if ledger.committed(plan.commit):
        commit = ledger.commit(plan.commit)
    else:
        reports, failures = _gather(ledger, plan)
        replaced = {report.batch: plan.originals[report.batch] for report in reports if _replaces(plan, report)}
        removed = tuple(part for report in reports for part in _removed(ledger, plan, report))
        all_taken = [report.taken for report in reports if report.taken]
        removed_raw = tuple(item for taken in all_taken for item in taken.raw)
        before = ledger.commit(plan.commit - 1) if plan.commit > 1 else None
        content = _logs_parquet(plan, reports)
        ledger.store.write(ledger.layout.logs(plan.commit), content)
        commit = ledger.create_commit(
            Commit(
                v=VERSION,
                repository=plan.repository,
                commit=plan.commit,
                previous_sha256=ledger.sha256(plan.commit - 1) if plan.commit > 1 else None,
                logs_sha256=hashlib.sha256(content).hexdigest(),
                run=plan.run,
                committed_by=by,
                provider_version=provider_version,
                committed_at=at,
                observed_at=plan.observed_at,
                batches=tuple(report.batch for report in reports),
                failed_batches=tuple(failures),
                parts=tuple(part for report in reports for part in report.parts),
                totals=_totals(plan, reports),
                **open_fields(_left_open(plan, reports, failures)),
                prefixes=advance(plan, [log for report in reports for log in report.logs]),
                kind=plan.kind,
                accepts=plan.accepts,
                destroys=plan.destroys,
                removed=removed,
                carried_rows=sum(report.carried_rows for report in reports),
                removed_raw=removed_raw,
                purpose=plan.purpose,
                taken_rows=sum(taken.rows for taken in all_taken),
                taken_quarantined=sum(taken.quarantined_rows for taken in all_taken),
                hold=plan.hold,
                lifts=plan.lifts,
                holds=_holds(before, plan),
                retired=tuple(path for number in plan.retires for path in _removed_paths(ledger.commit(number))),
                unretired=_unretired(before, plan, bool(removed or removed_raw), at=at),
                replaced=replaced,
                replaying=_replaying(before, plan, replaced.values(), failures),
                restarts=plan.restarts,
                unread=plan.unread,
                unread_count=plan.unread_count,
                redacted=_redacted(reports),
                protections=_protections(reports),
                revised=last_revision(before, plan),
            )
        )
    register(ledger.store, plan.repository, at=at)
    finish_commit(ledger, commit)
    ledger.seal(commit.commit, registered(ledger.store))
    return commit


def last_revision(before: Commit | None, plan: Plan) -> int:
    """Return the last commit, up to a plan's own, that changed what earlier ones had decided or written; 0 if none did.

    :param before: the commit before; None before the first.
    """
    if plan.revises:
        return plan.commit
    if before is None:
        return 0
    # An earlier release did not note it: then it may have been that one.
    return before.commit if before.revised is None else before.revised


def finish_commit(ledger: Ledger, commit: Commit) -> None:
    """Do what follows a commit, and what a run that died right after it left undone.

    Parts of unfinished batches go only now that the commit says which those are: before, another run may just be
    committing them. The same is done for the last few commits, in which a task may have written long after.
    """
    for number in range(max(1, commit.commit - SWEPT_COMMITS), commit.commit + 1):
        one = commit if number == commit.commit else ledger.commit(number)
        _repair_logs(ledger, one)
        _sweep(ledger, one)
    # There is no next plan before this was done, so no other commit has to do it.
    ledger.store.delete(commit.retired)
    for month in commit.destroys:
        ledger.raw.keys.destroy(month, Destroyed(commit.commit, commit.committed_at, str(commit.purpose)))
    ledger.store.sweep()


def _repair_logs(ledger: Ledger, commit: Commit) -> None:
    """Make a commit's ``logs.parquet`` the one that the commit names.

    Of two runs that commit the same plan at once, the one that loses may write its ``logs.parquet`` last. The rows
    follow from the plan and the reports, so the right ones can be written again.
    """
    path = ledger.layout.logs(commit.commit)
    try:
        sha256 = hashlib.sha256(ledger.store.read(path)).hexdigest()
    except FileNotFoundError:
        sha256 = ""
    if sha256 != commit.logs_sha256:
        reports = [report for batch in commit.batches if (report := ledger.report(commit.commit, batch))]
        ledger.store.write(path, _logs_parquet(ledger.plan(commit.commit), reports))


def _gather(ledger: Ledger, plan: Plan) -> tuple[list[Report], dict[int, LeftOpen]]:
    """Return the sound reports, and by batch why there is none."""
    reports: list[Report] = []
    failures: dict[int, LeftOpen] = {}
    for batch in range(len(plan.batches)):
        report = None if plan.torn else ledger.finished(plan.commit, batch)
        if report is None:
            failures[batch] = LeftOpen(OpenCode.BATCH_UNFINISHED, "its batch did not finish")
        elif imbalance := report.imbalance():
            failures[batch] = LeftOpen(OpenCode.BATCH_UNBALANCED, f"its batch does not add up: {imbalance}")
        else:
            reports.append(report)
    return reports, failures


def _left_open(plan: Plan, reports: Iterable[Report], failures: dict[int, LeftOpen]) -> dict[str, LeftOpen]:
    unfinished = {log.name: left for batch, left in failures.items() for log in plan.batches[batch]}
    return unfinished | {name: left for report in reports for name, left in report.left_open.items()}


def _records(plan: Plan, reports: Iterable[Report]) -> list[LogRecord]:
    generations = {restart.prefix: restart.generation for restart in plan.restarts}
    decided = [log for report in reports for log in report.logs]
    for closed in plan.closed:
        if closed.state is State.EXPIRED:
            numbers = range(closed.first, closed.last + 1)
            decided += [_given_up(closed, number, generations[closed.prefix]) for number in numbers]
        else:
            decided.append(_missing(closed))
    return sorted(decided, key=lambda record: (len(record.prefix), record.prefix, record.sequence))


def _missing(closed: Closed) -> LogRecord:
    return LogRecord(
        prefix=closed.prefix,
        sequence=closed.first,
        sequence_to=closed.last,
        state=closed.state,
        first_listed_at=None,
        reason=f"missing since {closed.since:%Y-%m-%d %H:%M} UTC",
    )


def _given_up(closed: Closed, number: int, generation: str) -> LogRecord:
    """Describe a log whose name was given to the next generation before it was fetched."""
    return LogRecord(
        prefix=closed.prefix,
        sequence=number,
        sequence_to=number,
        state=closed.state,
        name=f"{closed.prefix}_{number}.log",
        first_listed_at=closed.since,
        reason=f"not fetched before the counter of its prefix began again; what is listed under its name is loaded as"
        f" {generation}_{number}.log, and nothing shows whether it is the same log",
        reason_code="counter_began_again",
    )


def _logs_parquet(plan: Plan, reports: Sequence[Report]) -> bytes:
    taken = [log for report in reports if report.taken for log in report.taken.logs]
    records = [*_records(plan, reports), *taken]
    columns = [pa.array([getattr(record, field.name) for record in records], field.type) for field in LOGS_SCHEMA]
    buffer = io.BytesIO()
    # An audit reads thousands of these. With so few rows zstd saves nothing, and to undo it takes half of the time.
    pq.write_table(pa.table(columns, schema=LOGS_SCHEMA), buffer, compression="snappy")
    return buffer.getvalue()


def _totals(plan: Plan, reports: Sequence[Report]) -> Totals:
    records = _records(plan, reports)
    states: Counter[State] = Counter()
    for record in records:
        states[record.state] += record.sequence_to - record.sequence + 1
    return Totals(
        logs=dict(states),
        lines=sum(record.lines for record in records),
        rows=sum(record.rows for record in records),
        quarantined_lines=sum(record.quarantined_lines for record in records),
        raw_bytes=sum(record.raw_bytes or 0 for record in records),
    )


def _redacted(reports: Iterable[Report]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.redacted)
    return dict(sorted(counts.items()))


def _protections(reports: Iterable[Report]) -> tuple[dict[str, str], ...]:
    protections: list[dict[str, str]] = []
    for report in reports:
        if report.protection and report.protection not in protections:
            protections.append(report.protection)
    return tuple(protections)


def advance(plan: Plan, records: Iterable[LogRecord]) -> dict[str, Prefix]:
    """Move the watermark of a plan on by what became of its logs."""
    outcomes: dict[str, dict[int, Waiting | None]] = {name: {} for name in plan.prefixes}
    for log in records:
        outcomes.setdefault(log.prefix, {})[log.sequence] = log.waiting(planned_at=plan.created_at)
    return {name: decide(prefix, outcomes[name]) for name, prefix in plan.prefixes.items()}


def _replaces(plan: Plan, report: Report) -> bool:
    return report.batch in plan.originals and bool(report.logs)


def _removed(ledger: Ledger, plan: Plan, report: Report) -> tuple[Part, ...]:
    """Return the parts that a batch took the place of."""
    if report.v > 1 or not _replaces(plan, report):
        return report.removed
    # A replay of version 1 has overwritten the parts of the batch it replayed, and deleted those it does not have.
    kept = {part.path for part in report.parts}
    return tuple(part for part in parts_of_batch(ledger, plan.originals[report.batch]) if part.path not in kept)


def _unretired(before: Commit | None, plan: Plan, removes: bool, *, at: datetime) -> tuple[Removal, ...]:
    """Return the commits whose removed objects are still there once this one is made."""
    left = tuple(item for item in (before.unretired if before else ()) if item.commit not in plan.retires)
    return (*left, Removal(plan.commit, at)) if removes else left


def _removed_paths(commit: Commit) -> tuple[str, ...]:
    return (*(part.path for part in commit.removed), *(item.path for item in commit.removed_raw))


def _holds(before: Commit | None, plan: Plan) -> tuple[Hold, ...]:
    """Return the holds in force once a plan is committed."""
    left = tuple(hold for hold in (before.holds if before else ()) if hold.reference != plan.lifts)
    return (*left, plan.hold) if plan.hold else left


def _replaying(
    before: Commit | None, plan: Plan, replaced: Iterable[BatchId], failed_batches: Iterable[int]
) -> tuple[Replaying, ...]:
    """Return the replays that have yet to be done, from this plan and from before."""
    unfinished = {item.original: item for item in (before.replaying if before else ())}
    for batch in failed_batches:
        if batch_id := plan.originals.get(batch):
            unfinished[batch_id] = Replaying(batch_id, plan.commit, batch)
    for batch_id in replaced:
        unfinished.pop(batch_id, None)
    return tuple(unfinished.values())


def _sweep(ledger: Ledger, commit: Commit) -> None:
    """Remove parts that a commit does not name: those of batches that did not finish, or finished after it."""
    for batch in commit.failed_batches:
        ledger.store.delete(ledger.parts_begun(commit.commit, batch))
