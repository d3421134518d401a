"""A deadline alert for the DAGs that load: a run that does not end is noticed while it still hangs."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_imperva.options import check_positive

if TYPE_CHECKING:
    from airflow.sdk.definitions.callback import Callback
    from airflow.sdk.definitions.deadline import DeadlineAlert

logger = logging.getLogger(__name__)


def imperva_deadline_alert(
    after: timedelta = timedelta(minutes=30), *, callback: Callback | None = None
) -> DeadlineAlert:
    """Make the alert for a run that has not ended some time after it was queued; give it to a factory as ``deadline``.

    A run that waits for a pool that is too small, or for workers that are all busy, starts nothing that could fail.
    Airflow's scheduler looks for such runs, and its triggerer calls.

    :param after: how long a run may take from when it was queued.
    :param callback: whom to call, an :class:`~airflow.sdk.AsyncCallback` around a function or notifier; by default
        :func:`log_late`, which writes an error to the triggerer's log.
    :raises ConfigurationError: if ``after`` is not above zero.
    """
    from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

    check_positive(after=after)
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=after,
        callback=callback or AsyncCallback(log_late, {"after": str(after)}),
    )


async def log_late(*, after: str, context: dict[str, Any] | None = None, **_: Any) -> None:
    """Write to the triggerer's log that a run is late, and what usually holds one up."""
    run = (context or {}).get("dag_run") or {}
    name = f"{run.get('dag_id', 'a DAG')} {run.get('dag_run_id', '')}".strip() if isinstance(run, dict) else str(run)
    logger.error(
        "The run of %s has not ended %s after it was queued. If its tasks are scheduled and none starts, see that their"
        " pool exists and has at least as many slots as fetch_slots, and that workers are free. Until a run ends, no"
        " other begins, and Imperva keeps logs for about two days.",
        name,
        after,
    )
