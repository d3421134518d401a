"""A log whose bytes left on purpose cannot be loaded again, and a replay says so, when and by which rule."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_imperva.errors import ConfigurationError
from tests.load.load_runs import Clock
from tests.retention.kept_account import KeptAccount, again
from tests.retention.test_erase import ADDRESS, forget, load


def test_bytes_that_expired_are_told_with_their_rule(
    account: KeptAccount, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    load(account)
    clock.ahead = timedelta(days=7)
    account.expire(raw=5)
    with pytest.raises(
        ConfigurationError, match=r"8416_1.log: its bytes expired on .*: bytes as received are kept for 5"
    ):
        again(account, names="8416_1.log")
    rows = account.live_rows()
    assert again(account, state="all") is None
    assert "It is not replayed" in caplog.text
    assert account.live_rows() == rows


def test_erased_ones_are_too_and_those_loaded_with_them(account: KeptAccount) -> None:
    load(account)
    forget(account)
    with pytest.raises(ConfigurationError, match=r"8416_1.log: its bytes were erased on .*reference DSR-12"):
        again(account, names="8416_2.log")
    assert again(account, state="all") is None
    assert account.where(ADDRESS) == []


def test_what_has_its_bytes_is_replayed_into_what_is_left(account: KeptAccount) -> None:
    account.serve_day(1, 10)
    account.serve_day(2, 0)
    account.run()
    account.expire(events={"access": 5})
    assert again(account, state="all") == 8
    account.assert_sound()
    account.expire(events={"access": 5})
    account.assert_sound()
