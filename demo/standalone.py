"""``make standalone``: a whole Airflow on this machine to click through, with a repository that gains a log a minute.

It has the lake, the repository and the database of ``make demo``, in ``.demo/``. It runs until Ctrl-C, and ends all
that it started.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import requests
from rich.console import Console

from airflow_provider_imperva.testing import FakeRepository
from demo.setting import DAGS as DAG_FILES
from demo.setting import ROOT, Setting

DAGS = ("imperva_logs_to_parquet", "imperva_coverage")
USER = "admin"
_GAIN_SECONDS = 60
_START_SECONDS = 300
_STOP_SECONDS = 5

console = Console()


class CannotStartError(Exception):
    """Airflow has not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """An Airflow that runs.

    :ivar url: of its user interface.
    :ivar password: of the user ``admin``.
    :ivar log: what all of its processes print.
    """

    url: str
    password: str
    process: subprocess.Popen[bytes]
    log: Path

    def is_up(self) -> bool:
        """Return whether all of its services answer."""
        try:
            health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=10).json()
        except (requests.RequestException, ValueError):
            return False
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor", "triggerer"))

    def ask(self, method: str, path: str, **fields: object) -> Any:
        """Ask its API, as the user; the answer."""
        login = {"username": USER, "password": self.password}
        token = requests.post(f"{self.url}/auth/token", json=login, timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(method, f"{self.url}/api/v2{path}", headers=headers, json=fields or None, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def has_run(self, dag_id: str) -> bool:
        """Return whether a run of a DAG has ended."""
        runs = self.ask("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"]
        return any(run["state"] in ("success", "failed") for run in runs)

    def unpause(self, dag_id: str) -> bool:
        """Let a DAG run; False if Airflow has not read its file yet."""
        try:
            self.ask("PATCH", f"/dags/{dag_id}", is_paused=False)
        except requests.HTTPError:
            return False
        return True


@contextmanager
def standalone(setting: Setting, repository: FakeRepository, *, port: int = 0) -> Iterator[Standalone]:
    """Run Airflow; its output goes to ``standalone.log`` in the setting's folder.

    :param port: of its user interface; a free one if 0.
    :raises CannotStartError: if it does not come up.
    """
    port = port or free_port()
    password = secrets.token_urlsafe(9)
    setting.home.mkdir(parents=True, exist_ok=True)
    write_password(setting.home / "simple_auth_manager_passwords.json.generated", password)
    log = setting.folder / "standalone.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=environment(setting, repository, port=port),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    running = Standalone(url=f"http://127.0.0.1:{port}", password=password, process=process, log=log)
    try:
        wait_for(running.is_up, running)
        yield running
    finally:
        stop(process)


def environment(setting: Setting, repository: FakeRepository, *, port: int) -> dict[str, str]:
    """Return the environment of all of Airflow's processes."""
    url = f"http://127.0.0.1:{port}"
    scripts = sysconfig.get_path("scripts")  # `airflow standalone` starts the others by the name `airflow`
    return setting.environment(repository) | {
        "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_FOLDER": str(link_dags(setting.folder / "dags")),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }


def link_dags(folder: Path) -> Path:
    """Make a DAGs folder that has only the demo's."""
    folder.mkdir(exist_ok=True)
    for name in DAGS:
        with suppress(FileExistsError):
            (folder / f"{name}.py").symlink_to(DAG_FILES / f"{name}.py")
    return folder


def write_password(path: Path, password: str) -> None:
    """Write the password where Airflow's simple auth manager looks for it, for this user's eyes only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump({USER: password}, file)


def free_port(wanted: int = 0) -> int:
    """Return a port of loopback that is free: the wanted one, if it is."""
    for port in (wanted, 0):
        with socket.socket() as tried, suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
            return int(tried.getsockname()[1])
    raise CannotStartError("no port is free")


def wait_for(happened: Callable[[], bool], running: Standalone) -> None:
    """Wait until something has happened.

    :raises CannotStartError: if it does not in time, or Airflow ends meanwhile.
    """
    until = time.monotonic() + _START_SECONDS
    while not happened():
        if running.process.poll() is not None or time.monotonic() > until:
            output = running.log.read_text(errors="replace")[-3000:]
            raise CannotStartError(f"Airflow does not run as it should:\n{output}")
        time.sleep(1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End Airflow, and whatever is left of its session: tasks are in process groups of their own."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_STOP_SECONDS)
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    """Run until Ctrl-C; the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console.rule("[bold]airflow-provider-imperva: a whole Airflow")
    setting = Setting(ROOT / ".demo")
    try:
        with suppress(KeyboardInterrupt), setting.repository() as repository:
            key = setting.new_key()
            gain = setting.add_logs(repository, count=12 if repository.names() else 36, key=key, age_hours=4)
            console.print(f"The repository has {gain.logs} new logs. It gains another each minute.")
            with (
                console.status("Airflow starts, and loads them (a minute or two)") as status,
                standalone(setting, repository, port=free_port(8080)) as running,
            ):
                run_dags(running)
                status.stop()
                tell(running, setting)
                while True:
                    time.sleep(_GAIN_SECONDS)
                    setting.add_logs(repository, count=1, key=key)
    except CannotStartError as error:
        console.print(str(error), markup=False)
        return 1
    return 0


def run_dags(running: Standalone) -> None:
    """Let the DAGs run: the one that writes the coverage page as soon as there is something to show.

    :raises CannotStartError: if they do not.
    """
    for dag_id in DAGS:
        wait_for(partial(running.unpause, dag_id), running)
        wait_for(partial(running.has_run, dag_id), running)


def tell(running: Standalone, setting: Setting) -> None:
    """Say where to go and what to click."""
    console.print(
        f"""
[bold]{running.url}[/]    user [bold]{USER}[/]    password [bold]{running.password}[/]

  [bold]Dags[/] > imperva_logs_to_parquet: a run every ten minutes; a task's button Documentation says what it does
  ... > tab [bold]Imperva[/], or [bold]Browse[/] > Imperva coverage: what is in the lake, and what is not
  ... > a run > commit > Details > [bold]Coverage[/]: the link from the task to that page
  [bold]Admin[/] > Connections > Add > type "Imperva Cloud WAF log repository": the form, with help

Lake: {setting.lake}    Output of Airflow: {setting.folder / "standalone.log"}
Stop it with [bold]Ctrl-C[/].""",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
