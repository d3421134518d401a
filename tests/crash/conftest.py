"""Lakes on a disk and on a real S3 server, and accounts to load into them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "load"))

from object_server import CannotRunError, object_server

from airflow_provider_imperva.testing import FakeRepository, KeyPair


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture(scope="session")
def other_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with object_server(tmp_path_factory.mktemp("objects")) as url:
            yield url
    except CannotRunError as error:
        pytest.skip(str(error))


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as started:
        yield started
