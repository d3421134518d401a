"""Runs ``airflow`` again and again, each time in a process of its own, but loads it once.

Of the seconds that a short run takes, Airflow spends nearly all on its imports and on the routes of its execution API.
A server that has both behind it forks for each run, as Airflow's own executors do for each task.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI

LOADED = (
    "airflow.cli.commands.dag_command",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_imperva.container.keys",
    "airflow_provider_imperva.repository.client",
    "alembic.command",
    "alembic.runtime.environment",
    "numpy",
)
"""What each run imports, and takes long."""


class ForkServer:
    """Starts the server for the first run, and tells it what to run.

    Airflow takes its home to be the one it was imported with, so that is a link to the one of the run.

    :param folder: where the link is.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "airflow"
        self._output = folder / "output"
        self._process: subprocess.Popen[str] | None = None

    def run(self, home: Path, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """Run ``airflow`` with these arguments to its end, and return what it printed.

        :param command: the arguments, or ``-c``, Python code and the arguments of that.
        :param environment: of the run; it has :attr:`home` as its home.
        """
        self.home.unlink(missing_ok=True)
        self.home.symlink_to(home)
        if not self._process:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                process_group=0,
            )
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps([command, dict(environment), str(self._output)]), file=self._process.stdin, flush=True)
            assert self._process.stdout.readline(), "the server has ended"
        except BaseException:
            # Such as a test that took too long: the next one is not to get the answer to this one.
            self.close()
            raise
        return self._output.read_text()

    def close(self) -> None:
        """End the server, and a run that is not at its end."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None


def load() -> None:
    """Import what a run needs, and make the routes; no thread is left, and no connection to the database.

    Arrow is left out, since its allocator starts a thread, and so is what imports it.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in LOADED:
        import_module(name)

    import httpx
    from airflow.cli import cli_parser
    from airflow.sdk.execution_time import supervisor
    from sqlalchemy.orm import configure_mappers

    cli_parser.get_parser()
    configure_mappers()
    # Airflow 3.1 makes the routes again for each task of a run in one process; later releases keep them, as this does.
    api = supervisor.in_process_api_server()
    patched: Any = supervisor
    patched.in_process_api_server = lambda: started(api)

    async def make_routes() -> None:
        # They are made for the first request, whichever it is.
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            await client.get("/nothing")

    asyncio.run(make_routes())


def started(api: InProcessExecutionAPI) -> InProcessExecutionAPI:
    """Start the API, in the process that asks it, and wait until it has started, which Airflow does from 3.3 on.

    Before that it may be asked for what it does not have yet, and the task fails.
    """
    # What was handed to its loop before, which is the start, is at its end by then.
    served: Any = api.transport.app
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), served.loop).result()
    return api


def serve() -> None:
    """Fork for each line of standard input, and answer with a line when that process has ended."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # No garbage collection looks at what was loaded: in each process that would copy its memory, and when the process
    # ends take longer than most runs.
    gc.disable()
    load()
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        command, environment, output = json.loads(line)
        if not (child := os.fork()):
            run(command, environment, output)
            return
        os.waitpid(child, 0)
        print("ended", file=answers, flush=True)


def run(command: list[str], environment: dict[str, str], output: str) -> None:
    """Be ``airflow``, or ``python -c``, with these arguments, in this environment."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    if "AIRFLOW__METRICS__STATSD_ON" in environment:
        send_metrics()
    if command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        exec(command[1], {"__name__": "__main__"})
        return
    sys.argv = ["airflow", *command]
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


def send_metrics() -> None:
    """Send metrics where this environment says, which Airflow decides when it is imported."""
    from airflow.sdk._shared.observability.metrics import stats
    from airflow.sdk.observability.metrics import stats_utils

    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


if __name__ == "__main__":
    serve()
