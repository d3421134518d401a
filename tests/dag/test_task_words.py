"""What tasks say: progress and an end with figures, each cause once, what is lost by range, and where to read on."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.dag import imperva_logs_dag
from airflow_provider_imperva.documentation import page, troubleshooting
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.complaints import MOST_RANGES, left_behind, lost_ranges
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.operators.progress import BatchProgress
from airflow_provider_imperva.retries import ends_for_good
from airflow_provider_imperva.sensors.imperva import ImpervaLogSensor
from airflow_provider_imperva.testing import FakeRepository, KeyPair
from airflow_provider_imperva.testing.forge import forge_log
from airflow_provider_imperva.xcoms import pull_earlier
from tests.load.load_runs import Account

LOG = logging.getLogger("tests.task_words")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_task_says_how_far_it_is_now_and_then_and_at_its_end_what_came_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    progress = BatchProgress(
        cast(Any, LOG), done="Fetched", name="8416_1 to 8416_5 (5 logs)", total=5, check=lambda: None, clock=clock
    )
    with caplog.at_level(logging.INFO, LOG.name):
        for _ in range(5):
            clock.now += 20
            progress.on_log()
        progress.end("1.2 MB received")
    assert caplog.messages == [
        "Fetched 2 of 5 logs",
        "Fetched 4 of 5 logs",
        "Fetched 8416_1 to 8416_5 (5 logs) in 100 s: 1.2 MB received".replace("100 s", "2 min"),
    ]


def test_a_task_that_is_asked_to_stop_ends_before_its_next_log() -> None:
    def stop() -> None:
        raise RuntimeError("stop")

    progress = BatchProgress(cast(Any, LOG), done="Fetched", name="8416_1", total=1, check=stop)
    with pytest.raises(RuntimeError, match="stop"):
        progress.on_log()


@pytest.mark.parametrize(
    ("task_id", "field"),
    [("load.fetch", "batch"), ("load.normalize", "fetched")],
)
def test_mapped_tasks_are_named_by_their_logs(task_id: str, field: str) -> None:
    dag = imperva_logs_dag("any", lake_uri="s3://bucket/lake", table=None)
    task: Any = dag.get_task(task_id)
    template = dag.get_template_env().from_string(task.map_index_template)
    for given, shown in (({"logs": "8416_1 to 8416_5 (5 logs)"}, "8416_1 to 8416_5 (5 logs)"), ({}, "")):
        assert template.render(task=SimpleNamespace(**{field: given})) == shown


def test_a_batch_is_named_by_its_first_and_last_log(tmp_path: Path) -> None:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path)
        account.serve(1, 2, 3)
        plan = account.plan()
    assert plan is not None
    assert plan.batch_name(0) == "8416_1 to 8416_3 (3 logs)"


def test_the_sensor_says_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    log = SimpleNamespace(info=lambda text, *values: said.append(text % values))
    monkeypatch.setattr(ImpervaLogSensor, "log", log)
    sensor = ImpervaLogSensor(task_id="wait", lake_uri="s3://bucket/lake")
    work = {"logs": 3, "closed_gaps": 2, "recover": 0, "digest": "x"}
    assert sensor.resume(cast(Any, {}), {"work": work}) == work
    assert said == ["Found work: 3 logs to load, 2 gaps to close, the plan of a dead run to finish"]


def test_the_first_run_asks_for_no_xcom() -> None:
    """Airflow logs an error for one that is not there, and a healthy run has no error in its log."""

    class TaskInstance:
        dag_id, ended = "imperva", 0

        def get_dr_count(self, *, dag_id: str, states: list[str]) -> int:
            assert (dag_id, states) == ("imperva", ["success", "failed"])
            return self.ended

        def xcom_pull(self, **asked: Any) -> Any:
            assert self.ended
            assert asked == {
                "task_ids": "commit",
                "key": "return_value",
                "include_prior_dates": True,
                "map_indexes": -1,
            }
            return {"commit": 3}

    ti = TaskInstance()
    assert pull_earlier(ti, task_id="commit") is None
    ti.ended = 1
    assert pull_earlier(ti, task_id="commit") == {"commit": 3}


def test_a_red_commit_names_what_is_lost_by_range() -> None:
    rows = [("8416", 3, 3, "expired"), ("8416", 4, 4, "expired"), ("8416", 5, 9, "unobserved"), ("9", 1, 1, "expired")]
    rows += [("8416", 1, 2, "skipped"), ("8416", 20, 20, "committed")]
    ledger, commit = _ledger(rows), cast(Commit, SimpleNamespace(commit=1, lost=8))
    named = ["8416_3 to 8416_4 expired", "8416_5 to 8416_9 unobserved", "9_1 expired"]
    assert lost_ranges(ledger, commit) == named
    commit = cast(Commit, SimpleNamespace(commit=1, lost=30, restarts=(), unread_count=0, failed_batches=(), stuck=()))
    [said] = left_behind(commit, lost=[f"8416_{2 * number} expired" for number in range(MOST_RANGES + 3)])
    assert said.startswith("30 logs are lost (8416_0 expired, 8416_2 expired, ")
    assert said.endswith("8416_38 expired, and 3 more ranges; logs.parquet names them)")


def _ledger(rows: list[tuple[str, int, int, str]]) -> Any:
    import pyarrow as pa

    names = ["prefix", "sequence", "sequence_to", "state"]
    return SimpleNamespace(logs=lambda number: pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))))


def test_what_does_not_decode_is_said_once_for_each_cause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key that is missing makes one warning and a count, not one warning for each of a thousand logs."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path, keys=KeyRing())
        key = KeyPair.generate("7")
        for number in range(1, 5):
            repository.add(f"8416_{number}.log", forge_log(b"CEF:0|", key=key))
        with caplog.at_level(logging.WARNING):
            account.run_some()
    said = [record.getMessage() for record in caplog.records if record.name.endswith("load.normalize")]
    assert len([text for text in said if "encrypted for publicKeyId" in text]) == 1
    assert "Batch 0: 4 logs do not decode (awaiting_key); the first is named above" in said


def test_an_error_leads_to_its_part_of_troubleshooting() -> None:
    @ends_for_good
    def execute(error: Exception) -> None:
        raise error

    with pytest.raises(AirflowFailException) as final:
        execute(ConfigurationError("it is wrong", do="Correct it", about="host"))
    assert str(final.value) == f"host: it is wrong. Correct it. See {troubleshooting('configuration')}"
    with pytest.raises(LakeError) as is_transient:
        execute(LakeError("it fails", do="Look"))
    assert is_transient.value.__notes__ == [f"What it means and what to do: {troubleshooting('lake')}"]


def test_links_are_below_the_address_in_the_packages_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    import airflow_provider_imperva.documentation as documentation

    assert troubleshooting("lake").endswith("/blob/main/docs/how-to/troubleshooting.md#lake")
    monkeypatch.setattr(documentation, "_address", lambda: "https://docs.example.com/imperva")
    assert page("faq", "a") == "https://docs.example.com/imperva/faq/#a"
