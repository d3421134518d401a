"""Which errors end a task at once, and what is said of unexpected ones.

A wrong key does not get right by asking again, and each try hides the cause behind another red line. Whatever may pass
is tried again: by the client within a request, by sensors and triggers at the next look, by Airflow after that.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_provider_imperva.documentation import troubleshooting
from airflow_provider_imperva.errors import ConfigurationError, ImpervaError

if TYPE_CHECKING:
    from airflow.sdk import Context

POOLS_FOUND = "imperva_pools"
"""The key in a run's ``conf`` under which the scheduler leaves what is wrong with pools: a list of sentences."""

_Execute = TypeVar("_Execute", bound=Callable[..., Any])


def ends_for_good(execute: _Execute) -> _Execute:
    """Let a task's ``execute`` fail without another try where a person has to act first."""

    @functools.wraps(execute)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return execute(*arguments, **options)
        except Exception as error:
            if isinstance(error, ImpervaError):
                error.add_note(f"What it means and what to do: {troubleshooting(error.reason)}")
            if not is_final(error):
                raise
            raise AirflowFailException(describe_error(error)) from error

    return wrapped  # type: ignore[return-value]


def is_final(error: Exception) -> bool:
    """Return whether another try would come to the same until a person has acted."""
    return isinstance(error, AirflowNotFoundException) or (isinstance(error, ImpervaError) and error.needs_person)


def is_transient(error: Exception) -> bool:
    """Return whether the next look may succeed by itself: all that is not known to last."""
    return error.is_transient if isinstance(error, ImpervaError) else not is_final(error)


def describe_error(error: Exception) -> str:
    """Describe what failed; of an error that is not ours only its type and place, since its text may hold a secret."""
    if isinstance(error, ImpervaError):
        return f"{error} See {troubleshooting(error.reason)}"
    if isinstance(error, AirflowNotFoundException):
        return f"{error}. Make the connection where workers and triggerer find it, or correct its id in the DAG."
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}. See that secrets backend, repository and lake can be reached."


def refuse_pools(context: Context) -> None:
    """Refuse a run of which tasks are in a pool that is missing or too small: they would never start.

    :raises ConfigurationError: if the scheduler found one when the run began.
    """
    if problems := (getattr(context.get("dag_run"), "conf", None) or {}).get(POOLS_FOUND):
        raise ConfigurationError(
            f"tasks of this DAG would never start: {'; '.join(problems)}",
            do="Make the pool, with at least as many slots as fetch_slots: `airflow pools set NAME SLOTS DESCRIPTION`."
            " The next run loads what is listed",
            about="pool",
        )


def refuse_backfill(context: Context) -> None:
    """Refuse a run that is part of a backfill: each of its runs would load what there is now, and nothing else.

    :raises AirflowFailException: if it is one.
    """
    if getattr(context.get("dag_run"), "run_type", None) == "backfill":
        raise AirflowFailException(
            "A backfill cannot load logs again: Imperva keeps them for about two days, and each run loads whatever is"
            " listed, whatever its logical date. Trigger one run to load what is listed now; to load logs again that"
            " were loaded before, replay them from raw/ (imperva-logs replay, or ImpervaReplayLogsOperator)."
        )
