"""How far a task is with the logs of its batch, said in the task's log now and then and at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_imperva.audit.figures import duration, size

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

__all__ = ["BatchProgress", "size"]


class BatchProgress:
    """Counts the logs of a batch as they are done.

    :param done: what is done with a log, in the past tense, as a sentence begins.
    :param name: of the batch; ``total`` how many logs it has.
    :param check: called before each log; what it raises ends the work.
    :param every: seconds between two lines in the task's log.
    :param clock: seconds that only rise.
    """

    def __init__(
        self,
        log: Logger,
        *,
        done: str,
        name: str,
        total: int,
        check: Callable[[], None],
        every: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._done, self._name, self._total, self._check = log, done, name, total, check
        self._every, self._clock = every, clock
        self._began = self._said = clock()
        self._count = 0
        # Logs are fetched by several threads.
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Time since it began."""
        return self._clock() - self._began

    def on_log(self) -> None:
        """Count a log."""
        self._check()
        with self._lock:
            self._count += 1
            now = self._clock()
            if now - self._said < self._every or self._count == self._total:
                return
            self._said = now
        self._log.info("%s %d of %d logs", self._done, self._count, self._total)

    def end(self, figures: str) -> None:
        """Say in one line what came of the batch, and how long it took."""
        self._log.info("%s %s in %s: %s", self._done, self._name, duration(self.seconds), figures)
