"""The table of a lake on a real S3 server: many who publish at once, and credentials that are nowhere to be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import msgspec
import pytest
from deltalake import DeltaTable

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.table.delta import application
from airflow_provider_imperva.table.publish import create_table, publish
from tests.crash.object_server import BUCKET, KEY, object_filesystem
from tests.lake.ledger_records import commit_of, finish_batch, plan_of
from tests.long_form import LONG

pytestmark = pytest.mark.slow

PUBLISHERS = 50 if LONG else 12
_numbers = count(1)


@pytest.fixture
def store(s3_url: str) -> Store:
    return open_store(f"s3://{BUCKET}/table-{next(_numbers)}", fs=object_filesystem(s3_url))


def load(ledger: Ledger, commits: int) -> None:
    for _ in range(commits):
        head = ledger.head()
        plan = ledger.create_plan(plan_of([head.next_commit], commit=head.next_commit))
        finish_batch(ledger, plan)
        commit_of(ledger, plan)


def opened(store: Store) -> DeltaTable:
    address = store.address("events")
    return DeltaTable(address.url, storage_options=address.options)


def test_many_publishers_at_once_lose_nothing_and_double_nothing(
    store: Store, record_property: Callable[[str, object], None]
) -> None:
    """One table, many repositories with a commit each at the same moment: fifty in the long form."""
    create_table(store)
    ledgers = [Ledger(store, f"8416_{number}") for number in range(PUBLISHERS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load_one, ledgers))
    begun = time.monotonic()
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        assert set(pool.map(publish, ledgers)) == {1}
    record_property("seconds", round(time.monotonic() - begun, 1))
    table = opened(store)
    assert [table.transaction_version(application(ledger.layout.repository)) for ledger in ledgers] == [1] * PUBLISHERS
    assert table.version() == PUBLISHERS
    paths = table.get_add_actions(flatten=True)["path"].to_pylist()
    assert len(paths) == len(set(paths)) == PUBLISHERS


def load_one(ledger: Ledger) -> None:
    plan = ledger.create_plan(msgspec.structs.replace(plan_of([1]), repository=ledger.layout.repository))
    finish_batch(ledger, plan)
    commit_of(ledger, plan)


def test_several_that_publish_one_ledger_at_once_publish_each_commit_once(store: Store) -> None:
    create_table(store)
    ledger = Ledger(store, "8416_1745073")
    load(ledger, 4)
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: publish(ledger), range(12))) == {4}
    numbers = [info["imperva.commit"] for info in opened(store).history() if "imperva.commit" in info]
    assert len(numbers) == len(set(numbers))
    assert opened(store).count() == 8


def test_no_credential_is_in_a_message(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table(store)
    ledger = Ledger(store, "8416_1745073")
    load(ledger, 1)
    address = store.address("events")
    assert KEY in address.options.values()
    assert KEY not in repr(address)
    wrong = type(address)(address.url, address.options | {"secret_access_key": "not-the-secret"})
    monkeypatch.setattr(type(store), "address", lambda *_: wrong)
    with caplog.at_level(logging.DEBUG), pytest.raises(LakeError) as caught:
        publish(ledger)
    assert "not-the-secret" not in str(caught.value) + caplog.text
    assert "SignatureDoesNotMatch" not in str(caught.value), "nothing of what the server says"
