"""Reports in the lake, for people to look at: a repository's page, its figures, its badge, and the overview."""

from __future__ import annotations

import msgspec

from airflow_provider_imperva.audit.assessment import Assessment
from airflow_provider_imperva.audit.badge import badge
from airflow_provider_imperva.audit.coverage import Coverage
from airflow_provider_imperva.audit.page import render, render_overview
from airflow_provider_imperva.audit.summary import Summary, read_summary
from airflow_provider_imperva.lake.layout import OVERVIEW_PAGE, TRAFFIC_PAGE, Layout
from airflow_provider_imperva.lake.store import Store


def write_reports(store: Store, coverage: Coverage) -> Assessment:
    """Write all of them, and return how the repository stands.

    Of two tasks that write the overview at the same time, the later one counts, which may have an older row of the
    other's repository: until the next of them writes.

    :raises LakeError: if the store fails.
    """
    layout, summary = Layout(coverage.repository), Summary.of(coverage)
    assessment = summary.assess(at=coverage.made_at)
    name = TRAFFIC_PAGE.rsplit("/", 1)[1] if store.exists(TRAFFIC_PAGE) else ""
    page = render([coverage], lake=store.uri(), traffic=name and f"../{name}")
    store.write(layout.coverage_page, page.encode())
    store.write(layout.coverage_summary, msgspec.json.encode(summary))
    store.write(layout.badge, badge(coverage.repository, assessment).encode())
    names = [name.removeprefix("repository=") for name in store.folders("reports") if name.startswith("repository=")]
    summaries = [found_summary for name in names if (found_summary := read_summary(store, name))]
    overview = render_overview(summaries, lake=store.uri(), at=coverage.made_at, traffic=name)
    store.write(OVERVIEW_PAGE, overview.encode())
    return assessment
