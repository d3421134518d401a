"""The ledger read as a proof reads it: each entry is checked, and where the rows of each log are now is noted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from airflow_provider_imperva.audit.entry import check_entry
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Entry, History, Progress, last_number, read_entries
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.live import LiveSet
from airflow_provider_imperva.lake.records import Commit, Home, Report
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State

IN_PARTS = (State.COMMITTED, State.QUARANTINED)
"""States of logs that have rows in ``events/`` or ``quarantine/``."""


class Anchor(msgspec.Struct, frozen=True):
    """A commit somebody has noted elsewhere: a chain that was rewritten as a whole does not have it.

    :ivar sha256: of the commit's object.
    """

    commit: int
    sha256: str


@dataclass(slots=True)
class AuditedLedger:
    """What reading the ledger gave.

    :ivar homes: the batch that loaded a log last, by the log's name.
    :ivar written: the parts that each of these wrote, by path.
    """

    history: History
    findings: list[Finding] = field(default_factory=list)
    homes: dict[str, Home] = field(default_factory=dict)
    written: dict[Home, tuple[str, ...]] = field(default_factory=dict)

    def add(self, layout: Layout, entry: Entry, *, before: str | None, last: bool) -> None:
        """Take the next entry, and check it."""
        if entry.commit:
            self.findings += _check_live(layout, self.history.live, entry.commit)
        self.history.add(entry)
        self.findings += entry.damages
        self.findings += check_entry(layout, entry, before=before, last=last)
        if entry.commit:
            for batch, report in entry.reports.items():
                self._settle(entry.commit, batch, report)

    def _settle(self, commit: Commit, batch: int, report: Report) -> None:
        """Note where the rows of a batch's logs are now."""
        replaced = commit.replaced.get(batch)
        home = replaced if replaced and commit.v == 1 else Home(commit.commit, batch)
        self.written[home] = tuple(part.path for part in report.parts)
        for log in report.logs:
            if log.name and log.state in IN_PARTS:
                before = self.homes.get(log.name)
                if before not in (None, replaced):
                    found = f"batch {batch} of commit {commit.commit} loads it, and batch {before.batch} of commit"
                    found += f" {before.commit}, whose parts it does not replace, did before"
                    self.findings.append(Finding(Kind.CONTRADICTION, log.name, found))
                self.homes[log.name] = home


def _check_live(layout: Layout, live: LiveSet, commit: Commit) -> Iterator[Finding]:
    """Tell which of the parts that a commit removed were no part of the lake."""
    path = layout.commit(commit.commit)
    for part in commit.removed:
        if live.parts.get(part.path, (None,))[0] != part:
            yield Finding(Kind.CONTRADICTION, path, f"it removed {part.path}, which was no part of the lake")


def read_ledger(store: Store, layout: Layout, *, anchors: Iterable[Anchor], progress: Progress) -> AuditedLedger:
    """Read a ledger to its end, and see that it has the commits that were noted elsewhere."""
    ledger = AuditedLedger(History(layout.repository))
    last = last_number(store, layout)
    before: str | None = None
    for entry in read_entries(store, layout, last=last, whole=True, progress=progress):
        ledger.add(layout, entry, before=before, last=entry.number == last)
        before = entry.sha256
    for anchor in anchors:
        there = ledger.history.sha256.get(anchor.commit)
        if there != anchor.sha256:
            found = f"its SHA-256 is {there}" if there else "it is not there"
            noted = f"{found}; it was noted as {anchor.sha256}"
            ledger.findings.append(Finding(Kind.CHAIN, layout.commit(anchor.commit), noted))
    return ledger
