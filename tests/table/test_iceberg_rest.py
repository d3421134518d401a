"""An Iceberg table in a real REST catalog, by an Airflow connection; the lake is on the same S3 server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import boto3
import pytest
from pyiceberg.catalog.rest import RestCatalog

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.table.changes import changes
from airflow_provider_imperva.table.iceberg import Iceberg
from airflow_provider_imperva.table.publish import create_table, open_table, publish
from tests.crash.object_server import BUCKET, KEY, CannotRunError, free_ports, object_filesystem, object_server
from tests.lake.ledger_records import commit_of, finish_batch, plan_of

pytestmark = pytest.mark.slow

WAREHOUSE = "warehouse"
LAKE = f"s3://{BUCKET}/rest"


class Server(NamedTuple):
    s3: str
    catalog: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    (port,) = free_ports(1)
    try:
        with object_server(tmp_path_factory.mktemp("objects"), iceberg=port) as url:
            client = boto3.client(
                "s3tables",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id=KEY,
                aws_secret_access_key=KEY,
            )
            client.create_table_bucket(name=WAREHOUSE)
            yield Server(url, f"http://127.0.0.1:{port}")
    except CannotRunError as error:
        pytest.skip(str(error))


@pytest.fixture
def ledger(server: Server, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    connections = {
        "LAKE": {
            "conn_type": "aws",
            "login": KEY,
            "password": KEY,
            "extra": {"endpoint_url": server.s3, "region_name": "us-east-1"},
        },
        "CATALOG": {
            "conn_type": "iceberg",
            "host": server.catalog,
            "login": KEY,
            "password": KEY,
            "extra": {
                "warehouse": f"s3://{WAREHOUSE}",
                "imperva.table-name": "waf.logs",
                "imperva.location": "catalog",
            },
        },
        "IMPERVA_DEFAULT": {"conn_type": "imperva"},
    }
    for name, connection in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    return ImpervaLogHook().open_ledger("8416_1745073", LAKE, "lake", "catalog")


def load(ledger: Ledger) -> None:
    number = ledger.head().next_commit
    plan = ledger.create_plan(plan_of([number], commit=number))
    finish_batch(ledger, plan)
    commit_of(ledger, plan)


def test_commits_are_published_once_by_many_and_no_credential_is_in_the_lake(ledger: Ledger, server: Server) -> None:
    store = ledger.store
    load(ledger)
    create_table(store, "iceberg")
    publish(ledger)
    load(ledger)
    load(ledger)
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: publish(ledger), range(3))) == {3}
    table = Iceberg.open(store)
    assert table.published("8416_1745073") == 3
    assert list(changes(ledger, 3)) == []
    shown = sorted(file.path for file in table.files())
    assert shown == sorted(path for path in live_set(ledger).parts if path.startswith("events/"))
    # As another program reads it.
    own = RestCatalog("own", uri=server.catalog, warehouse=f"s3://{WAREHOUSE}", credential=f"{KEY}:{KEY}")
    read = own.load_table("waf.logs")
    commits = [one.summary.additional_properties["imperva.commit"] for one in read.metadata.snapshots if one.summary]
    assert sorted(commits) == ["1", "2", "3"]
    assert read.properties["gc.enabled"] == "false"
    assert [item.found for item in verify_lake(store).findings] == []
    # Where the catalog has the table: it lets nothing else be there.
    assert read.location().startswith(f"s3://{WAREHOUSE}/")
    fs = object_filesystem(server.s3)
    written = [
        *fs.find(f"{BUCKET}/rest/events/_iceberg"),
        *fs.find(f"{read.location().removeprefix('s3://')}/metadata"),
    ]
    assert len(written) > 3
    assert [path for path in written if KEY.encode() in fs.cat_file(path)] == []


def test_wrong_credentials_are_an_error_that_does_not_show_them(
    ledger: Ledger, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for password, host in (("not-the-secret", server.catalog), (KEY, "http://127.0.0.1:9")):
        connection = {
            "conn_type": "iceberg",
            "host": host,
            "login": KEY,
            "password": password,
            "extra": {"warehouse": f"s3://{WAREHOUSE}"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_CATALOG", json.dumps(connection))
        with pytest.raises((LakeError, ConfigurationError)) as caught:
            open_table(ledger.store)
        assert "not-the-secret" not in str(caught.value)
