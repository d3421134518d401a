"""Each detection fires on what it is for, and keeps quiet on what is normal; findings are reported once."""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.audit.answers import statements
from airflow_provider_imperva.audit.detections import FINDINGS, PUBLISHED, Detections, counts
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.testing import FakeRepository
from tests.examples import EXAMPLES
from tests.load.load_runs import Account

Row = dict[str, Any]

STATEMENTS = {one.name: one.statement for one in statements(PUBLISHED.read_text())}
DAY = date(2026, 6, 15)
SITE = {"account_id": 7, "site_name": "shop.example.com"}
SPIKE = {"account_id": 7, "measure": "hour", "subject": "03"}
COUNTRY = {**SITE, "measure": "country"}
RULE = {"account_id": 7, "measure": "rule", "subject": "Own rule"}


def ask(detection: str, *, events: Iterable[Row] = (), profile: Iterable[Row] = ()) -> list[Row]:
    """What a detection answers about DAY."""
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; SET VARIABLE day = DATE '{DAY}'")
        connection.register("events", pa.Table.from_pylist(list(events), SCHEMA))
        columns = "measure VARCHAR, account_id BIGINT, site_name VARCHAR, subject VARCHAR, events BIGINT"
        connection.execute(f"CREATE TABLE profile ({columns}, event_date DATE)")
        for row in profile:
            names = ("measure", "account_id", "site_name", "subject", "events", "event_date")
            connection.execute("INSERT INTO profile VALUES (?, ?, ?, ?, ?, ?)", [row.get(name) for name in names])
        found = connection.sql(STATEMENTS[detection]).to_arrow_table()
        return found.select(FINDINGS.names[1:]).cast(pa.schema(list(FINDINGS)[1:])).to_pylist()  # type: ignore[no-any-return]


def days(row: Row, events: Iterable[int]) -> list[Row]:
    """A row of the profile on each day up to DAY, which is the last."""
    counted = list(events)
    first = DAY - timedelta(days=len(counted) - 1)
    return [
        {**row, "events": count, "event_date": first + timedelta(days=number)} for number, count in enumerate(counted)
    ]


def requests(count: int, **columns: Any) -> list[Row]:
    """Requests of one hour; a column that is a list has a value for each in turn."""
    return [
        {
            **SITE,
            "event_time": datetime(2026, 6, 15, 3, number % 60, tzinfo=UTC),
            "is_alert": False,
            **{
                name: value[number % len(value)] if isinstance(value, list) else value
                for name, value in columns.items()
            },
        }
        for number in range(count)
    ]


class TestSpike:
    def test_it_fires_on_far_more_alerts_than_usual(self) -> None:
        (found,) = ask("spike", profile=days(SPIKE, [2, 3, 2, 4, 2, 3, 2, 400]))
        assert (found["account_id"], found["hour"], found["events"]) == (7, "03", 400)
        assert found["usual"] == 2.6

    @pytest.mark.parametrize(
        ("counted", "why"),
        [
            ([2, 3, 2, 4, 2, 3, 2, 40], "too few to wake anybody"),
            ([400, 380, 500, 420, 390, 440, 410, 460], "the account is always attacked at that hour"),
            ([2, 2, 2, 400], "three days say nothing of what is usual"),
        ],
    )
    def test_it_keeps_quiet(self, counted: list[int], why: str) -> None:
        assert ask("spike", profile=days(SPIKE, counted)) == [], why

    def test_another_accounts_hours_are_not_its_own(self) -> None:
        others = days({**SPIKE, "account_id": 8}, [400] * 8)
        assert len(ask("spike", profile=[*days(SPIKE, [2] * 7 + [400]), *others])) == 1


class TestScanner:
    CLIENT: ClassVar[Row] = {"client_ip": "192.0.2.1", "client_address": "192.0.2.1"}

    @pytest.mark.parametrize(
        "events",
        [
            requests(40, **CLIENT, url_path=[f"/{n}.php" for n in range(40)], http_status=404),
            requests(40, **CLIENT, url_path=[f"/{n}.php" for n in range(40)], outcome="blocked"),
            requests(
                4, **CLIENT, event_name=["SQL Injection", "Cross Site Scripting", "DDoS", "Bad Bots"], is_alert=True
            ),
            requests(10, **CLIENT, client_type="Vulnerability Scanner"),
            requests(40, client_ip="192.0.2.1", url_path=[f"/{n}" for n in range(40)], http_status=404),
        ],
        ids=["missing pages", "blocked pages", "many attacks", "a known scanner", "rows of schema version 1"],
    )
    def test_it_fires(self, events: list[Row]) -> None:
        (found,) = ask("scanner", events=events)
        assert (found["subject"], found["site_name"], found["events"]) == ("192.0.2.1", SITE["site_name"], len(events))

    @pytest.mark.parametrize(
        "events",
        [
            requests(400, **CLIENT, url_path="/favicon.ico", http_status=404),
            requests(400, **CLIENT, url_path=[f"/{n}" for n in range(400)], http_status=200),
            requests(400, **CLIENT, event_name="SQL Injection", is_alert=True, outcome="passed"),
            requests(40, client_ip=[f"192.0.2.{n}" for n in range(40)], url_path="/x", http_status=404),
            requests(40, url_path=[f"/{n}" for n in range(40)], http_status=404),
        ],
        ids=["one missing page", "a crawler", "one kind of attack", "many clients", "no client"],
    )
    def test_it_keeps_quiet(self, events: list[Row]) -> None:
        assert ask("scanner", events=events) == []


class TestCredentialStuffing:
    LOGIN: ClassVar[Row] = {"http_method": "POST", "url_path": "/account/login"}

    def test_it_fires_on_one_program_behind_many_addresses(self) -> None:
        clients = [f"192.0.2.{number}" for number in range(50)]
        events = requests(50, **self.LOGIN, client_ip=clients, client_signature="s1", http_status=[401, 403])
        (found,) = ask("credential_stuffing", events=events)
        assert (found["subject"], found["hour"], found["events"]) == ("s1", "03", 50)

    def test_without_a_signature_it_goes_by_network(self) -> None:
        events = requests(30, **self.LOGIN, client_subnet="192.0.2.0/24", outcome=["blocked", "challenged"])
        assert [row["subject"] for row in ask("credential_stuffing", events=events)] == ["192.0.2.0/24"]

    @pytest.mark.parametrize(
        "events",
        [
            requests(200, **LOGIN, client_signature="s1", http_status=[302, 302, 302, 401]),
            requests(200, **LOGIN, client_signature=[f"s{n}" for n in range(20)], http_status=401),
            requests(200, **LOGIN | {"http_method": "GET"}, client_signature="s1", http_status=401),
            requests(200, **LOGIN | {"url_path": "/cart"}, client_signature="s1", http_status=403),
        ],
        ids=["most get in", "people who forgot their passwords", "the form itself", "another page"],
    )
    def test_it_keeps_quiet(self, events: list[Row]) -> None:
        assert ask("credential_stuffing", events=events) == []


class TestNewCountry:
    def test_it_fires_on_a_country_that_no_earlier_day_had(self) -> None:
        profile = [*days({**COUNTRY, "subject": "DE"}, [90] * 8), *days({**COUNTRY, "subject": "BR"}, [12])]
        assert [(row["subject"], row["events"]) for row in ask("new_country", profile=profile)] == [("BR", 12)]

    @pytest.mark.parametrize(
        ("profile", "why"),
        [
            ([*days({**COUNTRY, "subject": "DE"}, [90] * 8), *days({**COUNTRY, "subject": "BR"}, [3])], "too few"),
            (
                [*days({**COUNTRY, "subject": "DE"}, [90] * 8), *days({**COUNTRY, "subject": "BR"}, [1, 50])],
                "yesterday",
            ),
            ([*days({**COUNTRY, "subject": "DE"}, [90] * 3), *days({**COUNTRY, "subject": "BR"}, [50])], "a new site"),
        ],
    )
    def test_it_keeps_quiet(self, profile: list[Row], why: str) -> None:
        assert ask("new_country", profile=profile) == [], why


class TestRuleGoneQuiet:
    REQUESTS: ClassVar[Row] = {"account_id": 7, "measure": "requests"}

    def test_it_fires_on_a_rule_that_fired_every_day(self) -> None:
        profile = [*days(self.REQUESTS, [1000] * 8), *days(RULE, [9, 8, 9, 7, 9, 8, 9, 0])[:7]]
        (found,) = ask("rule_gone_quiet", profile=profile)
        assert (found["subject"], found["events"], found["usual"]) == ("Own rule", 0, 8.4)

    @pytest.mark.parametrize(
        ("profile", "why"),
        [
            ([*days(REQUESTS, [1000] * 8), *days(RULE, [9] * 7 + [1])], "it fired"),
            ([*days(REQUESTS, [1000] * 8), *days(RULE, [9] * 6 + [0, 0])[:6]], "it had paused before"),
            ([*days(REQUESTS, [1000] * 8), *days(RULE, [1] * 8)[:7]], "it hardly ever fires"),
            ([*days(REQUESTS, [1000] * 7 + [100]), *days(RULE, [9] * 8)[:7]], "there is hardly any traffic"),
            ([*days(REQUESTS, [1000] * 4), *days(RULE, [9] * 4)[:3]], "three days say nothing"),
        ],
    )
    def test_it_keeps_quiet(self, profile: list[Row], why: str) -> None:
        assert ask("rule_gone_quiet", profile=profile) == [], why


def log(number: int, day: str, *, client: str = "192.0.2.1", pages: int = 40, status: int = 404) -> tuple[str, bytes]:
    """A log of requests for pages that are not there."""
    start = int(datetime.fromisoformat(f"{day}T03:00:00Z").timestamp() * 1000)
    lines = [
        f"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=1 sourceServiceName=shop.example.com siteid=1 suid=7 "
        f"deviceExternalId={number}{page} request=shop.example.com/{page}.php requestMethod=GET cn1={status} "
        f"act=REQ_PASSED src={client} start={start + page} ccode=DE\n"
        for page in range(pages)
    ]
    return f"8416_{number}.log", b"accountId:7\nformat:CEF\n|==|\n" + "".join(lines).encode()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        repository.add(*log(1, "2026-01-01"))
        repository.add(*log(2, "2026-01-02", client="192.0.2.2"))
        account.run()
        yield account


def test_the_profile_has_what_later_days_are_held_against(account: Account) -> None:
    Detections(account.ledger).look([date(2026, 1, 1)])
    (path,) = account.lake.glob("reports/detections/repository=*/event_date=2026-01-01/profile.parquet")
    found = {(row["measure"], row["subject"]): row["events"] for row in pq.read_table(path).to_pylist()}
    assert found == {("hour", "03"): 0, ("country", "DE"): 40, ("requests", None): 40}


def test_it_opens_the_days_that_it_is_asked_about_and_no_others(account: Account) -> None:
    for part in account.lake.glob("events/**/event_date=2026-01-02/*.parquet"):
        part.write_bytes(b"not Parquet")
    (findings,) = Detections(account.ledger).look([date(2026, 1, 1)])
    assert [(row["detection"], row["subject"], row["events"]) for row in findings.new] == [("scanner", "192.0.2.1", 40)]


def test_what_is_recorded_is_not_new_again(account: Account) -> None:
    detections = Detections(account.ledger)
    first = detections.look([date(2026, 1, 1)])
    assert counts(first) == {"scanner": 1}
    assert counts(detections.look([date(2026, 1, 1)])) == {"scanner": 1}, "not recorded yet: the report may have failed"
    detections.record(first)
    assert counts(detections.look([date(2026, 1, 1)])) == {}
    account.repository.add(*log(3, "2026-01-01", client="192.0.2.3"))
    account.run()
    again = detections.look([date(2026, 1, 1)])
    assert counts(again) == {"scanner": 1}
    detections.record(again)
    recorded = duckdb.execute(f"SELECT subject FROM '{account.lake}/reports/detections/**/findings.parquet' ORDER BY 1")
    assert recorded.fetchall() == [("192.0.2.1",), ("192.0.2.3",)]


def test_parts_that_no_commit_names_are_not_looked_at(account: Account) -> None:
    (part,) = account.lake.glob("events/**/event_date=2026-01-02/*.parquet")
    stray = account.lake / "events" / "repository=8416_1745073" / "event_class=access" / "event_date=2026-01-01"
    (stray / "part-000000000009-0000.parquet").write_bytes(part.read_bytes())
    (findings,) = Detections(account.ledger).look([date(2026, 1, 1)])
    assert {row["subject"] for row in findings.new} == {"192.0.2.1"}


def test_a_day_that_is_over_is_asked_what_is_missing(account: Account) -> None:
    """The day before a new one is over; the newest one may still bring it."""
    names = "7 AS account_id, '' AS site_name, '' AS hour, 0 AS events, 1.0 AS usual"
    quiet = f"SELECT {names}, getvariable('day')::VARCHAR AS subject"
    sql = f"-- profile: Text\n{STATEMENTS['profile']};\n\n-- rule_gone_quiet: Text\n{quiet};\n"
    detections = Detections(account.ledger, sql=sql)
    assert [row for found in detections.look([date(2026, 1, 1)]) for row in found.new] == []
    found = detections.look([date(2026, 1, 2)])
    assert [row["subject"] for of_day in found for row in of_day.new] == ["2026-01-01"]


class TestDag:
    @pytest.fixture
    def detect(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("IMPERVA_LAKE_URI", account.lake.as_uri())
        task = runpy.run_path(str(EXAMPLES / "dags" / "imperva_detections.py"))["dag"].get_task("detect")
        return task.python_callable

    def test_it_looks_at_the_days_of_the_event_and_reports_each_finding_once(
        self, account: Account, detect: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[Any] = []
        detect.__globals__.update(NOTIFIER=heard.append, get_current_context=lambda: {"run_id": "r"})
        partitions = [{"event_class": "access", "event_date": "2026-01-02", "rows": 40}]
        extra = {"repository": "8416_1745073", "first_commit": 1, "partitions": partitions, "more_partitions": 0}
        events = {"lake": [SimpleNamespace(extra=extra)]}
        expected = {"8416_1745073": {"scanner": 1}}
        assert detect(triggering_asset_events=events) == expected
        assert heard == [{"run_id": "r", "findings": expected}]
        assert detect(triggering_asset_events=events) == {}
        assert len(heard) == 1
        assert "192.0.2" not in caplog.text, "what a log says is not for a task log"
        assert detect() == expected, "by hand it looks at every day"

    def test_what_could_not_be_reported_is_new_again(self, detect: Any) -> None:
        def fail(context: Any) -> None:
            raise OSError("the pager is down")

        detect.__globals__.update(NOTIFIER=fail, get_current_context=dict)
        with pytest.raises(OSError, match="pager"):
            detect()
        detect.__globals__["NOTIFIER"] = None
        assert detect() == {"8416_1745073": {"scanner": 2}}
