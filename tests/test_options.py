"""Options that a DAG gives: a wrong name, type or bound is refused while the DAG is parsed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.options import DecodePolicy, PlanOptions, checked_options


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"windows": timedelta(hours=1)}, "there is no 'windows'; the nearest name is 'window'"),
        ({"log_per_batch": 5}, "the nearest name is 'logs_per_batch'"),
        ({"zzz": 5}, "there is no 'zzz'; there are 'window', 'window_bytes'"),
        ({"window": 48}, "window is '48', of type int. Give a timedelta"),
        ({"max_logs": "100"}, "max_logs is '100', of type str. Give an int"),
        ({"max_logs": True}, "max_logs is 'True', of type bool. Give an int"),
        ({"logs_per_batch": 1.5}, "Give an int or None"),
        ({"start": None}, "Give a str or an int"),
        ({"start": "newest"}, "Set start to oldest, to now, or to a sequence number"),
        ({"max_logs": 0}, "a plan or a batch of no logs"),
        ({"window": timedelta(0)}, "Set window above 0"),
        ({"window_bytes": -1}, "Set window_bytes above 0"),
        ({"account_group": "a/b"}, "account_group"),
        ({"account_group": "-----BEGIN KEY-----\nMIIE"}, "account_group"),
    ],
)
def test_wrong_plan_options_are_refused(given: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_options(PlanOptions, given)
    assert found in str(caught.value)
    assert "MIIE" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"clear_checksums": "warn"}, "the nearest name is 'clear_checksum'"),
        ({"clear_checksum": "ignore"}, "clear_checksum is 'ignore', of type str. Give 'quarantine', 'warn'"),
        ({"max_plain_bytes": "4G"}, "Give an int"),
    ],
)
def test_a_wrong_decode_policy_is_refused(given: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_options(DecodePolicy, given)
    assert found in str(caught.value)


def test_right_ones_are_kept_as_they_are() -> None:
    given = {"window": timedelta(hours=1), "start": 5, "logs_per_batch": None, "window_bytes": None}
    assert checked_options(PlanOptions, given) == given
    assert checked_options(PlanOptions, None) == {}
    assert checked_options(DecodePolicy, {"clear_checksum": "quarantine"}) == {"clear_checksum": "quarantine"}
