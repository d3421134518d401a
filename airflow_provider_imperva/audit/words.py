"""The outcome of a proof in words, for a terminal and for a task's log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Protocol

from airflow_provider_imperva.audit.assessment import describe_missing_numbers
from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.audit.findings import Finding
from airflow_provider_imperva.audit.trusted import describe_assurances
from airflow_provider_imperva.audit.verify import LakeVerification, Verification

_SHOWN = 20
"""How many findings of a kind are given in words; all are in the JSON."""


def describe_lake(lake: LakeVerification) -> Iterator[str]:
    """Yield the lines of a report on a lake."""
    for repository in lake.repositories:
        yield from describe_repository(repository)
        yield ""
    yield from _describe_findings(lake.findings)
    count = len(lake.findings) + sum(len(item.findings) for item in lake.repositories)
    wrong = f"{counted(count, 'finding')}: {lake.lake} is not what its ledger says."
    yield f"{lake.lake} is what its ledger says." if lake.ok else wrong


def describe_completeness(verification: Verification) -> str:
    """Describe whether anything is lost or waits, which the ledger may say of a lake that is as it should be."""
    if verification.observed_at is None:
        return "Nobody has looked at the repository yet, so nothing can be said of what is missing."
    seen = f"when the repository was last looked at, {verification.observed_at:%Y-%m-%d %H:%M} UTC"
    if verification.is_complete:
        return f"Nothing was missing {seen}."
    return f"Not complete {seen}: {'; '.join(note.text for note in describe_missing_numbers(verification.missing))}."


def describe_repository(verification: Verification) -> Iterator[str]:
    """Yield the lines of a report on one repository of it."""
    yield f"Repository {verification.repository}"
    if verification.head:
        yield f"  chain     {verification.head.commit} commits, the last has SHA-256 {verification.head.sha256}"
    for prefix, states in verification.numbers.items():
        yield f"  {prefix:9} {describe_states(states)}"
    yield f"  lines     {verification.lines:,} = {describe_lines(verification)}"
    size = f"{verification.hashed_bytes / 1e6:,.1f} MB"
    yield f"  objects   {verification.objects:,} are named, {verification.hashed:,} of them hashed ({size})"
    if verification.seed is not None:
        looked = f"{verification.not_hashed:,} objects were only looked for, with their size"
        yield f"  sample    {looked}: their bytes were not read (seed {verification.seed})"
    for note in verification.notes:
        yield f"  note      {note}"
    yield from (f"  insider   {line}" for line in describe_assurances(verification.assurances))
    yield from (f"  accepted  {finding}" for finding in verification.accepted)
    yield from (f"  {line}" for line in _describe_findings(verification.findings))
    yield f"  sound     {'The lake is what its ledger says.' if verification.ok else 'No: see the findings.'}"
    yield f"  complete  {describe_completeness(verification)}"


class _Lines(Protocol):
    @property
    def rows(self) -> int: ...
    @property
    def quarantined_lines(self) -> int: ...
    @property
    def expired_lines(self) -> int: ...
    @property
    def erased_lines(self) -> int: ...


def describe_lines(lines: _Lines) -> str:
    """Describe what became of lines; of those that were removed only if there are any."""
    text = f"{lines.rows:,} rows in events/ + {lines.quarantined_lines:,} in quarantine/"
    text += f" + {lines.expired_lines:,} expired" if lines.expired_lines else ""
    return text + (f" + {lines.erased_lines:,} erased" if lines.erased_lines else "")


def describe_states(states: Mapping[str, int]) -> str:
    """Say of how many numbers what became."""
    parts = " + ".join(f"{count:,} {state}" for state, count in sorted(states.items(), key=lambda item: -item[1]))
    return f"{sum(states.values()):,} numbers = {parts or 'none'}"


def _describe_findings(findings: Iterable[Finding]) -> Iterator[str]:
    for kind, group in groupby(findings, key=lambda finding: finding.kind):
        of_kind = list(group)
        yield f"{kind.upper()} ({len(of_kind)})"
        for finding in of_kind[:_SHOWN]:
            yield f"  {finding.about}: {finding.found}"
        if len(of_kind) > _SHOWN:
            yield f"  ... and {len(of_kind) - _SHOWN} more, which --json names"
