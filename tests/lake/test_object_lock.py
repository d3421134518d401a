"""Object lock, on a real S3 server that enforces it: what is in raw/ and ledger/ cannot be deleted or overwritten."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.hooks.lake import open_lake
from airflow_provider_imperva.lake.data_keys import DataKeys, Destroyed
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import ObjectLock, Store, open_store
from tests.crash.object_server import BUCKET, KEY, object_filesystem
from tests.lake.encrypted_account import MASTER

CREATED = ("raw/one", "ledger/one")


@pytest.fixture
def bucket(s3_url: str) -> str:
    name = f"locked-{uuid.uuid4().hex[:8]}"
    object_filesystem(s3_url).call_s3("create_bucket", Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def opened(s3_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch, lock: object) -> Store:
    extra = {"endpoint_url": s3_url, "region_name": "us-east-1", "object_lock": lock}
    connection = {"conn_type": "aws", "login": KEY, "password": KEY, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
    return open_lake(f"s3://{bucket}/lake", "lake")


def head(s3_url: str, bucket: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = object_filesystem(s3_url).call_s3("head_object", Bucket=bucket, Key=f"lake/{path}")
    return found


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_what_is_written_to_raw_and_ledger_cannot_be_deleted(
    s3_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    store = opened(s3_url, bucket, monkeypatch, {"mode": mode, "days": 2})
    fs = object_filesystem(s3_url)
    for path in CREATED:
        store.create(path, b"kept")
        store.write(f"{path}-written", b"kept")
        for name in (path, f"{path}-written"):
            told = head(s3_url, bucket, name)
            assert told["ObjectLockMode"] == mode
            left = told["ObjectLockRetainUntilDate"] - datetime.now(UTC)
            assert timedelta(days=1, hours=23) < left <= timedelta(days=2)
        version = head(s3_url, bucket, path)["VersionId"]
        with pytest.raises(PermissionError):
            fs.call_s3("delete_object", Bucket=bucket, Key=f"lake/{path}", VersionId=version)
        store.delete([path])
        old = fs.call_s3("get_object", Bucket=bucket, Key=f"lake/{path}", VersionId=version)
        assert old["ContentLength"] == 4


def test_parts_and_keys_are_not_locked(s3_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(s3_url, bucket, monkeypatch, {"mode": "GOVERNANCE", "days": 2})
    store.create("keys/one", b"1")
    with store.writer("events/one") as file:
        file.write(b"1")
    assert not any("ObjectLockMode" in head(s3_url, bucket, path) for path in ("keys/one", "events/one"))


def test_a_bucket_without_it_is_refused_before_anything_is_written(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(s3_url, BUCKET, monkeypatch, {"mode": "GOVERNANCE", "days": 2})
    for path in CREATED:
        with pytest.raises(ConfigurationError, match="this store has no object lock"):
            store.create(path, b"1")
        assert not store.exists(path)


def test_a_disk_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="this store has no object lock"):
        open_store(str(tmp_path), lock=ObjectLock("GOVERNANCE", 2))


@pytest.mark.parametrize(
    "lock",
    [
        "GOVERNANCE",
        {"mode": "governance", "days": 2},
        {"mode": "COMPLIANCE"},
        {"mode": "COMPLIANCE", "days": 0},
        {"mode": "COMPLIANCE", "days": "2"},
    ],
)
def test_what_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, lock: object) -> None:
    with pytest.raises(ConfigurationError, match="a mode and a number of days"):
        opened("http://127.0.0.1:9", "bucket", monkeypatch, lock)


def test_a_data_key_that_is_destroyed_is_in_no_version(s3_url: str, bucket: str) -> None:
    """A bucket with object lock keeps versions."""
    store = open_store(f"s3://{bucket}/lake", fs=object_filesystem(s3_url))
    clock = datetime(2026, 1, 5, tzinfo=UTC)
    DataKeys(store, Layout("shop"), master=MASTER, clock=lambda: clock).current()
    DataKeys(store, Layout("shop")).destroy("2026-01", Destroyed(7, clock, "why"))
    fs = object_filesystem(s3_url)
    versions = fs.call_s3("list_object_versions", Bucket=bucket, Prefix="lake/keys/")["Versions"]
    bodies = [store.read("keys/repository=shop/2026-01.json")]
    assert len(versions) == len(bodies) == 1
    assert b'"wrapped"' not in bodies[0]
