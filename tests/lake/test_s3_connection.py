"""The lake's credentials and options come from an Airflow connection of type `aws`."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.hooks.lake import lake_filesystem
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.table.publish import create_table, open_table
from tests.crash.object_server import BUCKET
from tests.lake.s3_front import Front, Refusal

LAKE = f"s3://{BUCKET}/lake"
NAME = "AIRFLOW_CONN_LAKE"


def connect(monkeypatch: pytest.MonkeyPatch, url: str, *, login: str = "key", **extra: Any) -> None:
    settings = {"endpoint_url": url, "region_name": "eu-central-1"} | extra
    connection = {"conn_type": "aws", "login": login, "password": "secret", "extra": settings}
    monkeypatch.setenv(NAME, json.dumps(connection))
    # It says whether commits are signed.
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps({"conn_type": "imperva"}))


def ledger() -> Ledger:
    return ImpervaLogHook().open_ledger("shop", LAKE, "lake")


def test_a_lake_is_written_with_the_connections_credentials(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, front.url)
    store = ledger().store
    store.create("ledger/plan.json", b"plan")
    assert store.uri("ledger/plan.json") == f"{LAKE}/ledger/plan.json"
    assert front.filesystem().cat_file(f"{BUCKET}/lake/ledger/plan.json") == b"plan"


def test_its_table_is_written_with_them_too(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a library of its own, which is handed the credentials."""
    connect(monkeypatch, front.url)
    store = ledger().store
    create_table(store)
    assert open_table(store).version == 0
    options = store.address("events").options
    assert (options["access_key_id"], options["secret_access_key"]) == ("key", "secret")


def test_encryption_acl_tags_and_path_style_come_from_its_extra(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch,
        front.url,
        config_kwargs={"s3": {"addressing_style": "path"}},
        s3_additional_kwargs={"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/lake", "Tagging": "a=b"},
    )
    store = ledger().store
    store.create("one", b"1")
    with store.writer("two") as file:
        file.write(b"2")
    for name in ("one", "two"):
        head = front.filesystem().call_s3("head_object", Bucket=BUCKET, Key=f"lake/{name}")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")
    assert all(request.path.startswith(f"/{BUCKET}") for request in front.requests)


def test_whether_certificates_are_verified_comes_from_its_extra(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Amazon provider itself does not hand this on to the filesystem."""
    connect(monkeypatch, front.url, verify=False)
    assert lake_filesystem(LAKE, "lake").client_kwargs["verify"] is False


def test_new_credentials_in_the_connection_are_used_at_once(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a process that goes on for days, such as the triggerer; with the same ones it stays connected."""
    connect(monkeypatch, front.url, login="old")
    front.refusals.append(Refusal("ExpiredToken", methods=("GET",), times=1))
    with pytest.raises(LakeError, match="have expired"):
        ledger().head()
    old = lake_filesystem(LAKE, "lake")
    assert lake_filesystem(LAKE, "lake") is old
    connect(monkeypatch, front.url, login="new")
    assert lake_filesystem(LAKE, "lake") is not old
    assert ledger().head().next_commit == 1


def test_options_that_are_no_object_are_refused(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, front.url, s3_additional_kwargs="aws:kms")
    with pytest.raises(ConfigurationError, match="is not a JSON object"):
        ledger()


def test_a_protocol_without_a_provider_says_what_to_install(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, front.url)
    with pytest.raises(ConfigurationError, match=r"pip install .apache-airflow-providers-amazon\[s3fs\]"):
        lake_filesystem("abfs://container/lake", "lake")


def test_without_s3fs_it_says_what_to_install(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, front.url, login="without-s3fs")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigurationError, match="needs the library s3fs, which is not installed"):
        ledger()
