"""Compiles the kernel with AddressSanitizer and UBSan, and fuzzes it: ``make sanitize``, which needs gcc.

First a program that reads one byte too many has to be stopped: otherwise the rest would prove nothing. Python takes all
memory from the system here, so that the end of every array is guarded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
CANARY = """
#include <stdint.h>
uint8_t behind(const uint8_t *text, int64_t size) { return text[size]; }
"""
READ_BEHIND = """
import ctypes, sys
import numpy as np
text = np.zeros(1000, np.uint8)
library = ctypes.CDLL(sys.argv[1])
library.behind(ctypes.c_void_p(text.ctypes.data), ctypes.c_int64(999))
print("within", flush=True)
library.behind(ctypes.c_void_p(text.ctypes.data), ctypes.c_int64(1000))
print("behind", flush=True)
"""


def main() -> int:
    """Build, see that a fault is noticed, and fuzz."""
    parser = argparse.ArgumentParser(description="Fuzz the kernel under AddressSanitizer and UBSan.")
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    compiler = os.environ.get("CC", "gcc")
    libraries = [_library(compiler, name) for name in ("libasan.so", "libubsan.so")]
    environment = os.environ | {
        "LD_PRELOAD": ":".join(libraries),
        # Python itself never gives back what it keeps to its end.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    with tempfile.TemporaryDirectory() as folder:
        _see_that_a_fault_is_noticed(compiler, Path(folder), environment)
        library = Path(folder, "lib")
        build = [sys.executable, "setup.py", "--quiet", "build", "--build-base", folder, "--build-lib", str(library)]
        # Not `-fPIC -O3` only: what is said last counts.
        subprocess.run(build, cwd=ROOT, env=os.environ | {"CC": compiler, "CFLAGS": FLAGS}, check=True)
        if not list(library.rglob("_kernel*.so")):
            print("The kernel was not compiled.", file=sys.stderr)
            return 1
        fuzz = [sys.executable, "-m", "tests.fuzz.fuzz_kernel", "--seconds", str(seconds)]
        environment["PYTHONPATH"] = os.pathsep.join([str(library), str(ROOT)])
        # Not from the checkout, whose own package would come first.
        return subprocess.run(fuzz, cwd=folder, env=environment, check=False).returncode


def _library(compiler: str, name: str) -> str:
    answer = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = Path(answer.stdout.strip())
    if not path.is_absolute():
        raise SystemExit(f"{compiler} has no {name}: install gcc with its sanitizers (Debian package gcc).")
    return str(path)


def _see_that_a_fault_is_noticed(compiler: str, folder: Path, environment: dict[str, str]) -> None:
    source, library = folder / "canary.c", folder / "canary.so"
    source.write_text(CANARY)
    subprocess.run([compiler, *FLAGS.split(), "-shared", "-fPIC", source, "-o", library], check=True)
    done = subprocess.run(
        [sys.executable, "-c", READ_BEHIND, library], capture_output=True, text=True, env=environment, check=False
    )
    if done.stdout != "within\n" or "heap-buffer-overflow" not in done.stderr:
        raise SystemExit(f"AddressSanitizer does not notice a read past a buffer:\n{done.stdout}{done.stderr}")
    print("A read of one byte past a buffer is noticed.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
