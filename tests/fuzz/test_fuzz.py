"""Damaged logs raise nothing but our errors, and no line of them is lost: ten seconds of it."""

from __future__ import annotations

import random

from fuzz_parsers import Fuzz, run


def test_nothing_unexpected_in_ten_seconds() -> None:
    assert run(seconds=10, seed=random.SystemRandom().randrange(2**32), show=print) > 20


def test_every_format_and_some_errors_are_reached() -> None:
    """Otherwise the run above could be of one kind of log only."""
    fuzz = Fuzz(1)
    for _ in range(120):
        fuzz.round()
    assert fuzz.outcomes.keys() >= {"CEF", "LEEF", "W3C", "JSON", "unknown", "corrupt"}
