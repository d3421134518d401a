"""The asset of a lake's events: one name however the lake is written, no secret in it, and events of bounded size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_imperva.assets import MOST_PARTITIONS, changed_dates, event_extra, imperva_events_asset
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.changes import Changes
from airflow_provider_imperva.lake.records import VERSION, Commit, Run, Totals
from airflow_provider_imperva.lake.watermark import Prefix, Range, State

AT = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class Event:
    """As much of an asset event as a task sees."""

    extra: dict[str, Any]


def commit(number: int) -> Commit:
    gap = Range(545, 546, State.GAP, AT)
    return Commit(
        v=VERSION,
        repository="8416_1745073",
        commit=number,
        previous_sha256=None,
        logs_sha256="",
        run=Run("dag", "run"),
        committed_by=Run("dag", "run"),
        provider_version="0",
        committed_at=AT,
        observed_at=AT,
        batches=(),
        failed_batches=(),
        parts=(),
        totals=Totals({}, 0, 0, 0, 0),
        open={},
        prefixes={"8416": Prefix(544, 560, (gap,))},
    )


def extra(*partitions: tuple[str, str], first: int = 41, last: int = 42) -> dict[str, Any]:
    found = Changes(first, last, {"committed": 3}, 30, 1, dict.fromkeys(partitions, 10))
    return event_extra(commit(last), found)


@pytest.mark.parametrize(
    ("lake_uri", "uri"),
    [
        ("s3://bucket/lake", "s3://bucket/lake/events"),
        ("s3://bucket/lake/", "s3://bucket/lake/events"),
        ("S3A://bucket/lake", "s3://bucket/lake/events"),
        ("s3://bucket", "s3://bucket/events"),
        ("file:///srv/lake/", "file:///srv/lake/events"),
        ("/srv/lake", "file:///srv/lake/events"),
        ("gs://bucket/Lake", "gs://bucket/Lake/events"),
    ],
)
def test_however_the_lake_is_written_it_is_one_asset(lake_uri: str, uri: str) -> None:
    """Else a DAG that names the lake another way would never be started."""
    asset = imperva_events_asset(lake_uri)
    assert (asset.name, asset.uri) == (f"Imperva events in {uri.removesuffix('/events')}", uri)
    assert asset.group == "imperva"


@pytest.mark.parametrize(
    "lake_uri",
    [
        "s3://key:hidden@bucket/lake",
        "sftp://who:hidden@host/lake",
        "sftp://hidden@host/lake",
        "abfs://lake/folder?sig=hidden",
        "https://host/lake#hidden",
        "simplecache::s3://key:hidden@bucket/lake",
    ],
)
def test_a_lake_with_credentials_has_none_and_they_are_not_quoted(lake_uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        imperva_events_asset(lake_uri)
    assert "hidden" not in str(caught.value)


def test_a_repository_may_have_an_asset_of_its_own() -> None:
    asset = imperva_events_asset("s3://bucket/lake", repository="8416_1745073")
    assert asset.uri == "s3://bucket/lake/events/repository=8416_1745073"
    assert asset.name == "Imperva events of repository 8416_1745073 in s3://bucket/lake"


def test_a_uri_without_a_bucket_is_told() -> None:
    with pytest.raises(ConfigurationError, match="names no bucket"):
        imperva_events_asset("s3:///lake")


def test_an_event_tells_what_changed_and_how_far_the_repository_is_loaded() -> None:
    output = extra(("access", "2026-11-21"), ("security", "2026-11-22"))
    assert output == {
        "repository": "8416_1745073",
        "first_commit": 41,
        "commit": 42,
        "logs": {"committed": 3},
        "rows": 30,
        "quarantined_lines": 1,
        "watermark": {"8416": {"contiguous": 544, "highest": 560, "open": 2}},
        "partitions": [
            {"event_class": "security", "event_date": "2026-11-22", "rows": 10},
            {"event_class": "access", "event_date": "2026-11-21", "rows": 10},
        ],
        "more_partitions": 0,
        "dates": ["2026-11-21", "2026-11-22"],
    }
    assert extra()["dates"] == []


def test_an_event_of_many_partitions_is_bounded_and_leaves_no_date_out() -> None:
    """A replay of years changes thousands of partitions, and each event stays in Airflow's database."""
    dates = [f"{year}-{month:02d}-{day:02d}" for year in (2024, 2025) for month in range(1, 13) for day in range(1, 29)]
    output = extra(*(("access", event_date) for event_date in dates))
    assert len(output["partitions"]) == MOST_PARTITIONS
    assert output["more_partitions"] == len(dates) - MOST_PARTITIONS
    assert len(json.dumps(output)) < 20_000
    [(repository, found)] = changed_dates({"lake": [Event(output)]}).items()
    assert repository == "8416_1745073"
    assert set(dates) <= set(found)
    assert (found[0], found[-1]) == ("2024-01-01", "2025-12-28")


def test_the_dates_of_several_events_come_together() -> None:
    """A consumer that was paused gets many events at once, perhaps of several assets."""
    events = {
        "lake": [Event(extra(("access", "2026-11-21"))), Event(extra(("other", "2026-11-20")))],
        "foreign": [Event({"rows": 3})],
    }
    assert changed_dates(events) == {"8416_1745073": ["2026-11-20", "2026-11-21"]}
