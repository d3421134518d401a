"""The Compose file, and what it is held against."""

from __future__ import annotations

import pytest

from tests.deploy.compose_file import Compose, demo_variables


@pytest.fixture(scope="session")
def demo() -> Compose:
    return Compose(demo_variables())
