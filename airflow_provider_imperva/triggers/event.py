"""The trigger of an asset watcher: an event when there is something to load, and not one for each log."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_imperva.options import PlanOptions, check_positive, checked_options
from airflow_provider_imperva.retries import describe_error
from airflow_provider_imperva.triggers.imperva import find_work
from airflow_provider_imperva.uri import check_lake_uri


class ImpervaLogEventTrigger(BaseEventTrigger):
    """Looks at repository and ledger for ever, and fires when what there is to load is other than when it last did.

    An event's payload is that of the sensor's XCom (``logs``, ``closed_gaps``, ``recover``, ``digest``), or has an
    ``error``: if a look fails, a run has to fail, so that people hear of it. The looks go on, whatever the error.

    It changes nothing. So it may fire twice, run on two triggerers, or forget what it fired for when it is started
    again: a run that finds nothing to load ends as skipped.

    :param poke_interval: seconds between two looks.
    :param min_interval: seconds that pass at least between two events.
    :param remind_interval: seconds after which it fires again though nothing has changed: the run before may have
        failed. For as long, a plan without a commit is taken for a run under way.
    :param plan_options: fields of :class:`~airflow_provider_imperva.options.PlanOptions` that are not the default; as
        the DAG that loads has them.
    """

    def __init__(
        self,
        *,
        imperva_conn_id: str,
        lake_uri: str,
        lake_conn_id: str | None = None,
        poke_interval: float = 15,
        min_interval: float = 30,
        remind_interval: float = 3600,
        plan_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_positive(poke_interval=poke_interval, remind_interval=remind_interval)
        self.imperva_conn_id = imperva_conn_id
        check_lake_uri(lake_uri)
        self.lake_uri = lake_uri
        self.lake_conn_id = lake_conn_id
        self.poke_interval = poke_interval
        self.min_interval = min_interval
        self.remind_interval = remind_interval
        self.plan_options = checked_options(PlanOptions, plan_options)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments; no secret is among them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "imperva_conn_id": self.imperva_conn_id,
                "lake_uri": self.lake_uri,
                "lake_conn_id": self.lake_conn_id,
                "poke_interval": self.poke_interval,
                "min_interval": self.min_interval,
                "remind_interval": self.remind_interval,
                "plan_options": self.plan_options,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire whenever it is time to, and never end."""
        watch = Watch(min_interval=self.min_interval, remind_interval=self.remind_interval)
        while True:
            work = await self._check_for_work()
            if work is not None and watch.is_due(work, at=time.monotonic()):
                yield TriggerEvent(work)
            await asyncio.sleep(self.poke_interval)

    async def _check_for_work(self) -> dict[str, Any] | None:
        try:
            return await find_work(self.imperva_conn_id, self.lake_uri, self.lake_conn_id, self.plan_options)
        except Exception as error:
            # Whatever it is: a trigger that ends looks no more, and that is not noticed.
            self.log.warning("A look failed: %s", describe_error(error))
            return {"error": describe_error(error), "digest": getattr(error, "reason", type(error).__name__)}


@dataclass(slots=True, kw_only=True)
class Watch:
    """When to fire: derived from what was found, and from what was fired for before.

    Times are seconds of a clock that only goes forward.
    """

    min_interval: float
    remind_interval: float
    _digest: str | None = None
    _fired_at: float = -math.inf
    _plan: int | None = None
    _plan_since: float = -math.inf

    def is_due(self, work: dict[str, Any], *, at: float) -> bool:
        """Return whether to fire for what was found, and take it as done."""
        if (plan := work.get("recover")) is not None:
            if plan != self._plan:
                self._plan, self._plan_since = plan, at
            since, interval = max(self._fired_at, self._plan_since), self.remind_interval
        else:
            since = self._fired_at
            interval = self.remind_interval if work["digest"] == self._digest else self.min_interval
        if at - since < interval:
            return False
        self._fired_at = at
        if plan is None:
            self._digest = work["digest"]
        return True
