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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.table import Table

from tests import scratch
from tests.mutation import areas
from tests.mutation.fork_server import ForkServer
from tests.mutation.mutation import ROOT, Mutation

_COPIED = (
    *("airflow_provider_imperva", "docs", "kernel", "pages", "tests"),
    *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
)
_OPTIONS = ("-q", "-p", "no:cacheprovider")
_PASSED, _FAILED = 0, 1
_AT_ONCE = os.cpu_count() or 1


MUTATIONS: list[Mutation] = [
    mutation
    for area in pkgutil.iter_modules(areas.__path__)
    for mutation in import_module(f"{areas.__name__}.{area.name}").MUTATIONS
]
"""What the modules in `areas` list, one module an area."""


def main() -> int:
    """Run all, and print a table."""
    began = time.monotonic()
    scratch.use_memory()
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
        unmutated = _run(sound, tests, "-n", str(_AT_ONCE))
        if unmutated.returncode != _PASSED:
            print(unmutated.stdout)
            print("The tests fail without any mutation; nothing can be told.")
            return 1
        verdicts = _verdicts(sound)
    table = Table("reintroduced bug", "tests", "verdict")
    for mutation, verdict in zip(MUTATIONS, verdicts, strict=True):
        table.add_row(mutation.bug, "\n".join(mutation.tests), verdict)
    Console(width=130).print(table)
    noticed = verdicts.count("red")
    print(f"{noticed} of {len(MUTATIONS)} noticed in {time.monotonic() - began:.0f} s")
    return 0 if noticed == len(MUTATIONS) else 1


def _verdicts(sound: Path) -> list[str]:
    servers: SimpleQueue[ForkServer] = SimpleQueue()

    def verdict(mutation: Mutation) -> str:
        server = servers.get()
        try:
            return _verdict(mutation, sound, server)
        finally:
            servers.put(server)

    with ExitStack() as stack:
        for _ in range(_AT_ONCE):
            servers.put(stack.enter_context(ForkServer()))
        return list(stack.enter_context(ThreadPoolExecutor(_AT_ONCE)).map(verdict, MUTATIONS))


def _verdict(mutation: Mutation, sound: Path, server: ForkServer) -> str:
    # With what Python has compiled there: what it kept of the mutated file is older than it, and not used.
    checkout = Path(tempfile.mkdtemp(dir=sound.parent))
    shutil.copytree(sound, checkout, dirs_exist_ok=True)
    try:
        mutation.apply(checkout)
    except subprocess.CalledProcessError:
        return "NO VERDICT (it does not compile)"
    code = server.run(checkout, [*_OPTIONS, "-x", *_below_tests(mutation.tests)])
    shutil.rmtree(checkout)
    # Anything else than failed tests, such as code that cannot be imported, proves nothing.
    return {_FAILED: "red", _PASSED: "NOT NOTICED"}.get(code, f"NO VERDICT (pytest ended with {code})")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _run(checkout: Path, tests: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *_OPTIONS, *options, *_below_tests(tests)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def _below_tests(names: Iterable[str]) -> Iterator[str]:
    return (f"tests/{name}" for name in names)


if __name__ == "__main__":
    sys.exit(main())
