"""A commit makes true what the finished batches did, nothing else, once, whoever commits and however often."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from airflow_provider_imperva.lake import commit as commit_module
from airflow_provider_imperva.lake.commit import SWEPT_COMMITS, finish_commit
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.packing import encode
from airflow_provider_imperva.lake.records import (
    LOGS_SCHEMA,
    BatchId,
    Closed,
    Commit,
    Kind,
    LogRecord,
    OpenCode,
    Plan,
    PlannedLog,
)
from airflow_provider_imperva.lake.watermark import Prefix, Range, State
from tests.lake.ledger_records import (
    OTHER_RUN,
    RUN,
    T0,
    commit_empty,
    commit_of,
    event_parts,
    finish_batch,
    parts_of,
    plan_of,
    record_of,
    report_of,
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def listed(number: int) -> Range:
    return Range(number, number, State.LISTED, T0)


class TestChain:
    def test_each_commit_names_the_bytes_of_the_one_before(self, ledger: Ledger) -> None:
        commits = [commit_empty(ledger, number) for number in (1, 2, 3)]
        assert commits[0].previous_sha256 is None
        for before, after in pairwise(commits):
            assert after.previous_sha256 == sha256(ledger.store.read(ledger.layout.commit(before.commit)))

    def test_a_commit_names_the_bytes_of_its_logs(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        finish_batch(ledger, plan)
        commit = commit_of(ledger, plan)
        assert commit.logs_sha256 == sha256(ledger.store.read(ledger.layout.logs(1)))

    def test_a_commit_names_the_bytes_of_its_parts(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2], [3]))
        finish_batch(ledger, plan, 0)
        finish_batch(ledger, plan, 1)
        commit = commit_of(ledger, plan)
        assert [part.rows for part in commit.parts] == [4, 2]
        for part in commit.parts:
            content = ledger.store.read(part.path)
            assert (part.size, part.sha256) == (len(content), sha256(content))


class TestOnce:
    def test_committing_again_changes_no_byte(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        finish_batch(ledger, plan)
        first = commit_of(ledger, plan, by=RUN)
        before = {item.path: ledger.store.read(item.path) for item in ledger.store.objects(ledger.layout.thousand(1))}
        assert commit_of(ledger, plan, by=OTHER_RUN) == first
        after = {item.path: ledger.store.read(item.path) for item in ledger.store.objects(ledger.layout.thousand(1))}
        assert after == before

    def test_a_report_that_comes_after_the_commit_changes_nothing(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1], [2]))
        finish_batch(ledger, plan, 0)
        first = commit_of(ledger, plan)
        finish_batch(ledger, plan, 1)
        assert commit_of(ledger, plan) == first
        assert ledger.logs(1)["sequence"].to_pylist() == [1]
        assert event_parts(ledger) == ["part-000000000001-0000.parquet"]

    def test_the_logs_are_put_right_if_the_run_that_lost_wrote_them_last(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        finish_batch(ledger, plan)
        commit = commit_of(ledger, plan)
        right = ledger.store.read(ledger.layout.logs(1))
        ledger.store.write(ledger.layout.logs(1), b"another run's logs")
        finish_commit(ledger, commit)
        assert ledger.store.read(ledger.layout.logs(1)) == right
        assert sha256(right) == commit.logs_sha256

    def test_of_two_that_commit_at_once_one_wins_and_keeps_its_parts(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The slow one saw no report; before it goes on, the batch finishes and its own run commits."""
        plan = ledger.create_plan(plan_of([1, 2]))
        ledger.create_intent(1, 0, parts_of(ledger, plan, 0, [1, 2]).paths, outcome="")
        commits: list[Commit] = []
        interrupt_after(monkeypatch, "_gather", lambda: commits.append(commit_after_finishing(ledger, plan)))
        slow = commit_of(ledger, plan, by=OTHER_RUN)
        assert slow == commits[0]
        assert slow.committed_by == RUN
        for part in slow.parts:
            assert sha256(ledger.store.read(part.path)) == part.sha256
        assert sha256(ledger.store.read(ledger.layout.logs(1))) == slow.logs_sha256


def commit_after_finishing(ledger: Ledger, plan: Plan) -> Commit:
    finish_batch(ledger, plan)
    return commit_of(ledger, plan, by=RUN)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, name: str, what: Callable[[], object]) -> None:
    """Let something else happen right after a step, once."""
    step = getattr(commit_module, name)

    def interrupted(*arguments: object) -> object:
        result = step(*arguments)
        monkeypatch.setattr(commit_module, name, step)
        what()
        return result

    monkeypatch.setattr(commit_module, name, interrupted)


class TestLeftOpen:
    def test_logs_of_a_batch_without_a_report_stay_open_and_its_parts_go(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2], [3, 4]))
        finish_batch(ledger, plan, 0)
        parts = parts_of(ledger, plan, 1, [3, 4])
        ledger.create_intent(1, 1, parts.paths, outcome="")
        parts.write()
        assert len(event_parts(ledger)) == 2
        commit = commit_of(ledger, plan)
        assert (commit.batches, commit.failed_batches) == ((0,), (1,))
        assert commit.open == dict.fromkeys(("8416_3.log", "8416_4.log"), "its batch did not finish")
        assert commit.open_codes == dict.fromkeys(commit.open, OpenCode.BATCH_UNFINISHED)
        assert commit.prefixes["8416"] == Prefix(2, 4, (Range(3, 4, State.LISTED, T0),))
        assert event_parts(ledger) == ["part-000000000001-0000.parquet"]
        assert (commit.totals.rows, commit.totals.logs) == (4, {State.COMMITTED: 2})

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda log: msgspec.structs.replace(log, lines=log.lines + 1),
            lambda log: msgspec.structs.replace(log, rows=log.rows + 1, lines=log.lines + 1),
            lambda log: msgspec.structs.replace(log, quarantined_lines=1, lines=log.lines + 1),
        ],
        ids=["a line was lost", "a row that no part has", "a line that no quarantine has"],
    )
    def test_what_does_not_add_up_is_not_committed(
        self, ledger: Ledger, spoil: Callable[[LogRecord], LogRecord]
    ) -> None:
        plan = ledger.create_plan(plan_of([1], [2]))
        finish_batch(ledger, plan, 0)
        report = finish_batch(ledger, plan, 1)
        ledger.write_report(msgspec.structs.replace(report, logs=tuple(map(spoil, report.logs))))
        commit = commit_of(ledger, plan)
        assert (commit.batches, commit.failed_batches) == ((0,), (1,))
        assert "does not add up" in commit.open["8416_2.log"]
        assert commit.prefixes["8416"].open == (listed(2),)
        assert event_parts(ledger) == ["part-000000000001-0000.parquet"], "its rows come again with the next plan"
        assert ledger.logs(1)["name"].to_pylist() == ["8416_1.log"]

    def test_what_a_report_leaves_open_stays_open_with_its_reason(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        report = msgspec.structs.replace(report_of(record_of(1)), open={"8416_2.log": "still listed"})
        ledger.write_report(report)
        commit = commit_of(ledger, plan)
        assert commit.open == {"8416_2.log": "still listed"}
        assert commit.failed_batches == ()
        assert commit.prefixes["8416"].open == (listed(2),)

    def test_what_people_hear_of_follows_from_the_codes_and_never_from_the_sentences(self, ledger: Ledger) -> None:
        """Sentences are for people: rewording one must not turn a red run green, nor the other way round."""
        plan = ledger.create_plan(plan_of([1, 2, 3, 4]))
        sentence = "fetched; a later plan loads it, since the headroom is critical"
        report = msgspec.structs.replace(
            report_of(),
            open={f"8416_{number}.log": sentence for number in (1, 2, 3, 4)},
            open_codes={
                "8416_1.log": OpenCode.UNAVAILABLE,
                "8416_2.log": OpenCode.FETCHED_ONLY,
                "8416_3.log": "of_a_later_one",
            },
        )
        ledger.write_report(report)
        commit = commit_of(ledger, plan)
        assert commit.stuck == ["8416_1.log", "8416_3.log", "8416_4.log"]
        assert ledger.commit(1).open_codes == report.open_codes

    def test_a_log_that_waits_for_a_key_is_on_record_and_open(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        ledger.write_report(report_of(record_of(1, State.AWAITING_KEY, public_key_id="3"), record_of(2)))
        commit = commit_of(ledger, plan)
        assert commit.prefixes["8416"].open == (Range(1, 1, State.AWAITING_KEY, T0, "3"),)
        assert ledger.logs(1)["state"].to_pylist() == ["awaiting_key", "committed"]
        assert commit.totals.logs == {State.AWAITING_KEY: 1, State.COMMITTED: 1}


class TestSweep:
    def late_parts(self, ledger: Ledger, plan: Plan) -> None:
        """What a task does that looked just before its plan was committed without it, and writes just after."""
        parts = parts_of(ledger, plan, 0, [1, 2])
        ledger.create_intent(plan.commit, 0, parts.paths, outcome="")
        parts.write()

    def test_the_next_commit_sweeps_the_parts_of_a_task_that_wrote_too_late(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        commit_of(ledger, plan)
        self.late_parts(ledger, plan)
        assert event_parts(ledger)
        commit_empty(ledger, 2)
        assert event_parts(ledger) == []

    def test_so_do_the_few_commits_after_that(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        commit_of(ledger, plan)
        for number in range(2, SWEPT_COMMITS + 1):
            commit_empty(ledger, number)
        self.late_parts(ledger, plan)
        commit_empty(ledger, SWEPT_COMMITS + 1)
        assert event_parts(ledger) == []

    def test_a_commit_that_was_cut_short_can_be_finished(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = ledger.create_plan(plan_of([1, 2]))
        self.late_parts(ledger, plan)
        monkeypatch.setattr(commit_module, "finish_commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            commit_of(ledger, plan)
        assert event_parts(ledger)
        finish_commit(ledger, ledger.commit(1))
        assert event_parts(ledger) == []

    @pytest.mark.parametrize("damage", ["other bytes", "none at all"])
    def test_logs_parquet_of_the_last_commits_is_put_right(self, ledger: Ledger, damage: str) -> None:
        """A run that hung while it committed may write its own late, and one that died may have written none."""
        plan = ledger.create_plan(plan_of([1, 2]))
        finish_batch(ledger, plan, 0)
        commit_of(ledger, plan)
        for number in range(2, SWEPT_COMMITS + 1):
            commit_empty(ledger, number)
        path = ledger.layout.logs(1)
        right = ledger.store.read(path)
        ledger.store.delete([path]) if damage == "none at all" else ledger.store.write(path, b"late")
        commit_empty(ledger, SWEPT_COMMITS + 1)
        assert ledger.store.read(path) == right

    def test_parts_of_finished_batches_are_never_swept(self, ledger: Ledger) -> None:
        plan = ledger.create_plan(plan_of([1], [2]))
        finish_batch(ledger, plan, 0)
        commit_of(ledger, plan)
        for number in range(2, 6):
            commit_empty(ledger, number)
        assert event_parts(ledger) == ["part-000000000001-0000.parquet"]


class TestRevised:
    """Each commit names the last one that did more than load new logs."""

    def test_new_logs_revise_nothing(self, ledger: Ledger) -> None:
        assert [commit_empty(ledger, number).revised for number in (1, 2, 3)] == [0, 0, 0]

    @pytest.mark.parametrize(
        "changed",
        [
            {"kind": Kind.HOLD},
            {"originals": {0: BatchId(1, 0)}},
            {"batches": ((PlannedLog("8416_1.log", T0, late=True),),)},
        ],
        ids=["another kind", "a replay", "a late log"],
    )
    def test_whatever_does_more_does_and_later_commits_name_it(self, ledger: Ledger, changed: dict[str, Any]) -> None:
        commit_empty(ledger, 1)
        plan = ledger.create_plan(msgspec.structs.replace(plan_of([1], commit=2), **changed))
        assert [commit_of(ledger, plan).revised, *(commit_empty(ledger, n).revised for n in (3, 4))] == [2, 2, 2]

    def test_of_a_commit_that_does_not_say_it_may_be_that_one(self, ledger: Ledger) -> None:
        commit = commit_empty(ledger, 1)
        ledger.store.write(ledger.layout.commit(1), encode(msgspec.structs.replace(commit, revised=None)))
        assert [commit_empty(ledger, number).revised for number in (2, 3)] == [1, 1]


class TestContent:
    def test_the_commit_s_json_is_the_one_other_programs_read(self, ledger: Ledger) -> None:
        closed = (Closed("8416", 4, 5, State.SKIPPED, T0), Closed("8416", 9, 9, State.UNOBSERVED, T0))
        plan = ledger.create_plan(plan_of([1, 2, 6], [7], closed=closed))
        finish_batch(ledger, plan, 0)
        commit = commit_of(ledger, plan, by=OTHER_RUN)
        written = json.loads(ledger.store.read(ledger.layout.commit(1)))
        assert {key: written[key] for key in ("v", "repository", "commit", "prefixes")} == {
            "v": 2,
            "repository": "8416_1745073",
            "commit": 1,
            "prefixes": {
                "8416": {
                    "contiguous": 6,
                    "highest": 7,
                    "open": [{"from": 7, "to": 7, "state": "listed", "since": "2026-11-22T10:00:00Z"}],
                }
            },
        }
        assert written["previous_sha256"] is None
        assert written["run"] == {"dag_id": "dag", "run_id": "run-1"}
        assert written["committed_by"] == {"dag_id": "dag", "run_id": "run-2"}
        assert written["provider_version"] == "0.0.0"
        assert set(written["parts"][0]) == {"path", "rows", "size", "sha256", "event_class", "event_date"}
        assert written["totals"] == {
            "logs": {"committed": 3, "skipped": 2, "unobserved": 1},
            "lines": 6,
            "rows": 6,
            "quarantined_lines": 0,
            "raw_bytes": 0,
        }
        assert commit.lost == 1

    def test_logs_parquet_has_a_row_for_every_log_and_range_decided(self, ledger: Ledger) -> None:
        closed = (Closed("8416", 3, 4, State.SKIPPED, T0),)
        plan = ledger.create_plan(plan_of([1, 2, 5], closed=closed))
        start = 1_767_225_600_123
        ledger.write_report(
            report_of(
                record_of(5, State.EXPIRED, reason="gone"),
                record_of(1, first_listed_at=T0, start_time=start, raw_sha256="ab", late=True),
                record_of(2),
            )
        )
        commit_of(ledger, plan)
        table = ledger.logs(1)
        assert table.schema.equals(LOGS_SCHEMA, check_metadata=False)
        assert table.schema.metadata[b"imperva.ledger_version"] == b"2"
        rows = table.to_pylist()
        assert [(row["sequence"], row["sequence_to"], row["state"], row["name"]) for row in rows] == [
            (1, 1, "committed", "8416_1.log"),
            (2, 2, "committed", "8416_2.log"),
            (3, 4, "skipped", None),
            (5, 5, "expired", "8416_5.log"),
        ]
        assert rows[0]["first_listed_at"] == T0
        assert rows[0]["start_time"].timestamp() == start / 1000
        assert (rows[0]["raw_sha256"], rows[0]["late"], rows[1]["late"]) == ("ab", True, False)
        assert (rows[2]["reason"], rows[3]["reason"]) == ("missing since 2026-11-22 10:00 UTC", "gone")

    def test_a_plan_without_batches_is_committed_for_what_it_closes(self, ledger: Ledger) -> None:
        closed = (Closed("8416", 3, 4, State.UNOBSERVED, T0),)
        commit = commit_of(ledger, ledger.create_plan(plan_of(closed=closed)))
        assert commit.totals.logs == {State.UNOBSERVED: 2}
        assert (commit.batches, commit.failed_batches, commit.parts) == ((), (), ())
        assert ledger.logs(1).num_rows == 1
