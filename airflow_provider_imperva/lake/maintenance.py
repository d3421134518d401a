"""Plans that load nothing: compaction, retiring and the like take a number of the ledger as loading does.

Such a plan repeats what the last commit says of the repository, so that the watermark stays as it is. Its batches, if
it has any, report as others do: the parts they wrote, the parts they removed, and how many rows they carried over.
``commit_plan`` commits it, and so does any run that finds it without a commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import VERSION, Acceptance, Commit, Hold, Kind, Part, Plan, Purpose, Run

logger = logging.getLogger(__name__)

GRACE = timedelta(days=7)
"""How long readers of a table may hold a part that a commit removed."""


def plan_maintenance(
    ledger: Ledger,
    last: Commit,
    *,
    kind: Kind,
    run: Run,
    provider_version: str,
    at: datetime,
    inputs: Mapping[int, tuple[Part, ...]] | None = None,
    retires: tuple[int, ...] = (),
    purpose: Purpose | None = None,
    hold: Hold | None = None,
    lifts: str | None = None,
    accepts: tuple[Acceptance, ...] = (),
    destroys: tuple[str, ...] = (),
) -> Plan:
    """Plan to change what is in the lake.

    :param last: the ledger's last commit.
    :param at: now, UTC.
    :param inputs: for each batch, from 0 without a hole, the live parts whose place its own will take.
    :param retires: commits whose removed parts are to be deleted.
    :param purpose: why something is taken out of the lake, or a hold is lifted.
    :param hold: the hold to set; ``lifts`` the reference of one to lift.
    :param accepts: exceptions that somebody accepts.
    :param destroys: months whose data keys are to be destroyed.
    :returns: the plan as written to the ledger.
    :raises LedgerConflictError: if another run planned since.
    """
    inputs = dict(inputs or {})
    return ledger.create_plan(
        Plan(
            v=VERSION,
            repository=ledger.layout.repository,
            commit=last.commit + 1,
            run=run,
            provider_version=provider_version,
            created_at=at,
            observed_at=last.observed_at,
            listed=0,
            batches=((),) * len(inputs),
            closed=(),
            prefixes=dict(last.prefixes),
            kind=kind,
            inputs=inputs,
            retires=retires,
            purpose=purpose,
            hold=hold,
            lifts=lifts,
            accepts=accepts,
            destroys=destroys,
            account_group=ledger.plan(last.commit).account_group,
            unread=last.unread,
            unread_count=last.unread_count,
        )
    )


def retire(
    ledger: Ledger,
    commit: Commit,
    *,
    run: Run,
    provider_version: str,
    at: datetime,
    grace: timedelta = timedelta(),
    before: Callable[[tuple[Commit, ...]], object] = lambda removals: None,
) -> Commit | None:
    """Delete the objects of parts that commits removed, once no reader has to hold them; the ledger says so first.

    Broken off anywhere, the next run does the rest.

    :param commit: one of the last; what it says spares a look at the ledger where there is nothing to do.
    :param run: who does it.
    :param at: now, UTC.
    :param grace: how long the objects stay: :data:`GRACE` where the lake has a table, and then the table has to show
        what this one removed already.
    :param before: takes the commits whose removed objects are about to be deleted, before anything says so. It may
        get the same ones again, from a later run.
    :returns: the commit that says so; None if nothing was to be done, or another run is at work.
    """
    if not commit.unretired:
        return None
    head = ledger.head()
    if head.commit is None or head.plan:
        return None
    removals = tuple(due_removals(ledger, head.commit, at=at, grace=grace))
    if not removals:
        return None
    before(removals)
    due = tuple(removal.commit for removal in removals)
    try:
        plan = plan_maintenance(
            ledger, head.commit, kind=Kind.RETIRE, run=run, provider_version=provider_version, at=at, retires=due
        )
    except LedgerConflictError as error:
        logger.info("%s What was removed is deleted later", error)
        return None
    return commit_plan(ledger, plan, by=run, provider_version=provider_version, at=at)


def due_removals(ledger: Ledger, last: Commit, *, at: datetime, grace: timedelta) -> Iterator[Commit]:
    """Yield the commits whose removed objects are to be deleted now.

    What expired or was erased stays as long as a hold covers any of it, also one that was set since. Rows that were
    merged or loaded again are in the lake elsewhere, so no hold keeps their old parts.
    """
    for removal in last.unretired:
        if at - removal.at < grace:
            continue
        commit = ledger.commit(removal.commit)
        if commit.kind in TAKES_OUT and (held := [hold for hold in last.holds if covers(hold, ledger, commit)]):
            logger.warning(
                "What commit %d removed is not deleted: it is on hold (%s)",
                *(commit.commit, ", ".join(hold.reference for hold in held)),
            )
            continue
        yield commit


TAKES_OUT = (Kind.EXPIRE, Kind.ERASE)
"""Kinds of commits after which rows or bytes are nowhere in the lake."""


def describe_removal(commit: Commit) -> str:
    """Describe which commit took something out of the lake, when and why."""
    what = "were erased" if commit.kind is Kind.ERASE else "expired"
    return f"{what} on {commit.committed_at:%Y-%m-%d} by commit {commit.commit}: {commit.purpose}"


def covers(hold: Hold, ledger: Ledger, commit: Commit) -> bool:
    """Return whether a hold covers anything that a commit took out of the lake."""
    if any(hold.covers(part.event_date) for part in commit.removed if part.event_date):
        return True
    if not commit.removed_raw and all(part.event_date for part in commit.removed):
        return False
    return any(hold.covers(*days_of_log(row)) for row in ledger.logs(commit.commit).to_pylist())


def days_of_log(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the first and the last day that anything in a log may be of: a day more at each end, to be safe.

    :param row: of ``logs.parquet``.
    """
    times = [row[name] for name in ("start_time", "end_time", "first_listed_at", "fetched_at") if row[name]]
    try:
        first, last = min(times) - timedelta(days=1), max(times) + timedelta(days=1)
    except (ValueError, OverflowError):
        return date.min.isoformat(), date.max.isoformat()
    return first.date().isoformat(), last.date().isoformat()
