"""Writing a batch: an intent, its parts, and last its report, so that an attempt may die or hang anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Plan, Report


def write_batch(
    ledger: Ledger, plan: Plan, batch: int, *, paths: Sequence[str], outcome: str, write: Callable[[], Report]
) -> Report:
    """Write intent, parts and report, in this order.

    The intent goes first, so that whatever this batch writes can be found again, even what it writes after the plan
    was committed without it. It binds every attempt to the outcome of the first, since one that hangs may write at any
    time: then it writes what is there.

    :param paths: the parts that it will write.
    :param outcome: SHA-256 of what their bytes follow from.
    :param write: writes them, and returns the report.
    :returns: the report as written to the ledger; that of another attempt if that one was quicker.
    :raises LedgerConflictError: if the plan was committed without this batch, or another attempt at it came to another
        outcome and has not reported; then nothing is written.
    """
    may_write = ledger.create_intent(plan.commit, batch, paths, outcome=outcome)
    stop_if_overtaken(ledger, plan, batch)
    if report := ledger.finished(plan.commit, batch):
        return report
    if not may_write:
        raise LedgerConflictError(
            f"another attempt at batch {batch} of plan {plan.commit} came to another outcome and has not reported",
            do="Nothing is lost: unless that attempt ends well, the next plan does this batch again",
            about=ledger.store.uri(ledger.layout.intent(plan.commit, batch)),
        )
    report = write()
    try:
        # Once more, since it may have hung in between for longer than commits look back for orphans.
        stop_if_overtaken(ledger, plan, batch)
    except LedgerConflictError:
        ledger.store.delete(paths)
        raise
    ledger.write_report(report)
    return report


def stop_if_overtaken(ledger: Ledger, plan: Plan, batch: int) -> None:
    """See that no other run committed a plan without a batch.

    :raises LedgerConflictError: if one did.
    """
    if ledger.committed(plan.commit) and batch in ledger.commit(plan.commit).failed_batches:
        raise LedgerConflictError(
            f"plan {plan.commit} was committed without batch {batch}, which had not reported",
            do="Nothing is lost: a later plan does this batch again",
            about=ledger.store.uri(ledger.layout.plan(plan.commit)),
        )
