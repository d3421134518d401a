"""A lake as an Iceberg table: each commit is one snapshot, whoever publishes it, and whatever happens to them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import fastavro
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import ConfigurationError, LakeError, TableError
from airflow_provider_imperva.events.schema.field_ids import field_ids
from airflow_provider_imperva.lake import parts
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.replay import Selection
from airflow_provider_imperva.table import settle, shape
from airflow_provider_imperva.table.changes import PARTITION_BY, TableConflictError, changes, table_schema
from airflow_provider_imperva.table.iceberg import Iceberg
from airflow_provider_imperva.table.publish import create_table, open_table, publish
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account, Row
from tests.long_form import LONG
from tests.table.table_reader import files_of, rows_of_table
from tests.table.test_polling import run_compaction, run_replay

_DUCKDB = ("duckdb==1.5.5", "duckdb-extension-iceberg==1.5.5", "duckdb-extension-avro==1.5.5")
"""The last version whose extensions are packages: a reader of Iceberg with nothing of ours in it."""

_READ_BY_DUCKDB = """
import importlib.util, json, pathlib, sys, duckdb
connection = duckdb.connect(config={"allow_unsigned_extensions": True})
for name in ("avro", "iceberg"):
    folder = pathlib.Path(importlib.util.find_spec(f"duckdb_extension_{name}").submodule_search_locations[0])
    connection.execute(f"LOAD '{next(folder.rglob(name + '.duckdb_extension'))}'")
print(json.dumps(connection.execute(
    "SELECT event_class, event_date::VARCHAR, count(*), count(DISTINCT (src_file, src_line)), min(event_time)::VARCHAR"
    f" FROM iceberg_scan('{sys.argv[1]}') WHERE repository = '{sys.argv[2]}' GROUP BY ALL ORDER BY ALL"
).fetchall()))
"""


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with FakeRepository() as repository:
        yield Account(repository, tmp_path / "lake", table="iceberg")


def catalog_of(account: Account) -> SqlCatalog:
    return SqlCatalog("imperva", uri=f"sqlite:///{account.lake}/events/_iceberg/catalog.db")


def table_of(account: Account) -> Table:
    """The table, as another program opens it."""
    return catalog_of(account).load_table("imperva.events")


def load(account: Account, *numbers: int, events: int = 3) -> None:
    for number in numbers:
        account.serve(number, events=events)
        account.run()


def summaries(account: Account) -> list[tuple[str, str | None]]:
    """What each snapshot is, and which commit it shows."""
    found = sorted(table_of(account).metadata.snapshots, key=lambda one: one.sequence_number or 0)
    return [
        (one.summary.operation.value, one.summary.additional_properties.get("imperva.commit"))
        for one in found
        if one.summary
    ]


def scanned(account: Account, **options: Any) -> Counter[Row]:
    """The rows that pyiceberg reads. It filters by a column of the path only if that is among the selected ones."""
    selected = ("src_file", "src_line", "request_id", *PARTITION_BY)
    rows = table_of(account).scan(selected_fields=selected, **options).to_arrow()
    return Counter(zip(*(rows[name].to_pylist() for name in ("src_file", "src_line", "request_id")), strict=True))


def live_paths(account: Account) -> list[str]:
    return sorted(path for path in live_set(account.ledger).parts if path.startswith("events/"))


def avro(path: str) -> list[dict[str, Any]]:
    with Path(urlsplit(path).path).open("rb") as file:
        records: list[Any] = list(fastavro.reader(file))
        return records


def entries_by_hand(account: Account) -> list[dict[str, Any]]:
    """The entries of the last snapshot, by the specification alone: JSON and Avro, and nothing of pyiceberg."""
    metadata = json.loads(Path(urlsplit(table_of(account).metadata_location).path).read_text())
    (snapshot,) = [one for one in metadata["snapshots"] if one["snapshot-id"] == metadata["current-snapshot-id"]]
    manifests = avro(snapshot["manifest-list"])
    return [entry for manifest in manifests for entry in avro(manifest["manifest_path"]) if entry["status"] != 2]


def found_by_verify(account: Account) -> list[str]:
    verification = verify_lake(open_store(str(account.lake)))
    every = [*verification.findings, *(finding for item in verification.repositories for finding in item.findings)]
    return [f"{finding.about}: {finding.found}" for finding in every]


class TestCommits:
    def test_each_is_one_snapshot_with_its_number_and_hash(self, account: Account) -> None:
        load(account, 1, 2)
        run_replay(account, Selection(state="all"))
        run_compaction(account)
        assert summaries(account) == [("append", "1"), ("append", "2"), ("overwrite", "3"), ("overwrite", "4")]
        last = table_of(account).current_snapshot()
        assert last is not None
        assert last.summary is not None
        told = last.summary.additional_properties
        assert told["imperva.commit_sha256"] == account.ledger.sha256(4)
        assert told["imperva.repository"] == account.repository.name
        assert files_of(account.ledger.store) == live_paths(account)
        assert scanned(account) == account.expected()
        assert found_by_verify(account) == []

    def test_one_that_only_removes_is_a_deletion(self, account: Account) -> None:
        load(account, 1)
        (change,) = changes(account.ledger, None)
        table = Iceberg.open(account.ledger.store)
        table.write(replace(change, added=(), removed=change.added))
        assert summaries(account) == [("append", "1"), ("delete", "1")]
        assert scanned(account) == Counter()

    def test_what_loads_nothing_makes_no_snapshot(self, account: Account) -> None:
        load(account, 1)
        assert publish(account.ledger) == 1
        assert account.plan_if_any() is None
        assert len(summaries(account)) == 1

    def test_two_repositories_share_the_table(self, account: Account) -> None:
        load(account, 1)
        with FakeRepository(name="9001_1745073") as repository:
            other = Account(repository, account.lake, table="iceberg")
            other.serve(1, prefix="9001")
            other.run()
            table = open_table(account.ledger.store)
            assert [table.published(name) for name in ("8416_1745073", "9001_1745073", "none")] == [1, 1, None]
            assert scanned(account) == account.expected() + other.expected()
            assert scanned(account, row_filter="repository = '9001_1745073'") == other.expected()
            assert found_by_verify(account) == []


class TestReaders:
    @pytest.fixture
    def loaded(self, account: Account) -> Account:
        account.serve(1, events=20, security_share=0.4)
        account.run()
        return account

    def test_by_hand_the_partitions_are_those_of_the_path_and_the_bounds_those_of_the_rows(
        self, loaded: Account
    ) -> None:
        entries = entries_by_hand(loaded)
        assert len(entries) == len(live_paths(loaded)) > 1
        ids = field_ids()
        for file in (entry["data_file"] for entry in entries):
            path = Path(urlsplit(file["file_path"]).path)
            *_, event_class, event_date = path.parent.parts
            assert file["partition"] == {
                "repository": loaded.repository.name,
                "event_class": event_class.removeprefix("event_class="),
                "event_date": date.fromisoformat(event_date.removeprefix("event_date=")),
            }
            rows = pq.read_table(path, partitioning=None)
            assert (file["record_count"], file["file_size_in_bytes"]) == (len(rows), path.stat().st_size)
            least, greatest = ({one["key"]: one["value"] for one in file[name]} for name in _BOUNDS)
            assert least.keys() == greatest.keys() == {ids[name] for name in _BOUNDED}, "and of no free text"
            for name, read in _BOUNDED.items():
                values = [value for value in rows[name].to_pylist() if value is not None]
                bounds = read(least[ids[name]]), read(greatest[ids[name]])
                assert bounds == (min(values), max(values))

    def test_a_filter_by_partition_or_time_leaves_out_files_and_no_rows(self, loaded: Account) -> None:
        classes = Counter(path.split("event_class=")[1].split("/")[0] for path in live_paths(loaded))
        assert classes.keys() == {"access", "security"}
        found = [scanned(loaded, row_filter=f"event_class = '{name}'") for name in classes]
        assert found[0] + found[1] == loaded.expected()
        scan = table_of(loaded).scan(row_filter="event_class = 'security'")
        assert len(list(scan.plan_files())) == classes["security"]
        assert list(table_of(loaded).scan(row_filter="event_time < '2001-01-01T00:00:00+00:00'").plan_files()) == []
        rows = table_of(loaded).scan().to_arrow()
        assert set(rows["repository"].to_pylist()) == {loaded.repository.name}
        assert rows.schema.names[3:] == [name for name in table_schema().names if name not in rows.schema.names[:3]]

    def test_parts_of_before_there_were_numbers_are_read_by_their_columns_names(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(parts, "with_field_ids", lambda schema: schema)
            load(account, 1)
        path = account.lake / live_paths(account)[0]
        assert pq.ParquetFile(path).schema_arrow.field("src_file").metadata is None
        load(account, 2)
        assert scanned(account) == account.expected()

    @pytest.mark.skipif(not LONG, reason="installs DuckDB 1.5 into an environment of its own; LONG=1 does")
    def test_duckdb_reads_the_same(self, loaded: Account, tmp_path: Path) -> None:
        load(loaded, 2)
        run_replay(loaded, Selection(state="all"))
        run_compaction(loaded)
        subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
        python = str(tmp_path / "venv/bin/python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_DUCKDB], check=True, capture_output=True)
        command = [python, "-c", _READ_BY_DUCKDB, table_of(loaded).metadata_location, loaded.repository.name]
        seen = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert sum(rows for _, _, rows, _, _ in seen) == loaded.expected().total()
        assert all(rows == lines for _, _, rows, lines, _ in seen)
        partitions = {path.split("event_class=")[1].rpartition("/")[0] for path in live_paths(loaded)}
        assert {f"{name}/event_date={day}" for name, day, *_ in seen} == partitions


def _integer(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


_BOUNDS = ("lower_bounds", "upper_bounds")
_BOUNDED: dict[str, Callable[[bytes], Any]] = {
    "event_time": lambda content: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=_integer(content)),
    "client_ip": bytes.decode,
    "site_id": _integer,
    "site_name": bytes.decode,
}


class TestOnce:
    @pytest.fixture
    def unpublished(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
        load(account, 1)
        with monkeypatch.context() as patch:
            patch.setattr(settle, "publish", lambda _: 0)
            load(account, 2, 3, 4)
        return account

    def test_publishing_again_adds_nothing(self, unpublished: Account) -> None:
        assert publish(unpublished.ledger) == publish(unpublished.ledger) == 4
        assert [commit for _, commit in summaries(unpublished)] == ["1", "2", "3", "4"]
        assert scanned(unpublished) == unpublished.expected()

    def test_of_two_that_publish_the_same_commit_at_once_one_is_refused(self, unpublished: Account) -> None:
        tables = [open_table(unpublished.ledger.store) for _ in range(2)]
        change = next(changes(unpublished.ledger, 1))
        tables[0].write(change)
        with pytest.raises(TableConflictError):
            tables[1].write(change)
        publish(unpublished.ledger)
        assert scanned(unpublished) == unpublished.expected()

    def test_many_at_once_publish_each_commit_once(self, unpublished: Account) -> None:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: publish(unpublished.ledger), range(6))) == {4}
        assert [commit for _, commit in summaries(unpublished)] == ["1", "2", "3", "4"]
        assert scanned(unpublished) == unpublished.expected()

    @settings(max_examples=20 if LONG else 2)
    @given(steps=st.lists(st.sampled_from(["load", "load only", "replay", "merge", "publish"]), min_size=3, max_size=6))
    def test_whatever_happens_the_table_is_the_live_set_as_of_some_commit_and_then_of_the_last(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
    ) -> None:
        with FakeRepository() as repository, pytest.MonkeyPatch.context() as patch:
            account = Account(repository, tmp_path_factory.mktemp("steps") / "lake", table="iceberg")
            load(account, 1, events=2)
            for number, step in enumerate(steps, 2):
                with patch.context() as inner:
                    if step == "load only":
                        inner.setattr(settle, "publish", lambda _: 0)
                    if step.startswith("load"):
                        load(account, number, events=2)
                if step == "replay":
                    run_replay(account, Selection(state="all"))
                elif step == "merge":
                    run_compaction(account)
                elif step == "publish":
                    publish(account.ledger)
            assert found_by_verify(account) == []
            publish(account.ledger)
            assert files_of(account.ledger.store) == live_paths(account)
            assert rows_of_table(account.ledger.store, account.lake) == account.expected()


class TestHistory:
    def test_old_snapshots_expire_and_what_only_they_needed_goes(self, account: Account) -> None:
        load(account, 1, 2)
        with FakeRepository(name="9001_1745073") as repository:
            quiet = Account(repository, account.lake, table="iceberg")
            quiet.serve(1, prefix="9001")
            quiet.run()
        run_replay(account, Selection(state="all"))
        load(account, 3)
        table = Iceberg.open(account.ledger.store)
        table._expire(keep=4, at_once=3)
        assert len(summaries(account)) == 5, "not before it pays"
        table._expire(keep=2, at_once=1)
        assert [commit for _, commit in summaries(account)] == ["3", "4"]
        assert self.avro_files(account) == self.needed(account)
        assert publish(quiet.ledger) == 1, "it is known of a repository whose snapshots have expired"
        assert [commit for _, commit in summaries(account)] == ["3", "4"]
        assert scanned(account) == account.expected() + quiet.expected()
        assert found_by_verify(account) == []

    def test_forgetting_it_leaves_nothing_that_names_what_was_removed(self, account: Account) -> None:
        load(account, 1)
        before = live_paths(account)
        run_replay(account, Selection(state="all"))
        orphan = account.lake / "events/_iceberg/left-by-a-dead-publisher.avro"
        shutil.copy(next(iter(orphan.parent.glob("*-m0.avro"))), orphan)
        table = Iceberg.open(account.ledger.store)
        table.forget_history(clock=lambda: datetime.now(UTC) + timedelta(days=2))
        assert summaries(account) == [("append", None)]
        assert self.avro_files(account) == self.needed(account)
        manifests = map(str, (account.lake / "events/_iceberg").glob("*-m*.avro"))
        named = {entry["data_file"]["file_path"] for path in manifests for entry in avro(path)}
        assert sorted(f"events/{path.partition('/events/')[2]}" for path in named) == live_paths(account) != before
        load(account, 2)
        assert scanned(account) == account.expected()
        assert found_by_verify(account) == []

    def avro_files(self, account: Account) -> set[str]:
        return {path.name for path in (account.lake / "events/_iceberg").glob("*.avro")}

    def needed(self, account: Account) -> set[str]:
        table = table_of(account)
        found: set[str] = set()
        for snapshot in table.metadata.snapshots:
            found |= {snapshot.manifest_list, *(one.manifest_path for one in snapshot.manifests(table.io))}
        return {path.rpartition("/")[2] for path in found}


def foreign_snapshot(account: Account) -> None:
    table_of(account).delete("event_class = 'access'")


def set_back(account: Account) -> None:
    table = table_of(account)
    table.manage_snapshots().rollback_to_snapshot(table.metadata.snapshots[0].snapshot_id).commit()


def retries_on(account: Account) -> None:
    with table_of(account).transaction() as transaction:
        transaction.set_properties({"commit.retry.num-retries": "4"})


def told_too_far(account: Account) -> None:
    with table_of(account).transaction() as transaction:
        transaction.set_properties({f"imperva.published.{account.repository.name}": "9"})


def renamed(account: Account) -> None:
    with table_of(account).update_schema() as update:
        update.rename_column("client_ip", "ip")


def dropped(account: Account) -> None:
    catalog_of(account).drop_table("imperva.events")


def another(account: Account) -> None:
    dropped(account)
    catalog_of(account).create_table("imperva.events", table_of_two(), location=f"{account.lake}/other")


def table_of_two() -> Any:
    return table_schema().empty_table().select(["src_file", "src_line"]).schema


def damaged_note(account: Account) -> None:
    (account.lake / "events/_iceberg/table.json").write_text("{")


SPOILED: dict[Callable[[Account], None], str] = {
    foreign_snapshot: "written by another program",
    set_back: "set back to an earlier snapshot",
    retries_on: "properties of the table were changed",
    told_too_far: "do not fit its last snapshot",
    renamed: "columns of the table were changed",
    dropped: "has no table imperva.events",
    another: "format version|not the table of the lake",
    damaged_note: "does not read",
}


class TestRefused:
    @pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
    def test_a_table_that_is_not_as_we_left_it_is_not_written_to(
        self, account: Account, spoil: Callable[[Account], None]
    ) -> None:
        load(account, *(range(1, 3) if spoil is set_back else [1]))
        spoil(account)
        folder = account.lake / "events/_iceberg"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(TableError, match=SPOILED[spoil]):
            publish(account.ledger)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_then_loading_goes_on_verify_names_it_and_the_table_is_made_anew(self, account: Account) -> None:
        load(account, 1)
        foreign_snapshot(account)
        last = table_of(account).current_snapshot()
        assert last is not None
        name = f"snapshot {last.snapshot_id} of imperva.events"
        assert f"{name}: this version of the table was written by another program" in found_by_verify(account)
        account.serve(2)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
        with pytest.raises(TableError, match="written by another program"):
            account.commit(plan)
        assert account.ledger.committed(2)
        shutil.rmtree(account.lake / "events/_iceberg")
        assert main(["table", str(account.lake), "--create", "iceberg"]) == 0
        assert scanned(account) == account.expected()
        assert found_by_verify(account) == []

    def test_a_file_in_a_wrong_partition_is_named_by_verify(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("airflow_provider_imperva.table.iceberg._days", lambda _: 20000)
            load(account, 1)
        assert any("another partition than that of its path" in found for found in found_by_verify(account))

    def test_a_lake_with_a_table_of_another_kind_gets_no_second_one(self, account: Account) -> None:
        load(account, 1)
        with pytest.raises(ConfigurationError, match="a table of kind iceberg already"):
            create_table(account.ledger.store, "delta")

    def test_an_object_store_needs_a_catalog(self) -> None:
        with pytest.raises(ConfigurationError, match="can have no table"):
            create_table(open_store("memory://lake"), "iceberg")

    def test_without_the_library_the_error_says_what_to_install(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(account, 1)
        monkeypatch.setitem(sys.modules, "pyiceberg", None)
        with pytest.raises(ConfigurationError, match=r"pip install .*apache-airflow-providers-apache-iceberg"):
            publish(account.ledger)


class TestCatalog:
    def test_what_it_says_when_it_fails_is_not_quoted(self, account: Account) -> None:
        load(account, 1)

        class Failing:
            name = "failing"
            properties: ClassVar[dict[str, str]] = {}

            def load_table(self, _: str) -> None:
                raise RuntimeError("password=sesame")

        store = open_store(str(account.lake), catalog=Failing)
        with pytest.raises(LakeError, match="RuntimeError") as caught:
            open_table(store)
        assert "sesame" not in str(caught.value)

    def test_the_command_line_finds_it_in_pyicebergs_configuration(
        self, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        account.table = False
        load(account, 1)
        lake = str(account.lake)
        assert main(["table", lake, "--create", "iceberg", "--catalog", "company"]) == 2
        assert "how the Iceberg catalog company is reached" in capsys.readouterr().err
        monkeypatch.setenv("PYICEBERG_CATALOG__COMPANY__URI", f"sqlite:///{tmp_path}/company.db")
        monkeypatch.setenv("PYICEBERG_CATALOG__COMPANY__TYPE", "sql")
        monkeypatch.setenv("PYICEBERG_CATALOG__COMPANY__IMPERVA__TABLE_NAME", "waf.logs")
        assert main(["table", lake, "--create", "iceberg", "--catalog", "company"]) == 0
        assert json.loads((account.lake / "events/_iceberg/table.json").read_text()) == {
            "v": 1,
            "catalog": "company",
            "table": "waf.logs",
        }
        load(account, 2)
        assert main(["table", lake]) == 0, "the lake knows the name, and a run has published"
        assert verify_lake(open_store(lake)).ok
        monkeypatch.delenv("PYICEBERG_CATALOG__COMPANY__URI")
        monkeypatch.delenv("PYICEBERG_CATALOG__COMPANY__TYPE")
        monkeypatch.delenv("PYICEBERG_CATALOG__COMPANY__IMPERVA__TABLE_NAME")
        assert main(["table", lake]) == 2
        assert any("how the Iceberg catalog company is reached" in found for found in found_by_verify(account))

    def test_a_new_column_comes_into_the_table_with_its_number(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = table_schema()
        with monkeypatch.context() as patch:
            less = whole.remove(whole.get_field_index("pop"))
            patch.setattr(shape, "table_schema", lambda: less)
            load(account, 1)
        assert "pop" not in table_of(account).schema().column_names
        load(account, 2)
        assert table_of(account).schema().find_field("pop").field_id == field_ids()["pop"]
        assert table_of(account).name_mapping() is not None
        assert scanned(account) == account.expected()
        assert found_by_verify(account) == []
