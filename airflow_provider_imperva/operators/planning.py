"""Planning, as every operator that plans does it: the ledger is claimed, held against XCom, and gets a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_imperva.errors import LakeMismatchError, LedgerCorruptError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
    from airflow_provider_imperva.lake.ledger import Head, Ledger
    from airflow_provider_imperva.lake.records import Plan, Run
    from airflow_provider_imperva.load.origin import LogOrigin


def plan_logs(
    context: Context,
    hook: ImpervaLogHook,
    client: LogOrigin,
    ledger: Ledger,
    *,
    plan_options: dict[str, Any],
    last: Any,
    log: Logger,
) -> Plan | None:
    """Recover what a dead run left, and write to the ledger which logs this run loads.

    :param last: the XCom of the commit that the run before made; None if there is none, or none to go by.
    :param log: that of the task.
    :returns: None if there is nothing to do.
    :raises LakeMismatchError: if the lake is not the one that the run before wrote to, or an older copy.
    :raises LedgerCorruptError: if the ledger is damaged; until a person has mended it, logs are fetched all the same.
    """
    from airflow_provider_imperva.lake.claim import claim
    from airflow_provider_imperva.load.plan import make_plan, whole_head
    from airflow_provider_imperva.load.rescue import rescue

    claim(ledger, client.source)
    run = run_of(context)
    try:
        head = whole_head(ledger, run=run)
        _compare_with_xcom(context, head, ledger, last=last, log=log)
        _name_other_dag(context, head, ledger, log=log)
        plan = make_plan(ledger, client, run=run, key_ids=hook.key_ids(), options=hook.plan_options(plan_options))
    except LedgerCorruptError as error:
        # It takes a person to mend it, and until then logs leave the window.
        count = rescue(ledger, client, max_concurrency=hook.max_concurrency)
        log.error("The ledger is damaged. %d logs were fetched into raw/ by the index alone", count)
        raise error
    if plan is not None:
        log.info("Plan %d: %d logs in %d batches", plan.commit, plan.logs, len(plan.batches))
    return plan


def run_of(context: Context) -> Run:
    """Return who plans."""
    from airflow_provider_imperva.lake.records import Run

    ti = context["ti"]
    return Run(dag_id=ti.dag_id, run_id=ti.run_id)


def _name_other_dag(context: Context, head: Head, ledger: Ledger, *, log: Logger) -> None:
    """Warn if another DAG loads the same repository into the same lake: they recover each other's runs."""
    loads = []
    if head.plan and len(head.plan.originals) < max(1, len(head.plan.batches)):  # else it is a replay
        loads.append(head.plan.run.dag_id)
    if head.commit and len(head.commit.replaced) < max(1, len(head.commit.batches)):
        loads.append(head.commit.run.dag_id)
    for other in sorted(set(loads) - {context["ti"].dag_id}):
        log.warning(
            "The DAG %s loads repository %s into this lake too. Nothing is lost or doubled by that, but the two"
            " recover each other's runs and fail: pause one of them, or give one connection another id in its extra"
            " `repository`.",
            other,
            ledger.layout.repository,
        )


def _compare_with_xcom(context: Context, head: Head, ledger: Ledger, *, last: Any, log: Logger) -> None:
    """Compare the last run's XCom with the ledger, which wins.

    But a ledger that ends before what the XCom names has lost commits, whose events would be loaded twice.
    """
    commit = head.commit
    xcom_commit = last["commit"] if last and last["repository"] == ledger.layout.repository else None
    if commit is None and xcom_commit is not None:
        if not context["params"].get("start_anew"):
            raise LakeMismatchError(
                f"the last run left commit {xcom_commit}, but this lake has no ledger",
                do="Check the lake's URI; to load into a new lake on purpose, trigger a run with start_anew = true",
                about=ledger.store.uri(ledger.layout.ledger),
            )
        if ledger.store.folders(ledger.layout.events_folder):
            raise LakeMismatchError(
                "start_anew is for an empty lake, and there are events of this repository here, but no ledger",
                do="Restore the ledger from a backup; or move these events away, then run again",
                about=ledger.store.uri(ledger.layout.events_folder),
            )
        log.warning("Starting over: the last run left commit %s, this lake has no ledger", xcom_commit)
    elif commit is None:
        log.info("No XCom and no ledger: a new lake")
    elif xcom_commit is None:
        log.info("Going by the ledger (commit %d); there is no XCom of an earlier run", commit.commit)
    elif xcom_commit == commit.commit:
        log.info("Going by the ledger (commit %d); the last run's XCom agrees", commit.commit)
    elif xcom_commit > commit.commit and not context["params"].get("go_by_ledger"):
        raise LakeMismatchError(
            f"the last run left commit {xcom_commit}, and the ledger ends at {commit.commit}: it is an older copy, and"
            " what was committed since would be loaded a second time",
            do="Restore the newest copy of ledger/ there is; to go on with this one, move away every part of a"
            " later commit (`imperva-logs verify` names them), then trigger a run with go_by_ledger = true",
            about=ledger.store.uri(ledger.layout.ledger),
        )
    else:
        log.warning("Going by the ledger (commit %d), not by the last run's XCom (%s)", commit.commit, xcom_commit)
