"""The coverage page as an Airflow task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_imperva.links import ImpervaCoverageLink
from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.options import PlanOptions, checked_options
from airflow_provider_imperva.retries import ends_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImpervaCoverageOperator(ImpervaOperator):
    """Writes the coverage page of a repository into its lake, as ``reports/repository=<id>/coverage.html``.

    Beside it are the same figures as ``coverage.json`` and a ``badge.svg``; the overview of all repositories of the
    lake, ``reports/coverage.html``, is rewritten from the figures of each.

    It reads the whole ledger, and two columns of the events of the last days; once a day is often enough for a large
    lake. Skipped while nothing has been planned. Of a damaged lake the page shows what can be read, and names
    what cannot.

    Returns where the page is, the level (``green``, ``amber`` or ``red``), and how many numbers are in each state.

    :param days: for how many days back volume and delivery lag are shown.
    :param plan_options: as the plan task has them, for the window.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "days")
    operator_extra_links = (ImpervaCoverageLink(),)

    def __init__(self, *, days: int | str = 30, plan_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.days = days
        self.plan_options = checked_options(PlanOptions, plan_options)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Write the page."""
        from airflow_provider_imperva.audit.coverage import measure_coverage
        from airflow_provider_imperva.audit.history import History
        from airflow_provider_imperva.audit.reports import write_reports

        hook = self._make_hook()
        window = hook.plan_options(self.plan_options).window
        ledger = self._open_ledger(hook)
        store, path = ledger.store, ledger.layout.coverage_page
        history = History.read(store, ledger.layout.repository)
        if not history.last:
            raise AirflowSkipException("Nothing has been planned for this lake yet")
        coverage = measure_coverage(store, history, window=window, days=int(self.days))
        assessment = write_reports(store, coverage)
        for finding in coverage.unread:
            self.log.error("Could not be read: %s: %s", finding.about, finding.found)
        self.log.info("The page is %s. %s: %s.", store.uri(path), assessment.level, assessment.headline)
        return {
            "page": store.uri(path),
            "level": str(assessment.level),
            "states": coverage.states,
            "unread": len(coverage.unread),
        }
