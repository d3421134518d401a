"""Legal holds: what they cover does not expire, is not erased, and is not deleted for these reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import plan_maintenance
from airflow_provider_imperva.lake.records import Commit, Hold, Kind, Purpose, Run
from airflow_provider_imperva.retention.idle import idle_head, last_commit


def holds_in_force(ledger: Ledger) -> tuple[Hold, ...]:
    """Return the holds on a repository, oldest first."""
    return last_commit(ledger).holds


def set_hold(
    ledger: Ledger,
    *,
    reference: str,
    by: str,
    why: str,
    since: date | None = None,
    until: date | None = None,
    run: Run,
    take_over: bool = False,
    max_wait: timedelta = timedelta(),
    clock: Clock = wall_clock,
) -> Commit:
    """Place a hold on a repository.

    What an earlier commit took out of the lake, and the retire step has not deleted yet, is kept too.

    :param reference: of the case; the hold is lifted by it.
    :param by: who asks for it; ``why``.
    :param since, until: the first and last UTC date in its scope; by default all there are.
    :param run: who does it. ``take_over`` and ``max_wait`` are as of
        :func:`~airflow_provider_imperva.retention.idle.idle_head`.
    :raises ConfigurationError: if something is missing, the dates are in the wrong order, or the reference is in use.
    :raises LedgerConflictError: if another run is at work.
    """
    check_texts("hold", reference=reference, by=by, why=why)
    if since and until and until < since:
        raise ConfigurationError("the hold ends before it begins", do="Exchange its dates", about=reference)

    def plan_of(last: Commit) -> tuple[Hold | None, Purpose | None]:
        if any(hold.reference == reference for hold in last.holds):
            raise ConfigurationError(
                "a hold of this reference is in force", do="Lift it first, or take another reference", about=reference
            )
        first, end = (day.isoformat() if day else None for day in (since, until))
        return Hold(reference, by, why, clock(), first, end), None

    return _commit(ledger, plan_of, run=run, take_over=take_over, max_wait=max_wait, clock=clock)


def lift_hold(
    ledger: Ledger,
    *,
    reference: str,
    by: str,
    why: str,
    run: Run,
    take_over: bool = False,
    max_wait: timedelta = timedelta(),
    clock: Clock = wall_clock,
) -> Commit:
    """Lift a hold; parameters as of :func:`set_hold`.

    :raises ConfigurationError: if there is no such hold.
    """
    check_texts("hold", reference=reference, by=by, why=why)

    def plan_of(last: Commit) -> tuple[Hold | None, Purpose | None]:
        if not any(hold.reference == reference for hold in last.holds):
            known = ", ".join(hold.reference for hold in last.holds) or "none"
            raise ConfigurationError(
                f"no hold of this reference is in force; those in force are: {known}",
                do="Check the reference and the repository",
                about=reference,
            )
        return None, Purpose(by=by, why=why, reference=reference)

    return _commit(ledger, plan_of, run=run, take_over=take_over, max_wait=max_wait, clock=clock)


def _commit(
    ledger: Ledger,
    plan_of: Callable[[Commit], tuple[Hold | None, Purpose | None]],
    *,
    run: Run,
    take_over: bool,
    max_wait: timedelta,
    clock: Clock,
) -> Commit:
    last = idle_head(ledger, run=run, take_over=take_over, max_wait=max_wait, clock=clock)
    hold, purpose = plan_of(last)
    at = clock()
    plan = plan_maintenance(
        ledger,
        last,
        kind=Kind.HOLD,
        run=run,
        provider_version=__version__,
        at=at,
        hold=hold,
        lifts=purpose.reference if purpose else None,
        purpose=purpose,
    )
    return commit_plan(ledger, plan, by=run, provider_version=__version__, at=at)


def check_texts(about: str, **texts: str) -> None:
    """See that whoever asks says who, why and by which reference.

    :raises ConfigurationError: if one of them is empty.
    """
    for name, text in texts.items():
        if not text.strip():
            raise ConfigurationError(f"{name} is empty", do="Say it: the ledger keeps it for auditors", about=about)
