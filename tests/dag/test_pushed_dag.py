"""The DAG in a real Airflow, on logs that are delivered to a real S3 server and to a real SFTP server."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest
from airflow.sdk import Connection

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.testing import FakeRepository, KeyPair, forge_repository
from tests.crash.object_server import BUCKET, KEY, object_filesystem
from tests.dag.airflow_home import AirflowHome
from tests.delivery.sftp_server import LOGIN, PASSWORD, sftp_server


@dataclass(frozen=True)
class Place:
    """Where logs are delivered to, and the connections that lead there."""

    host: str
    fs: Any
    root: str
    credentials: dict[str, Any] | None = None

    def connection(self, **extra: Any) -> dict[str, Any]:
        extra = {"settle_seconds": 0, **extra}
        if self.credentials:
            extra["delivery_conn_id"] = "imperva_inbox"
        return {"conn_type": "imperva", "host": self.host, "extra": extra}

    def environment(self, home: AirflowHome, **extra: Any) -> dict[str, str]:
        with FakeRepository() as unused:
            environment = home.environment(unused)
        extra = {"private_keys_dir": str(home.folder / "keys"), **extra}
        environment["AIRFLOW_CONN_IMPERVA_DEFAULT"] = json.dumps(self.connection(**extra))
        if self.credentials:
            environment["AIRFLOW_CONN_IMPERVA_INBOX"] = json.dumps(self.credentials)
        return environment

    def deliver(self, *numbers: int, key: KeyPair) -> Counter[tuple[str, int]]:
        """Deliver encrypted logs; returns the lines they hold, as (object, line number)."""
        lines: Counter[tuple[str, int]] = Counter()
        for number in numbers:
            (log,) = forge_repository(1, first=number, events_per_log=20, keys=[key])
            path = f"2026/log {number}"
            if "s3://" not in self.host:
                self.fs.makedirs(f"{self.root}/2026", exist_ok=True)
            self.fs.pipe_file(f"{self.root}/{path}", log.content)
            lines.update((path, line) for line in range(1, len(log.events) + 1))
        return lines


@pytest.fixture(params=["disk", "S3", "SFTP"])
def place(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if request.param == "disk":
        (tmp_path / "inbox").mkdir()
        yield Place(f"file://{tmp_path}/inbox", fsspec.filesystem("file"), str(tmp_path / "inbox"))
    elif request.param == "S3":
        pytest.importorskip("airflow.providers.amazon", reason="the Amazon provider is not installed")
        url, root = request.getfixturevalue("s3_url"), f"{BUCKET}/{uuid.uuid4().hex}/inbox"
        credentials: dict[str, Any] = {
            "conn_type": "aws",
            "login": KEY,
            "password": KEY,
            "extra": {"endpoint_url": url},
        }
        yield Place(f"s3://{root}/", object_filesystem(url), root, credentials)
    else:
        pytest.importorskip("airflow.providers.sftp", reason="the SFTP provider is not installed")
        with sftp_server(tmp_path_factory.mktemp("server")) as server:
            from airflow_provider_imperva.delivery.sftp import OpenedSFTP

            credentials = {
                "conn_type": "sftp",
                "host": "127.0.0.1",
                "port": server.port,
                "login": LOGIN,
                "password": PASSWORD,
                "extra": {"no_host_key_check": True},
            }
            fs = OpenedSFTP(server.connect())
            fs.makedirs("/inbox")
            yield Place("sftp:///inbox", fs, "/inbox", credentials)


def run(home: AirflowHome, place: Place, **extra: Any) -> str:
    environment = place.environment(home, **extra)
    with FakeRepository() as unused:
        return home.run_dag(unused, environment)


def rows(lake: Path) -> Counter[tuple[str, int]]:
    events = f"read_parquet('{lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"
    return Counter(duckdb.execute(f"SELECT src_file, src_line FROM {events}").fetchall())


@pytest.mark.airflow
@pytest.mark.slow
def test_runs_in_a_row_load_what_was_delivered_once(home: AirflowHome, place: Place, key: KeyPair) -> None:
    """Logs, deleted once loaded. On a disk, nothing before, so that the sensor skips; and more after, kept.

    What differs between disk, S3 and SFTP is how Airflow's connection reaches the folder.
    """
    on_disk = place.host.startswith("file:")
    place.fs.pipe_file(f"{place.root}/test", b"a test of the connection")
    if on_disk:
        output = run(home, place, after_commit="delete")
        assert set(home.last_run()[1].values()) == {"skipped"}, output
        assert not home.lake.exists(), "a mere look writes nothing"

    expected = place.deliver(1, 2, 3, key=key)
    output = run(home, place, after_commit="delete")
    assert home.last_run()[0] == "success", output
    assert rows(home.lake) == expected
    place.fs.invalidate_cache()
    assert [path.removeprefix(f"{place.root}/") for path in place.fs.find(place.root)] == ["test"]

    if on_disk:
        expected += place.deliver(4, key=key)
        output = run(home, place)
        assert home.last_run()[0] == "success", output
        assert rows(home.lake) == expected
        assert home.last_commit()["prefixes"]["0"]["contiguous"] == 4
    assert {path.name for path in (home.lake / "ledger").iterdir()} == {"repository=inbox"}
    for secret in (KEY, PASSWORD):
        assert not any(secret.encode() in path.read_bytes() for path in home.lake.rglob("*") if path.is_file())


def hook(place: Place, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> ImpervaLogHook:
    if place.credentials:
        monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_INBOX", json.dumps(place.credentials))
    given = place.connection(**extra)
    connection = Connection(conn_id="pushed", conn_type="imperva", host=given["host"], extra=json.dumps(given["extra"]))
    return ImpervaLogHook("pushed", connection=connection)


def test_the_connection_is_tested_by_listing_it(place: Place, key: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its newest log is opened, to see that the key it was encrypted for is at hand."""
    place.deliver(1, 2, key=key)
    ok, message = hook(place, monkeypatch).test_connection()
    assert not ok
    assert message.startswith("2 logs lie in ")
    assert "the key ring has no key" in message
    ok, message = hook(place, monkeypatch, private_keys={"1": key.private_pem()}).test_connection()
    assert ok, message
    assert message.startswith("2 logs lie in ")
    assert "repository inbox" in message
    assert "is encrypted for publicKeyId 1, whose private key opens it" in message
    wrong = Place(place.host.replace("inbox", "no-such/place"), place.fs, place.root, place.credentials)
    if not place.host.startswith("s3"):  # in a bucket, a folder is there once there is something in it
        ok, message = hook(wrong, monkeypatch).test_connection()
        assert not ok
        assert "no such bucket or folder" in message


@pytest.mark.parametrize(
    ("host", "extra", "found"),
    [
        ("sftp:///inbox", {}, "no connection says how to log in"),
        ("s3://key:secret@bucket/inbox", {}, "holds a user or password"),
        ("file:///srv/in box", {}, "other than letters, digits"),
        ("file:///srv/inbox", {"after_commit": "burn"}, "none of keep, delete and move"),
        ("file:///srv/inbox", {"settle_seconds": "soon"}, "is not a number"),
        ("nonsense://inbox", {}, "no filesystem"),
    ],
)
def test_what_cannot_work_is_said_in_words(host: str, extra: dict[str, Any], found: str) -> None:
    connection = Connection(conn_id="pushed", conn_type="imperva", host=host, extra=json.dumps(extra))
    ok, message = ImpervaLogHook("pushed", connection=connection).test_connection()
    assert not ok
    assert found in message
    assert "secret" not in message


@pytest.mark.parametrize("place", ["S3", "SFTP"], indirect=True)
def test_wrong_credentials_are_told_without_quoting_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.credentials
    place.credentials["password"] = "not-the-password"
    ok, message = hook(place, monkeypatch).test_connection()
    assert not ok
    assert "not-the-password" not in message
    assert any(words in message for words in ("refuse", "no whole answer")), message


def test_deliveries_have_no_byte_cap_and_look_for_copies(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    options = hook(place, monkeypatch).plan_options({})
    assert (options.window_bytes, options.account_group) == (None, "inbox")
    assert hook(place, monkeypatch).plan_options({"account_group": "shop"}).account_group == "shop"
    with pytest.raises(ConfigurationError, match="account group"):
        hook(place, monkeypatch).plan_options({"account_group": "../up"})
