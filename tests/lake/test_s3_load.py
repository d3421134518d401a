"""A load into a lake on S3 that its store lets down on the way: the next one goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import LakeError, LedgerCorruptError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import FakeRepository
from tests.crash.object_server import BUCKET
from tests.lake.s3_front import Front, Refusal
from tests.load.load_runs import Account


@dataclass
class S3Account(Account):
    """An account whose lake is on S3; a copy on disk is what the independent reader reads."""

    front: Front = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger = Ledger(open_store(f"s3://{BUCKET}/lake", fs=self.front.filesystem()), self.repository.name)

    def fetch_copy(self) -> None:
        self.front.filesystem().get(f"{BUCKET}/lake/", f"{self.lake}/", recursive=True)


@pytest.fixture
def account(front: Front, tmp_path: Path) -> Iterator[S3Account]:
    with FakeRepository() as repository:
        account = S3Account(repository, tmp_path / "lake", options=PlanOptions(logs_per_batch=4), front=front)
        account.serve(*range(1, 9), events=4, security_share=0.3)
        yield account


@pytest.mark.parametrize(
    ("code", "writes"), [("ExpiredToken", 1), ("XMinioStorageFull", 4), ("AccessDenied", 7), ("ExpiredToken", 11)]
)
def test_a_store_that_refuses_in_mid_load_costs_nothing_but_time(account: S3Account, code: str, writes: int) -> None:
    refusal = Refusal(code, after=writes)
    account.front.refusals.append(refusal)
    with pytest.raises(LakeError) as caught:
        account.run()
    assert code in str(caught.value)
    account.front.refusals.clear()
    account.run()
    account.run()
    account.fetch_copy()
    assert account.rows() == account.expected()
    account.assert_balanced()


def test_a_store_that_asks_to_slow_down_now_and_then_is_no_failure(account: S3Account) -> None:
    for after in (2, 9, 20, 31):
        account.front.refusals.append(Refusal("SlowDown", methods=("PUT", "GET"), after=after, times=1))
    account.run_some()
    assert not any(refusal.times for refusal in account.front.refusals)
    account.fetch_copy()
    assert account.rows() == account.expected()
    account.assert_balanced()


def test_a_lake_of_a_newer_ledger_version_is_refused_before_anything_is_fetched(account: S3Account) -> None:
    account.run_some()
    ledger = account.ledger
    newer = ledger.store.read(ledger.layout.commit(1)).replace(b'"v": 2', b'"v": 4', 1)
    ledger.store.write(ledger.layout.commit(1), newer)
    account.serve(13)
    asked = account.requested()
    with pytest.raises(LedgerCorruptError, match="ledger version 4") as caught:
        account.run()
    assert "Upgrade the provider" in caught.value.do
    assert account.requested() == asked
