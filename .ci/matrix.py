"""Runs the unit and DAG tests on the lowest Airflow and Python that are supported, and on the highest.

Run by ``make test-matrix``. Each has a virtual environment of its own in ``.matrix/``, with what its requirements file
pins, and the project installed as its users have it. What ``.venv`` is already is left to ``make test``, which runs
these tests and all others there; ``.venv/bin/python .ci/matrix.py --all`` runs it nevertheless.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pythons import interpreter

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["repository", "container", "events", "lake", "load", "dag", "plugins", "analysis"]


@dataclass(frozen=True)
class Combination:
    """An Airflow on a Python, as a requirements file pins it."""

    airflow: str
    python: str
    requirements: str

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
        pins = ROOT / self.requirements
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--no-compile"]
        if not stamp.exists() or stamp.stat().st_mtime < pins.stat().st_mtime:
            subprocess.run([interpreter(self.python), "-m", "venv", "--clear", self.environment], check=True)
            subprocess.run([*pip, "--requirement", pins], check=True)
            stamp.touch()
        subprocess.run([*pip, "--no-build-isolation", "--force-reinstall", ROOT], check=True)
        return python

    def test(self) -> bool:
        """Run the tests; tell whether they passed."""
        python = self.set_up()
        see = (
            "import sys, airflow; print('Airflow', airflow.__version__, 'on Python', sys.version.split()[0]);"
            f"sys.exit(not airflow.__version__.startswith('{self.airflow}.'))"
        )
        subprocess.run([python, "-W", "ignore", "-c", see], check=True)
        tests = [f"tests/{name}" for name in TESTS]
        command = [python, "-m", "pytest", "-q", "-n", "2", "--dist=worksteal", "-p", "no:cacheprovider", *tests]
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


MATRIX = [
    Combination("3.1", "3.11", "requirements/airflow-3.1.txt"),
    Combination("3.3", "3.13", "requirements.txt"),
]


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
            f" ({seconds / 60:.0f} min)"
        )
    for combination in left_out:
        print(f"Airflow {combination.airflow} on Python {combination.python}: this is .venv, see make test")
    return not all(passed for _, passed, _ in results)


if __name__ == "__main__":
    sys.exit(main())
