"""Lakes to audit: made once, and copied for each test that spoils one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit.eventful_lake import make_eventful_lake, make_small_lake
from tests.once import made_once


@pytest.fixture(scope="session")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five commits of one repository, the last of them a replay; not to be changed."""
    lake = tmp_path_factory.mktemp("small") / "lake"
    make_small_lake(lake)
    return lake


@pytest.fixture
def lake(small_lake: Path, tmp_path: Path) -> Path:
    """A copy of the small lake, to be spoilt."""
    return Path(shutil.copytree(small_lake, tmp_path / "lake"))


@pytest.fixture(scope="session")
def eventful_lake(shared_folder: Path) -> Path:
    """Two repositories over seven days, with all that can happen; not to be changed."""
    return made_once(shared_folder, "eventful-lake", make_eventful_lake)


@pytest.fixture
def eventful_copy(eventful_lake: Path, tmp_path: Path) -> Path:
    """A copy of the eventful lake, to be spoilt."""
    return Path(shutil.copytree(eventful_lake, tmp_path / "lake"))


@pytest.fixture
def one(lake: Path) -> Callable[[str], Path]:
    """Find the only object that a pattern matches."""

    def find(pattern: str) -> Path:
        return sorted(lake.glob(pattern))[0]

    return find
