"""A real Airflow on SQLite in a folder of its own, driven by its command line."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_imperva.testing import FakeRepository
from tests.dag.fork_server import ForkServer

DAG_FILE = """
import datetime, os
from airflow_provider_imperva.dag import imperva_logs_dag

dag = imperva_logs_dag(
    "imperva_test",
    lake_uri=os.environ["IMPERVA_LAKE_URI"],
    schedule=None,
    sensor_timeout=datetime.timedelta(seconds=2),
    poke_interval=datetime.timedelta(seconds=1),
    plan_options={"logs_per_batch": 5},
    default_args={"retries": 0},
)
"""
"""The five lines of a user's own DAG, with times and batches small enough for a test."""


@dataclass
class AirflowHome:
    """An ``AIRFLOW_HOME`` whose database is migrated, with one DAG, one connection and one lake."""

    folder: Path
    migrated: Path
    server: ForkServer
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dags = self.folder / "dags"
        dags.mkdir(parents=True)
        (dags / "imperva_test.py").write_text(DAG_FILE)
        self.reset_database()

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def reset_database(self) -> None:
        """Lose Airflow's whole database: all runs, all task states, all XComs."""
        shutil.copy(self.migrated, self.folder / "airflow.db")

    def environment(self, repository: FakeRepository) -> dict[str, str]:
        connection = {
            "conn_type": "imperva",
            "host": repository.url,
            "login": repository.login,
            "password": repository.password,
            "extra": {"private_keys_dir": str(self.folder / "keys"), **self.extra},
        }
        return airflow_environment(self.folder) | {
            "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(connection),
            "IMPERVA_LAKE_URI": self.lake.as_uri(),
        }

    def start(self, *command: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        """Start an ``airflow`` command as a process of its own, which loads Airflow anew."""
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run_dag(self, repository: FakeRepository, environment: dict[str, str] | None = None) -> str:
        """Run the DAG once to its end and return what Airflow printed; the state is in :meth:`last_run`."""
        return self.run(repository, "dags", "test", "imperva_test", environment=environment)

    def run(self, repository: FakeRepository, *command: str, environment: dict[str, str] | None = None) -> str:
        """Run an ``airflow`` command to its end and return what it printed."""
        return self.run_in(environment or self.environment(repository), *command)

    def run_in(self, environment: dict[str, str], *command: str) -> str:
        """Run an ``airflow`` command, or ``-c`` and Python code, in an environment, and return what it printed."""
        return self.server.run(self.folder, command, environment | airflow_settings(self.server.home))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / "airflow.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def last_run(self) -> tuple[str, dict[str, str]]:
        """Return the state of the latest run, and the last state of each of its tasks."""
        [(run_id, state)] = self.query("SELECT run_id, state FROM dag_run ORDER BY id DESC LIMIT 1")
        tasks = self.query(f"SELECT task_id, state FROM task_instance WHERE run_id = '{run_id}'")
        return state, dict(tasks)

    def last_commit_xcom(self) -> dict[str, Any]:
        """Return the newest XCom of the commit task."""
        sql = "SELECT value FROM xcom WHERE task_id = 'commit' AND key = 'return_value' ORDER BY timestamp DESC LIMIT 1"
        [(value,)] = self.query(sql)
        while isinstance(value, str | bytes):
            value = json.loads(value)
        assert isinstance(value, dict)
        return value

    def last_commit(self) -> dict[str, Any]:
        """Return the ledger's last commit, read as any program would."""
        last = max((self.lake / "ledger").rglob("*.commit.json"))
        found = json.loads(last.read_text())
        assert isinstance(found, dict)
        return found


def airflow_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which ``airflow`` knows of nothing but this folder."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return others | airflow_settings(folder)


def airflow_settings(folder: Path) -> dict[str, str]:
    """Return the part of :func:`airflow_environment` that is of Airflow."""
    return {
        "AIRFLOW_HOME": str(folder),
        # Airflow 3.2 asks for one to run a DAG in one process, too.
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
    }


def migrate(folder: Path, server: ForkServer) -> Path:
    """Make an empty Airflow database."""
    printed = server.run(folder, ("db", "migrate"), airflow_environment(server.home))
    database = folder / "airflow.db"
    assert database.exists(), printed
    return database
