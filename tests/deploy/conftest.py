"""The Compose file, and what it is held against."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / name) for name in ("cluster", "crash")]

from compose_file import Compose, demo_variables


@pytest.fixture(scope="session")
def demo() -> Compose:
    return Compose(demo_variables())
