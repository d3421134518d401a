"""Reintroduces known bugs, one at a time, in a copy of the checkout, and shows that tests notice each.

Most are bugs of tools that read these logs before this one; the others break what the promises rest on. Run by
``make mutants``. Exits with 1 if a bug is not noticed, if its place in the code is no longer there, or if a test that
noticed one fails without it too.
"""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
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
_OPTIONS = ("-q", "-p", "no:cacheprovider", "--hypothesis-profile=unshrunk")
_PASSED, _FAILED = 0, 1
_NOTICED = "red"
_AT_ONCE = (os.cpu_count() or 1) + 1
"""One more than there are processors, since some tests wait."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutation.

    :ivar word: ``red`` if a test noticed it.
    :ivar failed: identifiers of the tests that failed, as pytest takes them.
    """

    word: str
    failed: tuple[str, ...] = ()


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
        verdicts = _verdicts(sound)
        unmutated = _run_unmutated(sound, sorted({test for verdict in verdicts for test in verdict.failed}))
    if unmutated.returncode != _PASSED:
        print(unmutated.stdout)
        print("Tests that noticed a bug fail, or are not there, without any: their verdicts prove nothing.")
        return 1
    table = Table("reintroduced bug", "noticed by", "verdict")
    for mutation, verdict in zip(MUTATIONS, verdicts, strict=True):
        table.add_row(mutation.bug, "\n".join(verdict.failed or mutation.tests), verdict.word)
    Console(width=130).print(table)
    noticed = sum(verdict.word == _NOTICED for verdict in verdicts)
    print(f"{noticed} of {len(MUTATIONS)} noticed in {time.monotonic() - began:.0f} s")
    return 0 if noticed == len(MUTATIONS) else 1


def _verdicts(sound: Path) -> list[Verdict]:
    servers: SimpleQueue[ForkServer] = SimpleQueue()

    def verdict(mutation: Mutation) -> Verdict:
        server = servers.get()
        try:
            return _verdict(mutation, sound, server)
        finally:
            servers.put(server)

    with ExitStack() as stack:
        for _ in range(_AT_ONCE):
            servers.put(stack.enter_context(ForkServer()))
        return list(stack.enter_context(ThreadPoolExecutor(_AT_ONCE)).map(verdict, MUTATIONS))


def _verdict(mutation: Mutation, sound: Path, server: ForkServer) -> Verdict:
    # With what Python has compiled there: what it kept of the mutated file is older than it, and not used.
    checkout = Path(tempfile.mkdtemp(dir=sound.parent))
    shutil.copytree(sound, checkout, dirs_exist_ok=True)
    try:
        mutation.apply(checkout)
    except subprocess.CalledProcessError:
        return Verdict("NO VERDICT (it does not compile)")
    ended = server.run(checkout, [*_OPTIONS, "-x", *(f"tests/{name}" for name in mutation.tests)])
    shutil.rmtree(checkout)
    # Anything else than failed tests, such as code that cannot be imported, proves nothing.
    words = {_FAILED: _NOTICED, _PASSED: "NOT NOTICED"}
    return Verdict(words.get(ended.code, f"NO VERDICT (pytest ended with {ended.code})"), tuple(ended.failed))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _run_unmutated(sound: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    named = Path(sound, "tests-to-run")
    named.write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", *_OPTIONS, "-n", str(_AT_ONCE), f"@{named}"]
    environment = os.environ | {"PYTHONPATH": str(sound)}
    return subprocess.run(command, cwd=sound, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
