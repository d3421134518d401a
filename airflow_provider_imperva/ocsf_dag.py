"""The factory of DAGs that export a lake's events to OCSF.

It is separate from the DAG that loads, so that a target that is down does not slow the load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.operators.ocsf import ImpervaExportOcsfOperator
from airflow_provider_imperva.tasks import dag_settings

_DOC = """
Writes the committed events of an Imperva Cloud WAF repository as Parquet in the Open Cybersecurity Schema Framework
(OCSF), oldest commit first.

It begins when the DAG that loads has committed. What was exported is noted in the lake, below *exports/*; whatever a
run leaves behind, the next one exports.
"""


def imperva_ocsf_dag(
    dag_id: str,
    *,
    lake_uri: str,
    target_uri: str,
    options: Mapping[str, Any] | None = None,
    name: str = "ocsf",
    run_for: timedelta = timedelta(minutes=40),
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    target_conn_id: str | None = None,
    schedule: str | timedelta | Asset | list[Asset] | None = None,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that exports one repository to one place.

    :param lake_uri: root of the lake, as the DAG that loads it has it; so are its connections.
    :param target_uri: root of the files; for Security Lake the bucket of the custom source.
    :param options: fields of :class:`~airflow_provider_imperva.ocsf.options.OcsfOptions` that are not the default.
    :param name: the export's name in the lake.
    :param run_for: after this time a run begins no further commit.
    :param target_conn_id: connection with the credentials for the target; ambient ones without.
    :param schedule: by default each commit of the lake, by
        :func:`~airflow_provider_imperva.assets.imperva_events_asset`.
    :param default_args: for its task, besides ours: two retries, a minute apart and growing.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`.
    :raises ConfigurationError: if a URI or an option cannot be meant.
    """
    given = dag_settings(
        description="Committed events of Imperva Cloud WAF, in OCSF",
        doc=_DOC,
        schedule=schedule if schedule is not None else [imperva_events_asset(lake_uri)],
        default_args=default_args,
        tags=tags,
    )
    dag = DAG(dag_id, **given | dag_args)
    with dag:
        ImpervaExportOcsfOperator(
            task_id="export",
            doc_md=_DOC,
            imperva_conn_id=imperva_conn_id,
            lake_uri=lake_uri,
            lake_conn_id=lake_conn_id,
            target_uri=target_uri,
            target_conn_id=target_conn_id,
            options=options,
            name=name,
            run_for=run_for,
        )
    return dag
