"""A body without line feeds takes no more memory than any other: it is cut into blocks where its records begin."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.events.readers import READERS
from tests.long_form import LONG

MEGABYTES = int(os.environ.get("IMPERVA_ONE_LINE_MEGABYTES", "10"))
"""How large the body is. Blocks are a sixteenth of it, so that a small one tells as much as a large one."""

MOST_MEGABYTES = 5 * MEGABYTES
"""Much less than it takes without being cut."""

READ = """
import resource, sys
from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.events.scan.lines import BLOCK_BYTES
from tests.events.readers import reading_with
from tests.events.test_any_two_records import json
from tests.events.test_boundaries import cef, leef

reader, format_name, megabytes, separator = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
separator = separator.encode().decode("unicode_escape")
more = " requestClientApplication=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" * 8
write = {"CEF": cef, "LEEF": lambda n, more: leef(n, more.replace(" ", chr(9), 1)), "JSON": json}[format_name]
piece = separator.join([*(write(number, more) for number in range(1, 9)), ""]).encode()
count = megabytes * 1_000_000 // len(piece)
pieces = (piece * 64 for _ in range(count // 64))
source = LogSource(file="8416_7.log", sequence=7, start_time=1_700_000_000_000, fetched_time=1_795_300_000_000)
rows = quarantined = 0
addresses = set()
with reading_with(reader):
    list(parse([piece], source))
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for block in parse(pieces, source, block_bytes=min(BLOCK_BYTES, megabytes << 16)):
        rows += block.events.num_rows
        quarantined += block.quarantined.num_rows
        addresses.update(block.events["client_ip"].unique().to_pylist())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(rows == count // 64 * 64 * 8, quarantined, len(addresses), (peak - idle) // 1024)
"""


@pytest.fixture(autouse=True, scope="module")
def reader() -> None:
    """Each test chooses a reader by itself, in a process of its own."""


@pytest.mark.parametrize(
    ("reader", "format_name", "separator"),
    [
        ("compiled", "CEF", ""),
        ("compiled", "JSON", ""),
        *(
            [
                ("plain", "CEF", ""),
                *((reader, "LEEF", "") for reader in READERS),
                ("compiled", "CEF", "\\r"),
                ("compiled", "CEF", "\\0"),
            ]
            if LONG
            else ()
        ),
    ],
)
def test_memory_stays_flat(reader: str, format_name: str, separator: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, reader, format_name, str(MEGABYTES), separator],
        capture_output=True,
        text=True,
        check=True,
    )
    whole, quarantined, addresses, megabytes = done.stdout.split()
    assert (whole, quarantined, addresses) == ("True", "0", "8")
    assert int(megabytes) < MOST_MEGABYTES
