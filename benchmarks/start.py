"""What a fresh process costs: ``python -m benchmarks.start LAKE KEYS LOG TIMES`` prints CPU seconds.

The process normalizes one log again and again. It prints what it took until the log was in Parquet for the first time,
with Python's start and all imports, and what it took the last time alone.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from airflow_provider_imperva.container.keys import KeyRing
from benchmarks.batch import Batch

_OTHER_USER = "nobody"


@dataclass(frozen=True, slots=True)
class Start:
    """CPU seconds of one log in a fresh process.

    :param first: from the start of the process on.
    :param last: the last time.
    :param times: how often it was normalized.
    :param user: whose process it was.
    """

    first: float
    last: float
    times: int
    user: str

    @classmethod
    def of(cls, folder: Path, log: str, *, times: int) -> Start:
        """Run this module in a process that finds no cache but the bytecode that pip compiles.

        If possible that is as a user who may not write to the installation.

        :param folder: has the lake and the keys, and takes what the process leaves behind.
        """
        home = folder / "home"
        home.mkdir()
        user = _user()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        environment = {
            "HOME": str(home),
            "TMPDIR": str(home),
            "PATH": os.defpath,
        }
        done = subprocess.run(
            [sys.executable, "-m", __name__, folder / "lake", folder / "keys", log, str(times)],
            check=True,
            stdout=subprocess.PIPE,
            env=environment,
            user=user if os.geteuid() == 0 else None,
        )
        first, last = map(float, done.stdout.split())
        return cls(first, last, times, user)


def _user() -> str:
    """Name another user than the one who could have filled caches, if we may become one and it finds Python."""
    ways = (Path(sys.executable).resolve(), Path(sys.executable), Path(__file__))
    is_reachable = all(parent.stat().st_mode & 0o001 for way in ways for parent in way.parents)
    return _OTHER_USER if os.geteuid() == 0 and is_reachable else pwd.getpwuid(os.geteuid()).pw_name


def main(arguments: list[str]) -> None:
    """Normalize, and print."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    lake, keys, log, times = arguments
    batch = Batch(Path(lake), [log])
    ring = KeyRing.from_folder(keys)
    batch.normalize(ring)
    first = time.process_time()
    for _ in range(int(times) - 1):
        batch.forget()
        before = time.process_time()
        batch.normalize(ring)
    print(first, time.process_time() - before)


if __name__ == "__main__":
    main(sys.argv[1:])
