"""The export to OCSF as an Airflow task."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.options import check_destination_name, check_positive
from airflow_provider_imperva.retries import ends_for_good
from airflow_provider_imperva.uri import check_lake_uri

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.ocsf.export import OcsfExport


class ImpervaExportOcsfOperator(ImpervaOperator):
    """Writes the committed events of a repository as Parquet in OCSF, oldest commit first, and notes that in the lake.

    Access and security events become HTTP Activity (4002), incidents of Attack Analytics Detection Findings (2004).
    What a run does not come to, the next one exports. Skipped if there is nothing to export. It needs nothing of the
    repository but its id.

    Let one task at a time export under one name.

    Returns how many commits and rows were exported, and how many commits are pending.

    :param target_uri: root of the files; for Security Lake the bucket of the custom source.
    :param target_conn_id: connection with the credentials for it, as ``lake_conn_id`` is for the lake; ambient ones
        without.
    :param options: fields of :class:`~airflow_provider_imperva.ocsf.options.OcsfOptions` that are not the default.
    :param name: the export's name in the lake. Whoever changes it begins again.
    :param run_for: after this time no further commit is begun.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "target_uri", "target_conn_id")

    def __init__(
        self,
        *,
        target_uri: str,
        target_conn_id: str | None = None,
        options: Mapping[str, Any] | None = None,
        name: str = "ocsf",
        run_for: timedelta = timedelta(minutes=40),
        **kwargs: Any,
    ) -> None:
        from airflow_provider_imperva.ocsf.options import ocsf_options

        super().__init__(**kwargs)
        check_lake_uri(target_uri)
        check_positive(run_for=run_for)
        ocsf_options(options)
        self.target_uri = target_uri
        self.target_conn_id = target_conn_id
        self.options = dict(options or {})
        self.name = check_destination_name(name)
        self.run_for = run_for

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Export what is pending."""
        export = self._export(context)
        export.begin()
        pending = export.pending()
        if not pending:
            raise AirflowSkipException(f"Nothing to export: every commit was exported as {self.name}")
        commits = rows = 0
        for outcome in self._in_time(export, pending):
            commits += 1
            rows += outcome.rows
            self.log.info("Commit %d: %d rows in %d files", outcome.commit, outcome.rows, len(outcome.files))
        return {
            "repository": export.ledger.layout.repository,
            "name": self.name,
            "commits": commits,
            "rows": rows,
            "pending": len(pending) - commits,
        }

    def _export(self, context: Context) -> OcsfExport:
        from airflow_provider_imperva.hooks.lake import open_lake
        from airflow_provider_imperva.ocsf.export import OcsfExport
        from airflow_provider_imperva.ocsf.options import ocsf_options
        from airflow_provider_imperva.operators.planning import run_of

        return OcsfExport(
            ledger=self._open_ledger(self._make_hook()),
            target=open_lake(self.target_uri, self.target_conn_id),
            options=ocsf_options(self.options),
            run=run_of(context),
            name=self.name,
        )

    def _in_time(self, export: OcsfExport, pending: Sequence[int]) -> Iterator[Any]:
        until = time.monotonic() + self.run_for.total_seconds()
        for place, outcome in enumerate(export.export(pending), 1):
            yield outcome
            self._stop_if_killed()
            if time.monotonic() > until and place < len(pending):
                self.log.info("%d commits are left to the next run", len(pending) - place)
                return
