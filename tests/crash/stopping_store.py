"""A store that counts its durable operations, and lets something happen before or after the k-th."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any, BinaryIO

from airflow_provider_imperva.lake.store import Store


class Moment(StrEnum):
    """When, and how, the k-th durable operation goes wrong."""

    KILLED_BEFORE = "killed before"
    """SIGKILL when the content is written, and is not yet the object's."""
    KILLED_AFTER = "killed after"
    """SIGKILL when it is done."""
    REFUSED = "refused"
    """It is not done, and fails."""
    ANSWER_LOST = "answer lost"
    """It is done, and fails all the same."""

    @property
    def kills(self) -> bool:
        return self in (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)


Hook = Callable[[int, bool], None]
"""Called with the number of an operation, from 1, and whether it is done by now."""


def nothing_happens(number: int, done: bool) -> None:
    pass


@dataclass(frozen=True, slots=True)
class StopAt:
    """A hook that lets the operation of one number go wrong. Can be handed to another process."""

    number: int
    moment: Moment

    def __call__(self, number: int, done: bool) -> None:
        when_done = self.moment in (Moment.KILLED_AFTER, Moment.ANSWER_LOST)
        if (number, done) == (self.number, when_done):
            if self.moment.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConnectionResetError("the connection was reset")


class StoppingStore:
    """Every write, create and delete of an object counts; all else goes through as it is."""

    def __init__(self, store: Store, hook: Hook = nothing_happens) -> None:
        self._store = store
        self.let(hook)

    def let(self, hook: Hook) -> None:
        """Count from the start, and let something else happen."""
        self._hook = hook
        self._numbers = count(1)
        self.operations = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextlib.contextmanager
    def operation(self) -> Iterator[Callable[[], None]]:
        # next() is atomic, so that the threads of a fetch can share it.
        self.operations = number = next(self._numbers)
        try:
            yield lambda: self._hook(number, False)
        finally:
            # An object that is not created, because it is there, is an operation too.
            self._hook(number, True)

    def write(self, path: str, content: bytes) -> None:
        with self.writer(path) as file:
            file.write(content)

    def create(self, path: str, content: bytes) -> None:
        with self.operation() as before:
            before()
            self._store.create(path, content)

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        with self.operation() as before, self._store.writer(path) as file:
            yield file
            before()

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self.operation() as before:
                before()
                self._store.delete([path])
