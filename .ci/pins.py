"""Writes requirements.txt: the exact version of everything that running, testing, linting and building need.

Every supported Python resolves the project's dependencies for itself, in an empty environment; where the answers
differ, an environment marker says which Python a line is for. No file is installed. Beside it, ``requirements/`` has
what the tests need on older releases of Airflow. Run by ``make pins``.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

from pythons import PYTHONS, interpreter

ROOT = Path(__file__).resolve().parent.parent
OLDER = {"3.1": "3.11"}
"""Older releases of Airflow that are supported, each with the Python it is tested on."""

HEADER = """\
# Exact versions of everything that {what}, on Python {pythons}.
# Made by `make pins`, which resolves pyproject.toml anew on each of them. Do not edit: change pyproject.toml, then
# run `make pins`.
"""


def main() -> None:
    """Resolve on each Python, and write one file; then one for each older Airflow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    to_run = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    groups = project["dependency-groups"]
    everything = [*to_run, *(requirement for group in groups.values() for requirement in group)]
    write("requirements.txt", "running, testing, linting and building need", everything, PYTHONS)
    for airflow, python in OLDER.items():
        wanted = [*to_run, *groups["test"], f"apache-airflow=={airflow}.*"]
        write(f"requirements/airflow-{airflow}.txt", f"the tests need on Airflow {airflow}", wanted, (python,))


def write(file: str, what: str, wanted: list[str], pythons: tuple[str, ...]) -> None:
    """Resolve on these Pythons, and write the pins."""
    pythons_of: dict[tuple[str, str], list[str]] = {}
    for version in pythons:
        print(f"{file}: resolving on Python {version}", flush=True)
        for pin in resolve(interpreter(version), wanted):
            pythons_of.setdefault(pin, []).append(version)
    systems = systems_of(wanted)
    lines = [
        f"{name}=={version}{marker(found, pythons, systems.get(name))}\n"
        for (name, version), found in sorted(pythons_of.items())
    ]
    path = ROOT / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER.format(what=what, pythons=", ".join(pythons)) + "".join(lines))
    print(f"{file}: {len(lines)} pins")


def resolve(python: str, wanted: list[str]) -> list[tuple[str, str]]:
    """Ask pip for all it would install into an empty environment, as names and versions."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run([python, "-m", "venv", f"{folder}/venv"], check=True)
        pip = [f"{folder}/venv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--dry-run", "--ignore-installed", "--report", report, *wanted], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return [(canonical(item["name"]), item["version"]) for item in found]


def systems_of(wanted: list[str]) -> dict[str, str]:
    """Return the marker of those requirements that are for one system only, such as a program that comes as a wheel."""
    limited = (requirement.partition(";") for requirement in wanted if "sys_platform" in requirement)
    return {canonical(re.split(r"[^\w.-]", name, maxsplit=1)[0]): limit.strip() for name, _, limit in limited}


def canonical(name: str) -> str:
    """Write a package's name as the index does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def marker(found: list[str], pythons: tuple[str, ...], system: str | None) -> str:
    """Limit a pin to the Pythons that asked for it; outside the range of all, the nearest one's pins hold."""
    bounds = [system.replace("'", '"')] if system else []
    if found[0] != pythons[0]:
        bounds.append(f'python_version >= "{found[0]}"')
    if found[-1] != pythons[-1]:
        bounds.append(f'python_version < "{pythons[pythons.index(found[-1]) + 1]}"')
    return f" ; {' and '.join(bounds)}" if bounds else ""


if __name__ == "__main__":
    main()
