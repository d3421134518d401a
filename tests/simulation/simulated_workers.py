"""Workers that die, hang or lose an answer at a chosen durable operation of the lake."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import BinaryIO, Literal

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.store import Address, OpenCatalog, Store, StoredObject


class Killed(BaseException):
    """The process is gone: nothing catches this, and nothing is done any more."""


FateKind = Literal["dies", "hangs", "loses the answer"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a worker: at which durable operation, and whether that has been done by then."""

    kind: FateKind
    operation: int
    after: bool


@dataclass
class Disk:
    """What all workers share: the lake, and when (in virtual time) each object was written."""

    store: Store
    clock: Callable[[], datetime]
    written: dict[str, datetime] = field(default_factory=dict)
    operations: int = 0


class WorkerStore:
    """The lake as one worker sees it."""

    def __init__(self, disk: Disk, fate: Fate | None = None) -> None:
        self._disk = disk
        self._fate = fate
        self._lock = threading.Lock()
        self._operations = 0
        self._dead = False
        self.catalog: OpenCatalog | None = None
        self.hangs: Callable[[], None] = lambda: None
        """Called where the worker hangs; returns when it goes on."""

    def address(self, folder: str) -> Address:
        raise ConfigurationError("a simulated disk has no table", do="Load without one", about=folder)

    def _durable(self, act: Callable[[], None]) -> None:
        with self._lock:
            self._operations += 1
            fate = self._fate if self._fate and self._operations == self._fate.operation else None
        self._disk.operations += 1
        if fate and not fate.after:
            self._meet(fate)
        self._check_alive()
        act()
        if fate and fate.after:
            self._meet(fate)

    def _meet(self, fate: Fate) -> None:
        if fate.kind == "hangs":
            self.hangs()
        elif fate.kind == "dies":
            self._dead = True
            raise Killed
        else:
            raise OSError("the connection to the lake broke off")

    def _check_alive(self) -> None:
        if self._dead:
            raise Killed

    def uri(self, path: str = "") -> str:
        return self._disk.store.uri(path)

    def purge(self, path: str) -> None:
        self._disk.store.purge(path)

    def read(self, path: str) -> bytes:
        self._check_alive()
        return self._disk.store.read(path)

    def reader(self, path: str) -> AbstractContextManager[BinaryIO]:
        self._check_alive()
        return self._disk.store.reader(path)

    def exists(self, path: str) -> bool:
        self._check_alive()
        return self._disk.store.exists(path)

    def write(self, path: str, content: bytes) -> None:
        def act() -> None:
            self._disk.store.write(path, content)
            self._disk.written[path] = self._disk.clock()

        self._durable(act)

    def create(self, path: str, content: bytes) -> None:
        def act() -> None:
            self._disk.store.create(path, content)
            self._disk.written[path] = self._disk.clock()

        self._durable(act)

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        content = io.BytesIO()
        yield content
        self.write(path, content.getvalue())

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._durable(lambda path=path: self._disk.store.delete([path]))  # type: ignore[misc]

    def objects(self, folder: str) -> list[StoredObject]:
        self._check_alive()
        found = self._disk.store.objects(folder)
        if not folder.startswith("raw/"):
            return found
        return [replace(item, modified=self._disk.written[item.path]) for item in found]

    def folders(self, folder: str) -> list[str]:
        self._check_alive()
        return self._disk.store.folders(folder)

    def sweep(self) -> None:
        self._durable(self._disk.store.sweep)


@dataclass
class Hung:
    """A worker that hangs in the midst of a task, given up by all but itself."""

    thread: threading.Thread
    outcomes: queue.SimpleQueue[BaseException | None]
    go_on: threading.Event

    def wake(self) -> BaseException | None:
        """Let it go on to its end; return what it raised."""
        self.go_on.set()
        self.thread.join()
        return self.outcomes.get()


def run_until_it_hangs(store: WorkerStore, task: Callable[[], object]) -> Hung | None:
    """Do a task in a thread until it hangs; None if it ended without, whatever its end.

    Only one of the two threads is ever under way, so that the same seed gives the same course of events.
    """
    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    paused, go_on = queue.SimpleQueue[bool](), threading.Event()

    def hang() -> None:
        paused.put(True)
        go_on.wait()

    def whole() -> None:
        try:
            task()
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)
        finally:
            paused.put(False)

    store.hangs = hang
    thread = threading.Thread(target=whole, daemon=True)
    thread.start()
    if paused.get():
        return Hung(thread, outcomes, go_on)
    thread.join()
    return None
