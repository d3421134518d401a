"""A policy that cannot be meant is refused before anything is written."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.retention.policy import RetentionPolicy

WRONG: list[tuple[Any, str]] = [
    ({"raw": -1}, "raw is not a whole number"),
    ({"raw": 0}, "raw is not a whole number"),
    ({"raw": 2}, "less than 3 days"),
    ({"quarantine": True}, "quarantine is not a whole number"),
    ({"coverage_pages": 1.5}, "coverage_pages is not a whole number"),
    ({"events": {"access": "90"}}, "access is not a whole number"),
    ({"events": {"acess": 90}}, "acess"),
    ({"events": 90}, "not a mapping"),
    ({"ledger": 90}, "ledger"),
    ({}, "no rule"),
    (7, "of type int"),
]


@pytest.mark.parametrize(("given", "found"), WRONG)
def test_what_cannot_be_meant_is_refused(given: Any, found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        RetentionPolicy.of(given)


def test_it_is_read_from_yaml_and_gives_the_first_date_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "retention.yaml"
    path.write_text("events:\n  access: 90\n  security: 400\nraw: 400\nquarantine: 30\n")
    policy = RetentionPolicy.of(str(path))
    assert policy == RetentionPolicy(events={"access": 90, "security": 400}, raw=400, quarantine=30)
    assert policy.first_kept(date(2026, 11, 30))["access"] == date(2026, 9, 1)
    assert "other" not in policy.days, "what has no number is kept for ever"
    path.write_text("events: [")
    with pytest.raises(ConfigurationError, match="not YAML"):
        RetentionPolicy.of(path)
    with pytest.raises(ConfigurationError, match="could not be read"):
        RetentionPolicy.of(tmp_path / "absent.yaml")
