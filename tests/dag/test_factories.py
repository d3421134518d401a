"""The factories and operators: wrong settings are refused while the DAG is parsed, and ours stay beside the user's."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.compact_dag import imperva_compact_dag
from airflow_provider_imperva.dag import imperva_coverage_dag, imperva_logs_dag, imperva_logs_dags, imperva_watch_dag
from airflow_provider_imperva.deadline import imperva_deadline_alert, log_late
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.operators.compact import (
    ImpervaCommitCompactionOperator,
    ImpervaCompactLakeOperator,
    ImpervaMergePartsOperator,
    ImpervaPlanCompactionOperator,
)
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator
from airflow_provider_imperva.operators.imperva import (
    ImpervaCommitLogsOperator,
    ImpervaFetchLogsOperator,
    ImpervaNormalizeLogsOperator,
    ImpervaPlanLogsOperator,
)
from airflow_provider_imperva.operators.load import ImpervaLoadLogsOperator
from airflow_provider_imperva.operators.replay import ImpervaReplayLogsOperator
from airflow_provider_imperva.operators.verify import ImpervaVerifyLakeOperator
from airflow_provider_imperva.operators.watch import ImpervaWatchOperator
from airflow_provider_imperva.retention_dag import imperva_retention_dag
from airflow_provider_imperva.sensors.imperva import ImpervaLogSensor
from airflow_provider_imperva.tasks import imperva_logs_group
from airflow_provider_imperva.triggers.event import ImpervaLogEventTrigger

LAKE = "s3://lake/imperva"
COMPACTING = (
    ImpervaCompactLakeOperator,
    ImpervaPlanCompactionOperator,
    ImpervaCommitCompactionOperator,
    ImpervaMergePartsOperator,
)
OPERATORS: list[tuple[type, dict[str, Any]]] = [
    (ImpervaLogSensor, {}),
    (ImpervaPlanLogsOperator, {}),
    (ImpervaFetchLogsOperator, {"batch": {}}),
    (ImpervaNormalizeLogsOperator, {"fetched": {}}),
    (ImpervaCommitLogsOperator, {}),
    (ImpervaLoadLogsOperator, {}),
    (ImpervaReplayLogsOperator, {}),
    (ImpervaVerifyLakeOperator, {}),
    (ImpervaCoverageOperator, {}),
    (ImpervaWatchOperator, {}),
    *((operator, {}) for operator in COMPACTING[:3]),
    (ImpervaMergePartsOperator, {"batch": {}}),
]
FACTORIES: list[Any] = [imperva_logs_dag, imperva_coverage_dag, imperva_watch_dag, imperva_compact_dag]


@pytest.mark.parametrize("lake_uri", ["", None, "lake", "file://host/lake", "$HOME/lake", " s3://lake/x"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_lake_that_cannot_be_meant_is_refused_by_the_factories(factory: Any, lake_uri: Any) -> None:
    with pytest.raises(ConfigurationError, match="the lake's URI cannot be used"):
        factory("any", lake_uri=lake_uri)


@pytest.mark.parametrize(("operator", "needs"), OPERATORS, ids=lambda item: getattr(item, "__name__", ""))
def test_and_by_each_operator(operator: Any, needs: dict[str, Any]) -> None:
    for lake_uri in ("", None, "lake"):
        with pytest.raises(ConfigurationError, match="the lake's URI cannot be used"):
            operator(task_id="any", lake_uri=lake_uri, **needs)
    assert operator(task_id="any", lake_uri="{{ var.value.lake }}", **needs).lake_uri == "{{ var.value.lake }}"


def test_and_by_asset_and_event_trigger() -> None:
    with pytest.raises(ConfigurationError, match="is relative"):
        imperva_events_asset("lake")
    with pytest.raises(ConfigurationError, match="is relative"):
        ImpervaLogEventTrigger(imperva_conn_id="any", lake_uri="lake")


def test_a_template_needs_an_asset_of_its_own() -> None:
    """All lakes of one template would have one asset, and none that the DAGs waiting for it could name."""
    with pytest.raises(ConfigurationError, match="is a template"):
        imperva_logs_dag("any", lake_uri="{{ var.value.lake }}")
    dag = imperva_logs_dag("any", lake_uri="{{ var.value.lake }}", events_asset=Asset("ours"))
    assert dag.get_task("commit").outlets == [Asset("ours")]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"plan_options": {"windows": timedelta(hours=1)}}, "the nearest name is 'window'"),
        ({"plan_options": {"max_logs": "many"}}, "max_logs is 'many'"),
        ({"decode_policy": {"clear_checksum": "maybe"}}, "clear_checksum is 'maybe'"),
        ({"decode_policy": {"clear": "warn"}}, "the nearest name is 'clear_checksum'"),
        ({"redaction": {"patterns": {"mine": "("}}}, "the pattern 'mine' is not a regular expression"),
        ({"redaction": {"without": ["tokn"]}}, "the nearest name is 'token'"),
        ({"redaction": "/no/such/rules.yaml"}, "/no/such/rules.yaml: the rules of redaction cannot be read"),
        ({"pseudonyms": {"columns": ["client_ip"]}}, "no connection has the key of the pseudonyms"),
        ({"headroom_warning": 24}, "headroom_warning is '24', of type int. Give a timedelta"),
        ({"quarantined_share": 5}, "quarantined_share is 5. Set it from 0 to 1"),
        ({"quarantined_share": "1 %"}, "quarantined_share is '1 %', of type str. Give a float"),
        ({"fetch_slots": 0}, "Set fetch_slots above 0"),
        ({"fetch_slots": "8"}, "fetch_slots is '8', of type str"),
        ({"sensor_timeout": timedelta(0)}, "Set sensor_timeout above 0"),
        ({"poke_interval": timedelta(seconds=-1)}, "Set poke_interval above 0"),
        ({"table": "hudi"}, "table is 'hudi', of type str. Give 'delta', 'iceberg' or None"),
    ],
)
def test_wrong_options_are_refused_by_the_factory(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        imperva_logs_dag("any", lake_uri=LAKE, **settings)
    assert found in str(caught.value)


DECODING = (ImpervaNormalizeLogsOperator, ImpervaReplayLogsOperator)
PLANNING = [found for found in OPERATORS if found[0] not in (*DECODING, *COMPACTING, ImpervaVerifyLakeOperator)]


@pytest.mark.parametrize(("operator", "needs"), PLANNING, ids=lambda item: getattr(item, "__name__", ""))
def test_wrong_plan_options_are_refused_by_each_operator(operator: Any, needs: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="the nearest name is 'window'"):
        operator(task_id="any", lake_uri=LAKE, plan_options={"windov": 1}, **needs)


@pytest.mark.parametrize("operator", DECODING)
def test_a_wrong_decode_policy_is_refused_by_each_operator(operator: Any) -> None:
    needs = dict(OPERATORS)[operator]
    with pytest.raises(ConfigurationError, match="the nearest name is 'clear_checksum'"):
        operator(task_id="any", lake_uri=LAKE, decode_policy={"clear": 1}, **needs)


def test_whoever_writes_to_the_table_has_its_catalog() -> None:
    given: dict[str, Any] = {"lake_uri": LAKE, "catalog_conn_id": "catalog"}
    load = imperva_logs_dag("load", table="iceberg", **given)
    compact = imperva_compact_dag("compact", **given)
    retention = imperva_retention_dag("retention", policy={"raw": 400}, **given)
    tasks: list[Any] = [
        load.get_task("plan"),
        load.get_task("commit"),
        compact.get_task("commit"),
        retention.get_task("expire"),
    ]
    assert [task.catalog_conn_id for task in tasks] == ["catalog"] * len(tasks)
    assert tasks[1].table == "iceberg"


def test_single_tasks_may_have_arguments_of_their_own() -> None:
    dag = imperva_logs_dag(
        "any",
        lake_uri=LAKE,
        pool="shop",
        task_options={
            "normalize": {"queue": "large", "executor_config": {"memory": "4Gi"}, "pool": "heavy"},
            "wait_for_logs": {"deferrable": False, "mode": "reschedule"},
        },
    )
    queues = {task.task_id: (task.queue, task.pool) for task in dag.tasks}
    assert queues.pop("load.normalize") == ("large", "heavy")
    assert {queues.pop(task) for task in ("wait_for_logs", "commit")} == {("default", "default_pool")}
    assert set(queues.values()) == {("default", "shop")}
    assert dag.get_task("load.normalize").executor_config == {"memory": "4Gi"}
    wait: Any = dag.get_task("wait_for_logs")
    assert (wait.deferrable, wait.mode) == (False, "reschedule")
    with pytest.raises(ConfigurationError, match="there is no 'normalise'; the nearest name is 'normalize'"):
        imperva_logs_dag("any", lake_uri=LAKE, task_options={"normalise": {}})


@pytest.mark.parametrize(("factory", "task"), [(imperva_coverage_dag, "coverage"), (imperva_watch_dag, "watch")])
def test_so_may_the_task_of_the_other_dags(factory: Any, task: str) -> None:
    dag = factory("any", lake_uri=LAKE, task_options={task: {"queue": "large", "retries": 7}})
    assert (dag.get_task(task).queue, dag.get_task(task).retries) == ("large", 7)
    with pytest.raises(ConfigurationError, match=f"there is no 'x{task}'; the nearest name is '{task}'"):
        factory("any", lake_uri=LAKE, task_options={f"x{task}": {}})


def test_a_group_has_the_same_tasks_in_a_dag_of_ones_own() -> None:
    with DAG("ours", schedule=None) as dag:
        first = EmptyOperator(task_id="first")
        group = imperva_logs_group("waf", lake_uri=LAKE, imperva_conn_id="shop", default_args={"owner": "security"})
        last = EmptyOperator(task_id="last")
        first >> group >> last
    tasks = {task.task_id: task for task in dag.tasks if task.task_id.startswith("waf.")}
    assert set(tasks) == {"waf.wait_for_logs", "waf.plan", "waf.load.fetch", "waf.load.normalize", "waf.commit"}
    plan: Any = tasks["waf.plan"]
    commit: Any = tasks["waf.commit"]
    assert (plan.commit_task_id, commit.plan_task_id) == ("waf.commit", "waf.plan"), "or they find no XCom"
    assert commit.upstream_task_ids == {"waf.plan", "waf.load.normalize"}
    assert commit.downstream_task_ids == {"last"}
    assert {(task.owner, task.retries) for task in tasks.values()} == {("security", 2)}
    assert plan.execution_timeout == timedelta(hours=1)


def test_what_a_user_gives_stands_beside_ours() -> None:
    dag = imperva_logs_dag(
        "any",
        lake_uri=LAKE,
        params={"ticket": Param("", type="string")},
        tags=["waf"],
        default_args={"owner": "security"},
    )
    assert set(dag.params) == {"start_anew", "go_by_ledger", "ticket"}
    assert dag.tags == {"imperva", "waf"}
    assert (dag.default_args["owner"], dag.default_args["retries"]) == ("security", 2)
    assert all(task.owner == "security" and task.retries == 2 for task in dag.tasks)


def test_and_may_replace_ours() -> None:
    dag = imperva_logs_dag("any", lake_uri=LAKE, default_args={"retries": 5}, params={"start_anew": True})
    assert dag.default_args["retries"] == 5
    assert dag.params["start_anew"] is True


def test_a_run_that_hangs_is_ended_by_itself() -> None:
    """Else it holds up all others for ever; killed, it loses nothing."""
    dag = imperva_logs_dag("any", lake_uri=LAKE, sensor_timeout=timedelta(hours=5))
    assert dag.dagrun_timeout == timedelta(hours=8)
    assert {task.task_id: task.execution_timeout for task in dag.tasks} == {
        "wait_for_logs": timedelta(hours=6),
        **dict.fromkeys(("plan", "load.fetch", "load.normalize", "commit"), timedelta(hours=1)),
    }
    own = imperva_logs_dag(
        "any", lake_uri=LAKE, dagrun_timeout=None, default_args={"execution_timeout": timedelta(minutes=5)}
    )
    assert own.dagrun_timeout is None
    assert {task.execution_timeout for task in own.tasks} == {timedelta(minutes=5)}


def test_backfills_are_shut_out_where_airflow_can() -> None:
    if "allowed_run_types" not in inspect.signature(DAG).parameters:
        pytest.skip("this Airflow cannot; the tasks refuse")
    for schedule in (timedelta(minutes=10), None, [Asset("new logs")]):
        allowed: Any = imperva_logs_dag("any", lake_uri=LAKE, schedule=schedule).allowed_run_types
        assert "backfill" not in allowed
        assert {"scheduled", "manual", "asset_triggered"} <= allowed


def test_a_deadline_alert_is_ready() -> None:
    dag: Any = imperva_logs_dag("any", lake_uri=LAKE, deadline=imperva_deadline_alert(timedelta(minutes=45)))
    [alert] = dag.deadline
    assert alert.interval == timedelta(minutes=45)
    assert alert.callback.path == "airflow_provider_imperva.deadline.log_late"
    with pytest.raises(ConfigurationError, match="Set after above 0"):
        imperva_deadline_alert(timedelta(0))


def test_the_deadline_alert_says_what_usually_holds_a_run_up(caplog: pytest.LogCaptureFixture) -> None:
    context = {"dag_run": {"dag_id": "imperva_shop", "dag_run_id": "scheduled__1"}}
    asyncio.run(log_late(after="0:45:00", context=context))
    assert "imperva_shop scheduled__1 has not ended 0:45:00 after it was queued" in caplog.text
    assert "at least as many slots as fetch_slots" in caplog.text


def test_the_watch_dag_takes_what_the_others_take() -> None:
    dag = imperva_watch_dag(
        "any", lake_uri=LAKE, silent_for=timedelta(hours=13), tags=["waf"], default_args={"owner": "security"}
    )
    (task,) = dag.tasks
    assert isinstance(task, ImpervaWatchOperator)
    assert (task.silent_for, task.owner, task.retries) == (timedelta(hours=13), "security", 2)
    assert dag.tags == {"imperva", "waf"}
    assert dag.doc_md
    with pytest.raises(ConfigurationError, match="Set silent_for above 0"):
        imperva_watch_dag("any", lake_uri=LAKE, silent_for=timedelta(0))


def test_the_same_of_the_coverage_factory() -> None:
    options = {"window": timedelta(hours=12)}
    dag = imperva_coverage_dag(
        "any",
        lake_uri=LAKE,
        plan_options=options,
        default_args={"owner": "security"},
        tags=["waf"],
        params={"ticket": Param("", type="string")},
    )
    (task,) = dag.tasks
    assert isinstance(task, ImpervaCoverageOperator)
    assert (task.plan_options, task.owner, task.retries) == (options, "security", 2)
    assert dag.tags == {"imperva", "waf"}
    with pytest.raises(ConfigurationError, match="the nearest name is 'window'"):
        imperva_coverage_dag("any", lake_uri=LAKE, plan_options={"windos": 1})


def test_one_account_with_a_wrong_option_is_named_by_what_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="max_logs"):
        imperva_logs_dags(["one", {"imperva_conn_id": "two", "plan_options": {"max_logs": 0}}], lake_uri=LAKE)
