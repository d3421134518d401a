"""Each commit of a ledger appears in the table once and whole, whoever publishes it, and whatever happens to them."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import ConfigurationError, LakeError, TableError
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.records import Commit, Kind
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.table import delta, settle
from airflow_provider_imperva.table.changes import TableConflictError, changes, longest_pause, table_schema
from airflow_provider_imperva.table.delta import Delta
from airflow_provider_imperva.table.publish import create_table, open_table, publish
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account
from tests.table.table_reader import files_of, rows_of_table


def log_of(account: Account) -> Path:
    return account.lake / "events/_delta_log"


def versions(account: Account) -> list[dict[str, Any]]:
    """The commit information of each version, oldest first."""
    found = [delta.commit_info(path.read_bytes()) for path in sorted(log_of(account).glob("*.json"))]
    return [info for info in found if info is not None]


def actions(account: Account, version: int) -> list[dict[str, Any]]:
    text = (log_of(account) / f"{version:020d}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def replay_all(account: Account, **options: Any) -> Commit:
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=True)
    assert plan is not None
    return replay(account.ledger, account.keys, plan, options=NormalizeOptions(**options))


def live_paths(account: Account) -> list[str]:
    return sorted(path for path in live_set(account.ledger).parts if path.startswith("events/"))


class TestCommits:
    def test_each_is_one_version_with_its_number_and_hash(self, account: Account) -> None:
        for number in (1, 2):
            account.serve(number)
            account.run()
        account.serve()
        told = [(info.get("imperva.commit"), info.get("imperva.commit_sha256")) for info in versions(account)]
        assert told == [(None, None), *((number, account.ledger.sha256(number)) for number in (1, 2))]
        assert {"txn": {"appId": f"imperva:{account.repository.name}", "version": 2}} in actions(account, 2)
        assert files_of(account.ledger.store) == live_paths(account)
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()

    def test_a_replay_removes_and_adds_in_one_version_and_deletes_nothing_yet(self, account: Account) -> None:
        account.serve(1, 2)
        account.run()
        before = files_of(account.ledger.store)
        replay_all(account)
        assert files_of(account.ledger.store) == live_paths(account) != before
        changes = Counter(key for action in actions(account, 2) for key in action if key in ("add", "remove"))
        assert changes == {"add": len(live_paths(account)), "remove": len(before)}
        assert all((account.lake / path).exists() for path in before), "readers may still hold the version before"
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()

    def test_what_loads_nothing_makes_no_version(self, account: Account) -> None:
        account.serve(1)
        account.run()
        plan = account.plan_if_any()
        assert plan is None
        assert publish(account.ledger) == 1
        assert len(versions(account)) == 2

    def test_merged_parts_are_no_change_of_data(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        account.serve(1)
        account.run()
        with monkeypatch.context() as patch:
            patch.setattr(Delta, "write", lambda *_: None)
            replay_all(account)
        commit = account.ledger.commit(2)
        path = account.lake / account.ledger.layout.commit(2)
        path.write_text(path.read_text().replace('"replay"', '"compact"'))
        assert account.ledger.commit(2).kind is Kind.COMPACT
        publish(account.ledger)
        found = [change for action in actions(account, 2) for key, change in action.items() if key in ("add", "remove")]
        assert len(found) == len(commit.parts) + len(commit.removed)
        assert {change["dataChange"] for change in found} == {False}

    def test_two_repositories_share_the_table(self, account: Account, tmp_path: Path) -> None:
        account.serve(1)
        account.run()
        with FakeRepository(name="9001_1745073") as repository:
            other = Account(repository, account.lake, table=True)
            other.serve(1, prefix="9001")
            other.run()
            table = DeltaTable(str(account.lake / "events"))
            assert [table.transaction_version(f"imperva:{name}") for name in ("8416_1745073", "9001_1745073")] == [1, 1]
            rows = rows_of_table(account.ledger.store, account.lake)
            assert rows == account.expected() + other.expected()

    def test_checkpoints_come_every_ten_versions(self, account: Account) -> None:
        for number in range(1, 12):
            account.serve(number, events=1)
            account.run()
        assert [path.name for path in log_of(account).glob("*.checkpoint.parquet")]
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()

    def test_old_versions_are_cleared_away_now_and_then(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those that are older than thirty days, once a checkpoint stands for them; to look for them takes long."""
        monkeypatch.setattr(delta, "_CLEANED_EVERY", 4)
        there = []
        for number in range(1, 13):
            account.serve(number, events=1)
            account.run()
            for path in log_of(account).glob("*.json"):
                os.utime(path, (time.time() - 40 * 86_400,) * 2)
            there.append(len(versions(account)))
        # With version 5 there is no checkpoint yet; version 9 has one.
        assert there == [*range(2, 10), 1, 2, 3, 4]
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()


class TestStatistics:
    def test_they_are_those_of_the_rows(self, account: Account) -> None:
        account.serve(1, events=50, security_share=0.0)
        account.run()
        (add,) = [action["add"] for action in actions(account, 1) if "add" in action]
        stats = json.loads(add["stats"])
        table = pq.read_table(account.lake / "events" / add["path"])
        assert stats["numRecords"] == len(table) == 50
        for name in ("client_ip", "site_id", "site_name"):
            values = [value for value in table[name].to_pylist() if value is not None]
            assert (stats["minValues"][name], stats["maxValues"][name]) == (min(values), max(values))
            assert stats["nullCount"][name] == len(table) - len(values)
        times = [value.isoformat(timespec="milliseconds") for value in table["event_time"].to_pylist()]
        bounds = stats["minValues"]["event_time"], stats["maxValues"]["event_time"]
        assert bounds == tuple(time.replace("+00:00", "Z") for time in (min(times), max(times)))
        assert stats.keys() == {"numRecords", "minValues", "maxValues", "nullCount"}
        assert stats["minValues"].keys() == {"event_time", "client_ip", "site_id", "site_name"}, "and of no free text"


class TestOnce:
    def test_publishing_again_adds_nothing(self, account: Account) -> None:
        account.serve(1)
        account.run()
        before = versions(account)
        assert publish(account.ledger) == publish(account.ledger) == 1
        assert versions(account) == before

    def test_commits_that_were_not_published_follow_each_with_a_version_of_its_own(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1)
        account.run()
        with monkeypatch.context() as patch:
            patch.setattr(settle, "publish", lambda _: 0)
            for number in (2, 3):
                account.serve(number)
                account.run()
        assert len(versions(account)) == 2
        publish(account.ledger)
        assert [info.get("imperva.commit") for info in versions(account)] == [None, 1, 2, 3]
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()

    def test_of_two_that_publish_the_same_commit_at_once_one_is_refused(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1)
        with monkeypatch.context() as patch:
            patch.setattr(settle, "publish", lambda _: 0)
            account.run()
        tables = [open_table(account.ledger.store) for _ in range(2)]
        (change,) = changes(account.ledger, None)
        tables[0].write(change)
        with pytest.raises(TableConflictError):
            tables[1].write(change)
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()

    def test_many_at_once_publish_each_commit_once(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(settle, "publish", lambda _: 0)
            for number in range(1, 9):
                account.serve(number, events=2)
                account.run()
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: publish(account.ledger), range(16))) == {8}
        numbers = [info["imperva.commit"] for info in versions(account) if "imperva.commit" in info]
        assert numbers == sorted(set(numbers))
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()


class TestOlderLakes:
    @pytest.fixture
    def plain(self, account: Account) -> Account:
        account.table = False
        for number in (1, 2):
            account.serve(number)
            account.run()
        replay_all(account)
        assert not log_of(account).exists()
        return account

    def test_one_command_makes_the_table(self, plain: Account, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["table", str(plain.lake)]) == 2
        assert "no table" in capsys.readouterr().err
        assert main(["table", str(plain.lake), "--create"]) == 0
        assert files_of(plain.ledger.store) == live_paths(plain)
        assert main(["table", str(plain.lake), "--create"]) == main(["table", str(plain.lake)]) == 0
        assert rows_of_table(plain.ledger.store, plain.lake) == plain.expected()
        plain.serve(3)
        plain.run()
        assert rows_of_table(plain.ledger.store, plain.lake) == plain.expected()
        assert verify_lake(open_store(str(plain.lake))).ok

    def test_broken_off_after_the_table_was_made_it_goes_on(self, plain: Account) -> None:
        create_table(plain.ledger.store)
        assert main(["table", str(plain.lake)]) == 1, "the table is behind"
        assert main(["table", str(plain.lake), "--publish"]) == 0
        assert rows_of_table(plain.ledger.store, plain.lake) == plain.expected()

    def test_a_lake_that_an_older_release_began_gets_no_table_by_itself(self, plain: Account) -> None:
        for path in (plain.lake / plain.ledger.layout.thousand(1)).glob("000000000001.*.json"):
            path.write_text(path.read_text().replace('"v": 2', '"v": 1', 1))
        commit = plain.ledger.commit(2)
        assert settle.settle(plain.ledger, commit, run=commit.run, create="delta") is None
        assert not log_of(plain).exists()


Spoil = Callable[[Path], object]


def _last(log: Path) -> Path:
    return sorted(log.glob("*.json"))[-1]


def _forget(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()


def _next(log: Path, *lines: object) -> None:
    path = log / f"{int(_last(log).stem) + 1:020d}.json"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


SPOILED: dict[str, tuple[Spoil, str]] = {
    "a damaged version": (lambda log: _last(log).write_text("{"), "does not read"),
    "a missing version": (lambda log: _forget(sorted(log.glob("*.json"))[:1]), "does not read"),
    "an empty log": (lambda log: _forget(log.iterdir()), "no table"),
    "a newer reader": (
        lambda log: _next(log, {"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}}),
        "does not read",
    ),
    "a feature that was turned on": (
        lambda log: _next(
            log,
            {
                "protocol": {
                    "minReaderVersion": 3,
                    "minWriterVersion": 7,
                    "readerFeatures": ["deletionVectors"],
                    "writerFeatures": ["deletionVectors"],
                }
            },
        ),
        "protocol 3/7",
    ),
    "a foreign writer": (lambda log: _next(log, {"commitInfo": {"operation": "OPTIMIZE"}}), "another program"),
}


class TestRefused:
    @pytest.mark.parametrize("spoiled", SPOILED)
    def test_a_table_that_is_not_as_we_left_it_is_not_written_to(self, account: Account, spoiled: str) -> None:
        spoil, found = SPOILED[spoiled]
        account.serve(1)
        account.run()
        spoil(log_of(account))
        before = {path.name: path.read_bytes() for path in log_of(account).iterdir()}
        with pytest.raises(TableError, match=found):
            publish(account.ledger)
        account.serve(2)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
        account.table = False
        with pytest.raises(TableError, match=found):
            account.commit(plan)
        assert account.ledger.committed(2), "loading goes on"
        assert {path.name: path.read_bytes() for path in log_of(account).iterdir()} == before
        if before:
            assert not verify_lake(open_store(str(account.lake))).ok
        shutil.rmtree(log_of(account))
        assert main(["table", str(account.lake), "--create"]) == 0
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()

    def test_a_store_that_replaces_what_it_should_refuse_gets_no_table(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = account.ledger.store
        monkeypatch.setattr(type(store), "create", type(store).write)
        with pytest.raises(LakeError, match="create only if absent"):
            create_table(store)
        assert not log_of(account).exists()

    def test_neither_does_one_that_is_neither_a_disk_nor_s3(self) -> None:
        with pytest.raises(ConfigurationError, match="can have no table"):
            create_table(open_store("memory://lake"))

    def test_without_the_library_the_commit_is_made_and_the_error_says_what_to_install(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1)
        account.run()
        monkeypatch.setitem(__import__("sys").modules, "deltalake", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'deltalake>="):
            publish(account.ledger)

    def test_a_part_that_is_gone_is_named(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        account.serve(1)
        with monkeypatch.context() as patch:
            patch.setattr(settle, "publish", lambda _: 0)
            account.run()
        (account.lake / live_paths(account)[0]).unlink()
        with pytest.raises(LakeError, match="missing or damaged"):
            publish(account.ledger)


class TestVerify:
    @pytest.fixture
    def loaded(self, account: Account) -> Account:
        for number in (1, 2):
            account.serve(number)
            account.run()
        replay_all(account)
        return account

    def found(self, account: Account) -> list[tuple[str, str]]:
        verification = verify_lake(open_store(str(account.lake)))
        every = [*verification.findings, *(finding for item in verification.repositories for finding in item.findings)]
        return [(finding.kind, finding.about) for finding in every]

    def test_a_table_that_is_as_the_ledger_says_is_no_finding(self, loaded: Account) -> None:
        assert self.found(loaded) == []

    def test_neither_is_one_that_is_behind(self, loaded: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settle, "publish", lambda _: 0)
        loaded.serve(3)
        loaded.run()
        replay_all(loaded, keep_raw=True)
        assert self.found(loaded) == []

    def test_a_version_of_another_program_is_one(self, loaded: Account) -> None:
        _next(log_of(loaded), {"commitInfo": {"operation": "OPTIMIZE"}})
        found = self.found(loaded)
        assert ("unnamed", f"events/_delta_log/{_last(log_of(loaded)).name}") in found

    @pytest.mark.parametrize("field", ["size", "path"])
    def test_a_file_that_is_not_the_ledgers_is_one(self, loaded: Account, field: str) -> None:
        path = _last(log_of(loaded))
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        add = next(line["add"] for line in lines if "add" in line)
        add[field] = add["size"] + 1 if field == "size" else add["path"].replace("part-", "other-")
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        about = {item for _, item in self.found(loaded)}
        assert f"events/{add['path']}" in about

    def test_a_version_of_another_commit_is_one(self, loaded: Account) -> None:
        path = _last(log_of(loaded))
        path.write_text(path.read_text().replace(loaded.ledger.sha256(3), "0" * 64))
        assert self.found(loaded) == [("unnamed", f"events/_delta_log/{path.name}")]


def test_a_new_column_comes_into_the_table(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table_schema()
    with monkeypatch.context() as patch:
        patch.setattr(delta, "table_schema", lambda: whole.remove(whole.get_field_index("pop")))
        account.serve(1)
        account.run()
    account.serve(2)
    account.run()
    names = [field.name for field in DeltaTable(str(account.lake / "events")).schema().fields]
    assert set(names) == set(whole.names)
    assert rows_of_table(account.ledger.store, account.lake) == account.expected()
    assert verify_lake(open_store(str(account.lake))).ok


def test_a_pause_after_a_conflict_is_in_proportion_to_the_attempt() -> None:
    """Fifty who write at once slow each other down, and with pauses of a fixed length most attempts were in vain."""
    assert [longest_pause(conflicts, took=0.5) for conflicts in (0, 1, 2, 40)] == [2, 8, 8, 8]
    assert longest_pause(40, took=3) == 48
    assert longest_pause(40, took=3600) == 60
