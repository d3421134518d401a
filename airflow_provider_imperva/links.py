"""The link from a task to the coverage page of the lake it loads into, inside Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

COVERAGE_ROUTE = "imperva-coverage"
"""Where Airflow shows the coverage page of a DAG: the last part of the address of that tab."""


class ImpervaCoverageLink(BaseOperatorLink):
    """Leads to the tab of the task's DAG that shows the coverage page."""

    name = "Coverage"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the tab's address; Airflow keeps it as an XCom of the task."""
        from airflow.providers.common.compat.sdk import conf

        base_url = conf.get("api", "base_url", fallback="").rstrip("/")
        return f"{base_url}/dags/{quote(ti_key.dag_id, safe='')}/plugin/{COVERAGE_ROUTE}"
