"""The times in the header of a log, however they are written, on the way from the server to the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import md5

import duckdb
import pytest

from airflow_provider_imperva.lake.watermark import State
from tests.load.load_runs import Account

EVENT = "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId={} act=REQ_PASSED src=192.0.2.7 deviceExternalId=9{}"
START, END = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), datetime(2023, 11, 14, 22, 17, 20, tzinfo=UTC)


def serve(account: Account, body: str, *, start: str | None, end: str | None) -> None:
    times = [f"{name}:{text}" for name, text in (("startTime", start), ("endTime", end)) if text is not None]
    checksum = md5(body.encode(), usedforsecurity=False).hexdigest()
    header = ["accountId:1745073", "configId:8416", f"checksum:{checksum}", "format:CEF", *times, "|==|", ""]
    account.repository.add("8416_1.log", ("\n".join(header) + body).encode())


def events(account: Account) -> list[tuple[object, ...]]:
    columns = "src_line, src_file_start, src_file_end, event_time, event_date, parse_warnings"
    files = f"{account.lake}/events/**/*.parquet"
    return duckdb.execute(
        f"SELECT {columns} FROM read_parquet('{files}', hive_partitioning=true) ORDER BY src_line"
    ).fetchall()


@pytest.mark.parametrize(
    ("start", "end", "codes"),
    [
        ("1700000000000", "1700000240000", []),
        ("1700000000", "1700000240", ["epoch_seconds:startTime", "epoch_seconds:endTime"]),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:17:20Z", []),
        ("2023-11-14 23:13:20+01:00", "2023-11-14 23:17:20+01:00", []),
        ("2023-11-14 22:13:20", "2023-11-14T22:17:20.000", []),
        ("1700000000", "1700000240000", ["epoch_seconds:startTime"]),
    ],
)
@pytest.mark.parametrize("junk", ["", "junk\n"])
def test_times_that_can_be_read(account: Account, start: str, end: str, codes: list[str], junk: str) -> None:
    serve(account, f"{EVENT.format(1, 1)}\n{junk}{EVENT.format(2, 2)}\n", start=start, end=end)
    commit = account.run_some()
    assert commit.totals.logs == {State.COMMITTED: 1}
    warnings = [*codes, "incomplete:start", "time_from_file"]
    found = events(account)
    assert [(row[0], *row[1:4], row[4]) for row in found] == [
        (line, START, END, START, START.date()) for line in ((1, 3) if junk else (1, 2))
    ]
    assert sorted(found[0][5]) == sorted(warnings)  # type: ignore[call-overload]
    assert account.quarantined() == ([("8416_1.log", 2, "not_a_record")] if junk else [])
    record = account.record("8416_1.log")
    assert (record["rows"], record["quarantined_lines"], record["lines"]) == (2, bool(junk), 2 + bool(junk))
    account.assert_balanced()


@pytest.mark.parametrize(
    ("start", "end", "codes"),
    [
        ("0", "0", ["bad_time:startTime", "bad_time:endTime"]),
        ("-1", "yesterday", ["bad_time:startTime", "bad_time:endTime"]),
        ("2023-13-45", "99999999999999999", ["bad_time:startTime", "bad_time:endTime"]),
        (None, None, []),
        ("", "", []),
    ],
)
def test_times_that_say_nothing_give_none_and_never_1970(
    account: Account, start: str | None, end: str | None, codes: list[str]
) -> None:
    serve(account, f"{EVENT.format(1, 1)}\n", start=start, end=end)
    account.run_some()
    ((line, file_start, file_end, time, date, warnings),) = events(account)
    assert (line, file_start, file_end, time) == (1, None, None, None)
    assert sorted(warnings) == sorted([*codes, "incomplete:start", "no_time"])  # type: ignore[call-overload]
    assert date == datetime.now(UTC).date(), "that of the fetch"
    assert account.states() == {"8416_1.log": "committed"}
    account.assert_balanced()
