"""Waiting until no run that may live is at work on a repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.ledger import Head, Ledger
from airflow_provider_imperva.lake.records import Plan, Run
from airflow_provider_imperva.load.plan import whole_head

_PAUSE = timedelta(seconds=5)


def wait_for_head(
    ledger: Ledger,
    *,
    run: Run,
    may_recover: Callable[[Plan], bool],
    do: str,
    max_wait: timedelta,
    clock: Clock = wall_clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Head:
    """Return the head of a ledger once its plan, if it has one without a commit, may be recovered.

    :param may_recover: whether the run of a plan has died, or may be overtaken.
    :param do: what to do if it is still at work at the end.
    :param max_wait: how long to wait, in pauses of five seconds.
    :raises LedgerConflictError: if a run is still at work then.
    """
    waited = timedelta()
    while True:
        head = whole_head(ledger, run=run, clock=clock)
        if head.plan is None or may_recover(head.plan):
            return head
        if waited >= max_wait:
            raise at_work(ledger, head.plan, do=do)
        sleep(_PAUSE.total_seconds())
        waited += _PAUSE


def at_work(ledger: Ledger, plan: Plan, *, do: str) -> LedgerConflictError:
    """Return the error of work that must not overtake the run of a plan."""
    return LedgerConflictError(
        f"plan {plan.commit} of run {plan.run.run_id} has no commit: that run is at work or has died",
        do=do,
        about=ledger.store.uri(ledger.layout.plan(plan.commit)),
    )
