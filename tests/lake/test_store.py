"""An object of a lake appears whole or not at all, and of those who create it at once exactly one does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_imperva.errors import ConfigurationError, LakeError, ObjectExistsError
from airflow_provider_imperva.lake.bucket import ObjectStore
from airflow_provider_imperva.lake.disk import LocalStore
from airflow_provider_imperva.lake.store import Store, open_store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(tmp_path.as_uri())
    return open_store(f"memory://{uuid.uuid4().hex}")


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def fail_while_writing(store: Store, path: str) -> None:
    with store.writer(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


CONTENTS = [b"small", b"x" * 5_000_000]


def create_at_once(store: Store, content: bytes) -> None:
    """Let eight threads create one object, and see that one of them did."""

    def create(number: int) -> int | None:
        try:
            store.create("ledger/plan.json", b"%d" % number + content)
        except ObjectExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(create, range(8)) if number is not None]
    assert len(winners) == 1
    assert store.read("ledger/plan.json") == b"%d" % winners[0] + content


class TestAnyStore:
    def test_what_lies_right_below_the_root_is_named(self, store: Store) -> None:
        store.write("x.json", b"one")
        store.write("raw/y", b"two")
        assert [item.path for item in store.objects("")] == ["x.json"]
        assert [name for name in store.folders("") if name != ".tmp"] == ["raw"]

    def test_what_is_written_is_read(self, store: Store) -> None:
        store.write("a/b/c.json", b"one")
        assert store.exists("a/b/c.json")
        assert store.read("a/b/c.json") == b"one"

    def test_a_reader_gives_any_stretch_in_any_order(self, store: Store) -> None:
        content = bytes(range(256)) * 1000
        store.write("raw/log", content)
        with store.reader("raw/log") as file:
            assert file.seek(0, os.SEEK_END) == len(content)
            assert file.read(1) == b""
            for start, size in ((200_000, 1000), (0, 10), (250_000, 50_000), (5, 300_000)):
                file.seek(start)
                assert file.read(size) == content[start : start + size]

    def test_a_reader_of_nothing_says_so(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError), store.reader("raw/log"):
            pass

    def test_writing_again_replaces(self, store: Store) -> None:
        store.write("a", b"a long first one")
        store.write("a", b"short")
        assert store.read("a") == b"short"

    def test_what_is_not_there_is_told(self, store: Store) -> None:
        store.write("a/b", b"")
        assert not store.exists("a/c")
        assert not store.exists("a"), "a folder is no object"
        with pytest.raises(FileNotFoundError):
            store.read("a/c")

    def test_create_refuses_an_object_that_is_there_and_leaves_its_bytes(self, store: Store) -> None:
        store.create("ledger/plan.json", b"first")
        with pytest.raises(ObjectExistsError) as caught:
            store.create("ledger/plan.json", b"second, and longer")
        assert store.read("ledger/plan.json") == b"first"
        assert caught.value.about == store.uri("ledger/plan.json")

    def test_delete_removes_and_passes_over_what_is_not_there(self, store: Store) -> None:
        store.write("a/one", b"1")
        store.write("a/two", b"2")
        store.delete(["a/nothing", "a/one", "b/c/nothing"])
        assert [item.path for item in store.objects("a")] == ["a/two"]

    def test_objects_lists_one_folder_by_path_with_size_and_time(self, store: Store) -> None:
        began = datetime.now(UTC) - timedelta(seconds=2)
        for name, content in (("2", b"22"), ("10", b""), ("1", b"1")):
            store.write(f"a/{name}", content)
        store.write("a/deeper/3", b"333")
        found = store.objects("a")
        assert [(item.path, item.size) for item in found] == [("a/1", 1), ("a/10", 0), ("a/2", 2)]
        assert all(began < item.modified < datetime.now(UTC) + timedelta(seconds=2) for item in found)
        assert store.objects("nothing") == []

    def test_a_change_is_seen_at_once(self, store: Store) -> None:
        store.write("a/1", b"")
        assert len(store.objects("a")) == 1
        store.write("a/2", b"")
        assert len(store.objects("a")) == 2
        store.delete(["a/1"])
        assert [item.path for item in store.objects("a")] == ["a/2"]

    def test_folders_lists_one_level_ascending(self, store: Store) -> None:
        for name in ("000000002", "000000010", "000000001/deeper"):
            store.write(f"ledger/{name}/x", b"")
        store.write("ledger/file", b"")
        assert store.folders("ledger") == ["000000001", "000000002", "000000010"]
        assert store.folders("nothing") == []

    def test_a_writer_shows_the_object_when_it_is_done_and_not_before(self, store: Store) -> None:
        with store.writer("a/part") as file:
            file.write(b"one")
            assert not store.exists("a/part")
            file.write(b"two")
        assert store.read("a/part") == b"onetwo"

    def test_a_writer_that_fails_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError):
            fail_while_writing(store, "a/part")
        assert not store.exists("a/part")
        assert store.objects("a") == []

    def test_a_writer_that_fails_leaves_what_was_there(self, store: Store) -> None:
        store.write("a/part", b"before")
        with pytest.raises(ZeroDivisionError):
            fail_while_writing(store, "a/part")
        assert store.read("a/part") == b"before"

    def test_the_root_itself_can_be_listed(self, store: Store) -> None:
        store.write("raw/x", b"")
        store.write("events/x", b"")
        assert {"events", "raw"} <= set(store.folders(""))


def write_all(store: Store, contents: Iterable[bytes]) -> None:
    for content in contents:
        store.write("x", content)


class TestLocalStore:
    def test_a_path_is_a_lake_too(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path / "lake"))
        assert isinstance(store, LocalStore)
        store.write("a/b", b"1")
        assert (tmp_path / "lake/a/b").read_bytes() == b"1"
        assert store.uri("a/b") == str(tmp_path / "lake/a/b")

    def test_no_scratch_file_stays(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path))
        store.create("a", b"1")
        store.write("b", b"2")
        with pytest.raises(ObjectExistsError):
            store.create("a", b"3")
        with pytest.raises(ZeroDivisionError):
            fail_while_writing(store, "c")
        assert files_below(tmp_path) == ["a", "b"]

    @pytest.mark.parametrize("content", CONTENTS, ids=["small", "5 MB"])
    def test_of_eight_threads_that_create_exactly_one_wins(self, tmp_path: Path, content: bytes) -> None:
        create_at_once(open_store(str(tmp_path)), content)
        assert files_below(tmp_path) == ["ledger/plan.json"]

    def test_of_processes_that_create_exactly_one_wins(self, tmp_path: Path) -> None:
        start = time.time() + 2
        racers = [python(RACER, tmp_path, str(number), str(start)) for number in range(4)]
        told = [racer.communicate(timeout=60)[0].strip() for racer in racers]
        assert sorted(told) == ["lost", "lost", "lost", "won"]
        assert (tmp_path / "plan.json").read_text() == str(told.index("won")) * 100_000

    def test_a_reader_sees_the_old_or_the_new_bytes_while_they_are_replaced(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path))
        versions = {bytes([letter]) * 1_000_000 for letter in b"ab"}
        store.write("x", min(versions))
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write_all, store, [*versions] * 15)
            while not writing.done():
                assert store.read("x") in versions
            writing.result()

    @pytest.mark.parametrize("how", ["write", "create"])
    def test_a_process_killed_while_it_writes_leaves_no_part_of_an_object(self, tmp_path: Path, how: str) -> None:
        writer = python(ENDLESS_WRITER, tmp_path, how)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "first half written\n"
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate(timeout=60)
        store = open_store(str(tmp_path))
        assert store.objects("raw") == []
        assert all(name.startswith(".tmp/") for name in files_below(tmp_path))
        store.create("raw/x", b"the next try")
        assert store.read("raw/x") == b"the next try"

    def test_content_is_on_the_disk_before_its_name_is_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[tuple[int, bool]] = []
        fsync = os.fsync

        def watch(descriptor: int) -> None:
            synced.append((os.fstat(descriptor).st_size, (tmp_path / "x").exists()))
            fsync(descriptor)

        store = open_store(str(tmp_path))
        store.write("y", b"so that there are folders")
        for how in ("write", "create"):
            monkeypatch.setattr(os, "fsync", watch)
            getattr(store, how)("x", b"12345")
            monkeypatch.undo()
            assert synced[0] == (5, False), how
            assert synced[-1][1], "the folder is synced after the name is in it"
            synced.clear()
            store.delete(["x"])

    def test_new_folders_are_on_the_disk_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else a power cut takes the first object of a folder with it."""
        synced = set()
        fsync = os.fsync

        def watch(descriptor: int) -> None:
            synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", watch)
        open_store(str(tmp_path / "lake")).write("ledger/000000001/x", b"1")
        folders = ("", "lake", "lake/ledger", "lake/ledger/000000001")
        assert synced >= {str(tmp_path / folder).rstrip("/") for folder in folders}

    def test_a_disk_without_hard_links_is_told_as_such(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        with pytest.raises(LakeError, match="no hard links"):
            open_store(str(tmp_path)).create("x", b"1")
        assert files_below(tmp_path) == []

    def test_a_folder_that_is_a_link_to_another_disk_is_told_as_such(self, tmp_path: Path, tiny_disk: Path) -> None:
        lake = tmp_path / "lake"
        lake.mkdir()
        (lake / "raw").symlink_to(tiny_disk)
        store = open_store(str(lake))
        for write in (store.write, store.create):
            with pytest.raises(LakeError, match="a link to another disk than the lake's root") as caught:
                write("raw/x", b"1")
            assert str(lake / "raw/x") in str(caught.value)
        assert files_below(lake) == []

    @pytest.mark.parametrize("below", ["file", "file/lake"])
    def test_a_lake_at_or_below_a_file_is_told_as_such(self, tmp_path: Path, below: str) -> None:
        (tmp_path / "file").write_bytes(b"1")
        store = open_store(str(tmp_path / below))
        acts: list[Callable[[], object]] = [
            lambda: store.write("raw/x", b"1"),
            lambda: store.create("raw/x", b"1"),
            lambda: store.objects("raw"),
            lambda: store.folders("ledger"),
            lambda: store.read("raw/x"),
        ]
        for act in acts:
            with pytest.raises(LakeError, match="a file where the lake needs a folder") as caught:
                act()
            assert not isinstance(caught.value, ObjectExistsError)

    def test_a_file_where_a_folder_of_the_lake_should_be_is_no_object_that_exists(self, tmp_path: Path) -> None:
        (tmp_path / "raw").write_bytes(b"1")
        with pytest.raises(LakeError, match="a file where the lake needs a folder") as caught:
            open_store(str(tmp_path)).create("raw/x", b"1")
        assert not isinstance(caught.value, ObjectExistsError)

    def test_scratch_of_the_dead_is_swept_after_a_day_and_that_of_the_living_is_not(self, tmp_path: Path) -> None:
        scratch = tmp_path / ".tmp"
        scratch.mkdir()
        for name, hours in (("dead", 25), ("living", 23)):
            (scratch / name).write_bytes(b"half")
            then = time.time() - hours * 3600
            os.utime(scratch / name, (then, then))
        open_store(str(tmp_path)).sweep()
        assert files_below(tmp_path) == [".tmp/living"]

    def test_a_sweep_passes_over_scratch_that_goes_away_while_it_is_listed(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path))
        with ThreadPoolExecutor(2) as pool:
            writing = [pool.submit(write_all, store, [b"1"] * 200) for _ in range(2)]
            while not all(writer.done() for writer in writing):
                store.sweep()
        assert files_below(tmp_path) == ["x"]


class _BareConflicts(MemoryFileSystem):  # type: ignore[misc]
    """A store that reports a conflict as a plain OSError, and fails in other ways on demand."""

    cachable = False
    broken = False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if self.broken or (mode == "create" and self.exists(path)):
            raise OSError("the server's own words")
        super().pipe_file(path, value, mode=mode, **kwargs)


class TestObjectStore:
    def bare(self) -> tuple[_BareConflicts, Store]:
        fs = _BareConflicts()
        return fs, open_store(f"memory://{uuid.uuid4().hex}", fs=fs)

    def test_a_conflict_that_comes_as_a_bare_error_is_one(self) -> None:
        _, store = self.bare()
        store.create("plan.json", b"first")
        with pytest.raises(ObjectExistsError):
            store.create("plan.json", b"second")
        assert store.read("plan.json") == b"first"

    def test_an_error_that_is_no_conflict_is_not_taken_for_one(self) -> None:
        fs, store = self.bare()
        fs.broken = True
        with pytest.raises(LakeError) as caught:
            store.create("plan.json", b"first")
        assert not isinstance(caught.value, ObjectExistsError)
        assert "plan.json" in str(caught.value)

    @pytest.mark.parametrize("write", ["create", "write"])
    def test_what_the_server_says_is_not_passed_on(self, write: str) -> None:
        """A signed URL may be in it, and a task's log has the whole traceback."""
        fs, store = self.bare()
        fs.broken = True
        with pytest.raises(LakeError) as caught:
            getattr(store, write)("plan.json", b"first")
        assert "own words" not in "".join(traceback.format_exception(caught.value))

    def test_the_address_is_complete(self) -> None:
        root = uuid.uuid4().hex
        store = open_store(f"memory://{root}/lake/")
        assert isinstance(store, ObjectStore)
        store.write("a/b", b"1")
        assert fsspec.filesystem("memory").cat_file(f"/{root}/lake/a/b") == b"1"
        assert store.uri("a/b") == f"memory:///{root}/lake/a/b"

    def test_a_protocol_nobody_speaks_is_an_error_that_names_the_lake(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            open_store("nosuch://bucket/lake")
        assert caught.value.about == "nosuch://bucket/lake"

    def test_an_address_with_credentials_is_refused_without_quoting_them(self) -> None:
        lake_uri = "s3://key:hidden@bucket/lake"
        with pytest.raises(ConfigurationError) as caught:
            open_store(lake_uri)
        assert "hidden" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            (lambda at: {"LastModified": at}, 0),
            (lambda at: {"mtime": at.timestamp()}, 0),
            (lambda at: {"updated": at.isoformat()}, 0),
            (lambda at: {"created": at.replace(tzinfo=None)}, 0),
        ],
        ids=["S3", "local", "text", "naive"],
    )
    def test_the_time_is_found_under_any_name(self, entry: Callable[[datetime], dict[str, Any]], expected: int) -> None:
        at = datetime(2026, 11, 22, 10, tzinfo=UTC)

        class Listing(MemoryFileSystem):  # type: ignore[misc]
            cachable = False

            def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[dict[str, Any]]:
                return [{"name": f"{path}/x", "size": 1, "type": "file", **entry(at)}]

        (found,) = open_store("memory://any", fs=Listing()).objects("a")
        assert (found.modified - at).total_seconds() == expected


def python(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


RACER = """
import sys, time
from airflow_provider_imperva.errors import ObjectExistsError
from airflow_provider_imperva.lake.store import open_store

root, number, start = sys.argv[1:]
store = open_store(root)
time.sleep(max(0, float(start) - time.time()))
try:
    store.create("plan.json", number.encode() * 100_000)
    print("won")
except ObjectExistsError:
    print("lost")
"""

ENDLESS_WRITER = """
import os, sys, time
from airflow_provider_imperva.lake.store import open_store

root, how = sys.argv[1:]
store = open_store(root)
fsync = os.fsync
def stop_before_sync(descriptor):
    print("first half written", flush=True)
    time.sleep(600)
os.fsync = stop_before_sync
getattr(store, how)("raw/x", b"half" * 1_000_000)
"""
