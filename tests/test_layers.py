"""What reads, decodes and stores logs needs no Airflow, and its parts depend one way only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

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

# In a process of its own for each module: imports it with all that is inside it, then tells what of Airflow came
# along. The package's own name begins like Airflow's, so only the whole first segment counts. A `__main__` starts
# something when it is imported. Libraries that many modules need are loaded once, before these processes part.
IMPORT_ALL_OF = """
import importlib, json, os, pkgutil, sys

import cryptography.x509, fsspec, numpy, pyarrow.compute, pyarrow.parquet, requests

for name in sys.argv[1:]:
    if not os.fork():
        try:
            module = importlib.import_module(name)
            for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
                if not found.name.endswith(".__main__"):
                    importlib.import_module(found.name)
            airflow = sorted(loaded for loaded in sys.modules if loaded.split(".")[0] == "airflow")
            print(json.dumps([name, airflow]), flush=True)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{name} cannot be imported")
"""


def airflow_modules_after_importing(*modules: str) -> dict[str, list[str]]:
    """Import each module in a fresh process; one that does not exist is an error, never an empty answer."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_OF, *modules],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def test_the_probe_sees_airflow_where_it_is() -> None:
    """Otherwise the next test could not fail."""
    assert "airflow" in airflow_modules_after_importing("airflow.version")["airflow.version"]


def test_importing_them_brings_no_airflow() -> None:
    """The command line runs where Airflow is not installed, and Airflow reads the package's root while it starts."""
    modules = [f"{PACKAGE}.{name}" for name in (*WITHOUT_AIRFLOW, "get_provider_info")]
    assert airflow_modules_after_importing(*modules) == {module: [] for module in modules}


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
