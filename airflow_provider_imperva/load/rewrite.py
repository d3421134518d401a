"""Rewriting: the end of a batch that is a replay, which puts new parts in the place of those its logs had."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import VERSION, LeftOpen, LogRecord, Plan, PlannedLog, Report, Why, opened
from airflow_provider_imperva.lake.replacement import replace_parts
from airflow_provider_imperva.lake.watermark import State

logger = logging.getLogger(__name__)


def rewrite(
    ledger: Ledger,
    plan: Plan,
    batch: int,
    parts: BatchParts,
    records: Iterable[LogRecord],
    left_open: dict[str, LeftOpen],
) -> Report:
    """Write the parts of a replayed batch over those of its home, and report.

    A replay takes no events out of the lake: if one of the logs was loaded and now does not decode, or cannot be
    told, nothing is written, and the report says so.

    The home's intent names every object it may have, and only ever grows: whoever replays it next finds what this
    replay wrote, however it ended.

    :param parts: named by the home, with all rows of its logs.
    :param left_open: logs that could not be read, with the reason.
    :raises LedgerConflictError: if the plan was committed without this batch, which then stops where it is.
    """
    home = plan.homes[batch]

    def look() -> None:
        if ledger.committed(plan.commit):
            raise LedgerConflictError(
                f"plan {plan.commit} was committed before batch {batch} of it was done",
                do="nothing is lost: a later plan does it again",
                about=ledger.store.uri(ledger.layout.plan(plan.commit)),
            )

    kept = left_open | _worse(plan.batches[batch], records)
    if kept:
        for name, left in kept.items():
            logger.error("%s: not replayed, with the other logs of commit %d: %s", name, home.commit, left.reason)
        report = Report(VERSION, plan.commit, batch, (), (), **opened(kept))
    else:
        look()
        before = ledger.intent(home.commit, home.batch)
        ledger.write_intent(home.commit, home.batch, {*before, *parts.paths})
        written = replace_parts(ledger.store, parts, before, look=look)
        report = Report(VERSION, plan.commit, batch, written, tuple(records))
    look()
    ledger.write_report(report)
    return report


def _worse(logs: Iterable[PlannedLog], records: Iterable[LogRecord]) -> dict[str, LeftOpen]:
    """Return the logs that would be worse off than they are, and why."""
    loaded = {log.name for log in logs if log.loaded}
    return {
        str(record.name): LeftOpen(Why.REPLAY_WORSE, f"would be {record.state}: {record.reason}")
        for record in records
        if record.state is not State.COMMITTED
        and (record.state not in (State.QUARANTINED, State.DUPLICATE) or record.name in loaded)
    }
