"""From a connection to repository and keys: what is put right, what is refused, and in which words."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseHook, Connection

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.get_provider_info import CONNECTION_FIELDS, get_provider_info
from airflow_provider_imperva.hooks import imperva
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository, Fault, KeyPair, forge_log, forge_repository
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
        {"host": "logs1.example.com/8416_1745073", "schema": "https"},
        {"host": "logs1.example.com/8416_1745073/", "schema": "HTTPS"},
        {"host": "https://logs1.example.com/8416_1745073/", "schema": "https"},
        {"host": " logs1.example.com/8416_1745073/logs.index ", "schema": "https"},
        {"host": "logs1.example.com/8416_1745073", "port": 443},
        {"host": "https://logs1.example.com/8416_1745073", "port": 443},
        {"host": "https://logs1.example.com:443/8416_1745073", "port": 443, "schema": "https"},
    ],
)
def test_a_log_server_url_is_put_right(fields: dict[str, Any]) -> None:
    with hook(**fields).get_conn() as client:
        assert isinstance(client, RepositoryClient)
        assert client.url.removesuffix("/").replace(":443", "") == "https://logs1.example.com/8416_1745073"
        assert client.repository == "8416_1745073"


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "logs1.example.com/8416_1745073", "port": 8443},
        {"host": "logs1.example.com/8416_1745073", "port": 8443, "schema": "https"},
        {"host": "https://logs1.example.com/8416_1745073/", "port": 8443},
        {"host": "logs1.example.com", "schema": "8416_1745073", "port": 8443},
    ],
)
def test_a_port_goes_behind_the_name_and_not_behind_the_path(fields: dict[str, Any]) -> None:
    with hook(**fields).get_conn() as client:
        assert client.url == "https://logs1.example.com:8443/8416_1745073/"


def test_http_as_the_schema_is_plain_http_and_only_for_loopback() -> None:
    with hook(host="127.0.0.1/8416_1", schema="http", port=8080).get_conn() as client:
        assert client.url == "http://127.0.0.1:8080/8416_1/"
    with pytest.raises(ConfigurationError, match="is not https"):
        hook(host="logs1.example.com/8416_1", schema="http").get_conn()


def test_two_ports_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="another port than the field `port`"):
        hook(host="https://logs1.example.com:8443/8416_1", port=9443).get_conn()


def as_it_came(login: Any, password: Any, **fields: Any) -> Connection:
    """A connection as a secrets backend may hand it over, whatever its types."""
    connection = Connection(conn_id="imperva", conn_type="imperva", **fields)
    connection.login, connection.password = login, password
    return connection


@pytest.mark.parametrize(
    ("login", "password"), [(30432, 1234567), ("30432", "1234567\n"), (" 30432 ", "\t1234567 "), ("30432\r\n", 1234567)]
)
def test_numbers_and_white_space_around_a_key_are_put_right(
    repository: FakeRepository, login: Any, password: Any
) -> None:
    repository.login, repository.password = "30432", "1234567"
    connection = as_it_came(login, password, host=repository.url)
    given = ImpervaLogHook("imperva", connection=connection)
    assert given.test_connection()[0]


def test_a_passphrase_may_be_a_number_and_end_with_a_line(tmp_path: Path, key: KeyPair) -> None:
    key.write(tmp_path, passphrase="1234")
    for passphrase in (1234, "1234\n"):
        extra = {"keys_dir": str(tmp_path), "private_key_passphrase": passphrase}
        assert hook(extra=extra).key_ring().ids == {"1"}


def test_an_extra_that_is_no_object_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the extra is JSON, but a list and no object"):
        hook(extra=["keys_dir"]).get_conn()  # type: ignore[arg-type]


def test_keys_lie_in_a_folder_whose_name_airflow_does_not_mask(tmp_path: Path, key: KeyPair) -> None:
    """Airflow masks the value of ``private_keys_dir`` in all logs, and with it the path in each message of ours."""
    from airflow.sdk.log import redact

    key.write(tmp_path / "one")
    KeyPair.generate("2").write(tmp_path / "two")
    extra = {"keys_dir": str(tmp_path / "one"), "private_keys_dir": str(tmp_path / "two")}
    assert hook(extra=extra).key_ring().ids == {"1", "2"}
    shown = redact(extra)
    assert shown == {"keys_dir": str(tmp_path / "one"), "private_keys_dir": "***"}


def logged_by(capfd: pytest.CaptureFixture[str]) -> str:
    """What Airflow has logged since this was last asked."""
    return "".join(capfd.readouterr())


class TestCautions:
    """Once a task, and in the connection test."""

    EXTRA: ClassVar = {"verify": "false", "max_concurency": 3, "keysdir": "/x"}

    def test_unknown_settings_are_named_with_the_nearest_known_one(self, capfd: pytest.CaptureFixture[str]) -> None:
        hook(extra=self.EXTRA).log_cautions()
        logged = logged_by(capfd)
        assert "there is no 'max_concurency'; the nearest name is 'max_concurrency'" in logged
        assert "there is no 'keysdir'; the nearest name is 'keys_dir'" in logged

    def test_certificates_that_nobody_verifies(self, capfd: pytest.CaptureFixture[str]) -> None:
        hook(extra=self.EXTRA).log_cautions()
        assert "verify is false" in logged_by(capfd)
        hook(extra={"verify": True}).log_cautions()
        assert logged_by(capfd) == ""

    def test_a_key_that_anybody_may_replace(
        self, tmp_path: Path, key: KeyPair, capfd: pytest.CaptureFixture[str]
    ) -> None:
        key.write(tmp_path).chmod(0o666)
        hook(extra={"keys_dir": str(tmp_path)}).key_ring()
        assert "any user of this machine may replace the private key" in logged_by(capfd)

    def test_the_connection_test_says_all_of_it(self, repository: FakeRepository, tmp_path: Path, key: KeyPair) -> None:
        key.write(tmp_path).chmod(0o666)
        ok, message = of(repository, extra=self.EXTRA | {"keys_dir": str(tmp_path)}).test_connection()
        assert ok
        for found in ("verify is false", "'max_concurrency'", "may replace the private key"):
            assert found in message

    def test_a_name_that_may_be_a_key_is_not_quoted(self, capfd: pytest.CaptureFixture[str]) -> None:
        hook(extra={"-----BEGIN RSA PRIVATE KEY-----\nMIIEhidden": "x"}).log_cautions()
        logged = logged_by(capfd)
        assert "may be a key, and is not shown" in logged
        assert "hidden" not in logged


class TestKeyInTheWrongField:
    """No value with a line end or the first line of a PEM text is ever quoted, and Airflow is told to mask it."""

    FIELDS = ("keys_dir", "private_keys_dir", "verify", "proxy", "repository", "read_timeout", "private_keys")

    @pytest.mark.parametrize("lost", ["\n", " ", "\\n", ""])
    @pytest.mark.parametrize("field", FIELDS)
    def test_it_is_refused_and_not_shown(
        self, field: str, lost: str, key: KeyPair, repository: FakeRepository, capfd: pytest.CaptureFixture[str]
    ) -> None:
        pem = key.private_pem().replace("\n", lost)
        given = of(repository, extra={field: pem})
        ok, message = given.test_connection()
        said = [message]
        for use in (given.get_conn, given.key_ring, given.key_ids, given.log_cautions, lambda: given.repository):
            try:
                use()
            except ConfigurationError as error:
                said += traceback.format_exception(error)
        assert not ok
        secret = key.private_pem().splitlines()[3]
        assert secret not in "".join([*said, logged_by(capfd)])
        assert "-----BEGIN" not in message

    @pytest.mark.parametrize("field", ["host", "login", "password"])
    def test_the_same_of_airflows_own_fields(self, field: str, key: KeyPair) -> None:
        for pem in (key.private_pem(), key.private_pem().replace("\n", " ")):
            fields: dict[str, Any] = {"host": "http://127.0.0.1:9/8416_1", field: pem}
            _, message = hook(**fields).test_connection()
            assert key.private_pem().splitlines()[3] not in message

    def test_airflow_masks_it(self, key: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
        masked: set[str] = set()
        monkeypatch.setattr(imperva, "mask_secret", masked.update)
        pem = key.private_pem()
        for field in ("keys_dir", "private_keys_dir", "verify"):
            masked.clear()
            _ = hook(extra={field: pem}).connection
            assert pem in masked


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
        ({"extra": {"max_concurrency": "many"}}, "'max_concurrency' is not a number"),
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
    with pytest.raises(ConfigurationError, match="not a JSON object of PEM texts"):
        hook(extra={"private_keys": value}).key_ring()


def test_a_key_that_does_not_load_stops_none_of_the_others(
    tmp_path: Path, key: KeyPair, capfd: pytest.CaptureFixture[str]
) -> None:
    key.write(tmp_path)
    (tmp_path / "backup.key").write_text("no key")
    given = hook(extra={"keys_dir": str(tmp_path)})
    assert given.key_ring().ids == {"1"} == given.key_ids()
    assert f"{tmp_path}/backup.key: belongs to no publicKeyId" in logged_by(capfd)
    assert given.key_ids(logs_problems=False) == {"1"}
    assert logged_by(capfd) == "", "a trigger looks every minute"


def test_a_folder_of_keys_that_is_not_there_keeps_no_log_from_being_fetched(tmp_path: Path) -> None:
    """Planning goes on without keys: what is fetched can be decrypted later, what is not fetched is gone."""
    given = hook(extra={"keys_dir": str(tmp_path / "absent")})
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
        newest = "Its newest, 8416_3.log, is not encrypted."
        assert answer == (True, f"Repository 8416_1745073 lists 3 logs. {newest} Private keys: 1.")

    def test_it_opens_the_newest_log_with_its_key(self, repository: FakeRepository, key: KeyPair) -> None:
        for log in forge_repository(11, keys=[key]):
            repository.add(log.name, log.content)
        ok, message = of(repository, extra={"private_keys": {"1": key.private_pem()}}).test_connection()
        assert ok
        assert "8416_11.log, is encrypted for publicKeyId 1, whose private key opens it" in message

    def test_it_says_that_the_newest_logs_key_is_missing(self, repository: FakeRepository, key: KeyPair) -> None:
        repository.add("8416_1.log", forge_log("one", key=key))
        ok, message = of(repository).test_connection()
        assert not ok
        assert "8416_1.log: encrypted for publicKeyId '1', the key ring has no key. Add the private key" in message

    def test_it_says_that_the_key_is_another_one(self, repository: FakeRepository, key: KeyPair) -> None:
        repository.add("8416_1.log", forge_log("one", key=key))
        other = KeyPair.generate("1").private_pem()
        ok, message = of(repository, extra={"private_keys": {"1": other}}).test_connection()
        assert not ok
        assert "8416_1.log" in message

    def test_a_damaged_log_is_not_the_connections_fault(self, repository: FakeRepository) -> None:
        repository.add("8416_1.log", b"accountId:1\nconfigId:2\n")
        ok, message = of(repository).test_connection()
        assert ok
        assert "8416_1.log" in message

    def test_it_asks_once(self, repository: FakeRepository) -> None:
        """A person waits for the answer; with five attempts a dead port took 17 seconds."""
        repository.fail("logs.index", *[Fault(status=503)] * 10)
        ok, message = of(repository).test_connection()
        assert not ok
        assert "no whole answer: HTTP 503" in message
        assert len(repository.requests) == 1

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


@pytest.mark.airflow
@pytest.mark.slow
def test_airflow_connections_test(home: AirflowHome, repository: FakeRepository) -> None:
    """`airflow connections test` finds the hook and prints its answer."""
    command = ("connections", "test", "imperva_default")
    assert "Connection success!" in home.run(repository, *command)
    repository.password = "another"
    environment = home.environment(repository) | {
        "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(
            {"conn_type": "imperva", "host": repository.url, "login": "1", "password": "never-print-me"}
        )
    }
    printed = home.run(repository, *command, environment=environment)
    assert "HTTP 401" in printed
    assert "never-print-me" not in printed
