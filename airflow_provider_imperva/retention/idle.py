"""Waiting for the moment in which no other run is at work on a repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError, LedgerConflictError
from airflow_provider_imperva.lake.ledger import Head, Ledger
from airflow_provider_imperva.lake.records import Commit, Plan, Run
from airflow_provider_imperva.load.idle import wait_for_head
from airflow_provider_imperva.load.plan import recover

PATIENCE = timedelta(minutes=10)
"""How long a task waits for the run that is loading the repository."""

_DEAD = timedelta(hours=3)
"""A plan this old belongs to a run that has died: the time limit of a run is lower."""


def idle_head(
    ledger: Ledger,
    *,
    run: Run,
    take_over: bool = False,
    max_wait: timedelta = timedelta(),
    clock: Clock = wall_clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Commit:
    """Return the last commit of a ledger that has no plan without a commit.

    What a run that has died left, and what an earlier try of this one did, is recovered. The plan of a run that may
    live is waited for: it loads logs, and must not be overtaken by work that can wait.

    :param take_over: recover the plan of any run.
    :raises LedgerConflictError: if another run is still at work once the patience is over.
    :raises ConfigurationError: if nothing was ever loaded.
    """

    def may_recover(plan: Plan) -> bool:
        return take_over or plan.run == run or clock() - plan.created_at > _DEAD

    head = wait_for_head(
        ledger,
        run=run,
        may_recover=may_recover,
        do="Try again once it has ended; if it has died, the next run that loads recovers it",
        max_wait=max_wait,
        clock=clock,
        sleep=sleep,
    )
    return _some(ledger, recover(ledger, head, run=run, at=clock()))


def last_commit(ledger: Ledger) -> Commit:
    """Return the last commit of a ledger, whoever is at work.

    :raises ConfigurationError: if nothing was ever loaded.
    """
    return _some(ledger, ledger.head(with_plan=False))


def _some(ledger: Ledger, head: Head) -> Commit:
    if head.commit is None:
        raise ConfigurationError(
            "nothing was ever loaded from this repository", do="Check its id", about=ledger.layout.repository
        )
    return head.commit


def stop_if_overtaken(ledger: Ledger, commit: Commit) -> None:
    """See that a commit has what its only batch did.

    :raises LedgerConflictError: if another run committed the plan without it.
    """
    if commit.failed_batches:
        raise LedgerConflictError(
            f"another run took over and committed plan {commit.commit} without what this one did",
            do="The lake is as it was: run it again, while no other run is at work",
            about=ledger.store.uri(ledger.layout.plan(commit.commit)),
        )
