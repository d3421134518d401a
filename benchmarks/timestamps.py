"""``python -m benchmarks.timestamps``: what an RFC 3161 timestamp costs a commit.

The authority is OpenSSL's, behind an HTTP server on loopback. It is asked again with 50 ms on top, as of one far away.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from airflow_provider_imperva.seal.timestamps import TimestampAuthority, TrustedAuthorities
from tests.seal.openssl_authority import Authority

_TIMES = 25
_AWAY = 0.05
"""Seconds."""

_COMMIT = bytes(1358)
"""As long as one with a log and a part."""


def main() -> int:
    """Measure, and print a table for the documentation."""
    print("| question | ms by the clock | of them this process |\n| --- | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder) / "authority").make()
        with authority.serve() as url:
            near = TimestampAuthority(url)
            response = near.stamp(_COMMIT)
            _tell("to have a commit stamped, on loopback", lambda: near.stamp(_COMMIT))
        with authority.serve(_from_afar) as url:
            far = TimestampAuthority(url)
            _tell("... by one that takes 50 ms more", lambda: far.stamp(_COMMIT))
        query = (authority.folder / "query.tsq").read_bytes()
        _tell("... OpenSSL alone, without HTTP", lambda: authority.reply(query))
        trusted = TrustedAuthorities.of_files([authority.root])
        sha256 = hashlib.sha256(_COMMIT).hexdigest()
        assert trusted.time_of(response, sha256)  # noqa: S101
        _tell("to verify a timestamp", lambda: trusted.time_of(response, sha256))
    return 0


def _from_afar(response: bytes) -> bytes:
    time.sleep(_AWAY)
    return response


def _tell(question: str, ask: Callable[[], object]) -> None:
    taken = []
    for _ in range(_TIMES):
        began, cpu = time.perf_counter(), time.thread_time()
        ask()
        taken.append((1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - cpu)))
    wall, own = (median(column) for column in zip(*taken, strict=True))
    print(f"| {question} | {wall:.1f} | {own:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
