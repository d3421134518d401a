"""Rewriting: what a batch that is a replay has to see to before its parts take the place of those its logs had."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import parts_of_batch
from airflow_provider_imperva.lake.records import LeftOpen, LogRecord, OpenCode, Part, Plan, PlannedLog
from airflow_provider_imperva.lake.watermark import State

logger = logging.getLogger(__name__)


def replaced_parts(ledger: Ledger, plan: Plan, batch: int) -> tuple[Part, ...]:
    """Return the parts whose place those of a replay take; nothing that an older release left half done is in the way.

    A replay of ledger version 1 wrote over the parts of the batch it replayed, and may have stopped midway: what it
    began and no commit names is deleted.
    """
    batch_id = plan.originals[batch]
    if ledger.commit(batch_id.commit).v > 1:
        return plan.inputs[batch]
    parts = parts_of_batch(ledger, batch_id)
    ledger.store.delete(set(ledger.intent(batch_id.commit, batch_id.batch)) - {part.path for part in parts})
    return parts if plan.v == 1 else plan.inputs[batch]


def kept_as_they_are(
    plan: Plan, batch: int, records: Iterable[LogRecord], left_open: dict[str, LeftOpen]
) -> dict[str, LeftOpen]:
    """Return the logs that keep a batch from being replayed, and why; it is replayed if there are none.

    A replay removes no events from the lake: if one of the logs was loaded, and now does not decode or is in doubt, all
    stay as they are.

    :param left_open: logs that could not be read, with the reason.
    """
    kept = left_open | _worse(plan.batches[batch], records)
    for name, left in kept.items():
        logger.error(
            "%s: not replayed, with the other logs of commit %d: %s", name, plan.originals[batch].commit, left.reason
        )
    return kept


def _worse(logs: Iterable[PlannedLog], records: Iterable[LogRecord]) -> dict[str, LeftOpen]:
    """Return the logs that would be worse off than they are, and why."""
    loaded = {log.name for log in logs if log.loaded}
    return {
        str(record.name): LeftOpen(OpenCode.REPLAY_WORSE, f"would be {record.state}: {record.reason}")
        for record in records
        if record.state is not State.COMMITTED
        and record.reason_code != OpenCode.GROWN
        and (record.state not in (State.QUARANTINED, State.DUPLICATE) or record.name in loaded)
    }
