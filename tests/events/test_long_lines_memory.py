"""What a very long line takes in memory, in a process of its own: 2 GB of each kind in the long form, else 130 MB."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.long_form import LONG


@pytest.fixture(autouse=True, scope="module")
def reader() -> None:
    """That process reads with whichever reader is there, whatever is chosen in this one."""


_PEAK = """
import resource, sys
from airflow_provider_imperva.events import LogSource, parse
def peak():
    # Of this process: what ru_maxrss tells is inherited from the one that started it.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) >> 10
def body(begin, piece, pieces, end):
    yield begin
    for _ in range(pieces):
        yield piece
    yield end
kind, pieces = sys.argv[1], int(sys.argv[2])
piece = {"text": b"x" * 8, "pairs": b"ab=1 c=2", "list": b"1,1,1,1,"}[kind[5:]] * (1 << 20)
good = b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| start=1700000000001 src=192.0.2.1\\n"
begin, end, line = {
    "CEF__": (b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| request=", b"\\n", good),
    "JSON_": (b'{"a":' + (b'"' if kind == "JSON_text" else b"["), b"}\\n", b'{"b":1}\\n'),
    "NONE_": (b"nonsense", b"\\n", b"nonsense\\n"),
}[kind[:5]]
rows = quarantined = lines = 0
for block in parse(body(line + begin, piece, pieces, end + line), LogSource(file="1_1.log", sequence=1)):
    rows += block.events.num_rows
    quarantined += block.quarantined.num_rows
    lines += block.lines
print(rows, quarantined, lines, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    ("kind", "most"),
    [
        *(("CEF__text", 200), ("JSON_text", 300)),
        *([("CEF__pairs", 200), ("NONE_text", 200), ("JSON_list", 700)] if LONG else ()),
    ],
)
def test_very_long_line_takes_no_memory_of_its_own(kind: str, most: int) -> None:
    """At most so many MiB, however long: about 20 % more than it takes, and much less than that and the line."""
    command = [sys.executable, "-c", _PEAK, kind, str(258 if LONG else 16)]
    *counts, peak = map(int, subprocess.check_output(command, text=True).split())
    assert counts == ([0, 3, 3] if kind == "NONE_text" else [2, 1, 3])
    assert peak < most, f"{peak} MiB"
