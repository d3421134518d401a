"""However many rows a batch has, its parts are those it would have if memory had no end, and memory stays bounded."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.schema.schema import (
    PARSED_SCHEMA,
    QUARANTINE_SCHEMA,
    READ_SCHEMA,
    SCHEMA,
    SCHEMA_VERSION,
)
from airflow_provider_imperva.lake.groups import GROUP_BYTES, Block, by_time, in_arrival_order, row_groups
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.spill import MEMORY_BYTES
from airflow_provider_imperva.lake.store import Store, open_store

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


def blocks(count: int, *, rows: int = 50) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Blocks of events whose times leap to and fro, over two classes, with values of every shape; and some rejects."""
    for block in range(count):
        numbers = range(block * rows, block * rows + rows)
        events = [
            {
                "event_time": NOON + timedelta(seconds=number * 7919 % 997) if number % 11 else None,
                "event_class": ("access", "security")[number % 5 == 0],
                "event_date": date(2026, 11, 22),
                "action": f"REQ_{number % (block + 2)}",
                "url": f"www.example.com/{number}" if number % 3 else None,
                "x_forwarded_for": ["198.51.100.1"] * (number % 4),
                "extra": [("key", str(number))] if number % 2 else None,
                "javascript_support": number % 7 == 0,
                "src_line": number,
            }
            for number in numbers
        ]
        rejects = [{"src_line": -number, "reason": "no_header", "raw": b"junk" * 20} for number in numbers[:5]]
        yield (
            pa.Table.from_pylist(events, schema=PARSED_SCHEMA),
            pa.Table.from_pylist(rejects, schema=QUARANTINE_SCHEMA),
        )


def on_another_day(events: pa.Table) -> pa.Table:
    days = pa.array([date(2026, 11, 23)] * events.num_rows)
    return events.set_column(events.schema.get_field_index("event_date"), "event_date", days)


def write(
    store: Store,
    added: Iterable[tuple[pa.Table, pa.Table]],
    *,
    memory_bytes: int = MEMORY_BYTES,
    group_bytes: int = GROUP_BYTES,
) -> tuple[Part, ...]:
    with BatchParts(
        store, Layout("8416_1745073"), commit=1, batch=0, memory_bytes=memory_bytes, group_bytes=group_bytes
    ) as parts:
        for events, quarantined in added:
            parts.add(events, quarantined)
        return parts.write()


def rows(store: Store, part: Part) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.ParquetFile(io.BytesIO(store.read(part.path))).read().to_pylist()
    return found


# A temporary file that is left to the garbage collector.
@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("memory_bytes", [1, 20_000, 60_000])
def test_parts_are_the_same_bytes_whether_rows_went_over_the_disk_or_not(store: Store, memory_bytes: int) -> None:
    in_memory = write(store, blocks(20))
    on_disk = write(store, blocks(20), memory_bytes=memory_bytes)
    assert sum(part.rows for part in on_disk) == 20 * 55
    assert on_disk == in_memory


@pytest.mark.parametrize("memory_bytes", [1, 20_000, 1 << 30])
@pytest.mark.parametrize("group_bytes", [1, 5_000, 1 << 30])
def test_rows_keep_their_order_and_values_however_they_are_cut(
    store: Store, memory_bytes: int, group_bytes: int
) -> None:
    added = list(blocks(5, rows=20))
    access, security, quarantined = write(store, added, memory_bytes=memory_bytes, group_bytes=group_bytes)
    for part in (access, security):
        mine = [row for events, _ in added for row in events.to_pylist() if row["event_class"] == part.event_class]
        mine.sort(key=lambda row: (row["event_time"] is None, row["event_time"] or NOON))
        expected = [{name: row[name] for name in READ_SCHEMA.names} for row in mine]
        found = [{name: row[name] for name in READ_SCHEMA.names} for row in rows(store, part)]
        assert found == expected
    assert rows(store, quarantined) == [row for _, rejects in added for row in rejects.to_pylist()]


def test_writing_again_over_the_disk_gives_the_same_bytes(store: Store) -> None:
    first = write(store, blocks(10), memory_bytes=20_000, group_bytes=10_000)
    assert write(store, blocks(10), memory_bytes=20_000, group_bytes=10_000) == first
    file = pq.ParquetFile(io.BytesIO(store.read(first[0].path)))
    assert file.num_row_groups > 3
    assert file.schema_arrow.equals(SCHEMA, check_metadata=False)
    assert file.schema_arrow.metadata[b"imperva.schema_version"] == SCHEMA_VERSION.encode()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=30), min_size=1, max_size=8),
    st.integers(1, 400),
    st.integers(1, 20),
)
def test_groups_put_one_after_the_other_are_a_stable_sort(
    times: list[list[int | None]], group_bytes: int, stride: int
) -> None:
    schema = pa.schema([("event_time", pa.timestamp("ms")), ("word", pa.dictionary(pa.int32(), pa.string()))])
    count = 0
    tables = []
    for some in times:
        words = [str(number) for number in range(count, count + len(some))]
        tables.append(pa.table({"event_time": some, "word": words}).cast(schema))
        count += len(some)
    blocks = [Block.of(table) for table in tables]
    flat = [time for some in times for time in some]
    by_rank = sorted(range(count), key=lambda row: (flat[row] is None, flat[row] or 0))
    ordered, kept = (
        list(row_groups(blocks, order(blocks), group_bytes=group_bytes, stride=stride))
        for order in (by_time, in_arrival_order)
    )
    assert [int(word) for group in ordered for word in group["word"].to_pylist()] == by_rank
    assert [int(word) for group in kept for word in group["word"].to_pylist()] == list(range(count))
    assert all(group.num_rows for group in (*ordered, *kept))


def test_a_small_batch_never_touches_the_scratch_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    assert write(open_store(str(tmp_path)), blocks(5))


def test_a_disk_without_room_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    with pytest.raises(LakeError, match=r"No space left on device\)\. Make room there, or set TMPDIR") as caught:
        write(store, blocks(1), memory_bytes=1)
    assert caught.value.about == tempfile.gettempdir()


def test_the_temporary_file_is_where_tmpdir_says_and_gone_with_the_process(tmp_path: Path) -> None:
    """Even if the process is killed: the file never has a name that could stay behind."""
    program = """
import os, signal
import pyarrow as pa
from airflow_provider_imperva.lake import spill
rows = spill.Rows(memory_bytes=1)
rows.add(pa.table({"text": ["x" * 100_000]}))
print([os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
       if os.path.exists(f"/proc/self/fd/{name}") and os.stat(f"/proc/self/fd/{name}").st_size > 100_000], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert str(tmp_path) in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["events", "quarantine"])
def test_memory_does_not_grow_with_the_batch(tmp_path: Path, kind: str) -> None:
    """In a process of its own, ten times the rows take no more memory: neither Arrow's nor pages of the file."""
    program = f"""
import re, sys
from datetime import UTC, date, datetime
from pathlib import Path
import pyarrow as pa
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, QUARANTINE_SCHEMA
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.store import open_store

limits = dict.fromkeys(("memory_bytes", "group_bytes"), 4 << 20)
where = {{"event_class": "access", "event_date": date(2026, 11, 22)}}
events = [
    {{"event_time": datetime(2026, 11, 22, 12, row * 7 % 60, tzinfo=UTC), "url": str(row) * 6000, **where}}
    for row in range(100)
]
rejects = [{{"raw": str(row).encode() * 6000}} for row in range(100)]
events = pa.Table.from_pylist(events if {kind == "events"} else [], schema=PARSED_SCHEMA)
rejects = pa.Table.from_pylist(rejects if {kind == "quarantine"} else [], schema=QUARANTINE_SCHEMA)
for blocks in (10, 60):
    with BatchParts(open_store(sys.argv[1]), Layout("r"), commit=blocks, batch=0, **limits) as parts:
        for _ in range(blocks):
            parts.add(events, rejects)
        assert parts.write()[0].rows == blocks * 100
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = (int(kilobytes) / 1024 for kilobytes in done.stdout.split())
    assert many < few + 40, "the larger batch has some 60 MiB more of rows"


@pytest.mark.parametrize("memory_bytes", [1, 20_000, 60_000, 1 << 30])
def test_dropped_rows_leave_no_trace(store: Store, memory_bytes: int) -> None:
    """Wherever they are, and even if no other rows are in their partition."""
    added = list(blocks(9))
    with BatchParts(store, Layout("8416_1745073"), commit=1, batch=0, memory_bytes=memory_bytes) as parts:
        for number, (events, quarantined) in enumerate(added):
            mark = parts.mark()
            parts.add(events, quarantined)
            if number % 3 == 1:
                parts.add(on_another_day(events), quarantined)
                parts.drop(mark)
        found = parts.write()
    assert found == write(store, [block for number, block in enumerate(added) if number % 3 != 1])
