"""Lakes on a disk and on a real S3 server, and accounts to load into them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_imperva.testing import FakeRepository, KeyPair


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture(scope="session")
def other_pair() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as started:
        yield started
