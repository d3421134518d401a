"""Times on thousands of dates in one log: there are not that many parts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource

_DAY = 86_400_000
_OWN = int(datetime(2026, 1, 10, 12, tzinfo=UTC).timestamp() * 1000)
SOURCE = LogSource(file="8416_1.log", sequence=1, start_time=_OWN, fetched_time=_OWN + 600_000)
HEADLESS = LogSource(file="0_1.log", sequence=1, fetched_time=_OWN)


def record(time: int, number: int = 1) -> bytes:
    return (
        f"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|fileId={number} src=192.0.2.1 act=REQ_PASSED"
        f" deviceExternalId={number} start={time}\n"
    ).encode()


def read(body: bytes, source: LogSource = SOURCE, *, chunk: int = 1 << 20) -> pa.Table:
    chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    return pa.concat_tables([block.events for block in parse(chunks, source)])


@pytest.mark.parametrize("source", [SOURCE, HEADLESS], ids=["header", "no header"])
def test_a_log_has_no_more_dates_than_a_year_far_from_its_own(source: LogSource) -> None:
    body = b"".join(record(_OWN - day * _DAY) for day in range(5600))
    events = read(body, source)
    dates = pc.unique(events["event_date"]).to_pylist()
    assert len(dates) == 1 + 31 + 366
    moved = events.filter(pc.equal(events["event_date"], date(2026, 1, 10))).to_pylist()[1:]
    assert len(moved) == 5600 - (1 + 31 + 366)
    assert all("far_date:start" in event["parse_warnings"] for event in moved)
    assert int(dict(moved[0]["extra"])["start"]) == _OWN - (31 + 366 + 1) * _DAY
    assert {event["event_time"] for event in moved} == {
        datetime(2026, 1, 10, 12, tzinfo=UTC) if source is SOURCE else None
    }


def test_forged_dates_take_no_place_from_those_near_the_log() -> None:
    forged = b"".join(record(_OWN - (100 + day) * _DAY) for day in range(1000))
    honest = b"".join(record(_OWN + day * _DAY // 4) for day in range(-100, 2))
    events = read(forged + honest).to_pylist()
    assert [event["parse_warnings"] for event in events[1000:]] == [[]] * 102
    assert events[1000]["event_time"] == datetime(2026, 1, 10, 12, tzinfo=UTC) - timedelta(days=25)


def test_how_the_body_is_cut_changes_no_row() -> None:
    body = b"".join(record(_OWN - (day * 37 % 600 + 40) * _DAY, day) for day in range(700))
    assert read(body, chunk=5000).to_pylist() == read(body).to_pylist()
