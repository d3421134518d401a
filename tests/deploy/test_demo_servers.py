"""What the demo starts beside Airflow, started for real: the commands and health checks are the Compose file's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from airflow_provider_imperva.container.decode import decode
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.repository.client import RepositoryClient
from tests.crash import object_server
from tests.deploy.compose_file import ROOT, Compose

pytestmark = pytest.mark.slow
_START_SECONDS = 60


@contextmanager
def running(command: Sequence[str], output: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("w") as file:
        server = subprocess.Popen(command, env=os.environ | environment, stdout=file, stderr=file)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def python(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what is ``python ...`` in a container with this Python."""
    assert command[0] == "python"
    known = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, *command[1:]], env=known, capture_output=True, text=True, check=False)


def replaced(text: str, new: dict[str, str]) -> str:
    for old, by in new.items():
        text = text.replace(old, by)
    return text


def wait_until_healthy(check: Callable[[], bool], server: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not check():
        assert server.poll() is None, output.read_text()
        assert time.monotonic() < until, output.read_text()
        time.sleep(0.2)


@contextmanager
def fake_repository(folder: Path, demo: Compose) -> Iterator[str]:
    """Start it and wait for its health; gives its connection, on this machine."""
    port, tls_port = object_server.free_ports(2)
    here = {
        "/opt/imperva/": f"{ROOT}/deploy/",
        "/imperva": str(folder),
        "https://fake-repository:8443": f"https://localhost:{tls_port}",
        '"fake-repository", 8443': f'"localhost", {tls_port}',
    }
    _, *arguments = (replaced(argument, here) for argument in demo.command("fake-repository"))
    command = [sys.executable, *arguments, f"--port={port}", f"--tls-port={tls_port}", "--logs=2", "--events=20"]
    health = [replaced(argument, here) for argument in demo.services["fake-repository"]["healthcheck"]["test"][1:]]
    output = folder / "output"
    with running(command, output, PYTHONPATH=str(ROOT)) as server:
        wait_until_healthy(lambda: not python(health).returncode, server, output)
        yield replaced(demo.environment("worker-1")["AIRFLOW_CONN_IMPERVA_DEFAULT"], here)


@contextmanager
def s3_server(folder: Path, demo: Compose) -> Iterator[str]:
    """Start it and wait for its health; gives its URL."""
    try:
        program = object_server.find_program()
    except object_server.CannotRunError as error:
        pytest.skip(str(error))
    ports = dict(zip(object_server.PORTS, object_server.free_ports(len(object_server.PORTS)), strict=True))
    here = {"=/data": f"={folder}", "-ip=s3": "-ip=127.0.0.1", "=0.0.0.0": "=127.0.0.1"}
    command = [program, *(replaced(argument, here) for argument in demo.command("s3"))]
    command += [f"-{name}={port}" for name, port in ports.items()]
    url = f"http://127.0.0.1:{ports['s3.port']}"
    check = demo.services["s3"]["healthcheck"]["test"][-1].replace("http://127.0.0.1:8333", url)
    output = folder / "output"
    with running(command, output, **demo.environment("s3")) as server:
        wait_until_healthy(lambda: answers(check), server, output)
        yield url


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def test_the_fake_repository_gives_a_log_by_the_demos_connection(
    tmp_path: Path, demo: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By TLS, whose certificate is trusted because the connection says so, and with the keys in the shared folder."""
    with fake_repository(tmp_path, demo) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", connection)
        hook = ImpervaLogHook()
        works, message = hook.test_connection()
        assert works, message
        with hook.get_conn() as client:
            assert isinstance(client, RepositoryClient)
            names = client.read_index().names
            content = client.read_log(names[0])
        log = decode(content, log=str(names[0]), keys=hook.key_ring())
        assert len(names) == 2
        assert log.body.count(b"\n") >= 19


def test_nobody_trusts_the_fake_repository_unasked(
    tmp_path: Path, demo: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_repository(tmp_path, demo) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", connection.replace(f"{tmp_path}/ca.pem", ""))
        works, _ = ImpervaLogHook().test_connection()
        assert not works


def test_the_bucket_is_made_and_the_demos_lake_is_usable(
    tmp_path: Path, demo: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice over, since it is made at each start."""
    (tmp_path / "s3").mkdir()
    (tmp_path / "repository").mkdir()
    environment = demo.environment("worker-1")
    with s3_server(tmp_path / "s3", demo) as url, fake_repository(tmp_path / "repository", demo) as connection:
        here = demo.environment("bucket") | {"AWS_ENDPOINT_URL": url}
        for _ in range(2):
            done = python(demo.command("bucket"), **here)
            assert done.returncode == 0, done.stderr
        monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", connection)
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", environment["AIRFLOW_CONN_LAKE"].replace("http://s3:8333", url))
        assert ImpervaLogHook().find_work(environment["IMPERVA_LAKE_URI"], "lake", {})
