"""The cluster's report goes red when a worker did nothing, a lost try was not done again, or the lake is not whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

from tests.cluster import run
from tests.cluster.cluster import Batch

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOST = Batch("normalize", 3, 1, "failed", "worker-1", 2.0, AT)
AGAIN = LOST._replace(attempt=2, state="success", worker="worker-2")
KILL = run.Kill("worker-1", [LOST._replace(state="running", ended=None)], AT)
COMMITS = [SimpleNamespace(failed_batches=())]
WHOLE = run.Rows(expected=10, found=10, distinct=10, missing=0, foreign=0)


def batches() -> list[Batch]:
    number = run.LOGS // run.LOGS_PER_BATCH
    done = [Batch("normalize", i, 1, "success", f"worker-{i % 2 + 1}", 2.0, AT) for i in range(number) if i != 3]
    return [*done, LOST, AGAIN]


def complaints(found: list[Batch], *, state: str = "success", commits: list[SimpleNamespace] = COMMITS) -> list[str]:
    return list(run.judge_run(state, found, KILL, commits))  # type: ignore[arg-type]


def test_a_sound_run_has_no_complaint() -> None:
    assert complaints(batches()) == []
    assert list(run.judge_rows(WHOLE)) == []


def test_a_run_that_failed_is_told() -> None:
    assert "ended as failed" in complaints(batches(), state="failed")[0]


def test_a_worker_that_loaded_nothing_is_told() -> None:
    by_one = [batch._replace(worker="worker-2") for batch in batches()]
    assert complaints(by_one) == ["worker-1 loaded nothing"]


def test_what_died_and_was_not_done_again_is_told() -> None:
    found = complaints([batch for batch in batches() if batch != AGAIN])
    assert any("normalize of batch 3 (try 1) was not done again" in complaint for complaint in found)


def test_a_batch_that_was_given_up_is_told() -> None:
    assert complaints(batches(), commits=[SimpleNamespace(failed_batches=(3,))])


def test_an_event_too_few_or_too_many_is_told() -> None:
    for wrong in (
        replace(WHOLE, found=9, distinct=9, missing=1),
        replace(WHOLE, found=11, foreign=1),
        replace(WHOLE, distinct=9),
    ):
        assert len(list(run.judge_rows(wrong))) == 1


def test_only_a_worker_that_has_loaded_and_loads_again_is_killed() -> None:
    done = Batch("normalize", 1, 1, "success", "worker-1", 2.0, AT)
    busy = Batch("normalize", 2, 1, "running", "worker-1", 0.0, None)
    assert run.at_work([done, busy], "worker-1") == [busy]
    assert run.at_work([busy], "worker-1") == []
    assert run.at_work([done, busy._replace(step="fetch")], "worker-1") == []
    assert run.at_work([done, busy], "worker-2") == []
