"""From a connection to repository and keys: what is put right, what is refused, and in which words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseHook, Connection

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.get_provider_info import CONNECTION_FIELDS, get_provider_info
from airflow_provider_imperva.hooks import imperva
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository, KeyPair, forge_repository
from tests.dag.airflow_home import AirflowHome


def hook(*, extra: dict[str, Any] | None = None, **fields: Any) -> ImpervaLogHook:
    values = {"host": "https://logs1.example.com/8416_1745073/", "login": "30432", "password": "key"} | fields
    connection = Connection(conn_id="imperva", conn_type="imperva", extra=json.dumps(extra or {}), **values)
    return ImpervaLogHook("imperva", connection=connection)


def of(repository: FakeRepository, **fields: Any) -> ImpervaLogHook:
    return hook(**{"host": repository.url, "login": repository.login, "password": repository.password} | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "https://logs1.example.com/8416_1745073"},
        {"host": "https://logs1.example.com/8416_1745073/logs.index"},
        {"host": "logs1.example.com", "schema": "8416_1745073"},
        {"host": "logs1.example.com", "schema": "8416_1745073/", "port": 443},
    ],
)
def test_a_log_server_url_is_put_right(fields: dict[str, Any]) -> None:
    with hook(**fields).get_conn() as client:
        assert isinstance(client, RepositoryClient)
        assert client.url.removesuffix("/").replace(":443", "") == "https://logs1.example.com/8416_1745073"
        assert client.repository == "8416_1745073"


def test_extras_reach_the_client() -> None:
    """Also as text, which is what the connection form makes of them."""
    given = hook(
        extra={"repository": "shop", "max_concurrency": "3", "read_timeout": "7.5", "verify": "false", "proxy": ""}
    )
    with given.get_conn() as client:
        assert isinstance(client, RepositoryClient)
        assert client.repository == "shop"
    assert given.max_concurrency == 3


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"login": ""}, "lacks a Log Server URL, an API ID or an API key"),
        ({"host": "http://logs1.example.com/8416_1745073/"}, "http"),
        ({"extra": {"max_concurrency": "many"}}, "'max_concurrency' is no number"),
        ({"extra": {"verify": "/nowhere/ca.pem"}}, "/nowhere/ca.pem"),
    ],
)
def test_a_connection_that_cannot_work_says_why(fields: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        hook(**fields).get_conn()


@pytest.mark.parametrize("shape", [json.dumps, dict])
def test_keys_come_from_connection_and_folder(shape: Any, key: KeyPair, tmp_path: Path) -> None:
    KeyPair.generate("2").write(tmp_path, passphrase="open")
    extra = {
        "private_keys": shape({"1": key.private_pem()}),
        "private_keys_dir": str(tmp_path),
        "private_key_passphrase": "open",
    }
    given = hook(extra=extra)
    assert given.key_ring().ids == {"1", "2"}
    assert given.key_ids() == {"1", "2"}


@pytest.mark.parametrize("value", ["not JSON", "[1]", {"1": None}])
def test_keys_that_are_no_pem_texts_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="no JSON object of PEM texts"):
        hook(extra={"private_keys": value}).key_ring()


def test_a_key_that_does_not_load_does_not_keep_logs_from_being_fetched(tmp_path: Path) -> None:
    """Planning goes on without keys: what is fetched can be decrypted later, what is not fetched is gone."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "Private.key").write_text("no key")
    given = hook(extra={"private_keys_dir": str(tmp_path)})
    with pytest.raises(ConfigurationError):
        given.key_ring()
    assert given.key_ids() == frozenset()


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("shape", [json.dumps, dict])
def test_every_secret_is_masked(given: bool, shape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the hook looks its connection up, as on a worker, or is handed it, as by a trigger."""
    extra = {
        "private_keys": shape({"1": "a private key"}),
        "private_key_passphrase": "a passphrase",
        "proxy": "http://who:a%20proxy%20password@proxy:3128",
    }
    known = hook(extra=extra, password="an API key").connection
    masked: set[str] = set()
    monkeypatch.setattr(imperva, "mask_secret", masked.update)
    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(lambda _: known))
    ImpervaLogHook("imperva", connection=known if given else None).repository  # noqa: B018
    assert masked >= {"an API key", "a passphrase", "a private key", "a%20proxy%20password", "a proxy password"}


def test_keys_that_are_no_pem_texts_keep_no_log_from_being_fetched() -> None:
    """As with a key that does not load: what is fetched can be decrypted later."""
    with hook(extra={"private_keys": "not JSON"}).get_conn() as client:
        assert isinstance(client, RepositoryClient)
        assert client.repository == "8416_1745073"


class TestTestConnection:
    """The answer says what was found and what to do."""

    def test_good(self, repository: FakeRepository, key: KeyPair) -> None:
        for log in forge_repository(3):
            repository.add(log.name, log.content)
        answer = of(repository, extra={"private_keys": {"1": key.private_pem()}}).test_connection()
        assert answer == (True, "Repository 8416_1745073 lists 3 logs. Private keys: 1.")

    def test_an_empty_index_and_no_keys_are_no_failure(self, repository: FakeRepository) -> None:
        ok, message = of(repository).test_connection()
        assert ok
        assert "lists no log yet. Private keys: none; encrypted logs will wait" in message

    def test_wrong_key(self, repository: FakeRepository) -> None:
        ok, message = of(repository, password="wrong").test_connection()
        assert not ok
        assert "refused the API ID and key (HTTP 401)" in message
        assert "wrong" not in message

    def test_logging_only_just_enabled(self, repository: FakeRepository) -> None:
        repository.index_missing = True
        ok, message = of(repository).test_connection()
        assert not ok
        assert "If logging was enabled just now, wait" in message

    def test_a_private_key_that_does_not_load(self, repository: FakeRepository) -> None:
        ok, message = of(repository, extra={"private_keys": {"3": "junk"}}).test_connection()
        assert not ok
        assert "'3'" in message
        assert "junk" not in message


def test_the_form_has_a_field_for_every_extra() -> None:
    """The metadata (Airflow 3.2 and later) and the widgets (3.1) say the same."""
    [connection_type] = get_provider_info()["connection-types"]
    assert connection_type["connection-type"] == "imperva"
    assert connection_type["conn-fields"].keys() == CONNECTION_FIELDS.keys()
    assert ImpervaLogHook.get_connection_form_widgets().keys() == CONNECTION_FIELDS.keys()


@pytest.mark.slow
def test_airflow_connections_test(home: AirflowHome, repository: FakeRepository) -> None:
    """`airflow connections test` finds the hook and prints its answer."""
    command = [sys.executable, "-m", "airflow", "connections", "test", "imperva_default"]
    done = subprocess.run(command, env=home.environment(repository), capture_output=True, text=True, check=False)
    assert "Connection success!" in done.stdout, done.stdout + done.stderr
    repository.password = "another"
    environment = home.environment(repository) | {
        "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(
            {"conn_type": "imperva", "host": repository.url, "login": "1", "password": "never-print-me"}
        )
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "HTTP 401" in done.stdout + done.stderr
    assert "never-print-me" not in done.stdout + done.stderr
