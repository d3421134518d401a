"""Every test of reading runs with both readers, and no example has a deadline: it would say how busy the machine is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.events.readers import READERS, reading_with

settings.register_profile("events", deadline=None)
settings.load_profile("events")


@pytest.fixture(params=READERS, autouse=True, scope="module")
def reader(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which reader this run of the module's tests is with."""
    with reading_with(request.param):
        yield request.param
