"""What reads, decodes and stores logs needs no Airflow, and its parts depend one way only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_imperva"
WITHOUT_AIRFLOW = (
    "errors",
    "clock",
    "documentation",
    "extras",
    "uri",
    "options",
    "repository",
    "delivery",
    "container",
    "events",
    "privacy",
    "lake",
    "table",
    "seal",
    "load",
    "audit",
    "forward",
    "ocsf",
    "retention",
    "cli",
    "testing",
)

# Imports a module with all that is inside it, then tells what of Airflow came along. The package's own name begins
# like Airflow's, so only the whole first segment counts. A `__main__` starts something when it is imported.
IMPORT_ALL_OF = """
import importlib, json, pkgutil, sys

module = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
    if not found.name.endswith(".__main__"):
        importlib.import_module(found.name)
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] == "airflow")))
"""


def airflow_modules_after_importing(module: str) -> list[str]:
    """Import a module in a fresh interpreter; one that does not exist is an error, never an empty answer."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_OF, module],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, f"{module} cannot be imported:\n{done.stderr}"
    return [str(name) for name in json.loads(done.stdout.splitlines()[-1])]


def test_the_probe_sees_airflow_where_it_is() -> None:
    """Otherwise the next test could not fail."""
    assert "airflow" in airflow_modules_after_importing("airflow.version")


@pytest.mark.parametrize("module", [*WITHOUT_AIRFLOW, "get_provider_info"])
def test_importing_it_brings_no_airflow(module: str) -> None:
    """The command line runs where Airflow is not installed, and Airflow reads the package's root while it starts."""
    assert airflow_modules_after_importing(f"{PACKAGE}.{module}") == []


def test_the_contract_names_the_same_modules() -> None:
    """A module added to one list and forgotten in the other would be checked by half."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidding = next(contract for contract in contracts if "airflow" in contract.get("forbidden_modules", []))
    assert sorted(forbidding["source_modules"]) == sorted(f"{PACKAGE}.{name}" for name in WITHOUT_AIRFLOW)


def test_the_layers_hold() -> None:
    """Each contract of pyproject.toml is kept, chains of imports included."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
