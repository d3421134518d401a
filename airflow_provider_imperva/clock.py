"""What time it is, as a parameter: what asks for the time takes a clock, so that a test can put it forward."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Gives the time, UTC."""


def wall_clock() -> datetime:
    """Return the time of this machine, UTC."""
    return datetime.now(UTC)
