"""The DAG in a real Airflow, run by run: what is in the lake, in XCom and in the run's state."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.testing import FakeRepository, ForgedLog, KeyPair, forge_log, forge_repository
from tests.dag.airflow_home import AirflowHome
from tests.load.load_runs import Account

pytestmark = [pytest.mark.slow, pytest.mark.airflow]


def forge(key: KeyPair, numbers: Iterable[int], *, events: int = 50) -> list[ForgedLog]:
    """Forge the logs with these numbers."""
    wanted = set(numbers)
    skip = set(range(1, max(wanted) + 1)) - wanted
    return list(forge_repository(len(wanted), skip=skip, seed=7, events_per_log=events, keys=[key]))


def add(repository: FakeRepository, logs: Iterable[ForgedLog]) -> Counter[tuple[str, int]]:
    """Serve logs; returns the lines they hold, as (log, line number)."""
    lines: Counter[tuple[str, int]] = Counter()
    for log in logs:
        repository.add(log.name, log.content)
        lines.update((log.name, number) for number in range(1, len(log.events) + 1))
    return lines


def rows(lake: Path) -> Counter[tuple[str, int]]:
    """Read with DuckDB which lines the lake has, as often as it has them."""
    events = f"read_parquet('{lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"
    return Counter(duckdb.execute(f"SELECT src_file, src_line FROM {events}").fetchall())


def rows_of_table(lake: Path) -> Counter[tuple[str, int]]:
    """Read those of the parts that the table names: what a replay has replaced stays beside them for its grace."""
    parts = DeltaTable(str(lake / "events")).file_uris()
    return Counter(duckdb.execute(f"SELECT src_file, src_line FROM read_parquet({parts})").fetchall())


def fetched(repository: FakeRepository) -> list[str]:
    whole = [request for request in repository.requests if request.status != 206]
    return [request.path.rpartition("/")[2] for request in whole if request.path.endswith(".log")]


@pytest.mark.every_airflow
def test_runs_in_a_row_load_every_line_once(
    home: AirflowHome, repository: FakeRepository, key: KeyPair, tmp_path: Path
) -> None:
    """Gaps and a late number: no row twice, none missing, XCom equal to the ledger, no work is no failure.

    Meanwhile Airflow loses its database, which changes nothing, since the ledger says how far we got. At last the
    lake is gone: the plan knows from the last run's XCom that there was one, so nothing is fetched.
    """
    logs = {log.name: log for log in forge(key, [1, 2, 3, 5, 6, 9, 10, 11, 12])}
    first = [logs[f"8416_{number}.log"] for number in (1, 2, 3, 6, 9)]
    second = [logs[f"8416_{number}.log"] for number in (5, 10, 11, 12)]

    expected = add(repository, first)
    home.run_dag(repository)
    assert home.last_run()[0] == "success"
    assert rows(home.lake) == expected
    assert home.last_commit_xcom()["watermark"] == {"8416": {"contiguous": 3, "highest": 9, "open": {"gap": 4}}}
    open_ranges = home.last_commit()["prefixes"]["8416"]["open"]
    assert [(gap["from"], gap["to"], gap["state"]) for gap in open_ranges] == [(4, 5, "gap"), (7, 8, "gap")]

    home.reset_database()
    expected += add(repository, second)
    before = len(fetched(repository))
    output = home.run_dag(repository)
    assert home.last_run()[0] == "success", output
    assert "Going by the ledger (commit 1); there is no XCom" in output
    assert rows(home.lake) == expected
    assert sorted(fetched(repository)[before:]) == sorted(log.name for log in second)
    assert home.last_commit_xcom()["watermark"] == {"8416": {"contiguous": 3, "highest": 12, "open": {"gap": 3}}}
    assert home.last_commit()["commit"] == 2

    before = len(fetched(repository))
    home.run_dag(repository)
    state, tasks = home.last_run()
    assert state == "success"
    assert set(tasks.values()) == {"skipped"}
    assert rows(home.lake) == expected

    home.lake.rename(tmp_path / "elsewhere")
    output = home.run_dag(repository)
    state, tasks = home.last_run()
    assert state == "failed"
    assert (tasks["plan"], tasks["commit"]) == ("failed", "upstream_failed")
    assert "the last run left commit 2, but this lake has no ledger" in output
    assert fetched(repository)[before:] == []


def assert_tells_nothing(home: AirflowHome, repository: FakeRepository, key: KeyPair, output: str) -> None:
    """Neither task logs nor XComs nor the ledger hold a secret, a key or a line of a log."""
    told = [output.encode(), (home.folder / "airflow.db").read_bytes()]
    told += [path.read_bytes() for path in (home.lake / "ledger").rglob("*.json")]
    told += [path.read_bytes() for path in (home.folder / "logs").rglob("*.log")]
    pem_line = key.private_pem().splitlines()[3].encode()
    for secret in (repository.password.encode(), pem_line, b"no record at all", b"sourceServiceName", b"CEF:0|"):
        assert not any(secret in text for text in told), secret


def test_bad_logs_do_not_hold_up_the_others(home: AirflowHome, repository: FakeRepository, key: KeyPair) -> None:
    """Truncated and flipped bytes, an unknown key and an undecodable line: each told apart, all others loaded."""
    logs = {log.name: log for log in forge(key, range(1, 7))}
    expected = add(repository, [logs["8416_1.log"], logs["8416_6.log"]])
    repository.add("8416_2.log", logs["8416_2.log"].content[:-32])
    flipped = bytearray(logs["8416_3.log"].content)
    flipped[-40] ^= 1
    repository.add("8416_3.log", bytes(flipped))
    other = KeyPair.generate("9")
    repository.add("8416_4.log", forge_log("\n".join(logs["8416_4.log"].events), key=other))
    repository.add(
        "8416_5.log", forge_log(b"\n".join([b"no record at all", *map(str.encode, logs["8416_5.log"].events)]))
    )
    expected.update(("8416_5.log", number) for number in range(2, 52))

    output = home.run_dag(repository)
    assert home.last_run()[0] == "success", output
    assert rows(home.lake) == expected
    ledger = duckdb.execute(f"SELECT name, state FROM '{home.lake}/ledger/**/*.logs.parquet'").fetchall()
    assert dict(ledger) == {
        "8416_1.log": "committed",
        "8416_2.log": "damaged",
        "8416_3.log": "damaged",
        "8416_4.log": "awaiting_key",
        "8416_5.log": "committed",
        "8416_6.log": "committed",
    }
    quarantine = f"SELECT src_file, src_line, raw FROM '{home.lake}/quarantine/**/*.parquet' ORDER BY ALL"
    assert duckdb.execute(quarantine).fetchall() == [
        ("8416_5.log", 1, b"no record at all"),
    ]
    assert {path.name for path in (home.lake / "raw").rglob("*.log")} == set(logs)
    assert_tells_nothing(home, repository, key, output)

    other.write(home.folder / "keys")
    home.run_dag(repository)
    assert home.last_run()[0] == "success"
    expected.update(("8416_4.log", number) for number in range(1, 51))
    assert rows(home.lake) == expected


def test_a_lost_log_makes_the_run_red_after_its_commit(
    home: AirflowHome, repository: FakeRepository, key: KeyPair
) -> None:
    logs = forge(key, [1, 2, 3])
    expected = add(repository, [logs[0], logs[2]])
    repository.index = b"8416_1.log\n8416_2.log\n8416_3.log\n"
    # Slow enough that the log leaves the index before the index is looked at again.
    repository.latency = 0.3

    def forget() -> None:
        while "8416_2.log" not in fetched(repository):
            time.sleep(0.01)
        repository.index = None

    threading.Thread(target=forget, daemon=True).start()
    output = home.run_dag(repository)
    state, tasks = home.last_run()
    assert (state, tasks["commit"]) == ("failed", "failed")
    assert "Commit 1 is made, but 1 logs are lost" in output
    assert "8416_2.log has expired" in output
    assert rows(home.lake) == expected
    assert home.last_commit_xcom()["watermark"] == home.last_commit()["prefixes"]
    assert home.last_commit()["prefixes"]["8416"]["contiguous"] == 3

    home.run_dag(repository)
    assert home.last_run()[0] == "success", "a loss is told once"


GROUP_DAG = """
import datetime, os
from airflow.sdk import DAG
from airflow_provider_imperva.tasks import imperva_logs_group

with DAG("imperva_test", schedule=None, max_active_runs=1, catchup=False):
    imperva_logs_group(
        "waf",
        lake_uri=os.environ["IMPERVA_LAKE_URI"],
        sensor_timeout=datetime.timedelta(seconds=2),
        poke_interval=datetime.timedelta(seconds=1),
        plan_options={"logs_per_batch": 2},
        task_options={"wait_for_logs": {"deferrable": False}},
        default_args={"retries": 0},
    )
"""


def test_a_group_in_a_dag_of_ones_own_loads_every_line_once(home: AirflowHome, repository: FakeRepository) -> None:
    (home.folder / "dags" / "imperva_test.py").write_text(GROUP_DAG)
    for log in forge_repository(4, events_per_log=10):
        repository.add(log.name, log.content)
    output = home.run_dag(repository)
    state, tasks = home.last_run()
    assert (state, tasks["waf.commit"]) == ("success", "success"), output
    assert home.last_commit()["totals"]["rows"] == 40


OTHER_DAGS = """
import os
from airflow.sdk import DAG
from airflow_provider_imperva.dag import imperva_coverage_dag
from airflow_provider_imperva.operators.replay import ImpervaReplayLogsOperator

LAKE = os.environ["IMPERVA_LAKE_URI"]

with DAG("replays", schedule=None):
    ImpervaReplayLogsOperator(task_id="replay", lake_uri=LAKE, state="all", retries=0)

coverage = imperva_coverage_dag("shows", lake_uri=LAKE, schedule=None, default_args={"retries": 0})
"""


@pytest.mark.every_airflow
def test_what_is_loaded_is_replayed_and_shown(home: AirflowHome, repository: FakeRepository, key: KeyPair) -> None:
    """By the two other ways to a lake that have a DAG: one replays all of it, one writes its coverage page."""
    expected = add(repository, forge(key, [1, 2, 4]))
    Account(repository, home.lake, keys=KeyRing({"1": key.private_key}), table=True).run_some()
    (home.folder / "dags" / "others.py").write_text(OTHER_DAGS)
    for dag_id in ("replays", "shows"):
        output = home.run(repository, "dags", "test", dag_id)
        assert home.last_run()[0] == "success", output
    assert rows_of_table(home.lake) == expected
    assert home.last_commit()["replaced"]
    (page,) = home.lake.glob("reports/repository=*/coverage.html")
    assert repository.name in page.read_text()
