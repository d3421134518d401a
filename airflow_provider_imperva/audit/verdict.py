"""The verdict of a certificate: whether a period is complete, or why not, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from airflow_provider_imperva.audit.numbers import UNACCOUNTED
from airflow_provider_imperva.lake.watermark import State


class Code(StrEnum):
    """Why a period is not complete: what is lost before what is merely not over."""

    UNACCOUNTED = "unaccounted"
    EXPIRED = "expired"
    UNOBSERVED = "unobserved"
    QUARANTINED = "quarantined"
    DAMAGED = "damaged"
    AWAITING_KEY = "awaiting_key"
    LISTED = "listed"
    GAP = "gap"
    NOT_OVER = "not_over"
    NO_LOG = "no_log"
    NOT_LOOKED_AT = "not_looked_at"


class Reason(msgspec.Struct, frozen=True):
    """One reason why a period is not complete.

    :ivar code: one of :class:`Code`, for programs.
    :ivar numbers: how many numbers of logs it is about.
    :ivar sentence: the same for people, without a final full stop.
    """

    code: str
    numbers: int
    sentence: str


_SENTENCES = {
    UNACCOUNTED: (Code.UNACCOUNTED, "nothing says what became of {}"),
    State.EXPIRED: (Code.EXPIRED, "{} lost: listed once, and gone when they were asked for"),
    State.UNOBSERVED: (
        Code.UNOBSERVED,
        "{} perhaps lost: nobody looked for longer than Imperva keeps logs, and they were gone then",
    ),
    State.QUARANTINED: (Code.QUARANTINED, "{} received, and could not be decoded; their bytes are in raw/"),
    State.DAMAGED: (Code.DAMAGED, "{} came damaged, and are asked for again"),
    State.AWAITING_KEY: (Code.AWAITING_KEY, "{} received, and wait for their private key"),
    State.LISTED: (Code.LISTED, "{} listed, and not loaded yet"),
    State.GAP: (Code.GAP, "{} not listed so far, and may still come"),
}
FINISHED = frozenset({State.COMMITTED, State.DUPLICATE, State.SKIPPED})
"""States of numbers of which nothing is missing."""


def reasons(states: Mapping[str, int], *, observed_at: datetime, end: datetime, looked: bool) -> Iterator[Reason]:
    """Return why a period is not complete; nothing if it is.

    :param states: how many of its numbers are in each state, those that somebody accepted left out.
    :param observed_at: when the repository was last seen.
    :param end: the first moment after the period.
    :param looked: whether the objects of the period were read and hashed.
    """
    for state, (code, sentence) in _SENTENCES.items():
        if count := states.get(state):
            numbers = "1 number" if count == 1 else f"{count:,} numbers"
            yield Reason(code.value, count, sentence.format(numbers))
    if observed_at < end:
        yield Reason(Code.NOT_OVER, 0, f"the repository was last seen {observed_at:%Y-%m-%d %H:%M} UTC")
    if not any(states.values()):
        yield Reason(Code.NO_LOG, 0, "no log was first listed then")
    if not looked:
        yield Reason(Code.NOT_LOOKED_AT, 0, "the objects in raw/, events/ and quarantine/ were not looked at")


def verdict(causes: Iterable[Reason], *, accepted: int) -> str:
    """Say it in a sentence or more.

    :param accepted: how many numbers are left out since somebody accepted that they are missing.
    """
    why = "; ".join(reason.sentence for reason in causes)
    exceptions = f", but for {accepted:,} {'number' if accepted == 1 else 'numbers'} that somebody accepted as missing"
    return f"Not complete: {why}." if why else f"Complete{exceptions if accepted else ''}."
