"""How a repository is doing, in three levels: green for what is normal, amber for what waits, red for what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_imperva.audit.figures import counted, duration
from airflow_provider_imperva.audit.numbers import UNACCOUNTED
from airflow_provider_imperva.lake.watermark import State

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.coverage import Coverage

QUARANTINED_SHARE = 0.01
"""Share of all lines above which lines in quarantine are amber; the default of the task that commits."""


class Level(StrEnum):
    """How urgent it is, the worst first."""

    RED = "red"
    """Something is lost, or may be, or that cannot be decided: act now."""
    AMBER = "amber"
    """Nothing is lost; something waits, perhaps for a person."""
    GREEN = "green"
    """Nothing is lost and nothing waits for longer than it normally does."""

    @property
    def symbol(self) -> str:
        """One character that says the same without colour."""
        return {Level.RED: "✗", Level.AMBER: "…", Level.GREEN: "✓"}[self]

    @property
    def rank(self) -> int:
        """Place among the levels: 0 is the worst."""
        return list(Level).index(self)


class Note(msgspec.Struct, frozen=True):
    """One thing that is not as it should be.

    :ivar text: a sentence without its full stop.
    :ivar section: the section of the page Troubleshooting that says what to do.
    """

    level: Level
    text: str
    section: str


class Assessment(msgspec.Struct, frozen=True):
    """Whether anything is lost or waits, in a sentence and in detail.

    :ivar headline: one sentence without its full stop.
    :ivar notes: what is not as it should be, the worst first; empty if green.
    """

    level: Level
    headline: str
    notes: tuple[Note, ...]


_QUARANTINE = "whole-logs-or-too-many-lines-are-in-quarantine"

_NUMBERS = {
    UNACCOUNTED: (Level.RED, "without an explanation", "the-lake-is-not-what-its-ledger-says"),
    State.EXPIRED: (Level.RED, "lost: deleted by Imperva before the fetch", "logs-are-lost"),
    State.UNOBSERVED: (Level.RED, "perhaps lost: nobody looked for longer than Imperva keeps logs", "logs-are-lost"),
    State.QUARANTINED: (Level.AMBER, "in quarantine: received, but cannot be decoded", _QUARANTINE),
    State.AWAITING_KEY: (Level.AMBER, "waiting for a private key", "its-private-key-is-missing"),
    State.DAMAGED: (Level.AMBER, "damaged on arrival, and requested again", "most-logs-came-damaged"),
}
"""What is said of numbers in a state: the level, what they are, and where Troubleshooting says what to do."""


def missing_numbers(states: Mapping[str, int], accepted: Mapping[str, int]) -> dict[str, int]:
    """Return how many numbers are lost or wait for longer than is normal, by state, without those accepted as missing.

    :param states: how many numbers are in each state; ``accepted`` how many of them somebody accepted.
    """
    counts = {state: states.get(state, 0) - accepted.get(state, 0) for state in _NUMBERS}
    return {state: count for state, count in counts.items() if count > 0}


def describe_missing_numbers(missing: Mapping[str, int]) -> Iterator[Note]:
    """Say of numbers that are missing what they are, and where it is explained what to do."""
    for state, count in missing.items():
        level, text, section = _NUMBERS[state]
        yield Note(level, f"{counted(count, 'number')} {'is' if count == 1 else 'are'} {text}", section)


def make_notes(coverage: Coverage) -> list[Note]:
    """List what is not as it should be in a repository, the worst first, apart from how long ago it was looked at."""
    return sorted(_notes(coverage), key=lambda note: note.level.rank)


def _notes(coverage: Coverage) -> Iterator[Note]:
    if coverage.unread:
        text = f"{counted(len(coverage.unread), 'object')} cannot be read, and what is in them is not shown"
        yield Note(Level.RED, text, "an-object-of-the-ledger-does-not-read")
    if wrong := sum(not item.holds for item in coverage.sums):
        yield Note(Level.RED, f"{counted(wrong, 'total')} does not add up", "the-lake-is-not-what-its-ledger-says")
    yield from describe_missing_numbers(missing_numbers(coverage.states, coverage.accepted))
    if coverage.headroom and coverage.headroom[-1].hours < coverage.window / timedelta(hours=2):
        left = coverage.headroom[-1].hours
        yield Note(Level.AMBER, f"the oldest log that is not loaded has {left:.1f} h left", "the-headroom-is-low")
    if coverage.quarantined_lines > QUARANTINED_SHARE * coverage.lines:
        share = f"{coverage.quarantined_lines:,} of {counted(coverage.lines, 'line')}"
        yield Note(Level.AMBER, f"{share} are in quarantine", _QUARANTINE)
    if coverage.head is None and not coverage.unread:
        yield Note(Level.AMBER, "no run has made a commit yet", "there-is-no-plan")


def note_silence(observed_at: datetime | None, *, window: timedelta, at: datetime) -> Note | None:
    """Say that nobody has looked at the repository for too long: half the time that Imperva keeps a log.

    :param observed_at: when the repository was last looked at, UTC; None if never.
    :param at: now, UTC.
    """
    if observed_at is None or at - observed_at <= window / 2:
        return None
    ago = duration((at - observed_at).total_seconds())
    since = f"{observed_at:%Y-%m-%d %H:%M} UTC"
    return Note(
        Level.RED, f"nobody has looked at the repository for {ago}, since {since}", "nobody-looks-at-the-repository"
    )


def assess(notes: list[Note], *, complete: str, states: Mapping[str, int]) -> Assessment:
    """Sum notes up.

    :param complete: how far the repository is complete, in words.
    :param states: how many numbers are in each state.
    """
    coming = [
        text
        for state, text in ((State.GAP, "{} may still come"), (State.LISTED, "{} will be loaded by the next run"))
        if states.get(state)
        for text in [text.format(counted(states[state], "number"))]
    ]
    if not notes:
        return Assessment(Level.GREEN, "; ".join([f"Complete up to {complete}", *coming]), ())
    level = notes[0].level
    worst = "; ".join(note.text for note in notes if note.level == level)
    said = f"Nothing is lost: {worst}" if level is Level.AMBER else worst[0].upper() + worst[1:]
    return Assessment(level, said, tuple(notes))
