"""What many tests read and none changes: made once, although several processes share the tests."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


def made_once(shared: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first test to ask for it makes, and all others wait for.

    :param shared: the folder that all processes of this run have in common (the fixture ``shared_folder``).
    :param name: of the folder in it.
    :param make: makes it, at a path where nothing is.
    """
    folder, made = shared / name, shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder
