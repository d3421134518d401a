"""An account to load, a clock to put forward, and keys, which are slow to make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import KeyPair
from tests.load.load_runs import Account, Clock


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture(scope="session")
def other_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[Account]:
    with FakeRepository() as repository:
        yield Account(repository, tmp_path / "lake", clock=clock)
