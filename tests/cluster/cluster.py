"""A whole Airflow on loopback: PostgreSQL, Redis, and each of Airflow's services as a process of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg2
import redis
import requests
from cryptography.fernet import Fernet

from tests import debian
from tests.cluster import services
from tests.crash.object_server import free_ports

HERE = Path(__file__).resolve().parent
DAG_ID = "imperva_cluster"
_START_SECONDS = 300
_STOP_SECONDS = 20


class CannotStartError(Exception):
    """Something that the cluster needs is not there, or does not start."""


class Batch(NamedTuple):
    """One try of a mapped task.

    :ivar seconds: how long it took.
    :ivar ended: when it ended, UTC; None if it has not.
    """

    step: str
    number: int
    attempt: int
    state: str
    worker: str
    seconds: float
    ended: datetime | None


@dataclass
class Cluster:
    """Airflow's processes, and what its database says of them."""

    folder: Path
    environment: dict[str, str]
    database: str
    processes: dict[str, psutil.Popen] = field(default_factory=dict)

    def start(self, name: str, *, log_port: int) -> None:
        """Start one of Airflow's services."""
        environment = self.environment | {
            "SERVICE": name,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_port),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_port),
        }
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = psutil.Popen(
                _in_this_environment(services.SERVICES[name]),
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, command: Sequence[str]) -> None:
        """Run one of Airflow's commands to its end."""
        done = subprocess.run(
            _in_this_environment(command), env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotStartError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Let a service and all that it has started stand still."""
        family = self._family(name)
        for one in family:
            one.suspend()
        try:
            yield
        finally:
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    def kill(self, name: str) -> None:
        """Kill a service and all that it has started, at once, as when its machine dies."""
        family = self._family(name)
        for one in family:
            one.kill()
        psutil.wait_procs(family)
        del self.processes[name]

    def _family(self, name: str) -> list[psutil.Process]:
        process = self.processes[name]
        return [process, *process.children(recursive=True)]

    def stop(self) -> None:
        """End every service."""
        everyone = [one for name in self.processes for one in self._family(name)]
        for process in self.processes.values():
            process.terminate()
        _, alive = psutil.wait_procs(everyone, timeout=_STOP_SECONDS)
        for one in alive:
            one.kill()
        psutil.wait_procs(alive)
        self.processes.clear()

    def dead(self) -> list[str]:
        """Return the services that have ended though nobody asked them to."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def tail(self, name: str) -> str:
        """Return the end of what a service printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask Airflow's database."""
        connection = psycopg2.connect(self.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def has_deferred(self, task_id: str) -> bool:
        """Tell whether a task has gone to the triggerer.

        :raises CannotStartError: if the run has ended, and will never see to it.
        """
        states = self.task_states()
        if self.run_state() in ("success", "failed"):
            raise CannotStartError(f"the run has ended, and {task_id} has never deferred: {states}")
        return states.get(task_id) == "deferred"

    def run_state(self) -> str | None:
        """Return the state of the DAG's run, if there is one."""
        found = self.query(f"SELECT state FROM dag_run WHERE dag_id = '{DAG_ID}'")
        return str(found[0][0]) if found else None

    def task_states(self) -> dict[str, str]:
        """Return the states of the tasks that are not mapped."""
        sql = f"SELECT task_id, state FROM task_instance WHERE dag_id = '{DAG_ID}' AND map_index < 0"
        return dict(self.query(sql))

    def batches(self) -> list[Batch]:
        """Return every try of every batch, also those that came to nothing."""
        columns = "task_id, map_index, try_number, coalesce(state, 'none'), hostname, coalesce(duration, 0), end_date"
        tries = [
            self.query(f"SELECT {columns} FROM {table} WHERE dag_id = '{DAG_ID}' AND map_index >= 0")
            for table in ("task_instance", "task_instance_history")
        ]
        found = [Batch(row[0].removeprefix("load."), *row[1:]) for row in tries[0] + tries[1]]
        return sorted(found, key=lambda batch: (batch.number, batch.step, batch.attempt))


@contextmanager
def cluster(
    folder: Path,
    environment: Mapping[str, str],
    *,
    pool: str,
    slots: int,
    workers: Sequence[str] = services.WORKERS,
) -> Iterator[Cluster]:
    """Run a cluster, all of whose files are in a folder.

    :param environment: what all processes get besides Airflow's own settings, such as connections.
    :param pool: the repository's pool.
    :param slots: how large it is.
    :param workers: which of the workers.
    """
    [port] = free_ports(1)
    password = secrets.token_hex(16)
    with (
        redis_server(folder, port=port, password=password),
        airflow(
            folder,
            {"AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"), **environment},
            names=[name for name in services.SERVICES if name in workers or name not in services.WORKERS],
            broker=f"redis://:{password}@127.0.0.1:{port}/0",
            set_up=[services.create_pool(pool, slots)],
        ) as started,
    ):
        yield started


@contextmanager
def airflow(
    folder: Path,
    environment: Mapping[str, str],
    *,
    names: Sequence[str],
    broker: str | None = None,
    set_up: Sequence[Sequence[str]] = (),
) -> Iterator[Cluster]:
    """Run services of Airflow on a PostgreSQL of their own, all of whose files are in a folder.

    :param environment: what all processes get besides Airflow's own settings, ``AIRFLOW__CORE__DAGS_FOLDER`` among it.
    :param names: which services.
    :param broker: URL of Redis for Celery workers; without it the scheduler runs the tasks itself.
    :param set_up: commands to run before the services start.
    """
    api_port, postgres_port, *log_ports = free_ports(2 + len(names))
    password = secrets.token_hex(16)
    database = f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{postgres_port}/airflow"
    own_secrets = services.Secrets(
        fernet_key=Fernet.generate_key().decode(),
        jwt_secret=secrets.token_hex(32),
        api_secret_key=secrets.token_hex(32),
    )
    shared = services.settings(
        database=database, broker=broker, api_server=f"http://127.0.0.1:{api_port}", secrets=own_secrets
    )
    with ExitStack() as stack:
        stack.enter_context(postgres(folder, port=postgres_port, password=password))
        started = Cluster(
            folder,
            _clean_environment() | shared | _local_settings(folder, api_port=api_port) | dict(environment),
            database.replace("+psycopg2", ""),
        )
        for command in (services.MIGRATE, *set_up):
            started.run(command)
        stack.callback(started.stop)
        for name, log_port in zip(names, log_ports, strict=True):
            started.start(name, log_port=log_port)
        wait_for(lambda: _is_healthy(api_port), "the API server", watch=started)
        yield started


def _local_settings(folder: Path, *, api_port: int) -> dict[str, str]:
    """Return what is so only because all runs on one small machine, and is to be over in minutes."""
    return {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.cluster.worker_name.worker_name",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        # How soon a killed worker's tasks are noticed: those that run, and those that it had taken but not begun.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
        "PYTHONPATH": str(HERE.parents[1]),
        "SERVICE": "command",
    }


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_"))}


def _in_this_environment(command: Sequence[str]) -> list[str]:
    """Run ``airflow`` with this very Python, whatever is on the PATH."""
    program, *arguments = command
    return [sys.executable, f"{sysconfig.get_path('scripts')}/{program}", *arguments]


@contextmanager
def postgres(folder: Path, *, port: int, password: str) -> Iterator[None]:
    """Run PostgreSQL with an empty database ``airflow``; as root, under the user ``postgres``, since it has to."""
    found = debian.PACKAGES["postgresql"].program()
    if found is None:
        raise CannotStartError("PostgreSQL is not installed (Debian package postgresql)")
    initdb = Path(found)
    # Not below the folder, to which its user may have no way.
    home = Path(tempfile.mkdtemp(prefix="imperva-postgres-"))
    (home / "password").write_text(password)
    as_user: dict[str, Any] = {"cwd": home}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        for path in (home, home / "password"):
            os.chown(path, user.pw_uid, user.pw_gid)
        as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    log = folder / "postgres.log"
    stores = f"{home}/data"
    make = [str(initdb), "-D", stores, "-U", "airflow", f"--pwfile={home}/password", "--auth=scram-sha-256"]
    serve = [str(initdb.with_name("postgres")), "-D", stores, "-p", str(port), "-k", str(home)]
    # What a crash of this machine would do to it is of no interest here.
    serve += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"]
    try:
        with log.open("w") as output:
            if subprocess.run([*make, "-E", "UTF8"], stdout=output, stderr=output, check=False, **as_user).returncode:
                raise CannotStartError(f"PostgreSQL makes no database:\n{log.read_text()[-3000:]}")
            server = subprocess.Popen(serve, stdout=output, stderr=output, **as_user)
        try:
            address = f"postgresql://airflow:{password}@127.0.0.1:{port}"
            wait_for(lambda: _answers(psycopg2.connect, f"{address}/postgres"), "PostgreSQL", log=log)
            connection = psycopg2.connect(f"{address}/postgres")
            connection.autocommit = True
            connection.cursor().execute("CREATE DATABASE airflow")
            connection.close()
            yield
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def redis_server(folder: Path, *, port: int, password: str) -> Iterator[None]:
    """Run Redis, all in memory."""
    program = shutil.which("redis-server")
    if program is None:
        raise CannotStartError("Redis is not installed (Debian package redis-server)")
    settings = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ''\nappendonly no\n"
    log = folder / "redis.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [program, "-"], stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=folder, text=True
        )
    assert server.stdin is not None
    server.stdin.write(settings)
    server.stdin.close()
    try:
        client = redis.Redis(port=port, password=password)
        wait_for(lambda: _answers(client.ping), "Redis", log=log)
        client.close()
        yield
    finally:
        server.terminate()
        server.wait()


def wait_for(
    happened: Callable[[], object],
    what: str,
    *,
    seconds: float = _START_SECONDS,
    watch: Cluster | None = None,
    log: Path | None = None,
) -> None:
    """Wait until something has happened.

    :raises CannotStartError: if it does not in time, or a service of the cluster ends meanwhile.
    """
    until = time.monotonic() + seconds
    while not happened():
        if watch and (dead := watch.dead()):
            raise CannotStartError(f"{dead[0]} has ended:\n{watch.tail(dead[0])}")
        if time.monotonic() > until:
            output = log.read_text(errors="replace")[-3000:] if log else ""
            raise CannotStartError(f"waited {seconds:.0f} s in vain for {what}\n{output}")
        time.sleep(0.2)


def _answers(ask: Callable[..., Any], *arguments: Any) -> bool:
    try:
        answer = ask(*arguments)
    except (psycopg2.OperationalError, redis.RedisError):
        return False
    if hasattr(answer, "close"):
        answer.close()
    return True


def _is_healthy(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5).ok
    except requests.RequestException:
        return False
