"""The ledger: commits without a hole, plans and commits created once, and no object read that it cannot trust."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.errors import LedgerConflictError, LedgerCorruptError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Closed, LogRecord, Part
from airflow_provider_imperva.lake.watermark import State
from tests.lake.ledger_records import (
    OTHER_RUN,
    RUN,
    T0,
    commit_empty,
    commit_of,
    finish_batch,
    plan_of,
    record_of,
    report_of,
)

ROOT = Path(__file__).resolve().parents[2]


def edit(ledger: Ledger, path: str, **changes: Any) -> None:
    record = json.loads(ledger.store.read(path))
    ledger.store.write(path, json.dumps(record | changes).encode())


class TestHead:
    def test_a_lake_without_a_ledger(self, ledger: Ledger) -> None:
        head = ledger.head()
        assert (head.commit, head.plan, head.next_commit, head.prefixes) == (None, None, 1, {})

    def test_a_plan_without_a_commit_is_the_one_to_recover(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        head = ledger.head()
        assert (head.commit, head.plan, head.next_commit) == (None, plan, 1)

    def test_after_a_commit(self, ledger: Ledger) -> None:
        commit = commit_empty(ledger, 1)
        head = ledger.head()
        assert (head.commit, head.plan, head.next_commit) == (commit, None, 2)
        assert head.prefixes == commit.prefixes

    def test_it_is_found_across_the_thousands(self, ledger: Ledger) -> None:
        commit_empty(ledger, 1)
        # A ledger that has grown for long: only its end is looked at.
        for number in range(996, 999):
            for path in (ledger.layout.plan, ledger.layout.commit):
                ledger.store.write(
                    path(number), ledger.store.read(path(1)).replace(b'"commit": 1', b'"commit": %d' % number)
                )
        for number in (999, 1000, 1001):
            plan = ledger.create_plan(plan_of(commit=number))
            assert ledger.head().plan == plan, number
            commit = commit_of(ledger, plan)
            head = ledger.head()
            assert (head.commit, head.plan, head.next_commit) == (commit, None, number + 1)
        assert ledger.store.folders(ledger.layout.ledger) == ["000000000", "000000001"]

    def test_what_a_desktop_leaves_beside_a_commit_is_none(self, ledger: Ledger) -> None:
        commit = commit_empty(ledger, 1)
        folder = ledger.layout.thousand(1)
        for name in ("._000000000007.commit.json", "000000000007 (copy).plan.json"):
            ledger.store.write(f"{folder}/{name}", b"")
        assert (ledger.head().commit, ledger.head().plan) == (commit, None)

    def test_other_repositories_of_the_lake_are_not_looked_at(self, ledger: Ledger) -> None:
        commit_empty(ledger, 1)
        assert Ledger(ledger.store, "8417_1").head().next_commit == 1

    def test_a_commit_without_its_plan_contradicts_itself(self, ledger: Ledger) -> None:
        commit_empty(ledger, 1)
        ledger.store.delete([ledger.layout.plan(1)])
        with pytest.raises(LedgerCorruptError, match="the last plan is 0, the last commit 1"):
            ledger.head()

    def test_a_plan_two_after_the_last_commit_contradicts_itself(self, ledger: Ledger) -> None:
        commit_empty(ledger, 1)
        ledger.create_plan(plan_of(commit=3))
        with pytest.raises(LedgerCorruptError, match="the last plan is 3, the last commit 1"):
            ledger.head()


class TestPlans:
    def test_the_same_run_gets_the_plan_it_wrote_before(self, ledger: Ledger) -> None:
        first = ledger.create_plan(plan_of([1, 2]))
        assert ledger.create_plan(plan_of([1, 2, 3])) == first == ledger.plan(1)

    def test_another_run_that_was_quicker_is_a_conflict_that_names_both(self, ledger: Ledger) -> None:
        ledger.create_plan(plan_of([1, 2], run=RUN))
        content = ledger.store.read(ledger.layout.plan(1))
        with pytest.raises(LedgerConflictError, match="run-1 wrote this plan while run run-2"):
            ledger.create_plan(plan_of([1, 2], run=OTHER_RUN))
        assert ledger.store.read(ledger.layout.plan(1)) == content

    def test_the_run_is_told_by_dag_and_id(self, ledger: Ledger) -> None:
        ledger.create_plan(plan_of([1], run=RUN))
        with pytest.raises(LedgerConflictError):
            ledger.create_plan(plan_of([1], run=msgspec.structs.replace(RUN, dag_id="another")))


class TestReports:
    def test_a_batch_that_has_not_finished_has_none(self, ledger: Ledger) -> None:
        assert ledger.report(1, 0) is None
        assert ledger.intent(1, 0) == ()

    def test_the_first_attempt_at_a_batch_decides_what_the_others_may_write(self, ledger: Ledger) -> None:
        assert ledger.create_intent(1, 0, ["b", "a"], outcome="one")
        assert ledger.create_intent(1, 0, ["b", "a"], outcome="one")
        assert not ledger.create_intent(1, 0, ["c"], outcome="other")
        assert ledger.intent(1, 0) == ("a", "b")

    def test_they_come_back_as_written(self, ledger: Ledger) -> None:
        report = report_of(record_of(1, rows=3, first_listed_at=T0, start_time=5), record_of(2, State.EXPIRED))
        ledger.write_report(report)
        assert ledger.report(1, 0) == report
        ledger.create_intent(1, 0, ["b", "a"], outcome="one")
        assert ledger.intent(1, 0) == ("a", "b")

    @pytest.mark.parametrize(
        ("log", "parts", "found"),
        [
            (LogRecord("8416", 1, 1, State.COMMITTED, lines=3, rows=2), (), "3 lines, but 2 rows and 0 quarantined"),
            (
                record_of(1, rows=2),
                (Part("p", 1, 9, "", "access", "2026-11-22"),),
                "parts have 1 rows, the logs and the parts they replace 2",
            ),
            (record_of(1, State.QUARANTINED), (), "parts have 0 rows of quarantine, the logs 1"),
            (record_of(1), (Part("q", 1, 9, ""),), "parts have 1 rows of quarantine, the logs 0"),
        ],
        ids=["lines", "rows", "log not in quarantine", "too much in quarantine"],
    )
    def test_one_that_does_not_add_up_says_where(self, log: LogRecord, parts: tuple[Part, ...], found: str) -> None:
        assert found in (report_of(log, parts=parts).imbalance() or "")

    def test_one_that_adds_up(self) -> None:
        log = LogRecord("8416", 1, 1, State.COMMITTED, lines=3, rows=2, quarantined_lines=1)
        parts = (Part("p", 2, 9, "", "access", "2026-11-22"), Part("q", 2, 9, ""))
        assert report_of(log, record_of(2, State.QUARANTINED), parts=parts).imbalance() is None


class TestTrust:
    """An object that cannot be read as what it must be is an error that names it, never a guess."""

    @pytest.fixture
    def filled(self, ledger: Ledger) -> Ledger:
        plan = ledger.create_plan(plan_of([1, 2]))
        finish_batch(ledger, plan)
        commit_of(ledger, plan)
        return ledger

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"v": 1}', b"\xff\xfe", b'{"v": "1"}'])
    @pytest.mark.parametrize("kind", ["plan", "commit", "report", "intent"])
    def test_unreadable_objects_are_named(self, filled: Ledger, kind: str, content: bytes) -> None:
        numbers = (1, 0) if kind in ("report", "intent") else (1,)
        path = getattr(filled.layout, kind)(*numbers)
        filled.store.write(path, content)
        with pytest.raises(LedgerCorruptError) as caught:
            getattr(filled, kind)(*numbers)
        assert caught.value.about == filled.store.uri(path)

    @pytest.mark.parametrize("kind", ["plan", "commit", "report", "intent"])
    def test_a_newer_version_is_refused(self, filled: Ledger, kind: str) -> None:
        numbers = (1, 0) if kind in ("report", "intent") else (1,)
        path = getattr(filled.layout, kind)(*numbers)
        edit(filled, path, v=4, repository={"what": "newer versions may hold"})
        with pytest.raises(LedgerCorruptError, match=r"ledger version 4.*Upgrade") as caught:
            getattr(filled, kind)(*numbers)
        assert caught.value.about == filled.store.uri(path)

    def test_newer_logs_are_refused(self, filled: Ledger) -> None:
        path = filled.layout.logs(1)
        table = filled.logs(1).replace_schema_metadata({"imperva.ledger_version": "3"})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        filled.store.write(path, buffer.getvalue())
        with pytest.raises(LedgerCorruptError, match="ledger version 3"):
            filled.logs(1)

    @pytest.mark.parametrize("kind", ["plan", "commit"])
    def test_a_missing_object_is_named(self, filled: Ledger, kind: str) -> None:
        with pytest.raises(LedgerCorruptError, match=f"the {kind} is missing") as caught:
            getattr(filled, kind)(7)
        assert caught.value.about == filled.store.uri(getattr(filled.layout, kind)(7))

    def test_fields_this_version_does_not_know_are_passed_over(self, filled: Ledger) -> None:
        edit(filled, filled.layout.commit(1), a_field_of_the_same_version=1)
        assert filled.commit(1).commit == 1


def test_every_json_object_has_the_version(ledger: Ledger) -> None:
    plan = ledger.create_plan(plan_of([1, 2], [3]))
    finish_batch(ledger, plan)
    commit_of(ledger, plan)
    objects = [item.path for item in ledger.store.objects(ledger.layout.thousand(1)) if item.path.endswith(".json")]
    assert len(objects) == 4
    assert {json.loads(ledger.store.read(path))["v"] for path in objects} == {2}


def test_the_plan_s_json_names_ranges_as_all_else_does(ledger: Ledger) -> None:
    closed = (Closed("8416", 3, 4, State.SKIPPED, T0),)
    ledger.create_plan(plan_of([5], closed=closed))
    written = json.loads(ledger.store.read(ledger.layout.plan(1)))
    assert written["closed"] == [
        {"prefix": "8416", "from": 3, "to": 4, "state": "skipped", "since": "2026-11-22T10:00:00Z"}
    ]


def test_commits_come_in_either_order(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        commit_empty(ledger, number)
    assert [commit.commit for commit in ledger.commits()] == [1, 2, 3]
    assert [commit.commit for commit in ledger.commits(newest_first=True)] == [3, 2, 1]


class TestThreads:
    def test_the_first_to_read_records_may_be_many_threads_at_once(self, ledger: Ledger, tmp_path: Path) -> None:
        commit_empty(ledger, 1)
        record = tmp_path / "commit.json"
        record.write_bytes(ledger.store.read(ledger.layout.commit(1)))
        read = subprocess.run(
            [sys.executable, "-c", FIRST_READERS, record], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert json.loads(read.stdout) == [0] * 60


FIRST_READERS = """
import json, os, sys, threading
from airflow_provider_imperva.lake.ledger import decode_record
from airflow_provider_imperva.lake.records import Commit

content = open(sys.argv[1], "rb").read()
sys.setswitchinterval(1e-6)

def read_at_once():
    ready = threading.Barrier(8)
    def read():
        ready.wait()
        decode_record(content, Commit, about="commit")
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

codes = []
for _ in range(60):
    child = os.fork()  # which has read no record yet
    if not child:
        read_at_once()
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""
