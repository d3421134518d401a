"""Runs tests on each Airflow that is supported, beside the lowest Python, the one between and the highest.

Run by ``make test-matrix``. Each combination has a virtual environment of its own in ``.matrix/``, with what its
requirements files pin, and the project installed as its users have it. Tests that depend on Airflow run on each, of
those that start a whole Airflow a few: a load, a replay and a coverage page. The way of the bytes, from the repository
into the lake, is tested on the lowest Python too, by the tests of a load. The combination that ``.venv`` has is left
to ``make test``, which runs all tests there; ``.venv/bin/python .ci/matrix.py --all`` runs it nevertheless.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AIRFLOW_TESTS = ("dag", "plugins")
MORE_TESTS = ("load/test_load.py", *AIRFLOW_TESTS)


@dataclass(frozen=True)
class Combination:
    """An Airflow on a Python, as requirements files pin it, and the folders of tests that run there."""

    airflow: str
    python: str
    requirements: tuple[str, ...]
    tests: tuple[str, ...] = AIRFLOW_TESTS

    @property
    def environment(self) -> Path:
        """Where its virtual environment is."""
        return ROOT / ".matrix" / f"airflow-{self.airflow}-python-{self.python}"

    @property
    def is_this(self) -> bool:
        """Whether it is what runs this program, which is ``.venv``."""
        return sys.version.startswith(f"{self.python}.") and version("apache-airflow").startswith(f"{self.airflow}.")

    def set_up(self) -> Path:
        """Make the environment, unless it is newer than its pins, and install the project; return its Python."""
        python, stamp = self.environment / "bin" / "python", self.environment / ".stamp"
        pins = [ROOT / "requirements" / f"{name}.txt" for name in self.requirements]
        pip = [python, "-m", "pip", "-qq", "--disable-pip-version-check", "install", "--no-deps", "--no-compile"]
        if not stamp.exists() or stamp.stat().st_mtime < max(file.stat().st_mtime for file in pins):
            subprocess.run([interpreter(self.python), "-m", "venv", "--clear", self.environment], check=True)
            subprocess.run([*pip, *(f"--requirement={file}" for file in pins)], check=True)
            stamp.touch()
        subprocess.run([*pip, "--no-build-isolation", "--force-reinstall", ROOT], check=True)
        subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "check"], check=True)
        return python

    def test(self) -> bool:
        """Run the tests; tell whether they passed."""
        python = self.set_up()
        see = (
            "import sys, airflow; print('Airflow', airflow.__version__, 'on Python', sys.version.split()[0]);"
            f"sys.exit(not airflow.__version__.startswith('{self.airflow}.'))"
        )
        subprocess.run([python, "-W", "ignore", "-c", see], check=True)
        tests = [f"tests/{name}" for name in self.tests]
        options = ["-q", "-n", "2", "--dist=worksteal", "-p", "no:cacheprovider", "-m", "not airflow or every_airflow"]
        command = [python, "-m", "pytest", *options, *tests]
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


MATRIX = [
    Combination("3.1", "3.11", ("airflow-3.1",), MORE_TESTS),
    Combination("3.2", "3.12", ("airflow-3.2",)),
    Combination("3.3", "3.13", ("run", "test")),
]


def interpreter(version: str) -> str:
    """Find the Python of that version, one that really runs; end the program if there is none."""
    for python in _candidates(version):
        if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0:
            return python
    sys.exit(f"No Python {version} with venv on the PATH or in pyenv: install it, then run make test-matrix again.")


def _candidates(version: str) -> Iterator[str]:
    if path := shutil.which(f"python{version}"):
        yield path
    # What pyenv has installed but not chosen is on the PATH as a stand-in that does not run.
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(root.glob(f"versions/{version}.*/bin/python{version}")))


def main() -> int:
    """Test what is asked for, and say what passed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="also what .venv is, whose tests `make test` runs")
    parser.add_argument("--set-up", action="store_true", help="make the environments, and run nothing")
    arguments = parser.parse_args()
    left_out = [] if arguments.all else [combination for combination in MATRIX if combination.is_this]
    wanted = [combination for combination in MATRIX if combination not in left_out]
    if arguments.set_up:
        for combination in wanted:
            combination.set_up()
        return 0
    results = []
    for combination in wanted:
        began = time.monotonic()
        passed = combination.test()
        results.append((combination, passed, time.monotonic() - began))
    for combination, passed, seconds in results:
        print(
            f"Airflow {combination.airflow} on Python {combination.python}: {'passed' if passed else 'FAILED'}"
            f" ({', '.join(combination.tests)}; {seconds / 60:.0f} min)"
        )
    for combination in left_out:
        print(f"Airflow {combination.airflow} on Python {combination.python}: this is .venv, see make test")
    return not all(passed for _, passed, _ in results)


if __name__ == "__main__":
    sys.exit(main())
