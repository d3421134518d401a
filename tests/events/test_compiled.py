"""Loops compile wherever they run: what they compile to is kept where it can be, and done without where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LOOP = """
import numpy as np
from airflow_provider_imperva.events.scan.compiled import POSITIONS, compiled

@compiled(POSITIONS)
def add_up(numbers):
    total = 0
    for number in numbers:
        total += number
    return total

print(add_up(np.arange(5)), *(sum(counts.values()) for counts in add_up.stats[1:]))
"""

NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"


def start(folder: Path, loop: str = LOOP) -> subprocess.Popen[str]:
    """Run a loop in a process of its own: it prints a sum, and how often it was found in the cache or not."""
    script = folder / "loop.py"
    script.write_text(loop)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home")}
    return subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)


def outcome(process: subprocess.Popen[str]) -> str:
    found, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return found.strip()


def test_what_was_compiled_is_kept_for_the_next_process(tmp_path: Path) -> None:
    assert [outcome(start(tmp_path)) for _ in range(2)] == ["10 0 1", "10 1 0"]


def test_of_two_that_compile_at_once_neither_disturbs_the_other(tmp_path: Path) -> None:
    both = [start(tmp_path), start(tmp_path)]
    assert {outcome(process)[:2] for process in both} == {"10"}
    assert outcome(start(tmp_path)) == "10 1 0"


def test_where_nothing_can_be_kept_every_process_compiles(tmp_path: Path) -> None:
    for name in ("__pycache__", "home"):
        (tmp_path / name).write_text("a file, where a folder would have to be made")
    assert [outcome(start(tmp_path)) for _ in range(2)] == ["10 0 1"] * 2


def test_full_disk_stops_nothing(tmp_path: Path) -> None:
    assert outcome(start(tmp_path, NO_ROOM + LOOP)) == "10 0 1"
    assert [outcome(start(tmp_path)) for _ in range(2)] == ["10 0 1", "10 1 0"]


@pytest.mark.parametrize("module", ["events", "lake.parts", "load.normalize", "load.plan", "cli", "dag", "testing"])
def test_what_reads_no_body_does_not_pay_for_it(module: str) -> None:
    """Importing numba takes a second, which no plan, no commit and no command should take longer."""
    code = f"import sys, airflow_provider_imperva.{module}; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
