"""The factory of DAGs that forward a lake's logs to SIEMs: one DAG each, so that none waits for another.

None of them is part of the DAG that loads: a destination that is down slows no load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.operators.forward import ImpervaForwardLogsOperator
from airflow_provider_imperva.tasks import dag_settings

_DOC = """
Sends the committed logs of an Imperva Cloud WAF repository to a SIEM, oldest first.

It begins when the DAG that loads has committed. What the destination has acknowledged is noted in the lake, below
*forwards/*; whatever a run leaves behind, the next one sends.
"""


def imperva_forward_dag(
    dag_id: str,
    *,
    lake_uri: str,
    destination: str,
    destination_conn_id: str,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    start: str | int | None = None,
    redaction: Any = True,
    pseudonyms: Any = None,
    run_for: timedelta = timedelta(minutes=40),
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    schedule: str | timedelta | Asset | list[Asset] | None = None,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that forwards one repository to one destination.

    :param lake_uri: root of the lake, as the DAG that loads it has it; so are its connections.
    :param destination: name of a preset, such as ``syslog``.
    :param destination_conn_id: connection with the destination's address and credentials, as
        :func:`~airflow_provider_imperva.hooks.destination.destination_address` reads it.
    :param name: the destination's name in the lake; by default ``destination``.
    :param options: fields of :class:`~airflow_provider_imperva.forward.destination.DestinationOptions` in place of the
        preset's.
    :param start: where a destination begins that nothing was sent to yet: ``oldest`` (default), ``now``, or the number
        of a commit.
    :param redaction: what is redacted before anything leaves: true for the default rules, false for nothing, or a
        mapping or YAML file of rules, as :func:`~airflow_provider_imperva.privacy.rules.redaction_rules` takes them.
    :param pseudonyms: those of the DAG that loads, if its rows have any; False sends lines that name people although
        rows do not. By default a lake with pseudonyms is not sent.
    :param run_for: after this time a run begins no further commit.
    :param schedule: by default each commit of the lake, by
        :func:`~airflow_provider_imperva.assets.imperva_events_asset`.
    :param default_args: for its task, besides ours: two retries, a minute apart and growing.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`.
    :raises ConfigurationError: if the lake's URI, the destination or an option cannot be meant.
    """
    given = dag_settings(
        description=f"Committed logs of Imperva Cloud WAF, to {name or destination}",
        doc=_DOC,
        schedule=schedule if schedule is not None else [imperva_events_asset(lake_uri)],
        default_args=default_args,
        tags=tags,
    )
    dag = DAG(dag_id, **given | dag_args)
    with dag:
        ImpervaForwardLogsOperator(
            task_id="forward",
            doc_md=_DOC,
            imperva_conn_id=imperva_conn_id,
            lake_uri=lake_uri,
            lake_conn_id=lake_conn_id,
            destination=destination,
            destination_conn_id=destination_conn_id,
            name=name,
            options=options,
            start=start,
            redaction=redaction,
            pseudonyms=pseudonyms,
            run_for=run_for,
        )
    return dag


def imperva_forward_dags(destinations: Iterable[Mapping[str, Any]], **common: Any) -> list[DAG]:
    """Build a DAG for each of several destinations.

    :param destinations: for each, the arguments of :func:`imperva_forward_dag` that it has for itself. Unless it says
        otherwise, its DAG is called ``imperva_forward__<name>``.
    :param common: arguments of :func:`imperva_forward_dag` for all of them.
    :raises ConfigurationError: if a destination has none, or two DAGs or two destinations have one name.
    """
    dags: dict[str, DAG] = {}
    for given in destinations:
        own = {**common, **given}
        name = own.get("name") or own.get("destination")
        if not name:
            raise ConfigurationError("a destination is missing", do="Give each its destination, the name of a preset")
        dag_id = own.pop("dag_id", f"imperva_forward__{name}")
        if dag_id in dags:
            raise ConfigurationError(
                f"two destinations make the DAG {dag_id}", do="Give each a name of its own, or a dag_id"
            )
        dags[dag_id] = imperva_forward_dag(dag_id, **own)
    return list(dags.values())
