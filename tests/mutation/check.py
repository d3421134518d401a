"""Reintroduces known bugs, one at a time, in a copy of the checkout, and shows that tests notice each.

Most are bugs of tools that read these logs before this one; the others break what the promises rest on. Run by
``make mutants``. Exits with 1 if a bug is not noticed, or if its place in the code is no longer there.
"""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutation import areas
from tests.mutation.mutation import ROOT, Mutation

_COPIED = ("airflow_provider_imperva", "pages", "tests", "pyproject.toml")
_PASSED, _FAILED = 0, 1


MUTATIONS: list[Mutation] = [
    mutation
    for area in pkgutil.iter_modules(areas.__path__)
    for mutation in import_module(f"{areas.__name__}.{area.name}").MUTATIONS
]
"""What the modules in `areas` list, one module an area."""


def main() -> int:
    """Run all, and print a table."""
    began = time.monotonic()
    rotten = [mutation for mutation in MUTATIONS if mutation.places != 1]
    for mutation in rotten:
        print(f"{mutation.file} has the text of {mutation.bug!r} {mutation.places} times: mend tests/mutation/areas")
    if rotten:
        return 1
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        sound = Path(folder, "sound")
        sound.mkdir()
        for name in _COPIED:
            _copy(ROOT / name, sound / name)
        tests = sorted({test for one in MUTATIONS for test in one.tests})
        unmutated = _run(sound, tests, "-n", str(os.cpu_count()))
        if unmutated.returncode != _PASSED:
            print(unmutated.stdout)
            print("The tests fail without any mutation; nothing can be told.")
            return 1
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            verdicts = list(pool.map(lambda mutation: _verdict(mutation, sound), MUTATIONS))
    table = Table("reintroduced bug", "tests", "verdict")
    for mutation, verdict in zip(MUTATIONS, verdicts, strict=True):
        table.add_row(mutation.bug, "\n".join(mutation.tests), verdict)
    Console(width=130).print(table)
    noticed = verdicts.count("red")
    print(f"{noticed} of {len(MUTATIONS)} noticed in {time.monotonic() - began:.0f} s")
    return 0 if noticed == len(MUTATIONS) else 1


def _verdict(mutation: Mutation, sound: Path) -> str:
    # With what Python has compiled there: what it kept of the mutated file is older than it, and not used.
    checkout = Path(tempfile.mkdtemp(dir=sound.parent))
    shutil.copytree(sound, checkout, dirs_exist_ok=True)
    mutation.apply(checkout)
    code = _run(checkout, mutation.tests, "-x").returncode
    shutil.rmtree(checkout)
    # Anything else than failed tests, such as code that cannot be imported, proves nothing.
    return {_FAILED: "red", _PASSED: "NOT NOTICED"}.get(code, f"NO VERDICT (pytest ended with {code})")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _run(checkout: Path, tests: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *options,
        *(f"tests/{name}" for name in tests),
    ]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
