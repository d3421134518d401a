"""What the commits say of logs is gathered, a thousand commits at a time, for whoever queries the ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.audit.inventory import unknown_objects
from airflow_provider_imperva.lake.gathered import gather_logs
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from benchmarks.ledger import REPOSITORY, forge

VIEWS = Path(__file__).parents[2] / "airflow_provider_imperva/examples/sql/views.duckdb.sql"
COMMITS = 1005


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("gathered") / "lake"
    forge(lake, COMMITS)
    return lake


def ledger_of(lake: Path) -> Ledger:
    return Ledger(open_store(str(lake)), REPOSITORY)


def seen(lake: Path) -> list[tuple[object, ...]]:
    """What the published view shows."""
    connection = duckdb.connect()
    sql = VIEWS.read_text().replace("{lake}", str(lake))
    connection.execute(sql[sql.index("SET VARIABLE ledger_logs") :])
    return connection.execute("SELECT * FROM logs ORDER BY commit_number, sequence").fetchall()


def test_the_view_shows_the_same_before_and_after(forged: Path) -> None:
    before = seen(forged)
    assert len(before) > 2 * COMMITS - 50
    (path,) = gather_logs(ledger_of(forged))
    assert pq.ParquetFile(forged / path).metadata.num_rows < len(before), "those of the last commits are by themselves"
    assert seen(forged) == before
    assert gather_logs(ledger_of(forged)) == []
    assert list(unknown_objects(open_store(str(forged)), [REPOSITORY])) == []


def test_a_table_that_is_not_that_of_its_commit_is_not_gathered(
    forged: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(forged / "ledger", lake / "ledger")
    layout = ledger_of(lake).layout
    (lake / layout.logs(7)).write_bytes((lake / layout.logs(8)).read_bytes())
    assert gather_logs(ledger_of(lake)) == []
    assert "is not gathered" in caplog.text


def test_until_a_thousand_commits_are_complete_nothing_is(forged: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(forged / "ledger", lake / "ledger")
    for path in (lake / "ledger").rglob("*"):
        if path.is_file() and path.name[:12].isdecimal() and int(path.name[:12]) > 1001:
            path.unlink()
    assert gather_logs(ledger_of(lake)) == []
