"""What a table has to show, as a pure function of a ledger: a change for each commit that adds or removes events.

Each kind of table brings changes to its readers in a way of its own, and remembers beside them, in the same write,
which commit of which repository it was.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, Self

import pyarrow as pa

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.records import Commit, Kind, Part

ROOT = "events"
"""Folder of all files of a table."""

PARTITION_BY = ("repository", "event_class", "event_date")
"""The columns that are in the path of a part only."""

COMMIT = "imperva.commit"
REPOSITORY = "imperva.repository"
SHA256 = "imperva.commit_sha256"
CREATED = "imperva.table"
"""What a version of a table says of itself: which commit of which ledger it is, or that it is of the table only."""

OF_TABLE = MappingProxyType({CREATED: "1"})
"""What a version says that is not a commit: it made the table, or its history shorter."""


ATTEMPTS = 50
"""How often somebody tries to write to a table before whom others always come first."""

_GROWTH, _MOST_TIMES, _LONGEST_PAUSE = 4.0, 16.0, 60.0
"""By how much longer a pause may be than the one before; how many times as long as an attempt; and seconds."""


def pause(attempt: int, *, took: float) -> None:
    """Wait before an attempt that follows a conflict, at random, and the longer the more there were."""
    time.sleep(random.uniform(0, longest_pause(attempt, took=took)))  # noqa: S311


def longest_pause(attempt: int, *, took: float) -> float:
    """Return how many seconds to wait at most.

    All who are at it slow each other down, and one of them gets in: so the wait is in proportion to what the attempt
    took, until few of many are about to write at the same time.

    :param attempt: how many conflicts there were before this one.
    :param took: seconds that the attempt took, or most of it.
    """
    return min(_LONGEST_PAUSE, took * min(_MOST_TIMES, _GROWTH ** (attempt + 1)))


def too_busy(about: str) -> LakeError:
    """Return the error of an attempt that was the last."""
    return LakeError(
        f"others wrote to the table first, {ATTEMPTS} times in a row",
        do="Nothing is lost: the next run publishes what is not in the table",
        about=about,
    )


class TableConflictError(LakeError):
    """Another run wrote to the table first; what was to be written is not in it."""

    reason = "table_conflict"

    @classmethod
    def at(cls, about: str) -> Self:
        """Return the error."""
        return cls(
            "another run wrote to the table first",
            do="Nothing is lost: the next run publishes what is not in the table",
            about=about,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one version of a table changes.

    :ivar commit: the commit that it shows.
    :ivar sha256: of ``commit.json``.
    :ivar added, removed: parts in ``events/``.
    :ivar same_rows: whether the rows are the same as before, in other files.
    """

    repository: str
    commit: int
    sha256: str
    committed_at: datetime
    added: tuple[Part, ...]
    removed: tuple[Part, ...] = ()
    same_rows: bool = False


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file that a table shows.

    :ivar path: below the lake's root, if it is in the lake.
    :ivar size: bytes, as the table has it.
    :ivar partition: the values of ``PARTITION_BY``, as texts.
    """

    path: str
    size: int
    partition: tuple[str | None, ...]


class Table(Protocol):
    """A table that is open. What goes wrong is a :class:`~airflow_provider_imperva.errors.LakeError`."""

    @property
    def about(self) -> str:
        """Where it is, for people."""

    @property
    def version(self) -> int:
        """How many times it was written to."""

    def published(self, repository: str) -> int | None:
        """Return the commit of a repository that it shows; None if it shows none."""

    def add_columns(self) -> None:
        """Give it the columns that came with a newer release."""

    def write(self, change: Change) -> None:
        """Show a change, whole or not at all; :raises TableConflictError: if another run wrote to the table first."""

    def files(self) -> Iterator[TableFile]:
        """Yield the files that it shows."""

    def forget_history(self) -> None:
        """Clear away all versions but the last: readers can no longer go back to one.

        Broken off anywhere, the table is whole, and it can be run again.
        """


def changes(ledger: Ledger, published: int | None) -> Iterator[Change]:
    """Yield what a table has to show after the commit that it shows.

    :param published: that commit. None if the table does not know the repository: all of its live parts come at once.
    """
    head = last_commit(ledger)
    if published is None and head:
        parts = tuple(part for part, _ in live_set(ledger).parts.values() if part.event_class is not None)
        yield _change(ledger, ledger.commit(head), added=parts)
        return
    for number in range((published or 0) + 1, head + 1):
        commit = ledger.commit(number)
        added, removed = _events(commit.parts), _events(commit.removed)
        if added or removed:
            yield _change(ledger, commit, added=added, removed=removed)


def last_commit(ledger: Ledger) -> int:
    """Return the number of a ledger's last commit; 0 if there is none."""
    return ledger.head(with_plan=False).next_commit - 1


def commit_properties(change: Change) -> dict[str, Any]:
    """Return what the version that shows a change says of itself."""
    return {REPOSITORY: change.repository, COMMIT: change.commit, SHA256: change.sha256}


def is_ours(info: Mapping[str, Any]) -> bool:
    """Return whether we wrote a version, by what it says of itself."""
    return CREATED in info or (COMMIT in info and SHA256 in info)


def table_schema() -> pa.Schema:
    """Return a table's columns: those of a part, then those that are in its path only."""
    columns = [pa.field(field.name, _plain(field.type)) for field in SCHEMA]
    partitions = [pa.field(name, pa.date32() if name == "event_date" else pa.string()) for name in PARTITION_BY]
    return pa.schema([*columns, *partitions])


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that tables have for a column's: they know neither dictionaries nor milliseconds."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind


def _events(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(part for part in parts if part.event_class is not None)


def _change(ledger: Ledger, commit: Commit, *, added: tuple[Part, ...], removed: tuple[Part, ...] = ()) -> Change:
    return Change(
        repository=ledger.layout.repository,
        commit=commit.commit,
        sha256=ledger.sha256(commit.commit),
        committed_at=commit.committed_at,
        added=added,
        removed=removed,
        same_rows=commit.kind is Kind.COMPACT and bool(removed),
    )
