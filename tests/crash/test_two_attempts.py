"""Two attempts of one batch at once, of which the slow one knows less: what is reported is what is in the lake."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.testing import FakeRepository, KeyPair
from tests.crash.crash_runs import CrashAccount, LakeAddress, assert_all_is_well


def open_account(repository: FakeRepository, folder: Path) -> CrashAccount:
    return CrashAccount(repository, folder, address=LakeAddress(folder))


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("number", range(1, 6))
def test_the_slow_attempt_of_a_batch_takes_nothing_away(
    repository: FakeRepository, tmp_path: Path, key_pair: KeyPair, number: int, committed: bool
) -> None:
    """It began before a key was there, and hangs before one of its operations while another attempt has the key."""
    slow = open_account(repository, tmp_path / "lake")
    slow.serve(1, events=6, security_share=0.5)
    slow.serve(2, events=6, security_share=0.5, keys=[key_pair])
    plan = slow.plan()
    fetched = slow.fetch(plan)
    quick = open_account(repository, tmp_path / "lake")
    quick.forged, quick.keys = slow.forged, KeyRing({"1": key_pair.private_key})

    def hang(reached: int, done: bool) -> None:
        if (reached, done) == (number, False):
            quick.normalize(plan, fetched)
            if committed:
                quick.commit(plan)

    slow.store.let(hang)
    with contextlib.suppress(LedgerConflictError):
        slow.normalize(plan, fetched)
    quick.commit(plan)
    quick.settle()
    assert_all_is_well(quick)
