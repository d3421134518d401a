"""The page of plots shows what the queries answer, of any lake, whatever its logs say."""

from __future__ import annotations

import json
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_imperva.testing import FakeRepository
from tests.examples import EXAMPLES
from tests.load.load_runs import Account

ROOT = Path(__file__).resolve().parents[2]
SQL = EXAMPLES / "sql"


@pytest.fixture(scope="module")
def plots() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "analysis" / "plots.py"))


def figures(page: str) -> dict[str, str]:
    return dict(re.findall(r"<figure><h2>(.*?)</h2>(.*?)</figure>", page, re.DOTALL))


def test_each_plot_shows_what_its_query_answers(plots: dict[str, Any], tmp_path: Path) -> None:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        account.serve(1, 2, 3, events=150, security_share=0.4)
        account.run()
    assert plots["main"]([str(account.lake), "--output", str(tmp_path / "plots.html")]) == 0
    page = (tmp_path / "plots.html").read_text()
    found = figures(page)
    assert list(found) == [plot.title for plot in plots["PLOTS"]]
    assert all("<svg" in body and "Nothing found" not in body for body in found.values())
    lake = duckdb.connect()
    lake.execute((SQL / "views.duckdb.sql").read_text().replace("{lake}", str(account.lake)))
    first, *_ = lake.sql((SQL / "top_attackers.sql").read_text()).fetchall()
    assert f"{first[0]} ({first[1]})" in found["Who attacks most?"]
    for (site,) in lake.sql("SELECT DISTINCT site_name FROM events").fetchall():
        assert site in found["How do the sites answer?"]
    assert "450 events" in page


def test_what_clients_send_is_neither_markup_nor_formula(plots: dict[str, Any], tmp_path: Path) -> None:
    rule = "<script>alert(1)</script> $\\frac{1}$"
    events = f"""
        SELECT TIMESTAMP '2026-11-22 10:00:00' AS event_time, '192.0.2.1' AS client_ip, 'US' AS client_country_code,
               'site' AS site_name, 'blocked' AS outcome, '{rule}' AS event_name, ['{rule}'] AS rule_names,
               NULL::VARCHAR AS client_type, NULL::SMALLINT AS http_status, NULL::BIGINT AS duration_ms,
               'h' AS url_host, '/' AS url_path, NULL::TIMESTAMP AS src_file_end, '8416_1.log' AS src_file,
               1 AS src_line"""
    lake = tmp_path / "lake"
    partition = "events/repository=1/event_class=security/event_date=2026-11-22"
    for folder, query, name in (
        (partition, events, "part.parquet"),
        ("ledger/repository=1/000000000", "SELECT 1 AS sequence", "1.logs.parquet"),
    ):
        (lake / folder).mkdir(parents=True)
        duckdb.execute(f"COPY ({query}) TO '{lake / folder / name}' (FORMAT parquet)")
    (lake / "ledger/repository=1/000000000/1.commit.json").write_text(
        json.dumps({"parts": [{"path": f"{partition}/part.parquet"}]})
    )
    page = plots["page"](str(lake))
    opened: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: opened.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert "script" not in opened
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $\\frac{1}$" in figures(page)["Which rules block?"]
    assert "Nothing found" in figures(page)["Where do users wait?"]


def test_what_is_no_lake_is_said_without_a_traceback(
    plots: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plots["main"]([str(tmp_path), "--output", str(tmp_path / "plots.html")]) == 1
    assert f"{tmp_path} cannot be asked" in capsys.readouterr().err
    assert not (tmp_path / "plots.html").exists()
