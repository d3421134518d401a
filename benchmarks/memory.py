"""Peak memory of a fresh process: ``python -m benchmarks.memory [LAKE KEYS LOG]`` prints it in bytes.

With arguments the process normalizes that log of that lake first; without, it only imports what that takes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from airflow_provider_imperva.container.keys import KeyRing
from benchmarks.batch import Batch


def peak_of(*arguments: str | Path) -> int:
    """Run this module in a process of its own, and return its peak in bytes."""
    command = [sys.executable, "-m", __name__, *map(str, arguments)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _peak() -> int:
    # Not ru_maxrss: that one outlives exec, and would count the pages of the process that started this one.
    match = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise SystemExit("This kernel does not tell the peak of a process (VmHWM). Run the benchmark on Linux.")
    return int(match[1]) * 1024


def main(arguments: list[str]) -> None:
    """Normalize, if there is anything to, and print the peak."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if arguments:
        lake, keys, log = arguments
        Batch(Path(lake), [log]).normalize(KeyRing.from_folder(keys))
    print(_peak())


if __name__ == "__main__":
    main(sys.argv[1:])
