"""The factories: DAGs that load a repository into a lake and show how complete it is there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, Param

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator
from airflow_provider_imperva.operators.watch import ImpervaWatchOperator
from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.tasks import RUN_TIMEOUT, add_load_tasks, dag_settings, options_by_task

if TYPE_CHECKING:
    from airflow.sdk import Context

# Airflow's pages show a name in backquotes as a block of its own, so names are emphasized here.
_DOC = """
Loads every log of an Imperva Cloud WAF repository into a lake of Parquet.

*wait_for_logs* ends when there is work, *plan* writes to the lake's ledger what this run loads, *load* fetches and
normalizes it batch by batch, *commit* makes it true. The run is green only if nothing was left behind; whatever a run
leaves behind, the next one loads. The tab **Imperva** shows what is in the lake, and what is not.
"""

_COVERAGE_DOC = """
Writes the page that shows how completely an Imperva Cloud WAF repository is in its lake.

Airflow's menu shows it under **Imperva**, and so does the tab **Imperva** of the DAG that loads the repository. The
whole ledger is read each time: once a day is often enough for a lake of years.
"""

_WATCH_DOC = """
Fails when nobody has looked at an Imperva Cloud WAF repository for too long, as the ledger in its lake says.

A DAG that is paused, or whose run hangs, fails nowhere by itself. Let its failures call people, and run it in another
Airflow, or at least not in the pool of the tasks it watches.
"""


def run_types() -> dict[str, Any]:
    """Return the argument that shuts out backfills, where Airflow has it (from 3.2 on)."""
    if "allowed_run_types" not in inspect.signature(DAG).parameters:
        return {}
    from airflow.sdk.api.datamodels._generated import DagRunType

    return {"allowed_run_types": [kind for kind in DagRunType if kind != DagRunType.BACKFILL]}


def imperva_logs_dag(
    dag_id: str,
    *,
    lake_uri: str,
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    schedule: str | timedelta | Asset | Sequence[Asset] | None = timedelta(minutes=10),
    sensor_timeout: timedelta = timedelta(minutes=9),
    poke_interval: timedelta = timedelta(minutes=1),
    plan_options: dict[str, Any] | None = None,
    pool: str | None = None,
    fetch_slots: int = 8,
    keep_raw: bool = False,
    decode_policy: dict[str, Any] | None = None,
    redaction: Any = True,
    pseudonyms: Any = None,
    severities: Any = None,
    headroom_warning: timedelta = timedelta(hours=24),
    on_low_headroom: Callable[[Context], object] | None = None,
    fail_when_critical: bool = False,
    quarantined_share: float = 0.01,
    table: TableKind | None = "delta",
    catalog_conn_id: str | None = None,
    events_asset: Asset | None = None,
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    default_args: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that loads one repository.

    :param lake_uri: root of the lake: ``file://``, ``s3://``, anything fsspec speaks.
    :param imperva_conn_id: connection of type ``imperva``.
    :param lake_conn_id: connection with the lake's credentials; ambient ones without.
    :param sensor_timeout: how long a run waits for work before it ends as skipped.
    :param poke_interval: time between two looks at the index while waiting.
    :param plan_options: fields of :class:`~airflow_provider_imperva.options.PlanOptions` that are not the default.
        ``logs_per_batch`` is how many logs one worker takes at a time.
    :param pool: an Airflow pool, which has to exist, with as many slots as the repository may be asked for at once by
        all workers together. Whatever may ask it is in the pool, but ``wait_for_logs``: a look is one request. Where
        the pool is missing or too small, that task fails and says so. Without one, each fetch task is bounded for
        itself.
    :param fetch_slots: how many of the pool's slots a fetch task takes, and so the most requests it has under way; no
        more than the pool has.
    :param keep_raw: whether each row carries its line in the column ``raw``.
    :param decode_policy: fields of :class:`~airflow_provider_imperva.options.DecodePolicy` that are not the
        default.
    :param redaction: what is redacted before anything is written: true for the default rules, false for nothing, or a
        mapping or the path of a YAML file with own rules, as
        :func:`~airflow_provider_imperva.privacy.rules.redaction_rules` takes them.
    :param pseudonyms: which columns have pseudonyms, none by default: the id of the connection that has the key, or a
        mapping, as :func:`~airflow_provider_imperva.privacy.options.pseudonym_options` takes it.
    :param severities: the column ``severity`` by rule type code, in place of the default's, as
        :func:`~airflow_provider_imperva.severities.severity_options` takes it; such as ``{4: "medium"}``.
    :param headroom_warning: the headroom below which the commit warns, and calls ``on_low_headroom``.
    :param on_low_headroom: an Airflow notifier, or any callable that takes the context.
    :param quarantined_share: the share of a commit's lines, 0 to 1, above which lines in quarantine make its run red. A
        log that is there as a whole always does.
    :param fail_when_critical: whether a run is red while the headroom is below the plan options'
        ``critical_headroom``.
    :param table: the table that a new lake gets, so that each commit appears in it whole or not at all: ``delta`` or
        ``iceberg``, which need the extras of these names. None for a lake of Parquet files only. An older lake gets its
        table by ``imperva-logs table LAKE --create``.
    :param catalog_conn_id: connection of type ``iceberg`` with the catalog of the lake's Iceberg table. Without one,
        the catalog is a SQLite file in the lake, for trying on one machine.
    :param events_asset: the asset of which each commit emits an event; by default
        :func:`~airflow_provider_imperva.assets.imperva_events_asset` of the lake.
    :param task_options: other arguments for single tasks, by ``wait_for_logs``, ``plan``, ``fetch``, ``normalize`` and
        ``commit``; such as ``queue``, ``executor_config``, ``pool``, and ``deferrable`` of the first.
    :param default_args: for all tasks, besides ours: two retries, a minute apart and growing, and an
        ``execution_timeout`` of an hour (the sensor's is longer by ``sensor_timeout``).
    :param params: for all runs, besides ours: ``start_anew`` and ``go_by_ledger``.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`, in place of ours: ``dagrun_timeout`` is three
        hours and ``sensor_timeout``, backfills are shut out. For ``deadline`` there is
        :func:`~airflow_provider_imperva.deadline.imperva_deadline_alert`.
    :raises ConfigurationError: if the lake's URI, an option or a threshold cannot be meant.
    """
    dag = DAG(
        dag_id,
        **dag_settings(
            description="Every log of Imperva Cloud WAF, into the lake",
            doc=_DOC,
            schedule=schedule,
            dagrun_timeout=sensor_timeout + RUN_TIMEOUT,
            default_args=default_args,
            tags=tags,
        )
        | {
            "params": {
                "start_anew": Param(
                    False,
                    type="boolean",
                    description="Load into an empty lake, though an earlier run had another",
                ),
                "go_by_ledger": Param(
                    False,
                    type="boolean",
                    description="Go on with a ledger that ends before what the last run committed",
                ),
            }
            | dict(params or {}),
        }
        | run_types()
        | dag_args,
    )
    with dag:
        add_load_tasks(
            lake_uri=lake_uri,
            imperva_conn_id=imperva_conn_id,
            lake_conn_id=lake_conn_id,
            sensor_timeout=sensor_timeout,
            poke_interval=poke_interval,
            plan_options=plan_options,
            pool=pool,
            fetch_slots=fetch_slots,
            keep_raw=keep_raw,
            decode_policy=decode_policy,
            redaction=redaction,
            pseudonyms=pseudonyms,
            severities=severities,
            headroom_warning=headroom_warning,
            on_low_headroom=on_low_headroom,
            fail_when_critical=fail_when_critical,
            quarantined_share=quarantined_share,
            table=table,
            catalog_conn_id=catalog_conn_id,
            events_asset=events_asset,
            default_args=default_args,
            task_options=task_options,
        )
    return dag


def imperva_logs_dags(accounts: Iterable[str | Mapping[str, Any]], **common: Any) -> list[DAG]:
    """Build a DAG for each of many accounts, so that whatever is wrong with one holds up no other.

    One lake takes them all: each account has its own ledger and watermark there, under its repository's id.

    :param accounts: for each, its connection, or the arguments of :func:`imperva_logs_dag` that it has for itself, as
        a YAML file or a Variable may have them; ``imperva_conn_id`` is one of them. Unless it says otherwise, its DAG
        is called ``imperva_logs_to_parquet__<connection>``.
    :param common: arguments of :func:`imperva_logs_dag` for all of them.
    :raises ConfigurationError: if an account names no connection, or two DAGs have one name.
    """
    dags: dict[str, DAG] = {}
    for account in accounts:
        own = {"imperva_conn_id": account} if isinstance(account, str) else dict(account)
        if not own.get("imperva_conn_id"):
            raise ConfigurationError("an account names no connection", do="Give each its imperva_conn_id")
        dag_id = own.pop("dag_id", f"imperva_logs_to_parquet__{own['imperva_conn_id']}")
        if dag_id in dags:
            raise ConfigurationError(
                f"two accounts make the DAG {dag_id}", do="Name each connection once, or give each its dag_id"
            )
        dags[dag_id] = imperva_logs_dag(dag_id, **{**common, **own})
    return list(dags.values())


def imperva_coverage_dag(
    dag_id: str,
    *,
    lake_uri: str,
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    schedule: str | timedelta | None = timedelta(hours=1),
    plan_options: dict[str, Any] | None = None,
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that writes the coverage page of one repository into its lake.

    :param lake_uri: root of the lake, as the DAG that loads it has it; so are the connections.
    :param plan_options: as the DAG that loads it has them, for the window.
    :param task_options: other arguments of its task, by ``coverage``; such as ``queue``, ``executor_config``, ``pool``.
    :param default_args: for its task, besides ours: two retries, a minute apart and growing.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`.
    """
    dag = DAG(
        dag_id,
        **dag_settings(
            description="How completely the logs are in the lake, as a page",
            doc=_COVERAGE_DOC,
            schedule=schedule,
            default_args=default_args,
            tags=tags,
        )
        | dag_args,
    )
    with dag:
        ImpervaCoverageOperator(
            **{
                "task_id": "coverage",
                "imperva_conn_id": imperva_conn_id,
                "lake_uri": lake_uri,
                "lake_conn_id": lake_conn_id,
                "plan_options": plan_options,
            }
            | dict(options_by_task(task_options, ["coverage"]).get("coverage", {}))
        )
    return dag


def imperva_watch_dag(
    dag_id: str,
    *,
    lake_uri: str,
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
    silent_for: timedelta | None = None,
    plan_options: dict[str, Any] | None = None,
    schedule: str | timedelta | None = timedelta(minutes=15),
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build the DAG that fails when a repository is no longer loaded.

    :param lake_uri: root of the lake, as the DAG that loads it has it; so are the connections.
    :param silent_for: how long ago the last look at the repository may be; a third of the window by default. Not below
        a quarter of it: see :class:`~airflow_provider_imperva.operators.watch.ImpervaWatchOperator`.
    :param plan_options: as the DAG that loads it has them, for the window.
    :param task_options: other arguments of its task, by ``watch``; such as ``queue``, ``executor_config`` and ``pool``.
    :param default_args: for its task, besides ours: two retries, a minute apart and growing.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`; such as ``on_failure_callback``.
    """
    dag = DAG(
        dag_id,
        **dag_settings(
            description="Whether the repository is still looked at",
            doc=_WATCH_DOC,
            schedule=schedule,
            default_args=default_args,
            tags=tags,
        )
        | dag_args,
    )
    with dag:
        ImpervaWatchOperator(
            **{
                "task_id": "watch",
                "imperva_conn_id": imperva_conn_id,
                "lake_uri": lake_uri,
                "lake_conn_id": lake_conn_id,
                "silent_for": silent_for,
                "plan_options": plan_options,
            }
            | dict(options_by_task(task_options, ["watch"]).get("watch", {}))
        )
    return dag
