"""Runs pytest again and again, each time in a process and a checkout of its own, but loads what tests use once.

Nothing of the project is loaded before the fork, nor anything that reads the environment when it is imported, such as
Airflow.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import pytest

PLUGINS = ("pytest_timeout", "_hypothesis_pytestplugin", "xdist.plugin")
"""Of all that are installed, those that tests need; to look for others takes longer than a test."""

_FAILED = "failed-tests"

LOADED = (
    *(
        "deltalake",
        "duckdb",
        "hypothesis.strategies",
        "hypothesis.stateful",
        "pyarrow.compute",
        "pyarrow.dataset",
        "pyarrow.parquet",
    ),
    *(
        "cryptography.hazmat.primitives.ciphers",
        "cryptography.hazmat.primitives.serialization",
        "fsspec",
        "isal.isal_zlib",
    ),
    *("jinja2", "msgspec", "numpy", "requests", "rich.table", "rich.progress", "tenacity"),
)


class Ended(NamedTuple):
    """How a run of pytest ended: its exit code, and the identifiers of the tests that failed."""

    code: int
    failed: list[str]


class ForkServer:
    """A process that forks for each run of pytest; one run at a time."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, checkout: Path, arguments: Sequence[str]) -> Ended:
        """Run pytest in a checkout."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(checkout), [*arguments]]), file=self._process.stdin, flush=True)
        return Ended(*json.loads(self._process.stdout.readline()))


def serve() -> None:
    """Fork for each line of standard input, and answer with how that process has ended."""
    answers = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("pytest", *PLUGINS, *LOADED):
        # A test that needs what is not there is skipped, or says so.
        with contextlib.suppress(ImportError):
            import_module(name)
    for line in sys.stdin:
        checkout, arguments = json.loads(line)
        if not (child := os.fork()):
            os.dup2(nothing, 0)
            os._exit(run(checkout, arguments))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        failed = Path(checkout, _FAILED)
        print(json.dumps([code, failed.read_text().splitlines() if failed.exists() else []]), file=answers, flush=True)


def run(checkout: str, arguments: list[str]) -> int:
    """Be ``python -m pytest`` in a checkout; what is started there imports from there too, and writes there."""
    import pytest

    scratch = Path(checkout, "scratch")
    scratch.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    os.chdir(checkout)
    os.environ["PYTHONPATH"] = checkout
    sys.path.insert(0, checkout)
    return int(
        pytest.main([*(f"-p{plugin}" for plugin in PLUGINS), *arguments], plugins=[_Failures(Path(checkout, _FAILED))])
    )


class _Failures:
    """A plugin that writes down which tests fail."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            with self._path.open("a") as lines:
                print(report.nodeid, file=lines)


if __name__ == "__main__":
    serve()
