"""Checking one entry of the ledger: that plan, reports, logs and commit say the same, and that it follows the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Entry
from airflow_provider_imperva.lake.commit import advance, last_revision
from airflow_provider_imperva.lake.layout import Layout, partition_of
from airflow_provider_imperva.lake.live import batch_of_part
from airflow_provider_imperva.lake.maintenance import TAKES_OUT
from airflow_provider_imperva.lake.records import Commit, LogRecord, Part, Plan, Report
from airflow_provider_imperva.lake.records import Kind as CommitKind
from airflow_provider_imperva.lake.watermark import State

_COMPARED = (
    *("name", "prefix", "sequence", "sequence_to", "state", "raw_sha256", "lines", "rows", "quarantined_lines"),
    *("expired_lines", "erased_lines", "raw_removed", "note_removed"),
)


def check_revised(layout: Layout, entry: Entry, before: Commit | None) -> Iterator[Finding]:
    """Check that a commit names the last one that revised others, since by that ``explain`` finds its entries.

    :param before: the commit before, if it can be read.
    """
    commit = entry.commit
    if commit is None or commit.revised is None or entry.plan is None or (before is None and entry.number > 1):
        return
    if commit.revised != (revised := last_revision(before, entry.plan)):
        problem = f"it says that commit {commit.revised} was the last that revised others, and {revised} was"
        yield Finding(Kind.CONTRADICTION, layout.commit(entry.number), problem)


def check_entry(layout: Layout, entry: Entry, *, before: str | None, last: bool) -> Iterator[Finding]:
    """Check an entry by itself, and that its commit names the one before.

    :param before: SHA-256 of the commit before; None if there is none, or it cannot be read.
    :param last: whether no entry follows, so that the commit need not be there yet.
    """
    path = layout.commit(entry.number)
    if entry.sha256 is None:
        if entry.plan is None or not last:
            yield Finding(Kind.MISSING, path, "the commit is missing")
        return
    commit = entry.commit
    if commit is None:
        return  # it does not read, which is a finding already
    if (commit.commit, commit.repository) != (entry.number, layout.repository):
        yield Finding(Kind.CHAIN, path, f"it is commit {commit.commit} of repository {commit.repository}")
    if entry.number == 1 and commit.previous_sha256 is not None:
        yield Finding(Kind.CHAIN, path, "it names a commit before it, and is the first")
    if before is not None and commit.previous_sha256 != before:
        yield Finding(
            Kind.CHAIN, path, f"the commit before is not the one it names: {commit.previous_sha256}, but is {before}"
        )
    yield from _check_logs(layout, entry, commit)
    if entry.plan is None:
        if not any(finding.about == layout.plan(entry.number) for finding in entry.damages):
            yield Finding(Kind.MISSING, layout.plan(entry.number), "the plan is missing, and its commit is there")
        return
    yield from _check_plan(layout, entry, entry.plan, commit)


def _check_logs(layout: Layout, entry: Entry, commit: Commit) -> Iterator[Finding]:
    path = layout.logs(entry.number)
    if entry.logs_sha256 is None:
        if not entry.damages:
            yield Finding(Kind.MISSING, path, "the logs of a commit are missing")
        return
    if entry.logs_sha256 != commit.logs_sha256:
        yield Finding(Kind.ALTERED, path, f"its SHA-256 is {entry.logs_sha256}, the commit names {commit.logs_sha256}")
    if entry.logs is None:
        return
    rows = entry.logs.to_pylist()
    for row in rows:
        gone = row["expired_lines"] + row["erased_lines"]
        if row["lines"] != row["rows"] + row["quarantined_lines"] + gone:
            figures = f"{row['lines']} lines, but {row['rows']} rows and {row['quarantined_lines']} quarantined"
            figures += f", and {gone} were removed" if gone else ""
            yield Finding(Kind.CONTRADICTION, row["name"], f"commit {entry.number} has {figures}")
    if commit.kind in TAKES_OUT:
        yield from _check_taken(layout, entry, commit)
        return
    states: Counter[str] = Counter()
    for row in rows:
        states[row["state"]] += row["sequence_to"] - row["sequence"] + 1
    totals = commit.totals
    sums = {column: sum(row[column] or 0 for row in rows) for column in ("lines", "rows", "quarantined_lines")}
    stated = {"lines": totals.lines, "rows": totals.rows, "quarantined_lines": totals.quarantined_lines}
    if states != totals.logs or sums != stated or sum(row["raw_bytes"] or 0 for row in rows) != totals.raw_bytes:
        yield Finding(Kind.CONTRADICTION, layout.commit(entry.number), "its totals are not those of its logs")
    written = sum(part.rows for part in commit.parts if part.event_class is not None)
    if written != totals.rows + commit.carried_rows:
        problem = f"its parts have {written} rows, its logs {totals.rows}, and it carried {commit.carried_rows} over"
        yield Finding(Kind.CONTRADICTION, layout.commit(entry.number), problem)


def _check_taken(layout: Layout, entry: Entry, commit: Commit) -> Iterator[Finding]:
    """Compare what a commit took out of the lake with the rule by which it did, and its rows with its parts."""
    path = layout.commit(entry.number)
    for rows, carried, parts in (
        (commit.taken_rows, commit.carried_rows, [part for part in commit.removed if part.event_class]),
        (commit.taken_quarantined, None, [part for part in commit.removed if not part.event_class]),
    ):
        kept = [part for part in commit.parts if bool(part.event_class) == (carried is not None)]
        left = sum(part.rows for part in kept)
        if sum(part.rows for part in parts) != rows + left or carried not in (None, left):
            problem = f"it took {rows} rows out of parts of {sum(part.rows for part in parts)}, and {left} are left"
            yield Finding(Kind.CONTRADICTION, path, problem)
    if commit.kind is not CommitKind.EXPIRE:
        return
    before = commit.purpose.before if commit.purpose else {}
    for part in commit.removed:
        first_kept = before.get(part.event_class or "quarantine")
        if first_kept is None or (part.event_date or "") >= first_kept:
            yield Finding(Kind.CONTRADICTION, path, f"it removed {part.path}, which its rule does not name")
    if commit.parts or (commit.removed_raw and "raw" not in before):
        yield Finding(Kind.CONTRADICTION, path, "it did what its rule does not name")


def _check_plan(layout: Layout, entry: Entry, plan: Plan, commit: Commit) -> Iterator[Finding]:
    """Compare the commit with the plan and the reports it was made of, none of which it has the hash of."""
    path = layout.commit(entry.number)
    if (plan.commit, plan.repository) != (entry.number, layout.repository):
        yield Finding(
            Kind.CHAIN, layout.plan(entry.number), f"it is plan {plan.commit} of repository {plan.repository}"
        )
        return
    if plan.run != commit.run or plan.observed_at != commit.observed_at:
        yield Finding(Kind.CONTRADICTION, path, "it is not of the run and the look at the index that its plan is of")
    if sorted([*commit.batches, *commit.failed_batches]) != list(range(len(plan.batches))):
        yield Finding(Kind.CONTRADICTION, path, f"its batches are not the {len(plan.batches)} of its plan")
        return
    missing = [batch for batch in commit.batches if batch not in entry.reports]
    for batch in missing:
        report = layout.report(entry.number, batch)
        if not any(finding.about == report for finding in entry.damages):
            yield Finding(Kind.MISSING, report, "the report of a batch is missing, and a commit names it")
    if missing:
        return
    reports = [entry.reports[batch] for batch in commit.batches]
    if [part for report in reports for part in report.parts] != list(commit.parts):
        yield Finding(Kind.CONTRADICTION, path, "its parts are not those that its batches reported")
    if commit.v > 1:
        yield from _check_removed(path, plan, commit, reports)
    replaced = {
        report.batch: plan.originals[report.batch]
        for report in reports
        if report.logs and report.batch in plan.originals
    }
    if replaced != commit.replaced:
        yield Finding(Kind.CONTRADICTION, path, "what it replaced is not what its plan and its batches say")
    records = [log for report in reports for log in report.logs]
    taken = [log for report in reports if report.taken for log in report.taken.logs]
    if entry.logs is not None:
        stated = Counter(tuple(row[column] for column in _COMPARED) for row in entry.logs.select(_COMPARED).to_pylist())
        if stated != Counter(_row(log) for log in [*records, *taken, *_closed(plan)]):
            yield Finding(Kind.CONTRADICTION, layout.logs(entry.number), "its logs are not those its batches reported")
    yield from _check_planned(path, plan, commit, {str(log.name) for log in records})
    if plan.prefixes.keys() != commit.prefixes.keys() or advance(plan, records) != commit.prefixes:
        yield Finding(Kind.CONTRADICTION, path, "its watermark does not follow from its plan and its batches")


def _check_removed(path: str, plan: Plan, commit: Commit, reports: list[Report]) -> Iterator[Finding]:
    """Compare what a commit did to the parts of others with its plan and reports."""
    if commit.kind is not plan.kind:
        yield Finding(Kind.CONTRADICTION, path, f"it is of kind {commit.kind}, its plan of kind {plan.kind}")
    if plan.accepts != commit.accepts:
        yield Finding(Kind.CONTRADICTION, path, "the exceptions it accepts are not those of its plan")
    if bool(plan.retires) != bool(commit.retired):
        yield Finding(Kind.CONTRADICTION, path, "it does not retire what its plan set out to retire")
    if commit.kind is CommitKind.COMPACT and _rows_by_partition(commit.removed) != _rows_by_partition(commit.parts):
        yield Finding(Kind.CONTRADICTION, path, "it merged parts, and the new ones have other rows than those")
    if sum(report.carried_rows for report in reports) != commit.carried_rows:
        yield Finding(Kind.CONTRADICTION, path, "it did not carry over the rows that its batches reported")
    if plan.v == 1:
        return  # its replays wrote over parts, and an older release reported them
    if [part for report in reports for part in report.removed] != list(commit.removed):
        yield Finding(Kind.CONTRADICTION, path, "the parts it removed are not those that its batches reported")
    for part in commit.parts:
        # A name that was committed is never written again.
        if (by := batch_of_part(part.path)) is None or by.commit != commit.commit:
            yield Finding(Kind.CONTRADICTION, path, f"{part.path} does not have the name of a part of this commit")
    gone = [item for report in reports if report.taken for item in report.taken.raw]
    if gone != list(commit.removed_raw) or plan.purpose != commit.purpose:
        yield Finding(Kind.CONTRADICTION, path, "what it took out, or why, is not what its plan and its batches say")
    if (plan.hold, plan.lifts) != (commit.hold, commit.lifts):
        yield Finding(Kind.CONTRADICTION, path, "the hold that it sets or lifts is not that of its plan")
    for report in reports:
        if report.removed and report.removed != plan.inputs.get(report.batch):
            problem = f"batch {report.batch} removed other parts than its plan says"
            yield Finding(Kind.CONTRADICTION, path, problem)


def _rows_by_partition(parts: Iterable[Part]) -> Counter[tuple[str, str] | None]:
    rows: Counter[tuple[str, str] | None] = Counter()
    for part in parts:
        rows[partition_of(part.path)] += part.rows
    return rows


def _check_planned(path: str, plan: Plan, commit: Commit, decided: set[str]) -> Iterator[Finding]:
    """Each log that was planned is decided or left open, unless its batch was to be replayed and stays as it is."""
    planned = {log.name for batch, logs in enumerate(plan.batches) for log in logs if batch not in plan.originals}
    for name in sorted(planned - decided - commit.open.keys()):
        yield Finding(Kind.UNACCOUNTED, name, f"{path}: it was planned, and is neither decided nor left open")


def _row(log: LogRecord) -> tuple[object, ...]:
    return tuple(getattr(log, column) for column in _COMPARED)


def _closed(plan: Plan) -> Iterator[LogRecord]:
    for gap in plan.closed:
        if gap.state is not State.EXPIRED:
            yield LogRecord(prefix=gap.prefix, sequence=gap.first, sequence_to=gap.last, state=gap.state)
            continue
        for number in range(gap.first, gap.last + 1):
            name = f"{gap.prefix}_{number}.log"
            yield LogRecord(prefix=gap.prefix, sequence=number, sequence_to=number, state=gap.state, name=name)
