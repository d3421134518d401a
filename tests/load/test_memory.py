"""Normalizing keeps the memory that one log frees for the next one, and leaves the process as it was."""

from __future__ import annotations

import pyarrow as pa
import pytest

from airflow_provider_imperva.lake.memory import memory_kept
from airflow_provider_imperva.load.normalize import normalize
from tests.load.load_runs import Account


@pytest.fixture(autouse=True)
def other_pool() -> None:
    """The pool that this process has, which is not the one of the C library."""
    assert pa.default_memory_pool().backend_name != "system"


def test_arrow_takes_memory_from_the_c_library_while_logs_are_normalized(account: Account) -> None:
    account.serve(1, 2)
    plan = account.plan()
    pools: list[str] = []
    with account.client() as client:
        normalize(
            account.ledger,
            client,
            account.keys,
            plan,
            account.fetch(plan),
            on_log=lambda: pools.append(pa.default_memory_pool().backend_name),
        )
    assert pools == ["system", "system"]
    assert pa.default_memory_pool().backend_name != "system"


def test_pool_comes_back_after_an_error() -> None:
    before = pa.default_memory_pool().backend_name
    with pytest.raises(OSError, match="full"), memory_kept():
        raise OSError("full")
    assert pa.default_memory_pool().backend_name == before
