"""The operator and the factories that forward: from connections to a receiver, red if something was left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from structlog.testing import capture_logs

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.errors import ConfigurationError, DestinationUnavailableError
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.forward_dag import imperva_forward_dag, imperva_forward_dags
from airflow_provider_imperva.hooks.destination import destination_address
from airflow_provider_imperva.hooks.protection import open_protection
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.operators.forward import ImpervaForwardLogsOperator
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.syslog import SyslogReceiver
from tests.load.load_runs import Account

LAKE = "s3://bucket/lake"
HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="forward", run_id="run", task_id="forward")}
pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def account(repository: FakeRepository, tmp_path: Path) -> Account:
    return Account(repository, tmp_path / "lake")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyslogReceiver]:
    with SyslogReceiver() as started:
        connect(monkeypatch, host="127.0.0.1", port=started.port)
        yield started


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SIEM", json.dumps({"conn_type": "generic", **fields}))


def forward(lake: Path, **options: Any) -> Any:
    given = {"destination": "syslog", "options": {"transport": "tcp"}} | options
    operator = ImpervaForwardLogsOperator(
        task_id="forward", lake_uri=lake.as_uri(), destination_conn_id="siem", **given
    )
    return operator.execute(CONTEXT)


def test_it_sends_what_is_committed_and_then_skips(account: Account, receiver: SyslogReceiver) -> None:
    account.serve(1, 2)
    account.run_some()
    output = forward(account.lake)
    assert output == {
        "repository": "8416_1745073",
        "destination": "syslog",
        "commits": 1,
        "lines": 10,
        "pending": 0,
        "lag_seconds": 0.0,
    }
    assert len(receiver.messages) == 10
    with pytest.raises(AirflowSkipException, match="all 1 commits are at syslog"):
        forward(account.lake)


def test_a_log_whose_bytes_are_gone_makes_it_red_after_the_rest(account: Account, receiver: SyslogReceiver) -> None:
    account.serve(1, 2)
    account.run_some()
    account.raw("8416_1.log").unlink()
    with pytest.raises(AirflowFailException, match=r"8416_1\.log"):
        forward(account.lake)
    assert len(receiver.messages) == 5
    with pytest.raises(AirflowSkipException):
        forward(account.lake)


def test_a_lake_with_pseudonyms_is_sent_with_them_or_by_name_on_purpose(
    account: Account, receiver: SyslogReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", json.dumps({"conn_type": "generic", "login": "k1", "password": "k" * 32}))
    options = pseudonym_options("people")
    account.normalize_options = NormalizeOptions(protection=open_protection(None, options))
    account.serve(1)
    account.run_some()
    with pytest.raises(AirflowFailException, match="have pseudonyms"):
        forward(account.lake)
    forward(account.lake, pseudonyms="people")
    assert all(b" src=k1-" in message for message in receiver.messages)
    forward(account.lake, pseudonyms=False, name="by_name", start="oldest")
    assert len(receiver.messages) == 10
    assert not any(b"k1-" in message for message in receiver.messages[5:])


def test_time_ends_between_commits(account: Account, receiver: SyslogReceiver) -> None:
    for number in (1, 2):
        account.serve(number)
        account.run_some()
    output = forward(account.lake, run_for=timedelta(microseconds=1))
    assert (output["commits"], output["pending"]) == (1, 1)
    assert output["lag_seconds"] > 0


def test_a_receiver_that_is_down_is_tried_again_by_airflow(
    account: Account, receiver: SyslogReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So no error that ends the task for good."""
    account.serve(1)
    account.run_some()
    receiver.stop()
    monkeypatch.setattr(RetryPolicy, "pause", lambda *_: None)
    with pytest.raises(DestinationUnavailableError):
        forward(account.lake)


def test_unverified_tls_is_warned_of(
    account: Account, receiver: SyslogReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.serve(1)
    account.run_some()
    connect(monkeypatch, host="127.0.0.1", port=receiver.port, extra={"verify": False})
    with capture_logs() as told:
        forward(account.lake)
    assert any("`verify` is false" in entry["event"] for entry in told)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"destination": "sislog"}, "the nearest name is 'syslog'"),
        ({"options": {"framming": "lf"}}, "the nearest name is 'framing'"),
        ({"options": {"sample": 2.0}}, "share from 0 to 1"),
        ({"options": {"format": "json", "largest_event": 100}}, "cannot be cut"),
        ({"options": {"host_name": "two words"}}, "without blanks"),
        ({"options": {"classes": "security"}}, "Give a list, each item a str or None"),
        ({"options": {"sites": [17]}}, "sites is .*, of type tuple"),
        ({"options": {"classes": ["secure"]}}, "the nearest name is 'security'"),
        ({"name": "Our SIEM"}, "beginning with a letter"),
        ({"run_for": timedelta()}, "above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_while_the_dag_is_parsed(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        imperva_forward_dag("any", **{"lake_uri": LAKE, "destination": "syslog", "destination_conn_id": "siem"} | wrong)


def test_the_dag_follows_the_lakes_commits_and_is_no_part_of_loading() -> None:
    dag = imperva_forward_dag("any", lake_uri=LAKE, destination="syslog", destination_conn_id="siem", tags=["siem"])
    assert imperva_events_asset(LAKE).uri in str(dag.timetable.asset_condition)
    assert (dag.max_active_runs, dag.catchup, dag.tags) == (1, False, {"imperva", "siem"})
    assert [task.task_id for task in dag.tasks] == ["forward"]


@pytest.mark.parametrize(
    "page", [HOW_TO / "forward.md", *sorted(HOW_TO.glob("forward/*.md"))], ids=lambda page: page.stem
)
def test_the_dag_of_each_how_to_page_can_be_built(page: Path) -> None:
    found: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)), found)
    operator = found["dag"].tasks[0]
    assert operator.lake_uri == LAKE
    if "options" in found:
        forward_to = {"destination": operator.destination, "destination_conn_id": "siem", "lake_uri": LAKE}
        assert imperva_forward_dag("with_options", options=found["options"], **forward_to).tasks


def test_each_destination_has_a_dag_of_its_own() -> None:
    first, second = imperva_forward_dags(
        [{"destination": "syslog"}, {"destination": "syslog", "name": "backup", "start": "now"}],
        lake_uri=LAKE,
        destination_conn_id="siem",
    )
    assert (first.dag_id, second.dag_id) == ("imperva_forward__syslog", "imperva_forward__backup")
    with pytest.raises(ConfigurationError, match="two destinations make the DAG"):
        imperva_forward_dags([{"destination": "syslog"}] * 2, lake_uri=LAKE, destination_conn_id="siem")


class TestConnection:
    @pytest.mark.parametrize(
        ("fields", "host", "port", "path"),
        [
            ({"host": "siem.example"}, "siem.example", 6514, ""),
            ({"host": "siem.example", "port": 514}, "siem.example", 514, ""),
            ({"host": "https://siem.example:8088/services/"}, "siem.example", 8088, "/services"),
            ({"conn_type": "http", "schema": "https", "host": "siem.example"}, "siem.example", 6514, ""),
            (
                {"conn_type": "elasticsearch", "schema": "https", "host": "es.example", "port": 9200},
                "es.example",
                9200,
                "",
            ),
            ({"conn_type": "opensearch", "host": "search.example"}, "search.example", 6514, ""),
        ],
    )
    def test_it_is_read_however_it_is_written(
        self, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], host: str, port: int, path: str
    ) -> None:
        connect(monkeypatch, password=" token ", **fields)
        address = destination_address("siem", port=6514)
        assert (address.host, address.port, address.path, address.password) == (host, port, path, "token")
        assert address.verify is True

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({}, "has no host"),
            ({"host": "siem.example:x"}, "does not read as a host"),
            ({"host": "http://siem.example"}, "show token and events"),
            ({"host": "siem", "extra": {"client_key": "-----BEGIN PRIVATE KEY-----\nx"}}, "path of a file"),
            ({"host": "siem", "extra": {"read_timeout": "long"}}, "is not a number"),
        ],
    )
    def test_what_cannot_work_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
    ) -> None:
        connect(monkeypatch, **fields)
        with pytest.raises(ConfigurationError, match=message) as told:
            destination_address("siem", port=6514)
        assert "PRIVATE KEY" not in str(told.value)
