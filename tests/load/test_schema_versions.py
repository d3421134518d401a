"""Parts of version 1 of the schema and new ones in a lake are read together, merged, checked and replayed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from airflow_provider_imperva.audit.redo import RedoSelection
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.events.schema.schema import SCHEMA, SCHEMA_VERSION
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.testing import FakeRepository, forge_log
from tests.audit.insider import Insider
from tests.load.load_runs import Account
from tests.load.older_release import ADDED, older_release
from tests.load.test_compact import run_compaction

HEAD = "CEF:0|Incapsula|SIEMintegration|1|1|{}|{}| start=1772400000000 fileId=77 "
LINES = (
    HEAD.format("Normal", 0) + "deviceExternalId=1 act=REQ_ILLEGAL_PORT src=2001:DB8::1 request=a.example/b?c\\=1",
    HEAD.format("SQL Injection", 0)
    + "deviceExternalId=2 act=REQ_BLOCKED_SECURITY src=192.0.2.7 fileType=50033,1, cs9= cs9Label=Rule name "
    'additionalReqHeaders=[{"Accept":"*/*"},{"Via":"x"}]',
    "CEF:0|Imperva Inc|Attack Analytics|0|1|title|MAJOR|start=1772400000000 src=Distributed "
    "cs1=7 cs1Label=ImpervaAANumberOfEvents",
)
EVENTS = "read_parquet('{}/events/repository=*/**/*.parquet', hive_partitioning = true, union_by_name = true)"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Two logs that the older release loaded, and two with the same events that this one did."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path_factory.mktemp("versions") / "lake", table=True)
        with older_release():
            for number in (1, 2):
                repository.add(f"8416_{number}.log", forge_log("".join(f"{line}\n" for line in LINES).encode()))
            account.run_some()
        for number in (3, 4):
            repository.add(f"8416_{number}.log", forge_log("".join(f"{line}\n" for line in LINES).encode()))
        account.run_some()
        yield account


@pytest.fixture
def account(both: Account, tmp_path: Path) -> Account:
    """A copy of that lake."""
    return Account(both.repository, Path(shutil.copytree(both.lake, tmp_path / "lake")), table=True)


def versions(account: Account) -> set[str]:
    paths = [account.lake / path for path in live_set(account.ledger).parts if path.startswith("events/")]
    return {(pq.read_schema(path).metadata or {})[b"imperva.schema_version"].decode() for path in paths}


def rows_by_log(account: Account) -> dict[str, list[dict[str, Any]]]:
    """The rows of each log, without what says which log it is."""
    found: dict[str, list[dict[str, Any]]] = {}
    paths = [account.lake / path for path in live_set(account.ledger).parts if path.startswith("events/")]
    for path in paths:
        for row in pq.read_table(path).to_pylist():
            row.pop("src_seq")
            found.setdefault(row.pop("src_file"), []).append(row)
    return {name: sorted(rows, key=lambda row: int(row["src_line"])) for name, rows in found.items()}


def test_engines_read_both_together(account: Account) -> None:
    assert versions(account) == {"1", SCHEMA_VERSION}
    query = f"SELECT outcome, client_address, violations[2].attack_type FROM {EVENTS.format(account.lake)}"
    found = duckdb.execute(f"{query} WHERE event_class <> 'attack_analytics' ORDER BY src_file, src_line").fetchall()
    assert (
        found
        == [("other", None, None), ("blocked", None, None)] * 2
        + [
            ("blocked", "2001:db8::1", None),
            ("blocked", "192.0.2.7", "1"),
        ]
        * 2
    )
    paths = sorted(str(path) for path in account.lake.glob("events/repository=*/**/*.parquet"))
    table = ds.dataset(paths, schema=SCHEMA).to_table(columns=["src_file", "is_alert"])
    assert table.group_by("src_file").aggregate([("is_alert", "count")]).to_pylist() == [
        {"src_file": f"8416_{number}.log", "is_alert_count": 0 if number < 3 else 3} for number in (1, 2, 3, 4)
    ]


def test_the_table_gets_the_columns_in_a_commit_of_their_own(account: Account) -> None:
    table = DeltaTable(account.lake / "events")
    assert [field.name for field in table.schema().fields if field.name in ADDED] == list(ADDED)
    before = DeltaTable(account.lake / "events", version=table.version() - 2)
    assert not {field.name for field in before.schema().fields} & set(ADDED)
    assert verify_lake(open_store(str(account.lake))).ok


def test_merged_rows_are_what_a_replay_gives(account: Account) -> None:
    run_compaction(account)
    assert versions(account) == {SCHEMA_VERSION}
    merged = rows_by_log(account)
    assert merged["8416_1.log"] == merged["8416_2.log"] == merged["8416_3.log"] == merged["8416_4.log"]
    assert verify_lake(open_store(str(account.lake)), redo=RedoSelection(100)).ok
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=True)
    assert plan is not None
    replay(account.ledger, account.keys, plan, options=NormalizeOptions())
    assert rows_by_log(account) == merged


def test_a_replay_gives_the_new_version(account: Account) -> None:
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=True)
    assert plan is not None
    replay(account.ledger, account.keys, plan, options=NormalizeOptions())
    assert versions(account) == {SCHEMA_VERSION}


class TestRedo:
    def test_rows_of_version_1_are_what_their_bytes_give(self, account: Account) -> None:
        (found,) = verify_lake(open_store(str(account.lake)), redo=RedoSelection(100)).repositories
        assert found.findings == ()
        assert any(note.startswith("4 of 4 logs decoded again, 12 rows compared") for note in found.notes)

    @pytest.mark.parametrize(("column", "value"), [("outcome", "passed"), ("query_string", "d=2"), ("url", "b/")])
    def test_an_edited_one_is_found(self, account: Account, column: str, value: str) -> None:
        """Although every hash was recomputed."""
        insider = Insider(account.lake)

        def change(table: pa.Table) -> pa.Table:
            values = pa.array([value, *table[column].to_pylist()[1:]], pa.string())
            return table.set_column(table.column_names.index(column), column, values)

        insider.edit_rows(1, insider.part_of(1), change)
        insider.commit_anew()
        findings = verify_lake(open_store(str(account.lake)), redo=RedoSelection(100)).repositories[0].findings
        assert any(column in finding.found for finding in findings if "are not what its bytes" in finding.found)
