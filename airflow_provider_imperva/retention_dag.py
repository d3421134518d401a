"""The factory of the DAG that keeps a lake to its retention policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.operators.retention import ImpervaExpireLakeOperator
from airflow_provider_imperva.tasks import dag_settings

_DOC = """
Takes out of the lake what is older than its retention policy allows. The ledger says what left and by which rule, so
that the lake can still be proved. What a legal hold covers stays.

Its XCom has how much left of each class, and the oldest day of each class that can be queried.
"""


def imperva_retention_dag(
    dag_id: str,
    *,
    lake_uri: str,
    policy: Mapping[str, Any] | str,
    dry_run: bool = False,
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    catalog_conn_id: str | None = None,
    schedule: str | timedelta = "@daily",
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that expires a repository once a day.

    :param lake_uri: root of the lake, as the DAG that loads it has it; so are its connections.
    :param policy: days by class, as a mapping or the path of a YAML file; as of
        :class:`~airflow_provider_imperva.operators.retention.ImpervaExpireLakeOperator`.
    :param dry_run: only tell what would leave.
    :param default_args: for its task, besides ours: two retries, a minute apart and growing.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`.
    :raises ConfigurationError: if the lake's URI or the policy cannot be meant.
    """
    given = dag_settings(
        description="What is older than the retention policy allows leaves the lake",
        doc=_DOC,
        schedule=schedule,
        default_args=default_args,
        tags=tags,
    )
    dag = DAG(dag_id, **given | dag_args)
    with dag:
        ImpervaExpireLakeOperator(
            task_id="expire",
            doc_md=_DOC,
            imperva_conn_id=imperva_conn_id,
            lake_uri=lake_uri,
            lake_conn_id=lake_conn_id,
            catalog_conn_id=catalog_conn_id,
            policy=policy,
            preview=dry_run,
        )
    return dag
