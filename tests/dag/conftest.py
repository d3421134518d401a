from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.testing import FakeRepository, KeyPair
from tests.dag.airflow_home import AirflowHome, migrate
from tests.dag.fork_server import ForkServer


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    server = ForkServer(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer) -> Path:
    return migrate(tmp_path_factory.mktemp("migrated"), fork_server)


@pytest.fixture(scope="session")
def key() -> KeyPair:
    return KeyPair.generate("1")


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as started:
        yield started


@pytest.fixture
def connection(repository: FakeRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection `imperva_default`, to the repository."""
    fields = {
        "conn_type": "imperva",
        "host": repository.url,
        "login": repository.login,
        "password": repository.password,
    }
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(fields))


@pytest.fixture
def home(
    request: pytest.FixtureRequest, tmp_path: Path, migrated: Path, fork_server: ForkServer, key: KeyPair
) -> AirflowHome:
    assert request.node.get_closest_marker("airflow"), "mark the test with `airflow`, or QUICK=1 does not leave it out"
    key.write(tmp_path / "airflow" / "keys")
    return AirflowHome(tmp_path / "airflow", migrated, fork_server)
