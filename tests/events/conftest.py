"""Every test of reading runs with both readers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.events.readers import READERS, reading_with


@pytest.fixture(params=READERS, autouse=True, scope="module")
def reader(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which reader this run of the module's tests is with."""
    with reading_with(request.param):
        yield request.param
