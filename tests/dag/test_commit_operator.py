"""What the commit task tells: XCom before it fails, headroom, and people when it is low."""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, Stats
from airflow.sdk import Context
from airflow.sdk.execution_time.context import OutletEventAccessors
from structlog.testing import capture_logs

from airflow_provider_imperva.assets import ANNOUNCED_KEY, imperva_events_asset
from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.operators.imperva import PLAN_KEY, ImpervaCommitLogsOperator
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.seal.anchors import open_anchors
from airflow_provider_imperva.seal.signature import PublicKeys
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from airflow_provider_imperva.testing.forge import forge_events, forge_log
from tests.load.load_runs import Account
from tests.seal.openssl_keys import make_keys

ASSET = imperva_events_asset("s3://bucket/lake")


class TaskInstance:
    """As much of a running task as the operator sees: who it is, and its XComs."""

    dag_id, run_id, map_index = "imperva", "manual", -1

    def __init__(self, plan: int) -> None:
        self.plan = plan
        self.announced: dict[str, Any] | None = None
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, *, key: str, **_: object) -> Any:
        return self.plan if key == PLAN_KEY else self.announced

    def xcom_push(self, *, key: str, value: object) -> None:
        self.pushed[key] = value


@pytest.fixture
def ti(repository: FakeRepository, connection: None, tmp_path: Path) -> TaskInstance:
    """A plan over two of three logs, whose batches have come to nothing."""
    for log in forge_repository(3, events_per_log=1):
        repository.add(log.name, log.content)
    with RepositoryClient(url=repository.url, login=repository.login, password=repository.password) as client:
        ledger = Ledger(open_store(str(tmp_path)), client.repository)
        run = Run(TaskInstance.dag_id, TaskInstance.run_id)
        plan = make_plan(ledger, client, run=run, key_ids=frozenset(), options=PlanOptions(max_logs=2))
    assert plan is not None
    return TaskInstance(plan.commit)


def running(ti: TaskInstance, **more: Any) -> Context:
    """Return what Airflow hands to the task."""
    return cast(Context, {"ti": ti} | more)


def commit(lake: Path, **options: Any) -> ImpervaCommitLogsOperator:
    return ImpervaCommitLogsOperator(task_id="commit", lake_uri=lake.as_uri(), **options)


def test_the_xcom_is_there_although_the_task_fails(ti: TaskInstance, tmp_path: Path) -> None:
    """The next run compares it with the ledger, and a failed task's return value is not kept."""
    with pytest.raises(AirflowFailException, match=r"Commit 1 is made, but batches 0 did not finish"):
        commit(tmp_path).execute(running(ti))
    assert ti.pushed["return_value"]["commit"] == 1
    assert ti.pushed["return_value"]["headroom_seconds"] == pytest.approx(48 * 3600, abs=60)


def test_committing_again_says_the_same(ti: TaskInstance, tmp_path: Path) -> None:
    """A cleared commit task writes nothing and comes to the same end."""
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="Commit 1 is made"):
            commit(tmp_path).execute(running(ti))
    assert len(list(tmp_path.rglob("*.commit.json"))) == 1


def test_committing_again_counts_nothing_again(
    ti: TaskInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry after the commit would double every figure of a dashboard; the headroom is what it is now."""
    sent: list[str] = []
    for kind in ("incr", "gauge"):
        monkeypatch.setattr(Stats, kind, lambda name, *_, **__: sent.append(name))
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="Commit 1 is made"):
            commit(tmp_path).execute(running(ti))
    assert sent.count("imperva.commits") == 1
    assert sent.count("imperva.headroom_seconds") == 2


def with_extra(monkeypatch: pytest.MonkeyPatch, **extra: str) -> None:
    """Give the connection more in its extra."""
    uri = json.loads(os.environ["AIRFLOW_CONN_IMPERVA_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(uri | {"extra": uri.get("extra", {}) | extra}))


def test_its_commit_is_signed_and_noted_outside_of_the_lake(
    ti: TaskInstance, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = make_keys(tmp_path_factory.mktemp("keys"))
    place = tmp_path_factory.mktemp("anchors")
    with_extra(monkeypatch, signing_private_key=keys.private.read_text(), anchor=str(place))
    with pytest.raises(AirflowFailException, match="did not finish"):
        commit(tmp_path).execute(running(ti))
    (path,) = tmp_path.rglob("*.commit.json")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ti.pushed["return_value"]["sha256"] == sha256
    (anchor,) = open_anchors(str(place)).read()
    assert (anchor.commit, anchor.sha256) == (1, sha256)
    assert anchor.repositories == (anchor.repository,)
    options = ["--public-key", str(keys.public), "--anchors", str(place)]
    assert main(["verify", str(tmp_path), *options]) == 1, "nothing of it was planned by a task that claims the ledger"
    given = TrustedInputs((anchor,), PublicKeys.of_files([keys.public]))
    kinds = {item.kind for item in verify_lake(open_store(str(tmp_path)), trusted=given).repositories[0].findings}
    assert kinds == {"missing"}


@pytest.mark.parametrize(
    ("name", "why"), [("anchor", "its hash is not at the anchor"), ("timestamp_url", "it has no timestamp")]
)
def test_a_seal_that_is_not_to_be_had_makes_the_run_red(
    ti: TaskInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    """After the commit, which loses nothing by it."""
    with_extra(monkeypatch, **{name: "http://127.0.0.1:9/"})
    with pytest.raises(AirflowFailException, match=why):
        commit(tmp_path).execute(running(ti))
    assert len(list(tmp_path.rglob("*.commit.json"))) == 1


def test_a_signing_key_that_is_none_is_refused_before_anything_is_written(
    ti: TaskInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_extra(monkeypatch, signing_private_key="no key")
    with pytest.raises(AirflowFailException, match="signing_private_key"):
        commit(tmp_path).execute(running(ti))
    assert not list(tmp_path.rglob("*.commit.json"))


class WithoutPlan(TaskInstance):
    """A run whose tasks before have come to these states."""

    def __init__(self, states: dict[str, str]) -> None:
        super().__init__(plan=0)
        self.states = states

    def xcom_pull(self, **_: object) -> Any:
        return None

    def get_task_states(self, **_: object) -> dict[str, dict[str, str]]:
        return {self.run_id: self.states}


def test_without_a_plan_it_names_the_task_that_failed_and_not_those_that_so_could_not_run(tmp_path: Path) -> None:
    states = {"wait_for_logs": "failed", "plan": "upstream_failed", "load.fetch": "upstream_failed"}
    with pytest.raises(AirflowFailException) as raised:
        commit(tmp_path).execute(running(WithoutPlan(states)))
    assert str(raised.value) == "There is no plan: wait_for_logs failed, whose log says why"
    with pytest.raises(AirflowFailException, match="a task before it did not run"):
        commit(tmp_path).execute(running(WithoutPlan({"plan": "upstream_failed"})))
    with pytest.raises(AirflowSkipException):
        commit(tmp_path).execute(running(WithoutPlan({"wait_for_logs": "skipped", "plan": "skipped"})))


@pytest.mark.parametrize(("warning", "called"), [(timedelta(hours=1), 0), (timedelta(hours=60), 1)])
def test_low_headroom_calls_for_people(ti: TaskInstance, tmp_path: Path, warning: timedelta, called: int) -> None:
    calls: list[object] = []
    notify: Callable[[Any], object] = calls.append
    with pytest.raises(AirflowFailException):
        commit(tmp_path, headroom_warning=warning, on_low_headroom=notify).execute(running(ti))
    assert calls == [{"ti": ti}] * called


def test_a_call_for_people_that_fails_hides_nothing(ti: TaskInstance, tmp_path: Path) -> None:
    """What is left behind is told all the same, and that nobody was called; the error's text may hold a secret."""

    def notify(_: object) -> None:
        raise ConnectionError("https://chat.example.com/secret-webhook")

    operator = commit(tmp_path, headroom_warning=timedelta(hours=60), on_low_headroom=notify)
    with pytest.raises(AirflowFailException) as raised:
        operator.execute(running(ti))
    assert "batches 0 did not finish" in str(raised.value)
    assert "on_low_headroom failed (ConnectionError)" in str(raised.value)
    assert "secret-webhook" not in "".join(traceback.format_exception(raised.value))
    assert ti.pushed["return_value"]["commit"] == 1


def load(repository: FakeRepository, lake: Path, *bodies: str, damage: bool = False) -> TaskInstance:
    """Load clear logs of these bodies, up to the commit that the operator is to make."""
    account = Account(repository, lake)
    for name in list(repository.names()):
        repository.remove(name)
    account.serve(90)
    for number, body in enumerate(bodies, 91):
        content = forge_log(body, compress=damage)
        repository.add(f"8416_{number}.log", content[:-9] if damage else content)
    plan = account.plan()
    account.normalize(plan, account.fetch(plan))
    return TaskInstance(plan.commit)


class TestQuarantine:
    """A run in which too much went to quarantine is never green."""

    BAD = "CEF:0|Incapsula|no event\n"

    @pytest.mark.parametrize(("share", "red"), [(0.01, True), (0.29, True), (0.5, False)])
    def test_a_share_of_the_lines_makes_it_red(
        self, repository: FakeRepository, connection: None, tmp_path: Path, share: float, red: bool
    ) -> None:
        ti = load(repository, tmp_path, self.BAD * 3 + "\n".join(forge_events(2, seed=1)))
        operator = commit(tmp_path, quarantined_share=share)
        if not red:
            assert operator.execute(running(ti))["logs"] == 2
            return
        with pytest.raises(AirflowFailException, match=r"3 of 10 lines are in quarantine/ \(bad_header 3\)"):
            operator.execute(running(ti))
        assert ti.pushed["return_value"]["logs"] == 2

    def test_a_single_whole_log_makes_it_red_once_it_is_given_up(
        self, repository: FakeRepository, connection: None, tmp_path: Path
    ) -> None:
        ti = load(repository, tmp_path, "\n".join(forge_events(9, seed=2)), damage=True)
        with capture_logs() as told:
            commit(tmp_path, quarantined_share=1.0).execute(running(ti))
        assert any("came damaged" in entry["event"] for entry in told)
        repository.remove("8416_90.log")
        repository.remove("8416_91.log")
        account = Account(repository, tmp_path)
        account.serve(92)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
        with pytest.raises(AirflowFailException, match=r"1 logs are in quarantine as a whole \(truncated 1"):
            commit(tmp_path, quarantined_share=1.0).execute(running(TaskInstance(plan.commit)))


def test_a_green_commit_whose_call_for_people_fails_is_red(
    ti: TaskInstance, repository: FakeRepository, tmp_path: Path
) -> None:
    """Else nobody would hear of the headroom at all."""
    account = Account(repository, tmp_path)
    account.commit(account.ledger.plan(1))
    plan = account.plan()
    account.normalize(plan, account.fetch(plan))
    ti.plan = plan.commit

    def notify(_: object) -> None:
        raise ConnectionError

    operator = commit(tmp_path, headroom_warning=timedelta(hours=60), on_low_headroom=notify)
    with pytest.raises(AirflowFailException, match="Commit 2 is made, but the headroom is low"):
        operator.execute(running(ti))


def test_an_old_commit_that_is_cleared_measures_how_it_stands_now(
    ti: TaskInstance, repository: FakeRepository, tmp_path: Path
) -> None:
    """Its own watermark is long out of date: people would be called for logs that have been loaded since."""
    account = Account(repository, tmp_path)
    account.commit(account.ledger.plan(1))
    account.run_some()
    options = {"plan_options": {"critical_headroom": timedelta(hours=60)}, "fail_when_critical": True}
    with pytest.raises(AirflowFailException, match=r"Commit 1 is made.* the headroom is critical: 0 logs wait"):
        commit(tmp_path, **options).execute(running(ti))


@pytest.mark.parametrize("fails", [True, False])
def test_critical_headroom_fails_the_run_if_asked_to(ti: TaskInstance, tmp_path: Path, fails: bool) -> None:
    options = {"plan_options": {"critical_headroom": timedelta(hours=60)}, "fail_when_critical": fails}
    with pytest.raises(AirflowFailException) as raised:
        commit(tmp_path, **options).execute(running(ti))
    assert ("the headroom is critical: 3 logs wait" in str(raised.value)) is fails


class TestAssetEvent:
    """What the task hands to Airflow, which makes an event of it if the task succeeds."""

    @pytest.fixture
    def account(self, repository: FakeRepository, tmp_path: Path, ti: TaskInstance) -> Account:
        return Account(repository, tmp_path)

    def run(self, account: Account, ti: TaskInstance) -> dict[str, Any]:
        """Load what there is, with the operator to commit it; returns what the asset event is told."""
        plan = account.plan_if_any()
        assert plan is not None
        for batch in range(len(plan.batches)):
            account.normalize(plan, account.fetch(plan, batch))
        ti.plan = plan.commit
        told = OutletEventAccessors()
        commit(account.lake, outlets=[ASSET]).execute(running(ti, outlet_events=told))
        ti.announced = ti.pushed[ANNOUNCED_KEY]
        return told[ASSET].extra

    def test_it_tells_of_the_commit(self, account: Account, ti: TaskInstance) -> None:
        account.commit(account.ledger.plan(1))
        output = self.run(account, ti)
        assert (output["repository"], output["first_commit"], output["commit"]) == (account.repository.name, 2, 2)
        assert (output["rows"], output["logs"]) == (3, {"committed": 3})

    def test_commits_that_nobody_was_told_of_are_in_the_next_event(self, account: Account, ti: TaskInstance) -> None:
        """Airflow emits none for a red run, and none for what a later run recovers; the rows are there all the same."""
        account.commit(account.ledger.plan(1))
        self.run(account, ti)
        account.serve(4)
        account.run_some()
        account.serve(5)
        output = self.run(account, ti)
        assert (output["first_commit"], output["commit"], output["rows"]) == (3, 4, 10)

    def test_another_repositorys_numbers_are_not_taken_for_ours(self, account: Account, ti: TaskInstance) -> None:
        account.commit(account.ledger.plan(1))
        ti.announced = {"repository": "another", "commit": 1}
        account.run_some()
        account.serve(4)
        output = self.run(account, ti)
        assert (output["first_commit"], output["commit"]) == (3, 3)

    def test_a_task_that_fails_takes_nothing_as_told(self, ti: TaskInstance, tmp_path: Path) -> None:
        with pytest.raises(AirflowFailException):
            commit(tmp_path, outlets=[ASSET]).execute(running(ti))
        assert ANNOUNCED_KEY not in ti.pushed
