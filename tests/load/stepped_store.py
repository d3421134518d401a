"""A store that counts what it changes, lets a test look after every change, and can break off before or after one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from airflow_provider_imperva.lake.store import Store


class BrokenOffError(BaseException):
    """The process ends here: nothing that catches exceptions catches it."""


class SteppedStore:
    """Passes everything on; each write and each removal of one object is a step.

    :ivar steps: what was changed, in order.
    """

    def __init__(
        self,
        store: Store,
        *,
        before: Callable[[int, str], None] = lambda step, path: None,
        after: Callable[[int, str], None] = lambda step, path: None,
    ) -> None:
        self._store = store
        self._before = before
        self._after = after
        self.steps: list[str] = []

    @contextmanager
    def _step(self, path: str) -> Iterator[None]:
        number = len(self.steps)
        self._before(number, path)
        self.steps.append(path)
        yield
        self._after(number, path)

    def write(self, path: str, content: bytes) -> None:
        with self._step(path):
            self._store.write(path, content)

    def create(self, path: str, content: bytes) -> None:
        with self._step(path):
            self._store.create(path, content)

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        with self._step(path), self._store.writer(path) as file:
            yield file

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self._step(f"-{path}"):
                self._store.delete([path])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def break_off(at: int) -> Callable[[int, str], None]:
    """Return what ends the process at a step."""

    def end(step: int, path: str) -> None:
        if step == at:
            raise BrokenOffError(path)

    return end
