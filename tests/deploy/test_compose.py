"""docker-compose.yaml is sound, runs what `make test-cluster` runs, and has no secret of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli import cli_parser
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Connection
from cryptography.fernet import Fernet

import airflow_provider_imperva
from tests import debian
from tests.cluster import services
from tests.crash import object_server
from tests.deploy.compose_file import FILE, OPTIONAL, REQUIRED, ROOT, TEXT, Compose

ONCE = {"migrate", "pool", "bucket"}
AIRFLOW = {*services.SERVICES, "migrate", "pool"}
POOL = ("imperva", 8)
EVERY = sorted(yaml.safe_load(TEXT)["services"])


def docker_compose(*arguments: str, file: Path = FILE) -> subprocess.CompletedProcess[str]:
    command = [debian.program("docker-compose"), "--file", str(file), "--project-directory", str(ROOT), *arguments]
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize("profile", [["--profile", "demo"], []], ids=["demo", "no profile"])
def test_docker_compose_reads_it_as_these_tests_do(demo: Compose, profile: list[str]) -> None:
    """It checks a file against the specification's schema, and fills in variables by itself."""
    done = docker_compose("--env-file", str(ROOT / "deploy/demo.env"), *profile, "config")
    assert done.returncode == 0, done.stderr
    for name, service in yaml.safe_load(done.stdout)["services"].items():
        assert tuple(service.get("command", ())) == tuple(demo.services[name].get("command", ()))
        assert service.get("environment", {}) == demo.environment(name)


def test_a_parser_of_the_whole_specification_takes_it(demo: Compose) -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="compose-spec has wheels for few machines")
    assert set(compose_spec.PyCompose.from_yaml(demo.text).service_names()) == set(demo.services)


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("    command:", "    comand:"), ("service_healthy", "service_well"), ("  s3:", "  s 3:")],
)
def test_both_parsers_would_see_a_mistake(tmp_path: Path, demo: Compose, right: str, wrong: str) -> None:
    spoilt = tmp_path / "docker-compose.yaml"
    spoilt.write_text(demo.text.replace(right, wrong, 1))
    assert spoilt.read_text() != demo.text
    assert docker_compose("config", "--quiet", file=spoilt).returncode
    compose_spec = pytest.importorskip("compose_spec", reason="compose-spec has wheels for few machines")
    with pytest.raises(ValueError, match="services"):
        compose_spec.PyCompose.from_yaml(spoilt.read_text())


def test_each_service_of_airflow_runs_what_the_cluster_runs(demo: Compose) -> None:
    assert {name: demo.command(name) for name in services.SERVICES} == services.SERVICES
    assert demo.command("migrate") == services.MIGRATE
    assert demo.command("pool") == services.create_pool(*POOL)


def test_every_process_of_airflow_is_told_what_the_cluster_is_told(demo: Compose) -> None:
    """All the same, but for the UI's address, which a browser outside has to reach."""
    told = services.settings(
        database="postgresql+psycopg2://airflow:a-password@postgres/airflow",
        broker="redis://:r-password@redis:6379/0",
        api_server="http://api-server:8080",
        secrets=services.Secrets(fernet_key="fernet", jwt_secret="jwt", api_secret_key="api"),
    ) | {"AIRFLOW__API__BASE_URL": "http://localhost:8080"}
    variables = dict.fromkeys(REQUIRED, "other") | {
        "POSTGRES_PASSWORD": "a-password",
        "REDIS_PASSWORD": "r-password",
        "FERNET_KEY": "fernet",
        "JWT_SECRET": "jwt",
        "API_SECRET_KEY": "api",
    }
    filled = Compose(variables)
    for name in AIRFLOW:
        assert told.items() <= filled.environment(name).items(), name
        assert filled.environment(name) == filled.environment("scheduler"), name


def test_the_s3_server_is_started_as_the_tests_start_theirs(demo: Compose) -> None:
    command = demo.command("s3")
    assert command[: len(object_server.SERVER)] == object_server.SERVER
    assert "-dir=/data" in command


@pytest.mark.parametrize("name", EVERY)
def test_each_service_is_watched_and_comes_back(demo: Compose, name: str) -> None:
    """One that runs once is tried until it succeeds, and somebody waits for it."""
    service = demo.services[name]
    if name in ONCE:
        assert service["restart"] == "on-failure"
        assert "healthcheck" not in service
        waited = [other.get("depends_on", {}).get(name) for other in demo.services.values()]
        assert {"condition": "service_completed_successfully"} in waited
    else:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@pytest.mark.parametrize("name", EVERY)
def test_a_service_waits_for_what_can_come_about(demo: Compose, name: str) -> None:
    for other, wait in demo.services[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert wait == {"condition": expected}, f"{name} waits for {other}"
        assert demo.services[other].get("profiles", []) == demo.services[name].get("profiles", [])


@pytest.mark.parametrize("name", ["scheduler", "dag-processor", "triggerer"])
def test_a_health_check_is_a_command_of_airflows(demo: Compose, name: str) -> None:
    """And asks for the container's own process, not for any of its kind."""
    kind, program, *arguments = demo.services[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "airflow")
    asked = cli_parser.get_parser().parse_args(arguments)
    assert asked.local
    assert asked.job_type == name.title().replace("-", "") + "Job"


@pytest.mark.parametrize("worker", services.WORKERS)
def test_a_workers_health_check_asks_the_worker_itself(demo: Compose, worker: str) -> None:
    kind, check = demo.services[worker]["healthcheck"]["test"]
    name = demo.command(worker)[-1].replace("%h", "$$HOSTNAME")
    assert kind == "CMD-SHELL"
    assert check.endswith(f'inspect ping -d "{name}"')


@pytest.mark.parametrize("name", EVERY)
def test_images_are_pinned(demo: Compose, name: str) -> None:
    """Ours has the package's version; others' have a release's, down to what fixes only bugs."""
    image = demo.services[name]["image"]
    if "build" in demo.services[name]:
        assert image == f"airflow-provider-imperva:{airflow_provider_imperva.__version__}"
    else:
        assert re.fullmatch(r"[\w/]+:\d+\.\d+(\.\d+)?(-bookworm)?", image)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_to_last_is_in_a_named_volume(demo: Compose, name: str) -> None:
    folders = {"/opt/airflow/dags": "./deploy/dags"}
    for mount in demo.services[name].get("volumes", []):
        source, target = mount.split(":")[:2]
        assert source in demo.volumes or folders[target] == source


def test_each_volume_is_used(demo: Compose) -> None:
    used = {mount.split(":")[0] for service in demo.services.values() for mount in service.get("volumes", [])}
    assert used >= set(demo.volumes)


def test_nothing_is_open_to_other_machines(demo: Compose) -> None:
    ports = [port for service in demo.services.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_is_in_the_file() -> None:
    """Whatever is called by a secret's name, or has one in its URL, comes by a variable that has no default."""
    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    of_secrets = [line for line in lines if re.search(r"(?i)password|secret|_key|://[^/]*@|_auth:|_conn_imperva", line)]
    of_secrets = [line for line in of_secrets if "PASSWORDS_FILE" not in line]
    assert len(of_secrets) >= 12
    for line in of_secrets:
        assert re.search(r"\$\{\w+:\?copy \.env\.example to \.env", line), line
    assert {"DAGS", "DAGS_PAUSED", "IMPERVA_FILES"} == OPTIONAL


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize("left_out", sorted(REQUIRED))
def test_without_a_secret_it_does_not_start_and_says_what_to_do(tmp_path: Path, left_out: str) -> None:
    (tmp_path / "env").write_text("".join(f"{name}=x\n" for name in REQUIRED - {left_out}))
    done = docker_compose("--env-file", str(tmp_path / "env"), "config", "--quiet")
    assert done.returncode
    assert "copy .env.example to .env and fill it in" in done.stderr


def test_the_example_names_every_variable_and_gives_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert {line for line in lines if re.match(r"[A-Z]", line)} == {f"{name}=" for name in REQUIRED}
    assert {line[1:].partition("=")[0] for line in lines if re.match(r"#\w+=", line)} == OPTIONAL - {"DAGS_PAUSED"}


def test_the_demo_sets_all_there_is_to_set(demo: Compose) -> None:
    environment = demo.environment("worker-1")
    Fernet(environment["AIRFLOW__CORE__FERNET_KEY"])
    assert environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    assert [name for name, service in demo.services.items() if service.get("profiles") == ["demo"]] == [
        "fake-repository"
    ]
    assert demo.services["fake-repository"]["volumes"] == ["demo:/imperva"]
    assert "demo:/imperva:ro" in demo.services["worker-1"]["volumes"]


def test_the_lakes_connection_is_the_s3_servers(demo: Compose) -> None:
    lake = Connection.from_json(demo.environment("worker-1")["AIRFLOW_CONN_LAKE"])
    server = demo.environment("s3")
    assert (lake.login, lake.password) == (server["AWS_ACCESS_KEY_ID"], server["AWS_SECRET_ACCESS_KEY"])
    assert lake.extra_dejson["endpoint_url"] == demo.environment("bucket")["AWS_ENDPOINT_URL"] == "http://s3:8333"


def test_the_dags_take_the_pool_and_the_lake_that_are_made(monkeypatch: pytest.MonkeyPatch, demo: Compose) -> None:
    environment = demo.environment("dag-processor")
    monkeypatch.setenv("IMPERVA_LAKE_URI", environment["IMPERVA_LAKE_URI"])
    bag = DagBag(ROOT / "deploy/dags")
    assert not bag.import_errors
    fetch: Any = bag.dags["imperva_logs_to_parquet"].get_task("load.fetch")
    pool, slots = POOL
    assert fetch.pool == pool
    assert fetch.pool_slots <= slots
    assert f"AIRFLOW_CONN_{fetch.lake_conn_id.upper()}" in environment
    assert fetch.lake_uri.startswith("s3://lake/")
    assert "mkdirs('lake'" in demo.command("bucket")[-1]
    coverage: Any = bag.dags["imperva_coverage"].get_task("coverage")
    assert (coverage.lake_uri, coverage.lake_conn_id) == (fetch.lake_uri, fetch.lake_conn_id), "the page tells of it"


def test_the_ui_keeps_no_default_password(demo: Compose) -> None:
    """Airflow makes one up where it finds none, and keeps it in a volume that only the API server has."""
    file = demo.environment("api-server")["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    having = [name for name, service in demo.services.items() if "users:/opt/airflow/users" in service["volumes"]]
    assert file.startswith("/opt/airflow/users/")
    assert having == ["api-server"]


def test_the_demos_connection_is_that_of_imperva(demo: Compose) -> None:
    connection = json.loads(demo.environment("worker-1")["AIRFLOW_CONN_IMPERVA_DEFAULT"])
    assert connection["conn_type"] == "imperva"
    assert connection["host"].startswith("https://fake-repository:8443/")
