"""Writes requirements.txt: the exact version of everything that running, testing, linting and building need.

Every supported Python resolves the project's dependencies for itself, in an empty environment; where the answers
differ, an environment marker says which Python a line is for. No file is installed. Run by ``make pins``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
HEADER = """\
# Exact versions of everything that running, testing, linting and building need, on Python {pythons}.
# Made by `make pins`, which resolves pyproject.toml anew on each of them. Do not edit: change pyproject.toml, then
# run `make pins`.
"""


def main() -> None:
    """Resolve on each Python, then write one file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(requirement for group in project["dependency-groups"].values() for requirement in group),
    ]
    interpreters = {version: interpreter(version) for version in PYTHONS}
    pythons_of: dict[tuple[str, str], list[str]] = {}
    for version, python in interpreters.items():
        print(f"Resolving on Python {version}", flush=True)
        for pin in resolve(python, wanted):
            pythons_of.setdefault(pin, []).append(version)
    lines = [f"{name}=={version}{marker(pythons)}\n" for (name, version), pythons in sorted(pythons_of.items())]
    (ROOT / "requirements.txt").write_text(HEADER.format(pythons=", ".join(PYTHONS)) + "".join(lines))
    print(f"requirements.txt: {len(lines)} pins")


def interpreter(version: str) -> str:
    """Find the Python of that version, one that really runs."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        sys.exit(f"python{version} is not on the PATH or does not run. The pins need all of {', '.join(PYTHONS)}.")
    return python


def resolve(python: str, wanted: list[str]) -> list[tuple[str, str]]:
    """Ask pip for all it would install into an empty environment, as names and versions."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run([python, "-m", "venv", f"{folder}/venv"], check=True)
        pip = [f"{folder}/venv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--dry-run", "--ignore-installed", "--report", report, *wanted], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return [(re.sub(r"[-_.]+", "-", item["name"]).lower(), item["version"]) for item in found]


def marker(pythons: list[str]) -> str:
    """Limit a pin to the Pythons that asked for it; outside the range of all, the nearest one's pins hold."""
    bounds = []
    if pythons[0] != PYTHONS[0]:
        bounds.append(f'python_version >= "{pythons[0]}"')
    if pythons[-1] != PYTHONS[-1]:
        bounds.append(f'python_version < "{PYTHONS[PYTHONS.index(pythons[-1]) + 1]}"')
    return f" ; {' and '.join(bounds)}" if bounds else ""


if __name__ == "__main__":
    main()
