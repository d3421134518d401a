"""Finds the Pythons that the project supports, on the PATH or where pyenv keeps them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PYTHONS = ("3.11", "3.12", "3.13")
_RUNS = "import ensurepip, venv"


def interpreter(version: str) -> str:
    """Find the Python of that version, one that really runs; end the program if there is none."""
    for python in _candidates(version):
        if subprocess.run([python, "-c", _RUNS], capture_output=True, check=False).returncode == 0:
            return python
    sys.exit(f"No python{version} with venv on the PATH or in pyenv. This needs all of {', '.join(PYTHONS)}.")


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    # What pyenv has installed but not chosen is on the PATH as a stand-in that does not run.
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(root.glob(f"versions/{version}.*/bin/python{version}")))
