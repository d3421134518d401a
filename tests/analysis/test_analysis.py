"""The example SQL runs on a lake, and says what the events say, counted here without any of our parsers."""

from __future__ import annotations

import re
import runpy
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.gathered import GATHERED_SCHEMA
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.table.publish import create_table
from airflow_provider_imperva.testing import FakeRepository
from pages import tables
from tests.examples import EXAMPLES
from tests.load.load_runs import Account

ROOT = Path(__file__).resolve().parents[2]
SQL = EXAMPLES / "sql"
QUERIES = sorted(path for path in SQL.glob("*.sql") if not path.name.startswith(("views", "questions", "detections")))
"""Others have tests in files of their own."""

Event = dict[str, str]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path_factory.mktemp("analysis") / "lake")
        account.serve(1, 2, 4, 5, events=150, security_share=0.4)
        repository.add("8416_3.log", b"accountId:1\nformat:CEF\n|==|\nno event at all\n")
        account.run()
        for number in (1, 2, 3):
            repository.remove(f"8416_{number}.log")
        # What is still no log once the index begins above it goes to quarantine.
        account.run()
        yield account


@pytest.fixture(scope="module")
def lake(account: Account) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute((SQL / "views.duckdb.sql").read_text().replace("{lake}", str(account.lake)))
    return connection


@pytest.fixture(scope="module")
def events(account: Account) -> list[Event]:
    return [read(event) for log in account.forged.values() for event in log.events]


def read(event: str) -> Event:
    """Cut an event into its keys, as plainly as can be."""
    *header, extension = re.split(r"(?<!\\)\|", event.rstrip("\n"), maxsplit=7)
    pairs = re.findall(r"(\w+)=((?:\\.|[^=\\])*?)(?= \w+=|$)", extension.strip())
    return {"name": header[5].replace("\\|", "|"), **{key: re.sub(r"\\(.)", r"\1", value) for key, value in pairs}}


def ask(lake: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    relation = lake.sql((SQL / f"{query}.sql").read_text())
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def security(events: list[Event]) -> list[Event]:
    return [event for event in events if event["name"] != "Normal"]


def blocked(event: Event) -> bool:
    return event["act"].startswith("REQ_BLOCKED")


def hour(event: Event, key: str = "start") -> datetime:
    return datetime.fromtimestamp(int(event[key]) // 3_600_000 * 3600, UTC)


def utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def test_the_events_are_told_apart_here_as_they_are_there(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    assert len(security(events)) > 100
    [(count, classes)] = lake.sql("SELECT count(*), count(DISTINCT event_class) FROM events").fetchall()
    assert (count, classes) == (len(events), 2)


def test_top_attackers(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    rows = ask(lake, "top_attackers")
    counted = Counter(event["src"] for event in security(events))
    assert len(rows) == min(20, len(counted))
    assert [row["events"] for row in rows] == sorted(counted.values(), reverse=True)[: len(rows)]
    for row in rows:
        theirs = [event for event in security(events) if event["src"] == row["client_ip"]]
        assert row["events"] == len(theirs)
        assert row["blocked"] == sum(map(blocked, theirs))
        assert row["sites"] == len({event["sourceServiceName"] for event in theirs})


def test_blocked_by_rule(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    found = {(row["rule"], row["site"]): row["blocked"] for row in ask(lake, "blocked_by_rule")}
    expected: Counter[tuple[str, str]] = Counter()
    for event in filter(blocked, events):
        rules = {name or event["name"] for name in event.get("cs9", "").removesuffix(",").split(",")}
        expected.update((rule, event["sourceServiceName"]) for rule in rules)
    assert found == expected


def test_attacks_over_time(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    found = {(utc(row["hour"]), row["attack"]): row["events"] for row in ask(lake, "attacks_over_time")}
    assert found == Counter((hour(event), event["name"]) for event in security(events))


def test_bot_share(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    rows = ask(lake, "bot_share")
    found = {(row["site"], row["client_type"]): row["requests"] for row in rows}
    assert found == Counter((event["sourceServiceName"], event.get("dproc")) for event in events)
    shares: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        shares[row["site"]] += row["percent_of_site"]
    assert all(abs(share - 100) < 1 for share in shares.values())


def test_cache_ratio(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    for row in ask(lake, "cache_ratio"):
        theirs = [event for event in events if event["name"] == "Normal" and event["sourceServiceName"] == row["site"]]
        cached = [event for event in theirs if event["act"].startswith("REQ_CACHED")]
        assert (row["requests"], row["cached"]) == (len(theirs), len(cached))
        assert row["percent_cached"] == pytest.approx(100 * len(cached) / len(theirs), abs=0.051)
        assert row["bytes"] == sum(int(event.get("in", 0)) for event in theirs)
        assert (row["bytes_cached"] or 0) == sum(int(event.get("in", 0)) for event in cached)


def test_slow_requests(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    times: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if "end" in event:
            host, _, path = event["request"].partition("/")
            times[host, f"/{path}"].append(int(event["end"]) - int(event["start"]))
    rows = ask(lake, "slow_requests")
    assert rows == sorted(rows, key=lambda row: (-row["p95_ms"], row["host"], row["path"]))
    for row in rows:
        theirs = sorted(times[row["host"], row["path"]])
        assert (row["requests"], row["slowest_ms"]) == (len(theirs), theirs[-1])
        assert row["p95_ms"] == theirs[-(-95 * len(theirs) // 100) - 1]


def test_status_by_site(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    rows = ask(lake, "status_by_site")
    assert sum(row["requests"] for row in rows) == len(events)
    for row in rows:
        codes = [event.get("cn1") for event in events if event["sourceServiceName"] == row["site"]]
        hundreds = Counter(code and code[0] for code in codes)
        names = {"2": "success", "3": "redirected", "4": "client_error", "5": "server_error", None: "none"}
        assert {name: row[name] for name in names.values()} == {name: hundreds[key] for key, name in names.items()}


def test_visitor_session(lake: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    counted = Counter(event["cs4"] for event in security(events))
    visitor = min(counted, key=lambda name: (-counted[name], name))
    theirs = sorted((int(event["start"]), event["request"]) for event in events if event["cs4"] == visitor)
    rows = ask(lake, "visitor_session")
    assert [row["url"] for row in rows] == [request for _, request in theirs]


def test_delivery_lag(lake: duckdb.DuckDBPyConnection, account: Account) -> None:
    ends = {log.name: int(re.search(rb"endTime:(\d+)", log.content)[1]) for log in account.forged.values()}  # type: ignore[index]
    lags: defaultdict[datetime, list[int]] = defaultdict(list)
    for log in account.forged.values():
        for event in map(read, log.events):
            lags[hour(event)].append(ends[log.name] // 1000 - int(event["start"]) // 1000)
    found = {utc(row["hour"]): (row["events"], row["longest_seconds"]) for row in ask(lake, "delivery_lag")}
    assert found == {when: (len(seconds), max(seconds)) for when, seconds in lags.items()}


def test_log_states(lake: duckdb.DuckDBPyConnection, account: Account) -> None:
    found = {row["state"]: (row["numbers"], row["log_lines"]) for row in ask(lake, "log_states.duckdb")}
    assert found == {"committed": (4, 600), "quarantined": (1, 1)}


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.name)
def test_each_query_has_a_test_and_says_what_it_answers(query: Path) -> None:
    assert query.read_text().startswith("-- ")
    name = query.name.partition(".")[0]
    assert f"test_{name}" in globals()


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.name)
def test_athena_and_trino_understand_it(query: Path) -> None:
    """DuckDB is here to run them; of the others there is the grammar."""
    dialects = ["duckdb"] if ".duckdb" in query.name else ["trino", "athena"]
    other = query.with_name(query.name.replace(".sql", ".trino.sql"))
    for dialect in dialects if not other.exists() else ["duckdb"]:
        assert sqlglot.parse_one(query.read_text(), dialect=dialect)


def test_a_query_has_a_twin_only_where_it_must() -> None:
    """What Trino has no function for is told apart by name."""
    only_in_duckdb = re.compile(r"quantile_disc|list_\w+\(|EXCLUDE", re.IGNORECASE)
    for query in QUERIES:
        differs = bool(only_in_duckdb.search(query.read_text()))
        assert differs == query.with_name(query.name.replace(".sql", ".trino.sql")).exists(), query.name


@pytest.mark.parametrize("engine", ["athena", "spark"])
def test_the_table_definitions_are_those_of_the_schema(engine: str) -> None:
    text = (SQL / "tables" / f"{engine}.sql").read_text()
    assert text == getattr(tables, engine)(), f"python -m pages.tables {engine} rewrites it"
    table, *_ = sqlglot.parse(text, dialect="athena" if engine == "athena" else "spark")
    assert table
    defined = [
        column for column in table.find_all(sqlglot.exp.ColumnDef) if not column.find_ancestor(sqlglot.exp.Struct)
    ]
    columns = [column.name for column in defined if not isinstance(column.parent, sqlglot.exp.DataType)]
    assert columns == [*SCHEMA.names, "repository", "event_class", "event_date"]


def test_athena_has_a_table_of_what_compaction_gathers_of_the_ledger() -> None:
    *_, logs = sqlglot.parse((SQL / "tables" / "athena.sql").read_text(), dialect="athena")
    assert logs
    assert logs.this.this.name == "ledger_logs"
    assert [column.name for column in logs.find_all(sqlglot.exp.ColumnDef)] == [*GATHERED_SCHEMA.names, "repository"]
    folder = Layout("{repository}").gathered_logs_folder
    assert f"'{{lake}}/{folder.replace('{', '${')}/'" in (SQL / "tables" / "athena.sql").read_text()


def test_the_view_of_committed_events_shows_no_other(tmp_path: Path) -> None:
    """Files of a run under way are there too, and those that a replay has replaced."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        account.serve(1, 2)
        account.run()
        create_table(account.ledger.store)  # so that what is replaced stays for its grace
        plan = make_replay_plan(
            account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=True
        )
        assert plan is not None
        replay(account.ledger, account.keys, plan, options=NormalizeOptions())
        committed = account.expected()
        account.serve(3)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
    connection = duckdb.connect()
    connection.execute((SQL / "views.duckdb.sql").read_text().replace("{lake}", str(account.lake)))
    found = connection.execute("SELECT src_file, src_line, request_id FROM events").fetchall()
    assert Counter(found) == committed
    files = f"read_parquet('{account.lake}/events/repository=*/**/*.parquet')"
    assert connection.execute(f"SELECT count(*) FROM {files}").fetchall() == [(2 * committed.total() + 5,)]
    days = "SELECT min(event_date)::VARCHAR, max(event_date)::VARCHAR FROM events"
    first, last = connection.execute(days).fetchall()[0]
    of_days = connection.execute("SELECT count(*) FROM committed_events($first, $last)", {"first": first, "last": last})
    assert of_days.fetchall() == [(committed.total(),)]
    found_parts = runpy.run_path(str(EXAMPLES / "python" / "committed_parts.py"))["committed_parts"]
    assert found_parts(str(account.lake), first, last) == sorted(
        f"{account.lake}/{path}" for path in account.parts() if path.startswith("events/")
    )
    assert found_parts(str(account.lake), "2010-01-01", "2010-12-31") == []
