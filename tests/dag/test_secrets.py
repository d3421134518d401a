"""Nothing secret stays behind: all that a run leaves in Airflow's folder, its database and the ledger is searched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_imperva.testing import FakeRepository, KeyPair, forge_log, forge_repository
from tests.dag.airflow_home import AirflowHome
from tests.dag.fork_server import ForkServer
from tests.privacy.planted import kinds, plant
from tests.privacy.planted_logs import leaks_in_file, planted_bodies

PASSWORD = "an-api-key-5a1f9c"
PASSPHRASE = "a-passphrase-77e0d2"


def secrets(key_pem: str, clear_pem: str, events: list[str]) -> dict[str, list[str]]:
    """What must be nowhere, by what it is."""
    return {
        "password": [PASSWORD],
        "passphrase": [PASSPHRASE],
        "private key": [line for text in (key_pem, clear_pem) for line in text.splitlines()[1:-1]],
        "log content": [match[0] for event in events for match in re.finditer(r"(?<= deviceExternalId=)\d+", event)],
    }


def found_in(folder: Path, wanted: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(folder)), what)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for what, texts in wanted.items()
        if any(text.encode() in path.read_bytes() for text in texts)
    ]


@pytest.mark.airflow
@pytest.mark.slow
def test_no_secret_is_in_logs_database_xcom_ledger_or_what_was_printed(
    tmp_path: Path, migrated: Path, fork_server: ForkServer
) -> None:
    """Rendered templates, serialized DAGs, triggers and XCom are all in the database, whose file is searched whole."""
    key, unknown = KeyPair.generate("1"), KeyPair.generate("2")
    key_pem = key.private_pem(pkcs8=True, passphrase=PASSPHRASE)
    home = AirflowHome(
        tmp_path / "airflow",
        migrated,
        fork_server,
        extra={"private_keys": {"1": key_pem}, "private_key_passphrase": PASSPHRASE, "private_keys_dir": ""},
    )
    with FakeRepository(password=PASSWORD) as repository:
        logs = list(forge_repository(4, events_per_log=40, keys=[key]))
        events = [event for log in logs for event in log.events]
        for log in logs[1:]:
            repository.add(log.name, log.content)
        body = "".join(f"{event}\n" for event in logs[0].events)
        repository.add(logs[0].name, forge_log(body, key=key)[:-40])
        repository.add("8416_9.log", forge_log(body, key=unknown))
        repository.add("8416_10.log", forge_log(f"no event, but deviceExternalId\n{body}", key=key))
        for number, (format, planted) in enumerate(planted_bodies(plant(kinds())), 11):
            content = forge_log(planted, format=format, header=format != "JSON", key=None if format == "JSON" else key)
            repository.add(f"8416_{number}.log", content)
        reserialized = home.run(repository, "dags", "reserialize")
        printed = home.run_dag(repository)
        assert home.last_run()[0] == "success", printed
        refused = home.environment(repository) | {"AIRFLOW_CONN_IMPERVA_DEFAULT": wrong_password(home, repository)}
        failed = home.run_dag(repository, refused)
        state, tasks = home.last_run()
        assert state == "failed"
        assert [task for task, state in tasks.items() if state == "failed"] == ["wait_for_logs"], (
            "the one with the cause"
        )
        assert "refused the API ID and key (HTTP 401)" in failed
        printed += failed
    (home.folder / "printed.txt").write_text(reserialized + printed)

    for path, text in [("airflow.db", "imperva_test"), ("printed.txt", "8416_1.log"), ("lake/ledger", "8416_9.log")]:
        assert any(text.encode() in file.read_bytes() for file in files(home.folder / path)), "the search finds nothing"
    left = found_in(home.folder, secrets(key_pem, key.private_pem(), events))
    in_place = re.compile(r"lake/(events|raw|quarantine)/")
    assert [item for item in left if not (item[1] == "log content" and in_place.match(item[0]))] == []
    # What visitors typed is nowhere but in raw/.
    leaks = {
        path: leaks_in_file(path) for path in files(home.folder) if "raw" not in path.relative_to(home.folder).parts
    }
    assert {str(path): found for path, found in leaks.items() if found} == {}


def wrong_password(home: AirflowHome, repository: FakeRepository) -> str:
    return home.environment(repository)["AIRFLOW_CONN_IMPERVA_DEFAULT"].replace(PASSWORD, f"{PASSWORD}-mistyped")


def files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
