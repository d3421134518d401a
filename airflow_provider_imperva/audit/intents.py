"""The intents of batches, held against the parts that they reported."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Entry
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import Kind as CommitKind

_WRITE_INTENTS = (CommitKind.LOAD, CommitKind.REPLAY)


def check_intents(layout: Layout, entry: Entry) -> Iterator[Finding]:
    """See that each batch that wrote parts had said which ones: if it had died, they would be found by that."""
    if entry.plan is None or entry.plan.v == 1 or entry.plan.kind not in _WRITE_INTENTS:
        return
    for batch, report in entry.reports.items():
        path = layout.intent(entry.number, batch)
        intent = entry.intents.get(batch)
        if intent is None:
            if report.parts and not any(finding.about == path for finding in entry.damages):
                yield Finding(Kind.MISSING, path, "the intent of a batch is missing, and it wrote parts")
        elif report.parts and sorted(intent.paths) != sorted(part.path for part in report.parts):
            yield Finding(Kind.CONTRADICTION, path, "it names other parts than its batch reported")
