"""Damaged logs raise nothing but our errors, and no line of them is lost.

Four seconds of it, or as many as ``IMPERVA_FUZZ_SECONDS`` says.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.fuzz.fuzz_parsers import Fuzz, run

SECONDS = float(os.environ.get("IMPERVA_FUZZ_SECONDS", "4"))


def test_nothing_unexpected_comes_of_damaged_logs() -> None:
    assert run(seconds=SECONDS, seed=random.SystemRandom().randrange(2**32), show=print) > 10


def test_every_format_and_some_errors_are_reached() -> None:
    """Otherwise the run above could be of one kind of log only."""
    fuzz = Fuzz(1)
    for _ in range(120):
        fuzz.round()
    assert fuzz.outcomes.keys() >= {"CEF", "LEEF", "W3C", "JSON", "unknown", "corrupt"}


def test_the_kernel_refuses_wrong_arrays_and_takes_right_ones() -> None:
    """Every function does both; ``make sanitize`` looks at what it reads and writes meanwhile."""
    fuzz_kernel = pytest.importorskip("tests.fuzz.fuzz_kernel", reason="the kernel was not compiled")
    fuzz = fuzz_kernel.KernelFuzz(random.SystemRandom().randrange(2**32))
    for _ in range(60):
        fuzz.round()
    assert [name for name in fuzz_kernel.FUNCTIONS if not fuzz.outcomes[name]] == []
    assert [name for name in fuzz_kernel.FUNCTIONS if not fuzz.outcomes[f"{name} refused"]] == []
