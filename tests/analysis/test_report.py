"""`imperva-logs report` draws what a lake answers to the questions, of committed events alone."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.audit.answers import questions
from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.reports import write_reports
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.options import WINDOW
from airflow_provider_imperva.testing import FakeRepository
from tests.analysis.question_rows import Answer, answers, make_rows, write_events
from tests.crash import object_server
from tests.load.load_runs import Account

HOSTILE = "<script>alert(1)</script> $x$"


def make_lake(lake: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows, and a commit that names their parts."""
    write_events(rows, lake)
    ledger = lake / "ledger" / "repository=8416_1" / "000000000"
    ledger.mkdir(parents=True)
    parts = [{"path": str(part.relative_to(lake))} for part in lake.glob("events/**/*.parquet")]
    (ledger / "000000000001.commit.json").write_text(json.dumps({"parts": parts, "removed": []}))
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = make_rows()
    rows[1]["client_ip"] = HOSTILE
    rows[1]["event_class"] = "security"
    lake = make_lake(tmp_path_factory.mktemp("report") / "lake", rows)
    stray = next(lake.glob("events/**/event_date=2026-06-02/*.parquet"))
    stray.with_name("part-000000000002-0000.parquet").write_bytes(stray.read_bytes())
    return lake


@pytest.fixture(scope="module")
def page(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        # What `make demo` installs does not have it, and DuckDB asks for it when it makes times of Python.
        patch.setitem(sys.modules, "pytz", None)
        assert main(["report", str(lake), "--html", str(file), "--first", "2026-06-01", "--last", "2026-06-30"]) == 0
    return file.read_text()


def drawn(page: str) -> dict[str, list[int]]:
    """The values at the bars, by question."""
    sections = re.split(r'<h2 id="(\w+)">', page)[1:]
    values = r'<span class="value">([\d,.]+)</span>'
    return {
        name: [int(value.replace(",", "")) for value in re.findall(values, section)]
        for name, section in zip(sections[::2], sections[1::2], strict=True)
    }


def test_the_bars_are_what_is_counted_by_hand(page: str) -> None:
    expected: dict[str, Answer] = answers(make_rows())
    found = drawn(page)
    assert list(found) == [question.name for question in questions()]
    assert all(found.values()), "each question finds something"
    assert found["requests_by_day"] == [row[1] for row in sorted(expected["requests_by_day"])]
    assert found["ports"] == sorted((row[2] for row in expected["ports"]), reverse=True)[:12]
    assert found["weak_tls"] == sorted((row[2] for row in expected["weak_tls"]), reverse=True)


def test_what_clients_send_is_no_markup_and_nothing_is_loaded(page: str) -> None:
    opened: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: opened.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x$" in page
    assert not {"script", "img", "link", "iframe"} & set(opened)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_the_period_is_by_default_the_last_thirty_days_that_have_events(lake: Path, tmp_path: Path) -> None:
    assert main(["report", str(lake), "--html", str(tmp_path / "report.html")]) == 0
    assert "Committed events of 2026-06-02 to 2026-07-01" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("days", [("2020-01-01", "2020-01-31"), ("2026-06-30", "2026-06-01")])
def test_a_period_without_events_is_said(
    lake: Path, tmp_path: Path, days: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = days
    assert main(["report", str(lake), "--html", str(tmp_path / "r.html"), "--first", first, "--last", last]) == 2
    assert "no committed events of the period" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_of_one_site(lake: Path, tmp_path: Path) -> None:
    period = ["--first", "2026-06-01", "--last", "2026-06-30"]
    file = tmp_path / "r.html"
    assert main(["report", str(lake), "--html", str(file), "--site", "api.example.com", *period]) == 0
    assert "<h1>Traffic of api.example.com</h1>" in file.read_text()
    expected = answers([row for row in make_rows() if row["site_name"] == "api.example.com"])
    found = drawn(file.read_text())
    assert found["requests_by_day"] == [row[1] for row in sorted(expected["requests_by_day"])]
    assert found["ports"] == sorted((row[2] for row in expected["ports"]), reverse=True)


def test_a_site_without_events_is_no_page_without_attacks(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    period = ["--first", "2026-06-01", "--last", "2026-06-30"]
    file = tmp_path / "r.html"
    assert main(["report", str(lake), "--html", str(file), "--site", "shop.exmaple.com", *period]) == 2
    assert "of the site that was named" in capsys.readouterr().err
    assert not file.exists()


def test_a_lake_of_an_older_release_answers_what_it_can(tmp_path: Path) -> None:
    """Of the columns that its parts lack, nothing is known."""
    lake = make_lake(tmp_path / "lake", make_rows())
    for part in lake.glob("events/**/*.parquet"):
        rows = pq.ParquetFile(part).read()
        pq.write_table(
            rows.drop_columns(["violations", "client_subnet", "client_address", "severity", "is_alert"]), part
        )
    period = ["--first", "2026-06-01", "--last", "2026-06-30"]
    assert main(["report", str(lake), "--html", str(tmp_path / "r.html"), *period]) == 0
    found = drawn((tmp_path / "r.html").read_text())
    assert {name for name, values in found.items() if not values} == {"violations", "severities", "attacking_networks"}


def test_in_the_lake_coverage_pages_link_to_it(tmp_path: Path) -> None:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        account.serve(1)
        account.run()
    store = open_store(str(account.lake))
    coverage = measure_coverage(store, History.read(store, repository.name), window=WINDOW, days=30)
    write_reports(store, coverage)
    assert b"traffic.html" not in store.read("reports/coverage.html")
    assert main(["report", str(account.lake)]) == 0
    write_reports(store, coverage)
    assert b'href="traffic.html"' in store.read("reports/coverage.html")
    assert b'href="../traffic.html"' in store.read(f"reports/repository={repository.name}/coverage.html")
    assert drawn(store.read("reports/traffic.html").decode()).keys() == {question.name for question in questions()}
    assert main(["coverage", str(account.lake), "--html", str(tmp_path / "coverage.html")]) == 0
    assert f'href="{store.uri("reports/traffic.html")}"' in (tmp_path / "coverage.html").read_text()


def test_a_lake_in_a_bucket_is_read_too(lake: Path, page: str, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = object_server.object_filesystem(s3_url)
    files.put(f"{lake}/", f"{object_server.BUCKET}/report/", recursive=True)
    for name, value in (("ACCESS_KEY_ID", object_server.KEY), ("SECRET_ACCESS_KEY", object_server.KEY)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    files.invalidate_cache()
    url = f"s3://{object_server.BUCKET}/report"
    assert main(["report", url, "--first", "2026-06-01", "--last", "2026-06-30"]) == 0
    written = files.cat_file(f"{object_server.BUCKET}/report/reports/traffic.html").decode()
    assert drawn(written) == drawn(page)


def test_what_is_no_lake_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), "--html", str(tmp_path / "r.html")]) == 2
    assert "does not read" in capsys.readouterr().err


def test_without_duckdb_the_command_says_what_to_install(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert main(["report", str(lake), "--html", str(tmp_path / "r.html")]) == 2
    assert "Install the Python package duckdb" in capsys.readouterr().err
