"""The sensor that waits until there is something to load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    conf,
)
from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.options import PlanOptions, checked_options
from airflow_provider_imperva.retries import describe_error, ends_for_good, is_transient, refuse_backfill, refuse_pools
from airflow_provider_imperva.triggers.imperva import ImpervaLogTrigger
from airflow_provider_imperva.uri import check_lake_uri

if TYPE_CHECKING:
    from airflow.sdk import Context


_NOTHING = "Nothing new: no log to load, no gap to close, no plan to recover"
_NO_ANSWER = (
    "The time is up, and the triggerer did not answer. See that one runs and keeps up; until then each run looks once,"
    " and loads what there is"
)

_GRACE = timedelta(minutes=5)
"""How much longer than the sensor's own time the triggerer has to say that it is up: its last look may be slow."""


class ImpervaLogSensor(BaseSensorOperator):
    """Waits for work of any kind: a new log, a key that has come, a gap that can be closed, a plan to recover.

    Its XCom says what it found (``logs``, ``closed_gaps``, ``recover``), the same whether it deferred or not. When its
    time is up with nothing to do, it is skipped and not failed. If the triggerer has not answered five minutes after
    that, it fails, without retry.

    :param lake_uri: root of the lake.
    :param imperva_conn_id: connection of type ``imperva``.
    :param lake_conn_id: connection with the lake's credentials; ambient ones without.
    :param plan_options: fields of :class:`~airflow_provider_imperva.options.PlanOptions` that are not the default.
    :param deferrable: whether to wait in the triggerer rather than on a worker.
    """

    template_fields: Sequence[str] = ("imperva_conn_id", "lake_uri", "lake_conn_id")
    ui_color = "#e8f0fe"
    _trouble: str | None = None
    """Why the last look failed."""

    def __init__(
        self,
        *,
        lake_uri: str,
        imperva_conn_id: str = ImpervaLogHook.default_conn_name,
        lake_conn_id: str | None = None,
        plan_options: dict[str, Any] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_lake_uri(lake_uri)
        self.lake_uri = lake_uri
        self.imperva_conn_id = imperva_conn_id
        self.lake_conn_id = lake_conn_id
        self.plan_options = checked_options(PlanOptions, plan_options)
        self.deferrable = deferrable

    @ends_for_good
    def execute(self, context: Context) -> Any:
        """Look once, then wait: in the triggerer if deferrable, else here.

        A look that fails in a way that may pass is logged, and the wait goes on.

        :raises AirflowSkipException: if the time is up with nothing to do.
        :raises AirflowFailException: if a person has to act: the key is refused, the connection is wrong or missing,
            the ledger is another account's. No ``soft_fail`` hides that.
        :raises AirflowException: if the last look before the time was up failed.
        """
        refuse_backfill(context)
        refuse_pools(context)
        ImpervaLogHook(self.imperva_conn_id).log_cautions()
        if not self.deferrable:
            try:
                return super().execute(context)
            except AirflowSensorTimeout:
                if self._trouble:
                    raise AirflowException(self._trouble) from None
                raise AirflowSkipException(_NOTHING) from None
        if (work := self._check_for_work()) is not None:
            return self._result(work)
        trigger = ImpervaLogTrigger(
            imperva_conn_id=self.imperva_conn_id,
            lake_uri=self.lake_uri,
            lake_conn_id=self.lake_conn_id,
            poke_interval=self.poke_interval,
            deadline=time.time() + self.timeout,
            plan_options=self.plan_options,
        )
        timeout = timedelta(seconds=self.timeout) + _GRACE
        return self.defer(trigger=trigger, method_name=self.resume.__name__, timeout=timeout)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the wait in the triggerer.

        :raises AirflowFailException: if a person has to act.
        :raises AirflowSensorTimeout: if the triggerer did not answer.
        """
        event = (next_kwargs or {}).get("event")
        if isinstance(event, dict) and event.get("final"):
            # Before Airflow sees it, which would skip the task if it is set to fail softly.
            raise AirflowFailException(event["error"])
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout:
            raise AirflowSensorTimeout(_NO_ANSWER) from None

    def resume(self, context: Context, event: dict[str, Any] | str) -> Any:
        """Return what the trigger found.

        :param event: the payload; where ``airflow dags test`` hands on the trigger's end of the task, the text of it.
        """
        if isinstance(event, str):
            raise AirflowSkipException(_NOTHING)
        if "error" in event:
            raise AirflowException(event["error"])
        return self._result(event["work"])

    def poke(self, context: Context) -> PokeReturnValue:
        """Look whether there is work."""
        work = self._check_for_work()
        return PokeReturnValue(is_done=work is not None, xcom_value=work and self._result(work))

    def _result(self, work: dict[str, Any]) -> dict[str, Any]:
        """Describe what there is to do, and return it."""
        said = [f"{work['logs']} logs to load"] if work.get("logs") else []
        said += [f"{work['closed_gaps']} gaps to close"] if work.get("closed_gaps") else []
        said += ["the plan of a dead run to finish"] if work.get("recover") is not None else []
        self.log.info("Found work: %s", ", ".join(said) or "a state to record")
        return work

    def _check_for_work(self) -> dict[str, Any] | None:
        """Look once; None if there is no work, or if the look failed in a way that may pass."""
        hook = ImpervaLogHook(self.imperva_conn_id)
        self._trouble = None
        try:
            return hook.find_work(self.lake_uri, self.lake_conn_id, self.plan_options)
        except Exception as error:
            if not is_transient(error):
                raise
            self._trouble = describe_error(error)
            self.log.warning("A look failed, and the wait goes on: %s", self._trouble)
            return None
