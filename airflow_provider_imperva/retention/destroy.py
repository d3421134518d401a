"""Destroying the data key of a month: what came then can never be read again in ``raw/``, nor in any copy of it."""

from __future__ import annotations

from datetime import timedelta

import pyarrow.compute as pc

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError, HoldError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.data_keys import MONTH
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import days_of_log, plan_maintenance
from airflow_provider_imperva.lake.records import LOGS_SCHEMA, Commit, Kind, Purpose, Run
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.retention.holds import check_texts
from airflow_provider_imperva.retention.idle import idle_head
from airflow_provider_imperva.retention.logs import LastLogs

_ABOUT = "destroying a data key"
_LISTED = timedelta(days=3)
"""Longer than Imperva lists a log, so that nothing has to be compared with what came in that month."""


def destroy_key(
    ledger: Ledger,
    month: str,
    *,
    by: str,
    why: str,
    reference: str,
    run: Run,
    take_over: bool = False,
    max_wait: timedelta = timedelta(),
    clock: Clock = wall_clock,
) -> Commit:
    """Destroy the data key of a month, by a commit of the ledger. Rows in ``events/`` stay as they are.

    The ledger says so first, and the key goes then; killed in between, the next run destroys it.

    :param month: ``YYYY-MM``, UTC, which has to be over for three days.
    :param by: who asks for it; ``why``, and the ``reference`` of the request.
    :param run: who does it. ``take_over`` and ``max_wait`` are as of
        :func:`~airflow_provider_imperva.retention.idle.idle_head`.
    :raises ConfigurationError: if a text is missing, there is no such key, it was destroyed before, the month is not
        over, or bytes of it are still needed.
    :raises HoldError: if a hold covers anything that came in that month.
    :raises LedgerConflictError: if another run is at work.
    """
    check_texts(_ABOUT, by=by, why=why, reference=reference)
    if not MONTH.fullmatch(month) or month >= f"{clock() - _LISTED:%Y-%m}":
        raise ConfigurationError(
            f"{month!a} is not a month that has been over for {_LISTED.days} days",
            do="Write it as 2026-01; what comes now is encrypted with the key of this month",
            about=_ABOUT,
        )
    last = idle_head(ledger, run=run, take_over=take_over, max_wait=max_wait, clock=clock)
    record = ledger.raw.keys.record(month)
    if record is None or record.destroyed:
        raise ConfigurationError(
            f"the data key of {month} {record.destroyed}" if record else f"there is no data key of {month}",
            do=f"Name one of these months: {', '.join(_months(ledger)) or 'there are none'}",
            about=ledger.layout.repository,
        )
    _stop_if_held(ledger, last, month)
    _stop_if_needed(ledger, last, month)
    at = clock()
    plan = plan_maintenance(
        ledger,
        last,
        kind=Kind.DESTROY_KEY,
        run=run,
        provider_version=__version__,
        at=at,
        purpose=Purpose(by=by, why=why, reference=reference),
        destroys=(month,),
    )
    return commit_plan(ledger, plan, by=run, provider_version=__version__, at=at)


def _months(ledger: Ledger) -> list[str]:
    return [record.month for record in ledger.raw.keys.records() if not record.destroyed]


def _stop_if_held(ledger: Ledger, last: Commit, month: str) -> None:
    """See that no hold covers the month, or any log that is encrypted with its key."""
    table = LastLogs(ledger, last.commit).table if last.holds else LOGS_SCHEMA.empty_table()
    spans = [days_of_log(row) for row in table.filter(pc.equal(table["data_key"], month)).to_pylist()]
    for hold in last.holds:
        if hold.covers(f"{month}-01", f"{month}-31") or any(hold.covers(*span) for span in spans):
            raise HoldError(
                f"hold {hold.reference} of {hold.by} covers logs of {month} ({hold.scope})",
                do="Nothing was written. Ask who set the hold; once it is lifted, destroy the key",
                about=_ABOUT,
            )


def _stop_if_needed(ledger: Ledger, last: Commit, month: str) -> None:
    """See that everything that may have come in a month is loaded."""
    opened = [item for prefix in last.prefixes.values() for item in prefix.open if item.state is not State.GAP]
    waiting = sum(item.last - item.first + 1 for item in opened if f"{item.since:%Y-%m}" <= month)
    if waiting or last.replaying:
        raise ConfigurationError(
            f"{waiting} logs that were listed by {month} are not loaded yet" if waiting else "a replay is not finished",
            do="Nothing was written. Load them first, with the private keys that they wait for, or finish the replay",
            about=ledger.layout.repository,
        )
