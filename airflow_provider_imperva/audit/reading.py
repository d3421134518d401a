"""The ledger read as a proof reads it: each entry is checked, and where the rows of each log are now is noted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_imperva.audit.contents import Content
from airflow_provider_imperva.audit.entry import check_entry, check_revised
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Entry, History, Progress, last_number, read_entries, silent
from airflow_provider_imperva.audit.intents import check_intents
from airflow_provider_imperva.audit.signatures import Signatures
from airflow_provider_imperva.audit.times import check_times
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.live import LiveSet
from airflow_provider_imperva.lake.records import BatchId, Commit, LogRecord, Report
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.seal.anchors import Anchor
from airflow_provider_imperva.seal.signature import PublicKeys

IN_PARTS = (State.COMMITTED, State.QUARANTINED)
"""States of logs that have rows in ``events/`` or ``quarantine/``."""


@dataclass(slots=True)
class AuditedLedger:
    """What reading the ledger gave.

    :ivar signatures: what was found of its signatures.
    :ivar at: now, UTC.
    :ivar group: the account group of the last entry's plan.
    :ivar loaded_by: the batch that loaded a log last, by the log's name.
    :ivar written: the parts that each of these wrote, by path.
    :ivar contents: what is known of the content of each log, by name.
    :ivar fetched_at: when each log came, by name.
    :ivar delivered: the paths of logs that were delivered, by number.
    """

    history: History
    signatures: Signatures
    at: datetime
    group: str | None = None
    findings: list[Finding] = field(default_factory=list)
    loaded_by: dict[str, BatchId] = field(default_factory=dict)
    written: dict[BatchId, tuple[str, ...]] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    delivered: dict[int, str] = field(default_factory=dict)
    fetched_at: dict[str, datetime] = field(default_factory=dict)

    def add(self, layout: Layout, entry: Entry, *, before: str | None, last: bool) -> None:
        """Take the next entry, and check it."""
        if entry.commit:
            self.findings += _check_live(layout, self.history.live, entry.commit)
        before_it = self.history.commits.get(entry.number - 1)
        self.findings += check_times(layout, entry, before_it, at=self.at)
        self.findings += check_revised(layout, entry, before_it)
        self.findings += check_intents(layout, entry)
        self.signatures.add(layout, entry)
        self.history.add(entry)
        self.findings += entry.damages
        self.findings += check_entry(layout, entry, before=before, last=last)
        if entry.commit:
            self.group = entry.plan.account_group if entry.plan else None
            for batch, report in entry.reports.items():
                self._settle(entry.commit, batch, report)

    def _settle(self, commit: Commit, batch: int, report: Report) -> None:
        """Note where the rows of a batch's logs are now."""
        replaced = commit.replaced.get(batch)
        batch_id = replaced if replaced and commit.v == 1 else BatchId(commit.commit, batch)
        self.written[batch_id] = tuple(part.path for part in report.parts)
        for log in report.logs:
            self._note(commit, batch, log)
            if log.name and log.state in IN_PARTS:
                before = self.loaded_by.get(log.name)
                if before not in (None, replaced):
                    problem = f"batch {batch} of commit {commit.commit} loads it, and batch {before.batch} of commit"
                    problem += f" {before.commit}, whose parts it does not replace, did before"
                    self.findings.append(Finding(Kind.CONTRADICTION, log.name, problem))
                self.loaded_by[log.name] = batch_id

    def _note(self, commit: Commit, batch: int, log: LogRecord) -> None:
        if log.name is None:
            return
        if log.delivered_as is not None:
            self.delivered[log.sequence] = log.delivered_as
        if log.fetched_at is not None:
            self.fetched_at[log.name] = log.fetched_at
        before = self.contents.get(log.name)
        # A replay of what is loaded claims nothing.
        claims = batch not in commit.replaced and log.state is State.COMMITTED and log.content_sha256 is not None
        claims |= before is not None and before.claims and before.sha256 == log.content_sha256
        self.contents[log.name] = Content(
            self.group, log.content_sha256, log.state, claims, came_again=log.replaced_sha256 is not None
        )


def _check_live(layout: Layout, live: LiveSet, commit: Commit) -> Iterator[Finding]:
    """Yield a finding for each part that a commit removed and that was not in the lake."""
    path = layout.commit(commit.commit)
    for part in commit.removed:
        if live.parts.get(part.path, (None,))[0] != part:
            yield Finding(Kind.CONTRADICTION, path, f"it removed {part.path}, which was not in the lake")


def read_ledger(
    store: Store,
    layout: Layout,
    *,
    anchors: Iterable[Anchor],
    keys: PublicKeys,
    at: datetime,
    processes: int = 1,
    progress: Progress = silent,
) -> AuditedLedger:
    """Read a ledger to its end, and see that it has the commits that were noted elsewhere.

    :param keys: by one of which commits have to be signed; without any, signatures are not checked.
    :param at: now, UTC.
    :param processes: how many read from a disk, side by side.
    """
    ledger = AuditedLedger(History(layout.repository), Signatures(keys), at)
    last = last_number(store, layout)
    before: str | None = None
    for entry in read_entries(
        store, layout, numbers=range(1, last + 1), whole=True, processes=processes, progress=progress
    ):
        ledger.add(layout, entry, before=before, last=entry.number == last)
        before = entry.sha256
    ledger.findings += ledger.signatures.findings(layout)
    ledger.findings += missing_anchors(ledger.history, anchors)
    return ledger


def missing_anchors(history: History, anchors: Iterable[Anchor]) -> Iterator[Finding]:
    """Return which commits that were noted elsewhere are not in a ledger."""
    for anchor in anchors:
        there = history.sha256.get(anchor.commit)
        if there != anchor.sha256:
            problem = f"its SHA-256 is {there}" if there else "it is not there"
            noted = f"{problem}; it was noted as {anchor.sha256}"
            yield Finding(Kind.CHAIN, history.layout.commit(anchor.commit), noted)


def broken_chain(history: History) -> Iterator[Finding]:
    """Return where a chain is broken."""
    for number, commit in history.commits.items():
        path = history.layout.commit(number)
        if commit.commit != number or commit.previous_sha256 != history.sha256.get(number - 1):
            yield Finding(Kind.CHAIN, path, "it does not follow the commit before")
        if history.logs_sha256.get(number, commit.logs_sha256) != commit.logs_sha256:
            yield Finding(Kind.ALTERED, history.layout.logs(number), "its SHA-256 is not that in its commit")
