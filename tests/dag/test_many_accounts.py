"""Many accounts in one lake, of which three are broken: the others do not notice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pytest
from packaging.version import Version

from airflow_provider_imperva.dag import imperva_logs_dags
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.testing import FakeRepository, KeyPair, forge_repository
from tests.dag.airflow_home import AirflowHome, airflow_environment

ACCOUNTS = int(os.environ.get("IMPERVA_ACCOUNTS", "4"))
"""Thirty in the long form."""
WRONG_PASSWORD, DEAD_URL, WRONG_KEY = 1, 2, 3
BROKEN = {WRONG_PASSWORD, DEAD_URL, WRONG_KEY}

DAG_FILE = """
import datetime, os
from pathlib import Path

import yaml

from airflow_provider_imperva.dag import imperva_logs_dags

dags = imperva_logs_dags(
    yaml.safe_load(Path(__file__).with_name("accounts.yaml").read_text()),
    lake_uri=os.environ["IMPERVA_LAKE_URI"],
    schedule=None,
    sensor_timeout=datetime.timedelta(seconds=2),
    poke_interval=datetime.timedelta(seconds=1),
    default_args={"retries": 0},
)
"""

RUN_ALL = """
import json, runpy, sys

from airflow.dag_processing.dagbag import DagBag

found = DagBag(sys.argv[1])
assert not found.import_errors, found.import_errors
print("RESULT" + json.dumps({dag_id: str(dag.test().state) for dag_id, dag in sorted(found.dags.items())}))
"""


@pytest.fixture
def repositories() -> Iterator[list[FakeRepository]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(FakeRepository(name=f"{100 + number}_9", password=f"fake-api-key-{number}"))
            for number in range(ACCOUNTS)
        ]


def connections(repositories: list[FakeRepository], keys: Path, wrong_keys: Path) -> dict[str, str]:
    found = {}
    for number, repository in enumerate(repositories):
        folder = wrong_keys if number == WRONG_KEY else keys
        found[f"AIRFLOW_CONN_ACCOUNT_{number}"] = json.dumps(
            {
                "conn_type": "imperva",
                "host": repository.url,
                "login": repository.login,
                "password": "wrong" if number == WRONG_PASSWORD else repository.password,
                "extra": {"private_keys_dir": str(folder)},
            }
        )
    return found


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.skipif(
    Version(version("apache-airflow-core")) < Version("3.2"),
    reason="dag.test() of so many DAGs in one process comes to a standstill on Airflow 3.1",
)
@pytest.mark.timeout(1200)
def test_one_accounts_trouble_never_holds_anothers(
    home: AirflowHome, repositories: list[FakeRepository], key: KeyPair, tmp_path: Path
) -> None:
    expected = {}
    for number, repository in enumerate(repositories):
        logs = list(forge_repository(2, prefix=str(100 + number), events_per_log=4, seed=number, keys=[key]))
        for log in logs:
            repository.add(log.name, log.content)
        if number not in BROKEN:
            expected[repository.name] = sum(len(log.events) for log in logs)
    KeyPair.generate("1").write(tmp_path / "wrong")
    settings = connections(repositories, home.folder / "keys", tmp_path / "wrong")
    repositories[DEAD_URL].stop()
    (home.folder / "dags" / "imperva_test.py").write_text(DAG_FILE)
    accounts = [f"- account_{number}\n" for number in range(ACCOUNTS - 1)] + [
        f"- imperva_conn_id: account_{ACCOUNTS - 1}\n"
    ]
    (home.folder / "dags" / "accounts.yaml").write_text("".join(accounts))

    environment = airflow_environment(home.folder) | settings | {"IMPERVA_LAKE_URI": home.lake.as_uri()}
    printed = home.run_in(environment, "-c", RUN_ALL, str(home.folder / "dags"))
    assert "RESULT" in printed, printed[-3000:]
    states = json.loads(printed.partition("RESULT")[2].splitlines()[0])
    assert states == {
        f"imperva_logs_to_parquet__account_{number}": "failed" if number in BROKEN else "success"
        for number in range(ACCOUNTS)
    }
    events = f"read_parquet('{home.lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"
    assert dict(duckdb.execute(f"SELECT repository, count(*) FROM {events} GROUP BY 1").fetchall()) == expected
    for number, repository in enumerate(repositories):
        commits = sorted(home.lake.glob(f"ledger/repository={repository.name}/*/*.commit.json"))
        # What the wrong key does not open is kept, in quarantine.
        assert len(commits) == (0 if number in BROKEN - {WRONG_KEY} else 1)
        if commits:
            prefixes = json.loads(commits[0].read_text())["prefixes"]
            assert prefixes.keys() == {str(100 + number)}
            assert prefixes[str(100 + number)]["contiguous"] == 2
    quarantine = f"read_parquet('{home.lake}/quarantine/**/*.parquet', hive_partitioning = true)"
    assert duckdb.execute(f"SELECT repository, count(*) FROM {quarantine} GROUP BY 1").fetchall() == [
        (f"{100 + WRONG_KEY}_9", 2)
    ]


def test_an_account_can_have_settings_of_its_own() -> None:
    plain, special = imperva_logs_dags(
        ["shop", {"imperva_conn_id": "bank", "dag_id": "bank_logs", "lake_uri": "file:///srv/bank"}],
        lake_uri="file:///srv/lake",
    )
    assert plain.dag_id == "imperva_logs_to_parquet__shop"
    plans: list[Any] = [dag.get_task("plan") for dag in (plain, special)]
    assert plans[0].lake_uri == "file:///srv/lake"
    assert special.dag_id == "bank_logs"
    assert (plans[1].imperva_conn_id, plans[1].lake_uri) == ("bank", "file:///srv/bank")


@pytest.mark.parametrize(
    ("accounts", "found"),
    [([{"schedule": None}], "names no connection"), (["shop", "shop"], "imperva_logs_to_parquet__shop")],
)
def test_a_list_that_cannot_be_meant_is_refused(accounts: list[object], found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        imperva_logs_dags(accounts, lake_uri="file:///srv/lake")  # type: ignore[arg-type]
