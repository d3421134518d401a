"""Siblings: the logs that have one number in several generations of a prefix. Two of them may be the same log.

Old logs may still be listed when a counter of Imperva begins again. Then they are fetched under the new generation too.
A log is a duplicate of its sibling only if their bytes prove it, and only if the sibling stands for itself: if it is
loaded, or will be. Else both could be closed as duplicates of each other, and the loss would stay unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_imperva.errors import CLOSED
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.sealed import stored_size
from airflow_provider_imperva.lake.store import StoredObject
from airflow_provider_imperva.lake.watermark import ABSENT, State
from airflow_provider_imperva.load.generations import compare, last_record
from airflow_provider_imperva.repository.names import LogName, prefix_order

EARLIER, LATER = "earlier_generation", "later_generation"
"""Reason codes of a duplicate: of a log of an earlier or of a later generation."""

_STANDING = frozenset({State.COMMITTED, State.DUPLICATE})
_BEGINNING = 64 * 1024


@dataclass(frozen=True, slots=True)
class Siblings:
    """The logs of a log's number in the other generations of its prefix.

    :ivar names: their names, the earliest generation first.
    """

    ledger: Ledger
    name: LogName
    names: tuple[LogName, ...]

    @classmethod
    def of(cls, ledger: Ledger, name: LogName, prefixes: Iterable[str]) -> Siblings:
        """Return those of a log.

        :param prefixes: all that the repository has, of every generation.
        """
        base, own = prefix_order(name.prefix)
        others = sorted(prefix_order(prefix)[1] for prefix in prefixes if prefix_order(prefix)[0] == base)
        return cls(ledger, name, tuple(name.of_generation(number) for number in others if number != own))

    @property
    def is_ended(self) -> bool:
        """Whether a later generation has begun: then the repository gives this name to other logs."""
        return any(other.generation > self.name.generation for other in self.names)

    def with_same_bytes(self, *, size: int, sha256: str) -> LogName | None:
        """Return a sibling that was received with these bytes, and stands for itself; None if there is none."""
        for other in self.names:
            sizes = (size, stored_size(size))
            same = (item for item in self._objects(other) if item.size in sizes and self._sha256(item) == sha256)
            if any(same) and self._stands_for_itself(other) and self._is_of(other, sha256):
                return other
        return None

    def alike(self, path: str) -> Iterator[tuple[LogName, bool | None]]:
        """Compare a log that is damaged with its siblings by their beginnings.

        :param path: of the bytes of the log.
        :returns: each sibling that was received, with whether it is the same log; None if that is unknown, or if it
            does not stand for itself.
        """
        mine = self._beginning(path) if self.names else b""
        for other in self.names:
            for item in self._objects(other):
                same = compare(mine, self._beginning(item.path))
                yield other, None if same and not self._stands_for_itself(other) else same

    def _stands_for_itself(self, other: LogName) -> bool:
        """Return whether, by the ledger, a sibling with the same bytes is not a duplicate of this log and comes first.

        Both may be looked at by one plan at once, so that each has to come to what the other is not.
        """
        theirs, code = self._last_outcome(other)
        undecided = theirs is None or theirs in ABSENT
        # Of a log that is new, the whole ledger says nothing, so it is asked only where the answer matters.
        mine = self._last_outcome(self.name)[0] if undecided else None
        if other > self.name:
            given_up = undecided and mine in (State.DAMAGED, State.QUARANTINED)
            return given_up or (code != EARLIER and theirs in _STANDING | {State.DAMAGED, State.QUARANTINED})
        # If neither is decided, the earlier one is in raw/ for certain.
        both_wait = undecided and mine in (None, State.AWAITING_KEY)
        return both_wait or (code != LATER and theirs in _STANDING | {State.AWAITING_KEY})

    def _is_of(self, other: LogName, sha256: str) -> bool:
        """Return whether bytes are those that a sibling was decided by, or nothing is decided yet.

        A task that hung may have fetched what is listed under the sibling's name by now, and left it beside its bytes.
        """
        record = last_record(self.ledger, other)
        if record is None or record["raw_sha256"] is None:
            return True
        return sha256 in (record["raw_sha256"], record.get("replaced_sha256"))

    def _last_outcome(self, log: LogName) -> tuple[State | None, str | None]:
        record = last_record(self.ledger, log)
        return (State(record["state"]), record["reason_code"]) if record else (None, None)

    def _objects(self, other: LogName) -> Iterator[StoredObject]:
        layout = self.ledger.layout
        for item in self.ledger.store.objects(layout.raw_folder(other)):
            if item.path == layout.raw(other) or layout.is_beside(item.path, other):
                yield item

    def _sha256(self, item: StoredObject) -> str:
        with suppress(*CLOSED), self.ledger.raw.open(item.path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return ""

    def _beginning(self, path: str) -> bytes:
        with suppress(*CLOSED), self.ledger.raw.open(path) as file:
            return file.read(_BEGINNING)
        return b""
