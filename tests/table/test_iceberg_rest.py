"""An Iceberg table in a real REST catalog, by an Airflow connection; the lake is on the same S3 server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
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
from tests.crash.object_server import BUCKET, KEY, WAREHOUSE, CatalogServer, object_filesystem
from tests.lake.ledger_records import commit_of, finish_batch, plan_of
from tests.long_form import LONG

pytestmark = pytest.mark.slow

PUBLISHERS = 50
LAKE = f"s3://{BUCKET}/rest"


@pytest.fixture
def ledger(catalog_server: CatalogServer, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    connections = {
        "LAKE": {
            "conn_type": "aws",
            "login": KEY,
            "password": KEY,
            "extra": {"endpoint_url": catalog_server.s3, "region_name": "us-east-1"},
        },
        "CATALOG": {
            "conn_type": "iceberg",
            "host": catalog_server.catalog,
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
    plan = plan_of([number], commit=number)
    plan = ledger.create_plan(msgspec.structs.replace(plan, repository=ledger.layout.repository))
    finish_batch(ledger, plan)
    commit_of(ledger, plan)


def test_commits_are_published_once_by_many_and_no_credential_is_in_the_lake(
    ledger: Ledger, catalog_server: CatalogServer
) -> None:
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
    own = RestCatalog("own", uri=catalog_server.catalog, warehouse=f"s3://{WAREHOUSE}", credential=f"{KEY}:{KEY}")
    read = own.load_table("waf.logs")
    commits = [one.summary.additional_properties["imperva.commit"] for one in read.metadata.snapshots if one.summary]
    assert sorted(commits) == ["1", "2", "3"]
    assert read.properties["gc.enabled"] == "false"
    assert [item.found for item in verify_lake(store).findings] == []
    # Where the catalog has the table: it lets nothing else be there.
    assert read.location().startswith(f"s3://{WAREHOUSE}/")
    fs = object_filesystem(catalog_server.s3)
    written = [
        *fs.find(f"{BUCKET}/rest/events/_iceberg"),
        *fs.find(f"{read.location().removeprefix('s3://')}/metadata"),
    ]
    assert len(written) > 3
    # The server lists the folder itself too once the bucket has other tables, and lets nobody read it.
    files = [path for path in written if not path.endswith("/")]
    assert [path for path in files if KEY.encode() in fs.cat_file(path)] == []


@pytest.mark.skipif(not LONG, reason="LONG=1 tries it")
@pytest.mark.timeout(300)
def test_fifty_publishers_at_once_lose_nothing_and_double_nothing(
    ledger: Ledger, record_property: Callable[[str, object], None]
) -> None:
    """One table, fifty repositories with a commit each at the same moment."""
    ledgers = [Ledger(ledger.store, f"8416_{number}") for number in range(PUBLISHERS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load, ledgers))
    create_table(ledger.store, "iceberg")
    begun, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        assert set(pool.map(publish, ledgers)) == {1}
    record_property("seconds", round(time.monotonic() - begun, 1))
    record_property("of them processor", round(time.process_time() - cpu, 1))
    table = Iceberg.open(ledger.store)
    assert [table.published(one.layout.repository) for one in ledgers] == [1] * PUBLISHERS
    paths = [file.path for file in table.files() if file.partition[0] != "8416_1745073"]
    assert len(paths) == len(set(paths)) == PUBLISHERS


def test_wrong_credentials_are_an_error_that_does_not_show_them(
    ledger: Ledger, catalog_server: CatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for password, host in (("not-the-secret", catalog_server.catalog), (KEY, "http://127.0.0.1:9")):
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
