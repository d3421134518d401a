"""The example that forwards, run by a real Airflow: what is loaded arrives, and the token is in no log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.metrics import FORWARD_METRICS, FORWARD_RESENT
from airflow_provider_imperva.privacy.redact import Redactor
from airflow_provider_imperva.testing import FakeRepository, HecReceiver, KeyPair
from tests.cluster.statsd_server import statsd_server
from tests.dag.airflow_home import AirflowHome
from tests.examples import EXAMPLES
from tests.load.load_runs import Account

TOKEN = "b8a3c1e2-secret-token-of-splunk"


@pytest.fixture
def splunk() -> Iterator[HecReceiver]:
    with HecReceiver(TOKEN) as receiver:
        yield receiver


@pytest.mark.airflow
@pytest.mark.slow
def test_what_is_loaded_is_forwarded(
    home: AirflowHome, repository: FakeRepository, splunk: HecReceiver, key: KeyPair
) -> None:
    """Encrypted logs too: the keys are those of the connection to Imperva."""
    account = Account(repository, home.lake, keys=KeyRing({"1": key.private_key}))
    logs = account.serve(1, 2, 3, events=20, keys=[key])
    account.run_some()
    shutil.copy(EXAMPLES / "dags" / "imperva_forward.py", home.folder / "dags")
    connection = {"conn_type": "http", "host": f"http://127.0.0.1:{splunk.port}", "password": TOKEN}
    environment = home.environment(repository) | {
        "AIRFLOW_CONN_SIEM_DEFAULT": json.dumps(connection),
        "IMPERVA_DESTINATION": "splunk",
    }
    with statsd_server() as server:
        command = ("dags", "test", "imperva_forward")
        printed = home.run(repository, *command, environment=environment | server.environment())
    assert home.last_run() == ("success", {"forward": "success"}), printed
    lines = [line for log in logs for line in log.events]
    redactor = Redactor()
    assert [event["event"] for event in splunk.events] == [redactor.redact_text(line) for line in lines]
    assert TOKEN not in printed
    assert TOKEN not in "".join(path.read_text() for path in (home.lake / "forwards").rglob("*.json"))

    # Nothing was sent twice, and a counter that does not rise is not sent.
    assert {(one.name, one.kind, tuple(sorted(one.tags))) for one in server.ours()} == {
        (metric.name, metric.kind, tuple(sorted(metric.tags))) for metric in FORWARD_METRICS if metric != FORWARD_RESENT
    }
    assert server.total("imperva.forward.lines", outcome="sent", destination="splunk") == 60
    assert server.total("imperva.forward.bytes") == sum(len(event["event"].encode()) for event in splunk.events)
    assert server.total("imperva.forward.pending_commits") == 0
