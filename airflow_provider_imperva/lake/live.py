"""The live set: the parts that a lake is made of, which are all parts of all commits less all that were removed.

It is what readers are to see, what a table is made from, and what the objects of a lake are held against.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from airflow_provider_imperva.lake.layout import partition_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import BatchId, Commit, Part, RawObject

_READERS = 16
_NAME = re.compile(r"part-(\d{12})-(\d{4,})(?:-\d{4,})?\.parquet")


class CommittedPart(NamedTuple):
    """A part, and the commit that says so: that added it or, of one that is gone, that removed it."""

    part: Part
    commit: int


class RemovedRaw(NamedTuple):
    """An object of ``raw/`` that is no longer part of the lake, and the commit that removed it."""

    item: RawObject
    commit: int


class LiveSet:
    """The live set after some commits, which are to be added in order.

    :ivar parts: the live parts, by path.
    :ivar removed: parts that are no longer live and whose objects are still there, by path.
    :ivar removed_raw: objects of ``raw/`` that are no longer part of the lake, by path, whether deleted or not.
    :ivar retired: paths whose objects were deleted, or are about to be, with the commit that says so.
    """

    def __init__(self) -> None:
        self.parts: dict[str, CommittedPart] = {}
        self.removed: dict[str, CommittedPart] = {}
        self.removed_raw: dict[str, RemovedRaw] = {}
        self.retired: dict[str, int] = {}
        self._successors: dict[str, tuple[str, ...]] = {}

    def add(self, commit: Commit) -> None:
        """Take the next commit."""
        if commit.v == 1 and commit.replaced:
            # Its replays overwrote the parts of the batches they replayed, or deleted them.
            batch_ids = set(commit.replaced.values())
            self.parts = {path: part for path, part in self.parts.items() if batch_of_part(path) not in batch_ids}
        for part in commit.removed:
            self.parts.pop(part.path, None)
            self.removed[part.path] = CommittedPart(part, commit.commit)
        self.removed_raw |= {item.path: RemovedRaw(item, commit.commit) for item in commit.removed_raw}
        if commit.removed:
            self._note_successors(commit)
        for path in commit.retired:
            self.removed.pop(path, None)
            self.retired[path] = commit.commit
        self.parts |= {part.path: CommittedPart(part, commit.commit) for part in commit.parts}

    def _note_successors(self, commit: Commit) -> None:
        added: dict[tuple[str, str] | None, list[str]] = {}
        for part in commit.parts:
            added.setdefault(partition_of(part.path), []).append(part.path)
        successors = {partition: tuple(paths) for partition, paths in added.items()}
        for part in commit.removed:
            self._successors[part.path] = successors.get(partition_of(part.path), ())

    def successors(self, paths: Iterable[str]) -> set[str]:
        """Return the live parts in which rows of some parts may be now: themselves, or what took their place.

        :param paths: parts of any commit.
        """
        results: set[str] = set()
        seen: set[str] = set()
        ahead = list(paths)
        while ahead:
            path = ahead.pop()
            if path in seen:
                continue
            seen.add(path)
            if path in self.parts:
                results.add(path)
            else:
                ahead += self._successors.get(path, ())
        return results


def live_set(ledger: Ledger, *, since: int = 1) -> LiveSet:
    """Return the live set of a repository; the whole ledger is read, unless it is asked for less.

    :param since: only of parts that this commit or a later one added.
    :raises LedgerCorruptError: if a commit is missing or does not read.
    """
    live = LiveSet()
    with ThreadPoolExecutor(_READERS) as pool:
        for commit in pool.map(ledger.commit, range(since, ledger.head(with_plan=False).next_commit)):
            live.add(commit)
    return live


def parts_of_batch(ledger: Ledger, batch_id: BatchId) -> tuple[Part, ...]:
    """Return the parts that the rows of a batch's logs were written to last.

    :raises LedgerCorruptError: if a record that it follows from is missing or does not read.
    """
    if ledger.commit(batch_id.commit).v == 1:
        for number in range(ledger.head(with_plan=False).next_commit - 1, batch_id.commit, -1):
            commit = ledger.commit(number)
            for batch, replaced in commit.replaced.items():
                if replaced == batch_id and (report := ledger.report(number, batch)):
                    return report.parts
    report = ledger.report(batch_id.commit, batch_id.batch)
    return report.parts if report else ()


def batch_of_part(path: str) -> BatchId | None:
    """Return which batch wrote a part, by its name; None if it does not have the name of a part."""
    match = _NAME.fullmatch(path.rsplit("/", 1)[-1])
    return BatchId(int(match[1]), int(match[2])) if match else None
