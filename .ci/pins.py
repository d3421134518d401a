"""Writes requirements/: the exact version of everything that each purpose needs.

``make demo`` installs ``run.txt``; every other file has what its purpose needs on top. All purposes are resolved at
once, so that they never contradict each other, and for every Python from 3.11.0 on: where the answers differ, an
environment marker says which Python a line is for. Only wheels are taken, so no compiler is needed.

Versions that still fit are kept; ``--upgrade`` takes the newest of everything. Run by ``make pins``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.markers import Environment, default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
LOWEST_PYTHON = "3.11"
PURPOSES = {
    "run": ["demo"],
    "test": ["test"],
    "plots": ["plots"],
    "cluster": ["cluster"],
    "lint": ["lint"],
    "docs": ["docs"],
    "bench": ["bench"],
    "build": ["build"],
    "pins": ["pins"],
}
"""Each purpose, with its dependency groups in pyproject.toml."""
OLDER_AIRFLOWS = {
    "3.1": [],
    # With a later FastAPI no task of Airflow 3.2 starts: "Model 'TITerminalStatePayload' needs a discriminator field".
    "3.2": ["fastapi<0.137"],
}
"""Each has a file of its own, with all that the tests need beside it, and what Airflow forgets to ask for."""
PYTHONS = [f"3.{minor}.{patch}" for minor in (11, 12, 13, 14) for patch in range(8)]
SYSTEMS = ["linux", "darwin"]

HEADER = """\
# {what}
# Made by `make pins`. Do not edit: change pyproject.toml, then run `make pins`.
"""


def main() -> None:
    """Resolve everything at once, then each purpose within that; then what the tests need on older Airflows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of everything")
    upgrade = parser.parse_args().upgrade
    with tempfile.TemporaryDirectory() as folder:
        resolver = Resolver(Path(folder))
        kept = [] if upgrade else [pin for purpose in PURPOSES for pin in pins(purpose)]
        within = resolver.resolve([group for groups in PURPOSES.values() for group in groups], keep=kept)
        run = resolver.resolve(PURPOSES["run"], within=within)
        write("run", "What running the provider and its demo needs.", run)
        # What renews the pins has to work while run.txt does not.
        write("pins", "What `make pins` itself needs, complete.", resolver.resolve(["pins"], within=within, alone=True))
        for purpose, groups in PURPOSES.items():
            if purpose in ("run", "pins"):
                continue
            needed = resolver.resolve(PURPOSES["run"] + groups, within=within)
            besides = [pin for pin in needed if pin not in run]
            write(purpose, f"What the purpose `{purpose}` needs beside run.txt.", besides)
        engines = resolver.resolve(["engines"], alone=True, keep=[] if upgrade else pins("engines"), source="pyspark")
        write("engines", "What the environment `.engines` has, complete.", engines)
        for airflow, forgotten in OLDER_AIRFLOWS.items():
            name = f"airflow-{airflow}"
            needed = resolver.resolve(
                PURPOSES["run"] + PURPOSES["test"],
                besides=[f"apache-airflow=={airflow}.*", *forgotten],
                keep=[] if upgrade else pins(name),
            )
            write(name, f"What the tests need on Airflow {airflow}, complete.", needed)


class Resolver:
    """Resolves requirements of pyproject.toml by uv, in a folder for files of the moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        # The project is installed in place, without a build environment of its own.
        self._to_build = project["build-system"]["requires"]

    def resolve(
        self,
        groups: Sequence[str],
        *,
        alone: bool = False,
        besides: Sequence[str] = (),
        within: Sequence[str] = (),
        source: str | None = None,
        keep: Sequence[str] = (),
    ) -> list[str]:
        """Return the pins of the project with these dependency groups.

        :param alone: the groups without the project.
        :param besides: further requirements.
        :param within: pins; no other versions are taken.
        :param source: a package that is taken though it is no wheel.
        :param keep: pins whose versions are kept where they fit.
        """
        # uv keeps the versions of the file that it writes to.
        output = self._file("output", keep)
        command = [sys.executable, "-m", "uv", "--quiet", "--system-certs", "pip", "compile"]
        command += ["--universal", "--python-version", LOWEST_PYTHON, "--no-header", "--no-annotate"]
        command += ["--only-binary=:all:", f"--no-binary={source}"] if source else ["--no-build"]
        command += [f"--group={group}" for group in groups]
        command += ["--constraint", str(self._file("within", within)), "--output-file", str(output)]
        if not alone:
            command += ["pyproject.toml", str(self._file("requirements", [*self._to_build, *besides]))]
        subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"})
        return [line for pin in output.read_text().splitlines() for line in where_supported(pin)]

    def _file(self, name: str, lines: Sequence[str]) -> Path:
        path = self._folder / f"{name}.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path


def where_supported(pin: str) -> Iterator[str]:
    """Take from a pin a marker that holds wherever the project runs; leave out a pin whose marker holds nowhere."""
    requirement = Requirement(pin)
    if requirement.marker is None:
        yield pin
        return
    holds = {requirement.marker.evaluate(dict(environment)) for environment in environments()}
    if holds == {True}:
        yield f"{requirement.name}{requirement.specifier}"
    elif True in holds:
        yield pin


def environments() -> Iterator[Environment]:
    """Return what markers see wherever the project runs."""
    for python in PYTHONS:
        for system in SYSTEMS:
            values = default_environment()
            values["python_full_version"] = python
            values["python_version"] = python.rpartition(".")[0]
            values["sys_platform"] = system
            yield values


def pins(name: str) -> list[str]:
    """Return the lines of a file of pins, without comments; none if it is not there."""
    path = REQUIREMENTS / f"{name}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if not line.startswith("#")]


def write(name: str, what: str, lines: Sequence[str]) -> None:
    """Write one file of pins."""
    (REQUIREMENTS / f"{name}.txt").write_text(HEADER.format(what=what) + "".join(f"{line}\n" for line in lines))
    print(f"requirements/{name}.txt: {len(lines)} pins")


if __name__ == "__main__":
    main()
