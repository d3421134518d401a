"""One DAG for many accounts: none holds up another, and nobody is asked twice."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_imperva.accounts import OWN, read_accounts
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.fleet import imperva_fleet_dag, imperva_fleet_maintenance_dag
from airflow_provider_imperva.operators.load import ImpervaAccountsOperator, ImpervaLoadLogsOperator
from airflow_provider_imperva.testing import FakeRepository, Fault, KeyPair, forge_log, forge_repository
from tests.dag.airflow_home import AirflowHome, airflow_environment
from tests.dag.test_plan_operator import connect
from tests.load.load_runs import Account
from tests.long_form import LONG

LAKE = "s3://lake/imperva"


class TestList:
    @pytest.mark.parametrize(
        "text",
        ["a b\n", "a,b", "a\nb", "- a\n- b", '["a", "b"]', "- a\n- imperva_conn_id: b", "- a\n- {imperva_conn_id: b}"],
    )
    def test_a_file_or_variable_has_it_in_any_usual_form(
        self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "accounts").write_text(text)
        monkeypatch.setenv("AIRFLOW_VAR_ACCOUNTS", text)
        for source in (str(tmp_path / "accounts"), "variable:accounts"):
            assert [account["imperva_conn_id"] for account in read_accounts(source)] == ["a", "b"]

    def test_only_those_with_a_tag_and_in_their_order(self) -> None:
        listed: list[Any] = [
            {"imperva_conn_id": "b", "tags": ["eu", "bank"], "plan_options": {"max_logs": 9}},
            "a",
            {"imperva_conn_id": "c", "tags": "eu"},
        ]
        assert read_accounts(lambda: listed, tag="eu") == [
            {"imperva_conn_id": "b", "plan_options": {"max_logs": 9}},
            {"imperva_conn_id": "c"},
        ]

    @pytest.mark.parametrize(
        ("accounts", "found"),
        [
            (["a", "a"], "a is named twice"),
            ([{"lake_uri": LAKE}], "names no connection"),
            ([7], "an account is a int"),
            ([{"imperva_conn_id": "a", "plan_option": {}}], "the nearest name is 'plan_options'"),
            ("variable:nobody_has_it", "cannot be read"),
            ("/nobody/has/it", "cannot be read"),
            ("accounts.yaml", "neither variable:<name> nor the absolute path"),
        ],
    )
    def test_what_is_no_list_is_named(self, accounts: Any, found: str) -> None:
        with pytest.raises(ConfigurationError, match=found):
            read_accounts(accounts)

    def test_what_an_account_may_have_is_what_the_task_takes(self) -> None:
        own = dict.fromkeys(OWN - {"imperva_conn_id", "lake_uri"})
        given = own | {"keep_raw": True, "redaction": True, "quarantined_share": 0.5, "fail_when_critical": True}
        operator = ImpervaLoadLogsOperator(task_id="load", lake_uri=LAKE, imperva_conn_id="a", **given)  # type: ignore[arg-type]
        assert operator.quarantined_share == 0.5


class TestDag:
    def test_tasks_may_have_arguments_of_their_own(self) -> None:
        dag = imperva_fleet_dag(
            "fleet",
            accounts=["a", "b"],
            lake_uri=LAKE,
            side_by_side=4,
            task_options={"load": {"queue": "large", "executor_config": {"memory": "4Gi"}, "pool": "waf"}},
        )
        look, load = dag.get_task("accounts"), dag.get_task("load")
        assert (look.queue, load.partial_kwargs["queue"], load.partial_kwargs["pool"]) == ("default", "large", "waf")  # type: ignore[union-attr]
        assert load.partial_kwargs["max_active_tis_per_dagrun"] == 4  # type: ignore[union-attr]

    def test_what_cannot_be_meant_is_refused_while_the_dag_is_parsed(self) -> None:
        settings: list[dict[str, Any]] = [
            {"lake_uri": "lake"},
            {"accounts": ["a", "a"]},
            {"side_by_side": 0},
            {"task_options": {"lod": {}}},
            {"plan_options": {"max_log": 1}},
            {"decode_policy": {"clear": 1}},
        ]
        for wrong in settings:
            with pytest.raises(ConfigurationError):
                imperva_fleet_dag("fleet", **({"accounts": ["a"], "lake_uri": LAKE} | wrong))

    def test_maintenance_that_cannot_be_meant_is_refused_too(self) -> None:
        settings: list[dict[str, Any]] = [
            {"lake_uri": "lake"},
            {"accounts": ["a", "a"]},
            {"side_by_side": 0},
            {"task_options": {"load": {}}},
            {"policy": {"event": 30}},
            {"compaction_options": {"quite": 1}},
        ]
        for wrong in settings:
            with pytest.raises(ConfigurationError):
                imperva_fleet_maintenance_dag("keep", **({"accounts": ["a"], "lake_uri": LAKE} | wrong))

    def test_without_a_policy_nothing_expires(self) -> None:
        dag = imperva_fleet_maintenance_dag("keep", accounts=["a"], lake_uri=LAKE)
        assert sorted(dag.task_ids) == ["accounts", "compact"]


class TaskInstance:
    """As much of a running task as the operator sees."""

    def __init__(self, *, map_index: int = -1, try_number: int = 1, max_tries: int = 0) -> None:
        self.dag_id, self.task_id, self.run_id = "fleet", "load", "run"
        self.map_index, self.try_number, self.max_tries = map_index, try_number, max_tries
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, **_: object) -> None:
        return None

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


def load(lake: Path, conn_id: str, **ti: int) -> dict[str, Any]:
    operator = ImpervaLoadLogsOperator(task_id="load", lake_uri=lake.as_uri(), imperva_conn_id=conn_id)
    return operator.execute(context(**ti))


def context(**ti: int) -> Any:
    return {"ti": TaskInstance(**ti), "params": {}, "dag_run": SimpleNamespace(run_type="scheduled")}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRepository]:
    with FakeRepository() as repository:
        connect(monkeypatch, "shop", repository)
        yield repository


class TestOneTask:
    def test_it_does_what_the_tasks_of_the_dag_do(self, shop: FakeRepository, tmp_path: Path) -> None:
        account = Account(shop, tmp_path)
        account.serve(1, 2, 3)
        assert load(tmp_path, "shop")["rows"] == 15
        account.serve(4)
        assert load(tmp_path, "shop")["commit"] == 2
        assert account.rows() == account.expected()
        with pytest.raises(AirflowSkipException, match="Nothing new"):
            load(tmp_path, "shop")

    def test_a_batch_that_fails_is_tried_again_and_the_others_are_not(
        self, shop: FakeRepository, tmp_path: Path
    ) -> None:
        account = Account(shop, tmp_path)
        account.serve(1, 2, 3)
        shop.fail("8416_2.log", *[Fault(status=500)] * 5)
        with pytest.raises(AirflowException, match="1 logs gave no whole answer"):
            load(tmp_path, "shop", max_tries=1)
        assert load(tmp_path, "shop", try_number=2, max_tries=1)["commit"] == 1
        assert account.rows() == account.expected()
        assert sum(request.path.endswith("8416_1.log") for request in shop.requests) == 1

    @pytest.mark.parametrize("redaction", [True, False])
    def test_secrets_are_redacted_as_the_dag_does(self, shop: FakeRepository, tmp_path: Path, redaction: bool) -> None:
        line = "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| start=1700000000001 src=192.0.2.1 act=REQ_PASSED"
        shop.add("8416_1.log", forge_log(f"{line} deviceExternalId=7 qstr=password=hunter22hunter"))
        operator = ImpervaLoadLogsOperator(
            task_id="load", lake_uri=tmp_path.as_uri(), imperva_conn_id="shop", redaction=redaction
        )
        operator.execute(context())
        events = f"read_parquet('{tmp_path}/events/**/*.parquet', hive_partitioning = true)"
        rows = duckdb.execute(f"SELECT * FROM {events}").fetchall()
        assert len(rows) == 1
        assert ("hunter22hunter" in str(rows)) != redaction

    def test_after_the_last_try_the_rest_is_committed_and_it_fails(self, shop: FakeRepository, tmp_path: Path) -> None:
        account = Account(shop, tmp_path)
        account.serve(1, 2, 3)
        shop.fail("8416_2.log", *[Fault(status=500)] * 5)
        with pytest.raises(AirflowFailException, match="Commit 1 is made, but 1 logs could not be loaded"):
            load(tmp_path, "shop")
        load(tmp_path, "shop")
        assert account.rows() == account.expected()

    def test_one_that_is_told_to_stop_ends_before_its_next_log_and_harms_nothing(
        self, shop: FakeRepository, tmp_path: Path
    ) -> None:
        account = Account(shop, tmp_path)
        account.serve(*range(1, 40))
        operator = ImpervaLoadLogsOperator(task_id="load", lake_uri=tmp_path.as_uri(), imperva_conn_id="shop")

        def kill() -> None:
            while not any(request.path.endswith(".log") for request in shop.requests):
                time.sleep(0.001)
            operator.on_kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(AirflowException, match="asked to stop"):
            operator.execute(context())
        killer.join()
        assert account.ledger.head().commit is None
        assert account.rows() == {}
        # The next run recovers its plan, and loads what was not fetched and what was.
        load(tmp_path, "shop")
        assert account.rows() == account.expected()


ACCOUNTS = 200 if LONG else 40


@pytest.mark.slow
def test_of_many_accounts_those_with_work_and_broken_ones_get_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    broken = {3, 27, ACCOUNTS - 1}
    with ExitStack() as stack:
        expected = 0
        for number in range(ACCOUNTS):
            repository = stack.enter_context(FakeRepository(name=f"{1000 + number}_9"))
            connect(monkeypatch, f"account_{number}", repository)
            if number in broken:
                monkeypatch.setenv(f"AIRFLOW_CONN_ACCOUNT_{number}", json.dumps({"conn_type": "imperva", "host": ""}))
            elif number % 10 == 0:
                logs = list(forge_repository(2, prefix=str(1000 + number), events_per_log=4, seed=number))
                for log in logs:
                    repository.add(log.name, log.content)
                expected += sum(len(log.events) for log in logs)
        look = ImpervaAccountsOperator(
            task_id="accounts",
            lake_uri=tmp_path.as_uri(),
            accounts=[f"account_{number}" for number in range(ACCOUNTS)],
        )
        began = _cpu_seconds()
        work = look.execute(context())
        record_property("cpu_seconds_to_look_at_all", round(_cpu_seconds() - began, 2))
        numbers = [int(account["imperva_conn_id"].removeprefix("account_")) for account in work]
        assert set(numbers) == broken | {number for number in range(ACCOUNTS) if number % 10 == 0}
        began = _cpu_seconds()
        failed = set()
        for index, number in enumerate(numbers):
            try:
                load(tmp_path, f"account_{number}", map_index=index)
            except AirflowFailException:
                failed.add(number)
        record_property("cpu_seconds_to_load", round(_cpu_seconds() - began, 2))
        assert failed == broken
        events = f"read_parquet('{tmp_path}/events/**/*.parquet', hive_partitioning = true)"
        assert duckdb.execute(f"SELECT count(*) FROM {events}").fetchone() == (expected,)
        # Only the broken ones are left.
        assert len(look.execute(context())) == len(broken)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


DAG_FILE = """
import os
from airflow_provider_imperva.fleet import imperva_fleet_dag, imperva_fleet_maintenance_dag

settings = {
    "accounts": "variable:accounts",
    "lake_uri": os.environ["IMPERVA_LAKE_URI"],
    "schedule": None,
    "default_args": {"retries": 0},
}
dag = imperva_fleet_dag("fleet", **settings)
maintenance = imperva_fleet_maintenance_dag(
    "maintenance", policy={"events": {"access": 1}}, **settings
)
"""

RUN = """
import json, sys

from airflow.dag_processing.dagbag import DagBag

found = DagBag(sys.argv[1])
assert not found.import_errors, found.import_errors
for dag in ("fleet", "maintenance"):
    run = found.dags[dag].test()
    states = sorted([ti.task_id, ti.map_index, str(ti.state)] for ti in run.get_task_instances())
    print("RESULT" + json.dumps([str(run.state), states]))
"""


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_a_real_airflow_one_broken_account_makes_the_run_red_and_holds_up_no_other(
    home: AirflowHome, key: KeyPair, tmp_path: Path
) -> None:
    settings = {"AIRFLOW_VAR_ACCOUNTS": '["account_0", "account_1", "account_2"]'}
    with ExitStack() as stack:
        expected = {}
        for number in range(3):
            repository = stack.enter_context(FakeRepository(name=f"{100 + number}_9"))
            logs = list(forge_repository(2, prefix=str(100 + number), events_per_log=4, seed=number, keys=[key]))
            for log in logs:
                repository.add(log.name, log.content)
            if number != 1:
                expected[repository.name] = sum(len(log.events) for log in logs)
            settings[f"AIRFLOW_CONN_ACCOUNT_{number}"] = json.dumps(
                {
                    "conn_type": "imperva",
                    "host": repository.url,
                    "login": repository.login,
                    "password": "wrong" if number == 1 else repository.password,
                    "extra": {"keys_dir": str(home.folder / "keys")},
                }
            )
        (home.folder / "dags" / "imperva_test.py").write_text(DAG_FILE)
        environment = airflow_environment(home.folder) | settings | {"IMPERVA_LAKE_URI": home.lake.as_uri()}
        printed = home.run_in(environment, "-c", RUN, str(home.folder / "dags"))
    lines = [line for line in printed.splitlines() if line.startswith("RESULT")]
    results = [json.loads(line.removeprefix("RESULT")) for line in lines]
    assert len(results) == 2, printed[-3000:]
    looked = ["accounts", -1, "success"]
    assert results == [
        ["failed", [looked, ["load", 0, "success"], ["load", 1, "failed"], ["load", 2, "success"]]],
        # Each account has one small part, and of one nothing was ever loaded.
        [
            "success",
            [
                looked,
                *(["compact", index, "skipped"] for index in range(3)),
                *(["expire", index, state] for index, state in enumerate(["success", "skipped", "success"])),
            ],
        ],
    ]
    events = f"read_parquet('{home.lake}/events/**/*.parquet', hive_partitioning = true)"
    assert dict(duckdb.execute(f"SELECT repository, count(*) FROM {events} GROUP BY 1").fetchall()) == expected
