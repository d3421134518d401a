"""The catalog of arrivals, held against the ledger: an arrival that somebody planted would never be loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.arrivals import PREFIX, Cataloged
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.watermark import CLOCKS_DIFFER


def check_arrivals(
    layout: Layout, history: History, cataloged: Cataloged | LedgerCorruptError | None, delivered: Mapping[int, str]
) -> Iterator[Finding]:
    """Compare the catalog with the ledger.

    :param cataloged: the catalog as it was before the ledger was read; None if there is none.
    :param delivered: the paths of delivered logs by their numbers, as the commits have them.
    """
    folder = layout.arrivals_folder
    if cataloged is None:
        if delivered:
            yield Finding(Kind.MISSING, folder, f"{len(delivered)} logs were delivered, and no catalog has them")
        return
    if isinstance(cataloged, LedgerCorruptError):
        yield Finding(Kind.UNREADABLE, folder, cataloged.found)
        return
    yield from (Finding(Kind.CONTRADICTION, path, problem) for path, problem in cataloged.contradictions)
    paths = {number: arrival.path for number, arrival in enumerate(cataloged.arrivals.ordered, 1)}
    for number, path in sorted(delivered.items()):
        if paths.get(number) != path:
            problem = f"arrival {number} is {paths.get(number)!a} there, and was loaded as {path!a}"
            yield Finding(Kind.CONTRADICTION, folder, problem)
    last = history.open_plan or history.head
    known = last.prefixes[PREFIX].highest if last and PREFIX in last.prefixes else 0
    for page in cataloged.pages:
        passed = last and (not known or _was_passed(page.written, last.observed_at))
        if page.last > known and passed:
            problem = f"it has arrivals up to {page.last}, and no plan since has any above {known}"
            yield Finding(Kind.UNNAMED, page.path, problem)


def _was_passed(written: datetime, observed_at: datetime) -> bool:
    """Return whether a run listed the folder long after a page was written, and so must have planned its arrivals."""
    return observed_at > written + CLOCKS_DIFFER
