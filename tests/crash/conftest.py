"""Lakes on a disk and on a real S3 server, and accounts to load into them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.testing import FakeRepository, KeyPair
from tests.crash.crash_runs import Servers
from tests.crash.object_server import CatalogServer


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


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Servers:
    """Runs the servers that a lake needs: on ``disk`` none, on ``S3`` an object server, for Iceberg with a catalog."""

    def run(place: str, table: TableKind | None) -> tuple[str | None, str | None]:
        if place == "disk":
            return None, None
        if table == "iceberg":
            server: CatalogServer = request.getfixturevalue("catalog_server")
            return server
        return request.getfixturevalue("s3_url"), None

    return run
