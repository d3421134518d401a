"""The signatures of a ledger's commits, held against the public keys that somebody trusts."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Entry
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.seal.signature import PublicKeys


@dataclass(slots=True)
class Signatures:
    """What the commits so far say of signatures.

    From the first signed commit on, each has to be; those before it are vouched for by the chain, which it signs.

    :ivar first: the first commit that is signed; None if none is so far.
    """

    keys: PublicKeys
    first: int | None = None
    _head: int | None = None
    _findings: list[Finding] = field(default_factory=list)

    def add(self, layout: Layout, entry: Entry) -> None:
        """Take the next entry."""
        commit = entry.commit
        if commit is None or not self.keys:
            return
        self._head = entry.number
        if commit.signature and self.first is None:
            self.first = entry.number
        if self.first is None:
            return
        if objection := self.keys.objection(commit.signed_by, commit.signature, entry.unsigned_digest):
            self._findings.append(Finding(Kind.SIGNATURE, layout.commit(entry.number), objection))

    def findings(self, layout: Layout) -> list[Finding]:
        """Return what is wrong, once all entries were taken; if no commit is signed, that."""
        if self.first is None and self._head is not None:
            return [Finding(Kind.SIGNATURE, layout.commit(self._head), "it is not signed, nor is any before it")]
        return self._findings
