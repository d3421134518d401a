"""Compacting a repository's part of a lake: planned, merged batch by batch, committed, and shown in the table.

A compaction never overtakes a run that loads, and may be overtaken by one at any time: then the batches that were done
by then are committed, and the others are merged by the next compaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ImpervaError, LakeError, LedgerConflictError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.compaction import parts_to_merge
from airflow_provider_imperva.lake.gathered import gather_logs
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import plan_maintenance
from airflow_provider_imperva.lake.merge import merge_batch
from airflow_provider_imperva.lake.records import Commit, Kind, Plan, Run
from airflow_provider_imperva.load.idle import wait_for_head
from airflow_provider_imperva.load.plan import recover
from airflow_provider_imperva.options import CompactionOptions
from airflow_provider_imperva.table.settle import settle

logger = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=15)
"""How long a compaction waits for a run that is under way."""


def make_compaction_plan(
    ledger: Ledger,
    *,
    run: Run,
    options: CompactionOptions,
    max_wait: timedelta = PATIENCE,
    clock: Clock = wall_clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Plan | None:
    """Plan what pays to be merged, once no run is at work; a compaction that died is finished first.

    A retry of the same run gets the plan it made before.

    :param run: who plans.
    :param max_wait: how long to wait for a run that is under way.
    :returns: the plan as written to the ledger; None if nothing pays.
    :raises LedgerConflictError: if a run is under way for longer than that, a replay is not finished, or another run
        planned at the same time.
    """
    head = wait_for_head(
        ledger,
        run=run,
        may_recover=_may_recover,
        do="Compact later. If it has died, the next run of the DAG that loads finishes it",
        max_wait=max_wait,
        clock=clock,
        sleep=sleep,
    )
    if head.plan and head.plan.run == run and head.plan.kind is Kind.COMPACT and not head.plan.torn:
        return head.plan
    head = recover(ledger, head, run=run, at=clock())
    if head.commit is None:
        return None
    if head.replaying:
        raise LedgerConflictError(
            f"replays of {len(head.replaying)} batches are not finished, and compaction waits for them",
            do="Let the DAG that loads run, or replay those logs again; then compact",
            about=ledger.store.uri(ledger.layout.commit(head.commit.commit)),
        )
    settle(ledger, head.commit, run=run, clock=clock)
    gather_logs(ledger)
    # Before anything is chosen: if another run commits meanwhile, the number of the plan is taken, and it is refused.
    last = ledger.head(with_plan=False).commit or head.commit
    batches = parts_to_merge(ledger, at=clock(), options=options)
    if not batches:
        return None
    return plan_maintenance(
        ledger,
        last,
        kind=Kind.COMPACT,
        run=run,
        provider_version=__version__,
        at=clock(),
        inputs=dict(enumerate(batches)),
    )


def _may_recover(plan: Plan) -> bool:
    """Whether a plan is of a compaction, which may have died; no run that loads is overtaken."""
    return plan.torn or plan.kind in (Kind.COMPACT, Kind.RETIRE)


def commit_compaction(ledger: Ledger, plan: Plan, *, by: Run, clock: Clock = wall_clock) -> Commit:
    """Commit what was merged, and show it in the table.

    :param by: who commits.
    :returns: the commit; the one that another run made if that one overtook this.
    :raises ImpervaError: if the table does not show it.
    """
    commit = commit_plan(ledger, plan, by=by, provider_version=__version__, at=clock())
    if error := settle(ledger, commit, run=by, clock=clock):
        raise error
    return commit


def compact(
    ledger: Ledger,
    *,
    run: Run,
    options: CompactionOptions,
    max_wait: timedelta = PATIENCE,
    until: Callable[[], bool] = lambda: False,
    on_batch: Callable[[Plan], None] = lambda _: None,
    clock: Clock = wall_clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Commit]:
    """Merge until nothing pays any more, and yield each commit.

    :param until: decides after each batch whether to end.
    :param on_batch: called before the first batch of a plan and after each, for a progress bar.
    :raises LedgerConflictError: as of :func:`make_compaction_plan`.
    :raises LakeError: if batches could not be merged, after the others were committed; their parts are as they were.
    """
    number = 0
    while not until():
        number += 1
        one = Run(run.dag_id, f"{run.run_id} {number}")
        plan = make_compaction_plan(ledger, run=one, options=options, max_wait=max_wait, clock=clock, sleep=sleep)
        if plan is None:
            return
        failed: list[ImpervaError] = []
        on_batch(plan)
        for batch in range(len(plan.batches)):
            try:
                merge_batch(ledger, plan, batch)
            except LedgerConflictError as error:
                logger.info("%s", error)
                break
            except LakeError as error:
                logger.error("Batch %d failed: %s", batch, error)
                failed.append(error)
            on_batch(plan)
            if until():
                break
        yield commit_compaction(ledger, plan, by=one, clock=clock)
        if failed:
            raise failed[0]
