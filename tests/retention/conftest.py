"""An account whose logs are of several days, and a clock to put forward."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Clock
from tests.retention.kept_account import KeptAccount


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[KeptAccount]:
    with FakeRepository() as repository:
        yield KeptAccount(repository, tmp_path / "lake", clock=clock)


@pytest.fixture
def tabled(tmp_path: Path, clock: Clock) -> Iterator[KeptAccount]:
    with FakeRepository() as repository:
        yield KeptAccount(repository, tmp_path / "lake", clock=clock, table=True)
