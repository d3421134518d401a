"""An account to load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with FakeRepository() as repository:
        yield Account(repository, tmp_path / "lake")
