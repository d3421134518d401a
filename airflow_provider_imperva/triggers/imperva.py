"""The trigger that waits for work without a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.retries import describe_error, is_final, is_transient


class ImpervaLogTrigger(BaseTrigger):
    """Looks at repository and ledger until there is work, and fires once.

    It changes nothing, so that it may run twice, or again on another triggerer.

    :param poke_interval: seconds between two looks.
    :param deadline: when to give up, seconds since 1970.
    :param plan_options: fields of :class:`~airflow_provider_imperva.options.PlanOptions` that are not the default.
    """

    def __init__(
        self,
        *,
        imperva_conn_id: str,
        lake_uri: str,
        lake_conn_id: str | None,
        poke_interval: float,
        deadline: float,
        plan_options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.imperva_conn_id = imperva_conn_id
        self.lake_uri = lake_uri
        self.lake_conn_id = lake_conn_id
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.plan_options = plan_options

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments; no secret is among them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "imperva_conn_id": self.imperva_conn_id,
                "lake_uri": self.lake_uri,
                "lake_conn_id": self.lake_conn_id,
                "poke_interval": self.poke_interval,
                "deadline": self.deadline,
                "plan_options": self.plan_options,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire with ``work`` (as the sensor's XCom has it), or with ``error`` and whether it is ``final``.

        When the time is up with nothing to do, the task is skipped from here, and takes no worker once more to say so.

        What may pass, such as a repository that gives no answer, is logged, and the wait goes on. Only if it lasts
        until the time is up, it is the ``error``.
        """
        while True:
            trouble = None
            try:
                work = await find_work(self.imperva_conn_id, self.lake_uri, self.lake_conn_id, self.plan_options)
            except Exception as error:
                trouble = describe_error(error)
                if not is_transient(error):
                    yield TriggerEvent({"error": trouble, "final": is_final(error)})
                    return
                self.log.warning("A look failed, and the wait goes on: %s", trouble)
            else:
                if work is not None:
                    yield TriggerEvent({"work": work})
                    return
            if time.time() + self.poke_interval > self.deadline:
                if trouble:
                    yield TriggerEvent({"error": trouble, "final": False})
                else:
                    self.log.info("The time is up, and there is nothing to load")
                    yield TaskSkippedEvent()
                return
            await asyncio.sleep(self.poke_interval)


async def find_work(
    imperva_conn_id: str, lake_uri: str, lake_conn_id: str | None, plan_options: dict[str, Any]
) -> dict[str, Any] | None:
    """Look whether there is anything to do, as :meth:`ImpervaLogHook.find_work`, and let other triggers go on."""
    connection = await ImpervaLogHook.aget_connection(imperva_conn_id)
    hook = ImpervaLogHook(imperva_conn_id, connection=connection)
    # The connections of lake and deliveries are looked up in the thread, by Airflow's providers too. Not asyncio's own
    # threads: from one of those Airflow 3.1 would ask its supervisor over another event loop, and break down.
    return await sync_to_async(hook.find_work, thread_sensitive=False)(lake_uri, lake_conn_id, plan_options)
