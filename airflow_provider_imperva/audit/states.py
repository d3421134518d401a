"""How states are shown: in which order, by which letter and words, so that colour is never needed to tell them."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_imperva.audit.numbers import UNACCOUNTED
from airflow_provider_imperva.lake.watermark import State


@dataclass(frozen=True, slots=True)
class StateDisplay:
    """How a state is shown.

    :ivar letter: one character that stands for it.
    :ivar label: it in words; ``meaning`` in a sentence.
    :ivar style: its colour on a terminal, as rich names it.
    :ivar has_log: whether a number in this state has, or had, a log.
    """

    state: str
    letter: str
    label: str
    meaning: str
    style: str
    has_log: bool = True


SHOWN: dict[str, StateDisplay] = {
    shown.state: shown
    for shown in (
        StateDisplay(
            UNACCOUNTED, "!", "unaccounted", "nothing says what became of it", "bold white on red", has_log=False
        ),
        StateDisplay(State.EXPIRED, "X", "expired", "was listed, and gone when we asked: lost", "bold red"),
        StateDisplay(
            State.UNOBSERVED,
            "U",
            "unobserved",
            "nobody looked for longer than the window: skipped or lost, which cannot be decided",
            "red",
            has_log=False,
        ),
        StateDisplay(State.QUARANTINED, "Q", "quarantined", "in raw/, could not be decoded", "magenta"),
        StateDisplay(
            State.DAMAGED, "R", "damaged", "in raw/, came damaged; asked for again while it is listed", "magenta"
        ),
        StateDisplay(State.AWAITING_KEY, "K", "awaiting key", "in raw/, loads once its private key is there", "yellow"),
        StateDisplay(State.LISTED, "L", "listed", "in the index, will be fetched", "cyan"),
        StateDisplay(State.GAP, "?", "gap", "not listed, may still come", "blue", has_log=False),
        StateDisplay(State.SKIPPED, "-", "skipped", "never written by Imperva", "dim", has_log=False),
        StateDisplay(State.DUPLICATE, "D", "duplicate", "its content is that of another log, which is loaded", "green"),
        StateDisplay(State.COMMITTED, "=", "committed", "loaded", "green"),
    )
}
"""By state, the worst first: of several in one place, the first is shown."""

_RANK = {state: rank for rank, state in enumerate(SHOWN)}


def worst(states: set[str]) -> str:
    """Return the state to show for several."""
    return min(states, key=_RANK.__getitem__)
