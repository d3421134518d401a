"""Accepted exceptions: what is not as it should be, and somebody answers for. They are commits of the ledger."""

from __future__ import annotations

import re

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError, LedgerConflictError, quoted
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import plan_maintenance
from airflow_provider_imperva.lake.records import Acceptance, Commit, Kind, Run

_NUMBERS = re.compile(r"([^_/ ]+)_(\d+)(?:\.log)?(?: to (?:\1_)?(\d+)(?:\.log)?)?")
_LONGEST = 1000


def accepted_numbers(acceptance: Acceptance) -> tuple[str, int, int] | None:
    """Return prefix, first and last number of what was accepted; None if it is about something else."""
    match = _NUMBERS.fullmatch(acceptance.about)
    return (match[1], int(match[2]), int(match[3] or match[2])) if match else None


def accept(
    ledger: Ledger,
    *,
    about: str,
    by: str,
    why: str,
    reference: str,
    run: Run,
    provider_version: str,
    clock: Clock = wall_clock,
) -> Commit:
    """Record that somebody accepts an exception.

    :param about: numbers (``8416_5``, ``8416_5 to 8416_9``), or what a finding of ``verify`` is about.
    :param by: who accepts it; ``why`` and ``reference`` the grounds, such as a ticket.
    :param run: what writes it.
    :raises ConfigurationError: if one of them is empty or too long, or there is nothing to be accepted yet.
    :raises LedgerConflictError: if a run is under way, or another one was quicker.
    """
    for name, text in (("what", about), ("who", by), ("why", why), ("reference", reference)):
        if not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise ConfigurationError(f"{name} is {quoted(text)}", do=f"Give 1 to {_LONGEST} printable characters")
    head = ledger.head()
    if head.commit is None:
        raise ConfigurationError("the ledger has no commit", do="Load first", about=ledger.store.uri())
    if head.plan:
        raise LedgerConflictError(
            f"plan {head.plan.commit} has no commit: a run is under way, or has died",
            do="Do it again once that run has ended, or the next one has recovered it",
            about=ledger.store.uri(ledger.layout.plan(head.plan.commit)),
        )
    at = clock()
    plan = plan_maintenance(
        ledger,
        head.commit,
        kind=Kind.ACCEPT,
        run=run,
        provider_version=provider_version,
        at=at,
        accepts=(Acceptance(about.strip(), by, why, reference, at),),
    )
    return commit_plan(ledger, plan, by=run, provider_version=provider_version, at=at)
