"""Where tests write: in memory, where the machine has a file system there that can hold it.

Lakes have thousands of small files, each written through to the disk and removed again. No power is cut in a test, so
on a disk that costs time and shows nothing more. ``TMPDIR`` says otherwise.
"""

from __future__ import annotations

import os
import tempfile

MEMORY = "/dev/shm"
_ROOM = 4 << 30


def use_memory() -> None:
    """Make scratch files of this process, and of those it starts, in memory, unless ``TMPDIR`` says where."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = MEMORY


def _has_room() -> bool:
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    # Tests start programs from there too.
    runs = not found.f_flag & os.ST_NOEXEC
    return runs and os.access(MEMORY, os.W_OK) and found.f_bavail * found.f_frsize >= _ROOM
