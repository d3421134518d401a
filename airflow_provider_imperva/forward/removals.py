"""Logs whose bytes are not in ``raw/`` when they are to be sent: removed by a later commit, or missing without one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from airflow_provider_imperva.forward.commits import ForwardedLog, GoneLogError, UnreadLogError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit

logger = logging.getLogger(__name__)

_READERS = 16
_GATHERED = 500


class Removals:
    """Finds the commit that removed an object from ``raw/``.

    Commits are read once, and only as far as they are needed: bytes are removed in about the order in which they came,
    so that whoever sends the oldest commits first reads on from where the last answer was.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._first = 0
        self._ahead: Iterator[Commit] = iter(())
        self._found: dict[str, int] = {}

    def commit_of(self, path: str, *, after: int) -> int | None:
        """Return the number of the commit that removed an object; None if none did.

        :param path: of the object, below the lake's root.
        :param after: the commit that added it.
        """
        if not self._first or after < self._first:
            self._first, self._found = after, {}
            self._ahead = self._commits(after + 1)
        while path not in self._found:
            commit = next(self._ahead, None)
            if commit is None:
                return None
            self._found |= dict.fromkeys((item.path for item in commit.removed_raw), commit.commit)
        return self._found[path]

    def _commits(self, first: int) -> Iterator[Commit]:
        numbers = range(first, self._ledger.head(with_plan=False).next_commit)
        with ThreadPoolExecutor(_READERS) as pool:
            for begin in range(0, len(numbers), _GATHERED):
                yield from pool.map(self._ledger.commit, numbers[begin : begin + _GATHERED])


@dataclass(slots=True)
class MissingLogs:
    """The logs of one commit that cannot be sent.

    :ivar commit: its number.
    :ivar unread: lines by log, of those that are missing although no commit says so, or do not read.
    :ivar removed: by log, the commit that removed its bytes; ``removed_lines`` of all of them.
    """

    removals: Removals
    commit: int
    unread: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    removed_lines: int = 0

    @property
    def lines(self) -> int:
        """Lines of all these logs."""
        return sum(self.unread.values()) + self.removed_lines

    def add(self, log: ForwardedLog, error: UnreadLogError) -> None:
        """Account for a log that did not read."""
        by = None
        if isinstance(error, GoneLogError):
            by = error.by or self.removals.commit_of(log.raw_key, after=self.commit)
        if by is None:
            logger.error("%s: %s; the rest of commit %d is sent", log.name, error, self.commit)
            self.unread[log.name] = log.lines
            return
        logger.warning(
            "%s: commit %d removed its bytes from raw/, or destroyed their key, before they were sent; the rest of"
            " commit %d is sent",
            log.name,
            by,
            self.commit,
        )
        self.removed[log.name] = by
        self.removed_lines += log.lines
