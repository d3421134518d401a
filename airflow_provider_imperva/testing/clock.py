"""A clock that goes on only when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where virtual time begins unless set otherwise; forged events begin here too."""


class VirtualClock:
    """Days in no time: call it for the time, UTC, and put it forward by hand.

    A :class:`FakeRepository` that is given one lets logs leave the window by it.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """Return the time, UTC."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Put it forward.

        :raises ValueError: time does not go back.
        """
        if by < timedelta():
            raise ValueError(f"a clock cannot be put back (by {-by})")
        self._now += by
