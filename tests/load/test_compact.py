"""Compaction: small parts become one sorted part with the same rows, or everything stays as it is."""

from __future__ import annotations

import errno
import hashlib
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import ConfigurationError, LakeError, LedgerConflictError
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake import compaction, merge
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.maintenance import GRACE
from airflow_provider_imperva.lake.parts import write_rows
from airflow_provider_imperva.lake.records import Commit, Kind, Part, Plan
from airflow_provider_imperva.lake.spill import Rows
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.compact import commit_compaction, compact, make_compaction_plan
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.options import CompactionOptions
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.rules import redaction_rules
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account, Clock
from tests.load.stepped_store import BrokenOffError, SteppedStore, break_off
from tests.long_form import LONG
from tests.table.table_reader import files_of, rows_of_table

AT_ONCE = CompactionOptions(quiet=timedelta())
ALL = Selection(state="all")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Four commits of a log each, in a lake with a table; not to be changed."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path_factory.mktemp("loaded") / "lake", table=True)
        for number in (1, 2, 3, 4):
            account.serve(number, events=6, security_share=0.5)
            account.run()
        return account


@pytest.fixture(scope="module")
def merged(loaded: Account, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The same after a compaction; not to be changed."""
    with copied(loaded, tmp_path_factory.mktemp("merged") / "lake") as account:
        run_compaction(account)
        assert_all_there(account)
        return account


@contextmanager
def copied(account: Account, lake: Path) -> Iterator[Account]:
    shutil.copytree(account.lake, lake)
    with FakeRepository() as repository:
        copy = Account(repository, lake, table=True)
        copy.forged = dict(account.forged)
        for log in copy.forged.values():
            repository.add(log.name, log.content)
        yield copy


@pytest.fixture
def account(loaded: Account, tmp_path: Path) -> Iterator[Account]:
    with copied(loaded, tmp_path / "lake") as account:
        yield account


@pytest.fixture
def compacted(merged: Account, tmp_path: Path) -> Iterator[Account]:
    with copied(merged, tmp_path / "lake") as account:
        yield account


def run_compaction(account: Account, options: CompactionOptions = AT_ONCE, **more: Any) -> list[Commit]:
    given: dict[str, Any] = {"clock": account.clock, "max_wait": timedelta()} | more
    return list(compact(account.ledger, run=account.next_run(), options=options, **given))


def plan_compaction(account: Account, **more: Any) -> Plan | None:
    given: dict[str, Any] = {"run": account.next_run(), "options": AT_ONCE, "max_wait": timedelta()}
    return make_compaction_plan(account.ledger, clock=account.clock, **given | more)


def run_replay(account: Account, selection: Selection = ALL) -> Commit:
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=selection, take_over=False)
    assert plan is not None
    return replay(account.ledger, account.keys, plan, options=account.normalize_options)


def event_parts(account: Account) -> list[Part]:
    return [part for part in account.parts().values() if part.event_class]


def assert_all_there(account: Account) -> None:
    """An independent reader of the table finds every event once, and the lake is what its ledger says."""
    assert rows_of_table(account.ledger.store, account.lake) == account.expected()
    assert verify_lake(open_store(str(account.lake))).findings == ()


def assert_rows(account: Account) -> None:
    assert rows_of_table(account.ledger.store, account.lake) == account.expected()


def state_of(account: Account) -> dict[str, bytes]:
    """All that is in the lake but what a plan and a commit leave in the ledger."""
    files = (path for path in account.lake.rglob("*") if path.is_file())
    return {
        str(path): path.read_bytes() for path in files if "/ledger/" not in str(path) and "_delta_log" not in str(path)
    }


class TestMerged:
    def test_a_class_and_date_becomes_one_part_with_the_same_rows(self, account: Account) -> None:
        before = event_parts(account)
        (commit,) = run_compaction(account)
        assert (commit.kind, commit.carried_rows, commit.totals.rows) == (Kind.COMPACT, 24, 0)
        assert sorted(commit.removed, key=str) == sorted(before, key=str)
        assert Counter((part.event_class, part.event_date) for part in commit.parts) == dict.fromkeys(
            ((part.event_class, part.event_date) for part in before), 1
        )
        assert files_of(account.ledger.store) == sorted(part.path for part in commit.parts)
        assert_all_there(account)

    def test_every_value_is_the_one_it_was(self, account: Account) -> None:
        def rows() -> list[tuple[Any, ...]]:
            paths = [str(account.lake / path) for path in files_of(account.ledger.store)]
            order = "event_time, src_file, src_line"
            return duckdb.execute(
                f"SELECT * FROM read_parquet({paths}, union_by_name=true) ORDER BY {order}"
            ).fetchall()

        before = rows()
        run_compaction(account)
        assert rows() == before

    def test_it_is_sorted_and_its_footer_says_by_what(self, account: Account) -> None:
        (commit,) = run_compaction(account)
        for part in commit.parts:
            file = pq.ParquetFile(account.lake / part.path)
            rows = file.read(columns=["event_time", "src_file", "src_line"]).to_pylist()
            keys = [tuple(row.values()) for row in rows]
            assert keys == sorted(keys)
            names = [
                file.schema.column(column.column_index).path for column in file.metadata.row_group(0).sorting_columns
            ]
            assert names == ["event_time", "src_file", "src_line"]

    def test_it_is_written_as_parts_are(self, account: Account) -> None:
        before = pq.ParquetFile(account.lake / min(part.path for part in event_parts(account)))
        (commit,) = run_compaction(account)
        after = pq.ParquetFile(account.lake / min(part.path for part in commit.parts))
        assert after.schema_arrow.equals(SCHEMA)
        assert after.schema_arrow.metadata == before.schema_arrow.metadata
        assert {b"imperva.schema_version", b"imperva.redaction"} <= after.schema_arrow.metadata.keys()
        groups = before.metadata.row_group(0), after.metadata.row_group(0)
        for column in range(groups[0].num_columns):
            one, other = (group.column(column) for group in groups)
            assert (one.compression, one.is_stats_set) == (other.compression, other.is_stats_set), one.path_in_schema
        free = {"url", "query_string", "referrer", "user_agent", "request_body", "additional_request_headers"}
        columns = [groups[1].column(column) for column in range(groups[1].num_columns)]
        assert not any(column.is_stats_set for column in columns if column.path_in_schema in free)

    def test_for_readers_of_the_table_no_data_changes(self, account: Account) -> None:
        run_compaction(account)
        text = max(account.lake.glob("events/_delta_log/*.json")).read_text()
        actions = [json.loads(line) for line in text.splitlines()]
        changes = [action[key]["dataChange"] for action in actions for key in ("add", "remove") if key in action]
        assert changes == [False] * len(changes) != []

    def test_it_is_the_same_whoever_does_it_again(self, account: Account) -> None:
        """A retry after the parts were written, and before they were reported."""
        plan = plan_compaction(account)
        assert plan is not None
        first = merge.merge_batch(account.ledger, plan, 0)
        account.ledger.store.delete([account.ledger.layout.report(plan.commit, 0)])
        assert merge.merge_batch(account.ledger, plan, 0) == first
        assert merge.merge_batch(account.ledger, plan, 0) == first, "a batch that has reported is left as it is"

    def test_rows_that_do_not_fit_into_memory_give_the_same_part(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = plan_compaction(account)
        assert plan is not None
        first = merge.merge_batch(account.ledger, plan, 0)
        account.ledger.store.delete([account.ledger.layout.report(plan.commit, 0)])
        monkeypatch.setattr("airflow_provider_imperva.lake.inputs._SMALL_BYTES", 0)
        assert merge.merge_batch(account.ledger, plan, 0, memory_bytes=1) == first

    def test_a_column_that_a_part_lacks_is_null(self, account: Account) -> None:
        """As in the parts of an older release."""
        older(account, lambda table: table.drop_columns(["raw", "tls"]))
        (commit,) = run_compaction(account)
        assert all(pq.read_schema(account.lake / part.path).equals(SCHEMA) for part in commit.parts)
        assert rows_of_table(account.ledger.store, account.lake) == account.expected()


def older(account: Account, change: Callable[[pa.Table], pa.Table]) -> Part:
    """Let the reports and commits have another part in the place of the first of them."""
    part = min(event_parts(account), key=lambda part: part.path)
    path = account.lake / part.path
    pq.write_table(change(pq.read_table(path)), path)
    content = path.read_bytes()
    new = msgspec.structs.replace(part, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    for record in (account.lake / account.ledger.layout.thousand(1)).glob("*.json"):
        text = record.read_text()
        if part.sha256 in text:
            record.write_text(
                text.replace(part.sha256, new.sha256).replace(f'"size": {part.size},', f'"size": {new.size},')
            )
    return new


class TestWhereItPays:
    def test_late_events_are_taken_in_by_the_next_compaction(self, account: Account) -> None:
        run_compaction(account)
        assert run_compaction(account) == [], "there is nothing left to merge"
        account.serve(5, events=3)
        account.run()
        (commit,) = run_compaction(account)
        assert len(commit.removed) > len(commit.parts)
        assert len(event_parts(account)) == len({(part.event_class, part.event_date) for part in event_parts(account)})
        assert_all_there(account)

    def test_what_is_not_quiet_is_left(self, account: Account) -> None:
        clock = account.clock = Clock()
        options = CompactionOptions(quiet=timedelta(hours=6))
        clock.ahead = timedelta(hours=5, minutes=59)
        assert run_compaction(account, options) == []
        clock.ahead = timedelta(hours=6, minutes=1)
        assert len(run_compaction(account, options)) == 1

    def test_a_compaction_is_no_noise(self, account: Account) -> None:
        """One that was overtaken is gone on with at once, though parts were just added."""
        clock = account.clock = Clock()
        clock.ahead = timedelta(hours=7)
        options = CompactionOptions(quiet=timedelta(hours=6), max_batches=1)
        assert len(run_compaction(account, options)) == 2

    def test_full_parts_and_single_ones_are_left(self, account: Account) -> None:
        parts = event_parts(account)
        assert list(compaction._batches(parts[:1], options=AT_ONCE)) == []
        small = CompactionOptions(file_bytes=min(part.size for part in parts))
        assert list(compaction._batches(parts, options=small)) == []

    @pytest.mark.parametrize("seed", range(20))
    def test_batches_have_the_size_wanted_and_each_part_once(self, seed: int) -> None:
        drawn = random.Random(seed)
        options = CompactionOptions(file_bytes=1 << 20)
        sizes = [drawn.choice((10_000, 100_000, 400_000, 2_000_000)) for _ in range(drawn.randrange(200))]
        parts = [Part(f"part-{number:012d}-0000.parquet", 10, size, "") for number, size in enumerate(sizes)]
        batches = list(compaction._batches(parts, options=options))
        merged = [part for batch in batches for part in batch]
        assert merged == sorted(set(merged), key=lambda part: part.path)
        assert all(len(batch) > 1 for batch in batches)
        assert all(part.size < 0.75 * options.file_bytes for part in merged)
        for batch in batches:
            assert sum(max(part.size // 4, part.size - 98_304) for part in batch) <= options.file_bytes

    def test_what_was_redacted_in_another_way_is_not_merged_with_it(self, account: Account) -> None:
        account.normalize_options = NormalizeOptions(protection=Protection(redaction_rules(False)))
        account.serve(5, 6, events=6, security_share=0.5)
        account.run()
        account.serve(7, events=6, security_share=0.5)
        account.run()
        (commit,) = run_compaction(account)
        assert len(commit.parts) == 2 * len({(part.event_class, part.event_date) for part in commit.removed})
        for part in commit.parts:
            is_clear = b"imperva.redaction" not in pq.read_schema(account.lake / part.path).metadata
            names = set(pq.read_table(account.lake / part.path, columns=["src_file"])["src_file"].to_pylist())
            assert is_clear == names.issubset({f"8416_{number}.log" for number in (5, 6, 7)})
        assert_all_there(account)
        account.serve(8, events=2, security_share=0.5)
        account.run()
        run_compaction(account)
        assert_all_there(account)

    def test_nor_is_it_if_it_was_planned(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        older(account, lambda table: table.replace_schema_metadata({"imperva.schema_version": "1"}))
        assert len(run_compaction(account)[0].failed_batches) == 0
        assert_rows(account)
        account.normalize_options = NormalizeOptions(protection=Protection(redaction_rules(False)))
        account.serve(5, events=4, security_share=0.5)
        account.run()
        monkeypatch.setattr(compaction, "_alike", lambda ledger, parts: [parts])
        with pytest.raises(LakeError, match="of redaction, that of the others"):
            run_compaction(account)
        assert_rows(account)

    def test_wrong_options_are_refused(self) -> None:
        for wrong in ({"quiet": timedelta(-1)}, {"quiet": 6}, {"file_bytes": 0}, {"max_batches": 0}):
            with pytest.raises(ConfigurationError):
                CompactionOptions(**wrong)


class TestNothingIsLost:
    def spoil(self, account: Account, change: Callable[[Path], object]) -> Part:
        part = min((part for part in event_parts(account) if part.event_class == "access"), key=lambda part: part.path)
        change(account.lake / part.path)
        return part

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "SHA-256"),
            (lambda path: pq.write_table(pq.read_table(path).slice(1), path), "SHA-256"),
            (lambda path: path.unlink(), "it is not there"),
        ],
        ids=["damaged", "edited", "missing"],
    )
    def test_a_part_that_is_not_as_it_was_written_is_not_merged_and_the_others_are(
        self, account: Account, change: Callable[[Path], object], found: str
    ) -> None:
        part = self.spoil(account, change)
        with pytest.raises(LakeError, match=found) as caught:
            run_compaction(account)
        assert part.path in str(caught.value)
        commit = account.ledger.commit(5)
        assert len(commit.failed_batches) == 1
        assert {one.event_class for one in commit.removed} == {"security"}
        assert part.path in account.parts()
        assert {item.about for item in verify_lake(open_store(str(account.lake))).repositories[0].findings} == {
            part.path
        }

    def test_a_part_of_a_newer_schema_is_left(self, account: Account) -> None:
        older(account, lambda table: table.append_column("new", pa.nulls(len(table), pa.string())))
        with pytest.raises(LakeError, match="Upgrade the provider"):
            run_compaction(account)
        assert len([part for part in event_parts(account) if part.event_class == "access"]) == 4

    def test_what_was_written_is_read_again_before_the_inputs_are_given_up(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def short(file: BinaryIO, rows: Any, order: Any, **more: Any) -> Any:
            return write_rows(file, rows, order[[0, *range(len(order) - 1)]], **more)

        monkeypatch.setattr("airflow_provider_imperva.lake.merge.write_rows", short)
        before = state_of(account)
        with pytest.raises(LakeError, match="does not have the rows"):
            run_compaction(account)
        monkeypatch.undo()
        assert state_of(account) == before
        assert_all_there(account)

    @pytest.mark.parametrize("place", ["the lake", "the temporary folder"])
    def test_a_full_disk_leaves_the_inputs_as_they_are(
        self, account: Account, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise (
                LakeError("No space left on device", do="Make room")
                if place == "the lake"
                else OSError(errno.ENOSPC, "No space left on device")
            )

        before = state_of(account)
        with monkeypatch.context() as patch:
            if place == "the lake":
                patch.setattr("airflow_provider_imperva.lake.parts.pq.ParquetWriter.write_table", full)
            else:
                patch.setattr(merge, "Rows", lambda **_: Rows(memory_bytes=1))
                patch.setattr("airflow_provider_imperva.lake.spill.pa.ipc.new_stream", full)
            with pytest.raises(LakeError, match="No space left on device"):
                run_compaction(account)
        assert state_of(account) == before
        run_compaction(account)
        assert_all_there(account)


class TestOthers:
    def test_it_waits_for_a_run_that_loads(self, account: Account) -> None:
        account.serve(5)
        plan = account.plan()
        naps: list[float] = []
        with pytest.raises(LedgerConflictError, match="that run is at work or has died"):
            run_compaction(account, max_wait=timedelta(minutes=1), sleep=naps.append)
        assert sum(naps) == 60

        def finish(_: float) -> None:
            account.finish(plan)

        assert len(run_compaction(account, max_wait=timedelta(minutes=1), sleep=finish)) == 1
        assert_all_there(account)

    def test_it_waits_for_a_replay_that_is_not_finished(self, account: Account) -> None:
        plan = make_replay_plan(account.ledger, run=account.next_run(), selection=ALL, take_over=False)
        assert plan is not None
        commit_plan(account.ledger, plan, by=plan.run, provider_version="0", at=account.clock())
        with pytest.raises(LedgerConflictError, match="replays of 4 batches are not finished"):
            run_compaction(account)
        account.run()
        assert len(run_compaction(account)) == 1
        assert_all_there(account)

    def test_a_load_overtakes_it_and_keeps_what_was_done(self, account: Account) -> None:
        plan = plan_compaction(account)
        assert plan is not None
        assert len(plan.batches) == 2
        merge.merge_batch(account.ledger, plan, 0)
        account.serve(5)
        account.run()
        commit = account.ledger.commit(plan.commit)
        assert (commit.kind, commit.batches, commit.failed_batches) == (Kind.COMPACT, (0,), (1,))
        assert_all_there(account)
        with pytest.raises(LedgerConflictError, match="committed without batch 1"):
            merge.merge_batch(account.ledger, plan, 1)
        assert commit_compaction(account.ledger, plan, by=plan.run) == commit
        run_compaction(account)
        assert_all_there(account)
        assert len(event_parts(account)) == 2

    def test_it_alone_is_nothing_to_load(self, account: Account) -> None:
        """Else a sensor that finds it would end it a minute after it began."""
        assert plan_compaction(account) is not None
        assert account.work() is None
        account.serve(5)
        work = account.work()
        assert work is not None
        assert work.logs == 1

    def test_a_replay_does_not_wait_for_it(self, account: Account) -> None:
        plan = plan_compaction(account)
        assert plan is not None
        merge.merge_batch(account.ledger, plan, 0)
        assert run_replay(account).totals.rows == 24
        assert_all_there(account)

    def test_one_that_is_overtaken_goes_on_with_the_rest(self, account: Account) -> None:
        account.serve(5)
        loads = iter([account.run])

        def load(_: Plan) -> None:
            for run in loads:
                run()

        run_compaction(account, on_batch=load)
        assert len(event_parts(account)) == 2
        assert_all_there(account)

    def test_a_dead_one_is_finished_by_the_next(self, account: Account) -> None:
        plan = plan_compaction(account)
        assert plan is not None
        merge.merge_batch(account.ledger, plan, 0)
        run_compaction(account)
        assert account.ledger.commit(plan.commit).batches == (0,)
        assert len(event_parts(account)) == 2
        assert_all_there(account)

    @pytest.mark.parametrize("quicker", ["a replay", "a load"])
    def test_of_what_another_run_changed_meanwhile_nothing_is_merged(
        self, account: Account, quicker: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else rows that a replay has taken out would come back."""

        def choose(*arguments: Any, **options: Any) -> Any:
            chosen = compaction.parts_to_merge(*arguments, **options)
            if quicker == "a replay":
                run_replay(account)
            else:
                account.serve(5)
                account.run()
            return chosen

        monkeypatch.setattr("airflow_provider_imperva.load.compact.parts_to_merge", choose)
        with pytest.raises(LedgerConflictError, match="wrote this plan"):
            plan_compaction(account)
        assert account.ledger.head().plan is None

    def test_a_retry_goes_on_with_its_own_plan(self, account: Account) -> None:
        run = account.next_run()
        assert plan_compaction(account, run=run) == plan_compaction(account, run=run)

    def test_what_was_merged_is_deleted_after_the_grace(self, account: Account) -> None:
        clock = account.clock = Clock()
        (commit,) = run_compaction(account)
        account.serve(5)
        account.run()
        assert all((account.lake / part.path).exists() for part in commit.removed)
        clock.ahead = GRACE + timedelta(minutes=1)
        run_compaction(account)
        assert not any((account.lake / part.path).exists() for part in commit.removed)
        assert Kind.RETIRE in {one.kind for one in account.ledger.commits()}
        assert_all_there(account)


class TestReplay:
    """Logs whose rows are in a merged part are replayed as others are."""

    def test_one_log_leaves_the_others_as_they_are(self, compacted: Account) -> None:
        commit = run_replay(compacted, Selection(names=frozenset({"8416_2.log"})))
        assert (commit.kind, commit.totals.rows) == (Kind.REPLAY, 6)
        assert compacted.ledger.commit(commit.commit - 1).kind is Kind.COMPACT
        for part in commit.removed:
            if part.event_class:
                names = pq.read_table(compacted.lake / part.path, columns=["src_file"])["src_file"].to_pylist()
                assert set(names) == {"8416_2.log"}
        assert_all_there(compacted)

    def test_all_and_again_and_merged_again(self, compacted: Account) -> None:
        assert run_replay(compacted).totals.rows == 24
        assert_all_there(compacted)
        run_compaction(compacted)
        assert run_replay(compacted).totals.rows == 24
        assert_all_there(compacted)
        assert run_compaction(compacted)
        assert len(event_parts(compacted)) == 2
        assert_all_there(compacted)

    def test_what_it_changes_is_there_once(self, compacted: Account) -> None:
        """The rows of the replay take the place of those in the merged part."""
        compacted.normalize_options = NormalizeOptions(keep_raw=True)
        run_replay(compacted, Selection(names=frozenset({"8416_1.log", "8416_4.log"})))
        assert_all_there(compacted)
        paths = [str(compacted.lake / path) for path in files_of(compacted.ledger.store)]
        rows = duckdb.execute(f"SELECT src_file, count(raw), count(*) FROM read_parquet({paths}) GROUP BY 1").fetchall()
        assert {name: (raw, count) for name, raw, count in rows} == {
            f"8416_{number}.log": (6 if number in (1, 4) else 0, 6) for number in (1, 2, 3, 4)
        }

    @pytest.mark.parametrize("step", range(0, 20, 1 if LONG else 8))
    def test_broken_off_before_it_began_the_lake_is_as_it_was(self, compacted: Account, step: int) -> None:
        """While a merged part is taken apart, and after it."""
        live = compacted.ledger.store
        compacted.ledger.store = SteppedStore(live, after=break_off(step))
        with pytest.raises(BrokenOffError):
            run_replay(compacted, Selection(names=frozenset({"8416_2.log"})))
        compacted.ledger.store = live
        compacted.serve(5)
        compacted.run()
        assert_all_there(compacted)
        run_replay(compacted)
        assert_all_there(compacted)

    def test_a_dead_replay_of_merged_logs_is_done_by_the_next_run(self, compacted: Account) -> None:
        plan = make_replay_plan(compacted.ledger, run=compacted.next_run(), selection=ALL, take_over=False)
        assert plan is not None
        assert compacted.run() is not None
        assert {one.kind for one in compacted.ledger.commits()} == {Kind.LOAD, Kind.COMPACT, Kind.REPLAY}
        assert_all_there(compacted)

    def test_a_merged_part_that_is_gone_stops_the_replay(self, compacted: Account) -> None:
        part = min(event_parts(compacted), key=lambda part: part.path)
        (compacted.lake / part.path).unlink()
        with pytest.raises(LakeError, match="missing or damaged") as caught:
            run_replay(compacted)
        assert part.path in str(caught.value)


class TestAudit:
    def found(self, account: Account) -> list[tuple[str, str]]:
        verification = verify_lake(open_store(str(account.lake)))
        findings = [*verification.findings, *(one for item in verification.repositories for one in item.findings)]
        return [(finding.kind.value, finding.about) for finding in findings]

    def test_an_edited_part_is_a_finding(self, compacted: Account) -> None:
        path = compacted.lake / event_parts(compacted)[0].path
        pq.write_table(pq.read_table(path), path)
        assert self.found(compacted)[0][1] == event_parts(compacted)[0].path

    def test_a_vacuum_below_the_grace_is_a_finding(self, compacted: Account) -> None:
        removed = compacted.ledger.commit(5).removed
        deleted = DeltaTable(str(compacted.lake / "events")).vacuum(
            retention_hours=0, enforce_retention_duration=False, dry_run=True
        )
        assert {f"events/{path}" for path in deleted} == {part.path for part in removed}
        for path in deleted:
            (compacted.lake / "events" / path).unlink()
        assert self.found(compacted) == [("missing", path) for path in sorted(part.path for part in removed)]

    def test_somebody_elses_compaction_is_a_finding(self, account: Account) -> None:
        DeltaTable(str(account.lake / "events")).optimize.compact()
        kinds = {kind for kind, _ in self.found(account)}
        assert "unnamed" in kinds
        version = max(account.lake.glob("events/_delta_log/*.json"))
        assert ("unnamed", str(version.relative_to(account.lake))) in self.found(account)

    def test_a_commit_that_merges_other_rows_is_a_finding(self, account: Account) -> None:
        plan = plan_compaction(account)
        assert plan is not None
        report = merge.merge_batch(account.ledger, plan, 0)
        short = msgspec.structs.replace(report, removed=report.removed[1:])
        account.ledger.write_report(short)
        commit_plan(account.ledger, plan, by=plan.run, provider_version="0", at=account.clock())
        found = [str(one) for one in verify_lake(open_store(str(account.lake))).repositories[0].findings]
        assert any("it merged parts, and the new ones have other rows" in finding for finding in found)

    def test_a_log_s_story_tells_its_way(self, compacted: Account, capsys: pytest.CaptureFixture[str]) -> None:
        clock = compacted.clock = Clock()
        run_replay(compacted, Selection(names=frozenset({"8416_2.log"})))
        clock.ahead = GRACE + timedelta(minutes=1)
        run_compaction(compacted)
        assert main(["explain", str(compacted.lake), "8416_1.log"]) == 0
        output = capsys.readouterr().out
        order = ["commit 1: committed", "commit 5: 4 parts, its batch's among them, were merged into events/"]
        order += ["commit 6: 1 part, its batch's among them, was taken apart for a replay, into 2 parts"]
        order += ["commit 8: parts that others took the place of were deleted"]
        order += ["commit 9: 2 parts, its batch's among them, were merged into events/"]
        lines = output.splitlines()
        places = [min(at for at, line in enumerate(lines) if text in line) for text in order]
        assert places == sorted(places)


class TestCommand:
    def test_it_merges_and_says_how_much(self, account: Account, capsys: pytest.CaptureFixture[str]) -> None:
        lake = str(account.lake)
        assert main(["compact", lake]) == 0
        assert len(event_parts(account)) == 8, "nothing is quiet yet"
        assert main(["compact", lake, "--quiet-hours", "0", "--dry-run"]) == 0
        assert re.search(r"8416_1745073 │ 8 +│ 2 +│ 24 ", capsys.readouterr().out)
        assert len(event_parts(account)) == 8
        assert main(["compact", lake, "--quiet-hours", "0"]) == 0
        assert re.search(r"8416_1745073 │ 8 +│ 2 +│ 24 ", capsys.readouterr().out)
        assert len(event_parts(account)) == 2
        assert_all_there(account)

    def test_a_part_that_is_not_as_it_was_written_ends_it(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = min(part.path for part in event_parts(account))
        (account.lake / path).unlink()
        assert main(["compact", str(account.lake), "--quiet-hours", "0"]) == 2
        assert path in capsys.readouterr().err
