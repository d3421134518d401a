"""The watch over a lake as an Airflow task: it notices when a repository is no longer loaded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.options import PlanOptions, check_positive, checked_options
from airflow_provider_imperva.retries import ends_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

_CLOCKS = timedelta(minutes=10)
"""How far the clocks of two workers may be apart."""


class ImpervaWatchOperator(ImpervaOperator):
    """Fails, without retry, if nobody has looked at a repository for longer than a bound, by what its ledger says.

    A DAG that is paused, a scheduler that is down or a run that hangs fails nowhere by itself. Nothing is asked of the
    repository, whose credentials may be what is wrong.

    A look that finds nothing to load is written to the ledger once a quarter of the window, every twelve hours with a
    window of two days. So a bound below that is for repositories that always have new logs.

    Returns when the last look was, ISO 8601, and how many seconds ago.

    :param silent_for: the bound; a third of the window by default.
    :param plan_options: as the plan task has them, for the window.
    """

    def __init__(
        self, *, silent_for: timedelta | None = None, plan_options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if silent_for is not None:
            check_positive(silent_for=silent_for)
        self.silent_for = silent_for
        self.plan_options = checked_options(PlanOptions, plan_options)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Look at the ledger, and fail if it is silent."""
        hook = self._make_hook()
        ledger = self._open_ledger(hook)
        bound = self.silent_for or hook.plan_options(self.plan_options).window / 3
        head, repository = ledger.head(), ledger.layout.repository
        looks = [entry.observed_at for entry in (head.plan, head.commit) if entry]
        if not looks:
            raise AirflowFailException(
                f"Nobody has looked at repository {repository} yet, as {ledger.store.uri(ledger.layout.ledger)} says."
                " See that the DAG that loads it is not paused, and has this lake and connection"
            )
        last, now = max(looks), datetime.now(UTC)
        ago = now - last
        if ago < -_CLOCKS:
            raise AirflowFailException(
                f"The last look at repository {repository} is said to be in the future, {last:%Y-%m-%d %H:%M} UTC."
                " Correct the clocks of the workers; until then it is unknown whether logs are loaded"
            )
        if ago > bound:
            raise AirflowFailException(
                f"Nobody has looked at repository {repository} since {last:%Y-%m-%d %H:%M} UTC, for {_hours(ago)}, more"
                f" than the {_hours(bound)} it may be. Imperva keeps logs for about two days. See whether the"
                " DAG that loads it is paused, a run of it hangs, or scheduler, triggerer or workers are down"
            )
        self.log.info("The last look was at %s", last.isoformat())
        return {"last_look": last.isoformat(), "seconds": int(ago.total_seconds())}


def _hours(duration: timedelta) -> str:
    return f"{duration.total_seconds() / 3600:.1f} h"
