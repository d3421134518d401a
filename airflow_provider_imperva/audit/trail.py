"""The trail of one number: which entries of a ledger tell of it, found without reading the others.

A watermark only goes forward, so bisection finds the commit that first listed a number and those at which its state
changed. What is done to it once it is decided (a replay, a compaction, expiry, erasure) does not show in the watermark:
each commit names the last one that did such a thing, and that one the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from airflow_provider_imperva.audit.history import last_number
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit, Kind
from airflow_provider_imperva.lake.watermark import Range, State


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a ledger mentions a number.

    :ivar entries: entries that do.
    :ivar revisions: entries of commits that may, since they changed what was decided or written before.
    """

    entries: frozenset[int]
    revisions: frozenset[int]


class Trails:
    """Finds trails in a ledger, and reads each commit once.

    Every method raises LedgerCorruptError if a commit that it needs is missing or does not read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._commits: dict[int, Commit] = {}
        self.last = last_number(ledger.store, ledger.layout)
        self._head = self.last if self.last and ledger.committed(self.last) else self.last - 1

    def commit(self, number: int) -> Commit:
        """Read a commit."""
        if number not in self._commits:
            self._commits[number] = self._ledger.commit(number)
        return self._commits[number]

    @property
    def prefixes(self) -> set[str]:
        """Every prefix that the ledger knows of."""
        known = set(self.commit(self._head).prefixes) if self._head > 0 else set()
        return known | (set(self._ledger.plan(self.last).prefixes) if self._head < self.last else set())

    def of(self, prefix: str, number: int) -> Trail:
        """Find the trail of a number."""
        # They tell how far the ledger goes.
        entries = {self._head, self.last} - {0, -1}
        first = self._first(prefix, number)
        if first is None:
            return Trail(frozenset(entries), frozenset())
        revisions = set(self._revisions(first))
        # A number that came late was decided before, and is so again afterwards.
        ends = sorted({first, self._head} | {one for one in revisions if self.commit(one).kind is Kind.LOAD})
        entries |= {first} | {change for pair in pairwise(ends) for change in self._changes(prefix, number, *pair)}
        return Trail(frozenset(entries), frozenset(revisions - entries))

    def _first(self, prefix: str, number: int) -> int | None:
        """Return the first commit that knows of a number; None if there is none."""

        def knows(commit: int) -> bool:
            known = self.commit(commit).prefixes.get(prefix)
            return known is not None and number <= known.highest

        low, high = 0, self._head
        if high < 1 or not knows(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if knows(middle) else (middle, high)
        return high

    def _changes(self, prefix: str, number: int, low: int, high: int) -> Iterator[int]:
        """Yield the commits above ``low`` at which the state of a number changes, or that leave it listed."""
        before, after = (self._standing(prefix, number, end) for end in (low, high))
        # A log that stays listed was asked for in vain, which its range does not show.
        if low == high or (before == after and (before is None or before.state is not State.LISTED)):
            return
        if high - low == 1:
            yield high
            return
        middle = (low + high) // 2
        yield from self._changes(prefix, number, low, middle)
        yield from self._changes(prefix, number, middle, high)

    def _standing(self, prefix: str, number: int, commit: int) -> Range | None:
        """Return what is open of a number after a commit: None if it is decided."""
        for item in self.commit(commit).prefixes[prefix].open:
            if item.first <= number <= item.last:
                return Range(number, number, item.state, item.since, item.public_key_id, None, item.ask_again_at)
        return None

    def _revisions(self, first: int) -> Iterator[int]:
        """Yield the commits from one on that revised what earlier ones did, the newest first."""
        number = self._head
        while number >= first:
            revised = self.commit(number).revised
            if revised in (None, number):  # None if an earlier release wrote it: whatever it did
                yield number
                number -= 1
            else:
                number = revised
