"""The watch notices that nobody loads: by what the ledger says, whatever the repository would answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_imperva.operators.watch import ImpervaWatchOperator
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from tests.load.load_runs import Account

pytestmark = pytest.mark.usefixtures("connection")


def watch(lake: Path, **options: Any) -> dict[str, Any]:
    context: Any = {}
    return ImpervaWatchOperator(task_id="watch", lake_uri=lake.as_uri(), **options).execute(context)


@pytest.fixture
def account(repository: FakeRepository, tmp_path: Path) -> Account:
    for log in forge_repository(2, events_per_log=1):
        repository.add(log.name, log.content)
    return Account(repository, tmp_path)


def looked(account: Account, ago: timedelta) -> None:
    """Let the last look be so long ago, as far as the ledger says."""
    commit = msgspec.structs.replace(account.ledger.commit(1), observed_at=datetime.now(UTC) - ago)
    account.ledger.store.write(account.ledger.layout.commit(1), msgspec.json.encode(commit))


def test_a_lake_that_is_loaded_is_well(account: Account, repository: FakeRepository, tmp_path: Path) -> None:
    account.run()
    asked = len(repository.requests)
    assert watch(tmp_path)["seconds"] < 600
    assert len(repository.requests) == asked, "its credentials may be what is wrong"


@pytest.mark.parametrize(
    ("ago", "options"),
    [
        (timedelta(hours=17), {}),
        (timedelta(hours=2), {"silent_for": timedelta(hours=1)}),
        (timedelta(hours=5), {"plan_options": {"window": timedelta(hours=12)}}),
    ],
)
def test_a_last_look_older_than_the_bound_fails(
    account: Account, tmp_path: Path, ago: timedelta, options: dict[str, Any]
) -> None:
    account.run()
    looked(account, ago - timedelta(hours=2))
    watch(tmp_path, **options | ({"silent_for": ago} if "silent_for" in options else {}))
    looked(account, ago)
    with pytest.raises(AirflowFailException, match="Nobody has looked at repository 8416_1745073 since") as raised:
        watch(tmp_path, **options)
    assert f"for {ago.total_seconds() / 3600:.1f} h" in str(raised.value)


def test_a_plan_that_is_not_committed_is_a_look_too(account: Account, tmp_path: Path) -> None:
    account.run()
    looked(account, timedelta(hours=40))
    [log] = forge_repository(1, first=3, events_per_log=1)
    account.repository.add(log.name, log.content)
    assert account.plan()
    assert watch(tmp_path)["seconds"] < 600


def test_a_lake_that_nobody_has_loaded_into_fails(tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="Nobody has looked at repository 8416_1745073 yet"):
        watch(tmp_path)


def test_a_look_in_the_future_vouches_for_nothing(account: Account, tmp_path: Path) -> None:
    account.run()
    looked(account, -timedelta(hours=72))
    with pytest.raises(AirflowFailException, match="is said to be in the future"):
        watch(tmp_path)
