"""The factory of DAGs that compact a lake: many small parts become few sorted ones, side by side on all workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, TriggerRule

from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.operators.compact import (
    ImpervaCommitCompactionOperator,
    ImpervaMergePartsOperator,
    ImpervaPlanCompactionOperator,
)
from airflow_provider_imperva.tasks import dag_settings

_DOC = """
Merges the small parts of an Imperva Cloud WAF repository's lake, class by class and date by date, once a date has been
quiet for some hours. The rows stay the same, and readers of the table see no change but that it is faster.

Runs that load go before: one that begins meanwhile commits what is merged by then, and the rest is merged by the next
run of this DAG.
"""


def imperva_compact_dag(
    dag_id: str,
    *,
    lake_uri: str,
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    catalog_conn_id: str | None = None,
    schedule: str | timedelta | None = "40 4 * * *",
    options: Mapping[str, Any] | None = None,
    side_by_side: int = 4,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that compacts one repository's part of a lake.

    :param lake_uri: root of the lake, as the DAG that loads it has it; so are the connections. Of the repository's
        connection only the id is needed.
    :param schedule: once a day by default.
    :param options: fields of :class:`~airflow_provider_imperva.options.CompactionOptions` that are not the default.
    :param side_by_side: how many parts are made at once, each by a task of its own that takes up to 700 MB of memory.
    :param default_args: for its tasks, besides ours: two retries, a minute apart and growing.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`.
    :raises ConfigurationError: if the lake's URI or an option cannot be meant.
    """
    given = dag_settings(
        description="Small parts of the lake, merged",
        doc=_DOC,
        schedule=schedule,
        dagrun_timeout=timedelta(hours=12),
        default_args=default_args,
        tags=tags,
    )
    lake: dict[str, Any] = {
        "imperva_conn_id": imperva_conn_id,
        "lake_uri": lake_uri,
        "lake_conn_id": lake_conn_id,
        "catalog_conn_id": catalog_conn_id,
    }
    dag = DAG(dag_id, **given | dag_args)
    with dag:
        plan = ImpervaPlanCompactionOperator(task_id="plan", options=dict(options or {}), **lake)
        merge = ImpervaMergePartsOperator.partial(
            task_id="merge", max_active_tis_per_dagrun=side_by_side, **lake
        ).expand(batch=plan.output)
        commit = ImpervaCommitCompactionOperator(task_id="commit", trigger_rule=TriggerRule.ALL_DONE, **lake)
        plan >> merge >> commit
    return dag
