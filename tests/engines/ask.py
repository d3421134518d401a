"""Asks the engines, each in a process of the environment ``.engines``."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.engines.oddities import OddLake, make_lake
from tests.engines.spoil import spoilt_copy

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".engines" / "bin" / "python"


def make_lakes(folder: Path) -> tuple[OddLake, Path]:
    """Make the lake, and the copy of it that is spoilt."""
    lake = make_lake(folder / "lake")
    return lake, spoilt_copy(lake.root, folder / "spoilt")


def ask(engine: str, lake: OddLake, spoilt: Path) -> dict[str, Any]:
    """Return what an engine finds.

    :raises subprocess.CalledProcessError: if it cannot be asked.
    """
    command = [str(PYTHON), "-m", "tests.engines.readers", engine, str(lake.root), str(spoilt)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def environment() -> dict[str, str]:
    """Return the environment without what would make Python look elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
