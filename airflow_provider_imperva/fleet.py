"""Fleets: one DAG that loads many accounts, of which none holds up another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, TriggerRule, task

from airflow_provider_imperva.accounts import Accounts, read_accounts
from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.dag import run_types
from airflow_provider_imperva.operators.compact import ImpervaCompactLakeOperator
from airflow_provider_imperva.operators.load import ImpervaAccountsOperator, ImpervaLoadLogsOperator
from airflow_provider_imperva.operators.retention import ImpervaExpireLakeOperator
from airflow_provider_imperva.options import TableKind, check_positive
from airflow_provider_imperva.tasks import dag_settings, options_by_task
from airflow_provider_imperva.uri import check_lake_uri

if TYPE_CHECKING:
    from airflow.sdk import Context

_DOC = """
Loads many Imperva Cloud WAF accounts into a lake of Parquet, each with a ledger of its own there.

*accounts* looks at all of them and says which have work; *load* has a mapped task for each of these, which does the
whole way by itself. A task that fails holds up no other, and makes the run red.
"""

_MAINTENANCE_DOC = """
Once a day merges the small parts of many Imperva Cloud WAF accounts, and takes out of the lake what is older than the
retention policy allows, if there is one.

*compact* and then *expire* have a mapped task for each account. A task that fails holds up no other, and makes the run
red.
"""

_TASKS = ("accounts", "load")
_MAINTENANCE_TASKS = ("accounts", "compact", "expire")
_OF_LAKE = ("imperva_conn_id", "lake_uri", "lake_conn_id")
"""What tasks that only need the lake take of an account."""


def imperva_fleet_dag(
    dag_id: str,
    *,
    accounts: Accounts,
    tag: str | None = None,
    lake_uri: str,
    lake_conn_id: str | None = None,
    schedule: str | timedelta | None = timedelta(minutes=10),
    side_by_side: int = 16,
    plan_options: dict[str, Any] | None = None,
    keep_raw: bool = False,
    decode_policy: dict[str, Any] | None = None,
    redaction: Any = True,
    pseudonyms: Any = None,
    severities: Any = None,
    table: TableKind | None = "delta",
    catalog_conn_id: str | None = None,
    headroom_warning: timedelta = timedelta(hours=24),
    on_low_headroom: Callable[[Context], object] | None = None,
    fail_when_critical: bool = False,
    quarantined_share: float = 0.01,
    events_asset: Asset | None = None,
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build one DAG that loads many accounts: a look at all, then a mapped task for each that has something to load.

    :func:`~airflow_provider_imperva.dag.imperva_logs_dags` builds a DAG for each account instead, with a history and
    an alert for each, at several task starts a run. Here the list may change without a DAG file being parsed again, and
    a run in which no account has anything to load is one task start.

    :param accounts: connections of type ``imperva``: a list; or where to find one when a run begins, as
        ``variable:<name>`` of an Airflow Variable, as the absolute path of a file, or as a function. A Variable or file
        has YAML or JSON, or ids with blanks, commas or line ends between them. An account is the id of its connection,
        or a mapping with ``imperva_conn_id``, maybe ``tags``, and those arguments of this function that it has for
        itself, such as ``lake_uri`` and ``plan_options``.
    :param tag: load only accounts with this tag.
    :param lake_uri: root of the lake; each account has a ledger of its own there, under its repository's id.
    :param side_by_side: how many accounts are looked at at once, and how many are loaded at once.
    :param plan_options, keep_raw, decode_policy, redaction, pseudonyms, severities, table, catalog_conn_id,
        headroom_warning, on_low_headroom, fail_when_critical, quarantined_share, events_asset: as of
        :func:`~airflow_provider_imperva.dag.imperva_logs_dag`.
    :param task_options: other arguments for single tasks, by ``accounts`` and ``load``; such as ``queue``,
        ``executor_config`` and ``pool``.
    :param default_args: for both tasks, besides ours: two retries, a minute apart and growing, and an
        ``execution_timeout`` of an hour.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`, in place of ours.
    :raises ConfigurationError: if the lake's URI, an option, or a list given as such cannot be meant.
    """
    check_lake_uri(lake_uri)
    check_positive(side_by_side=side_by_side)
    given = options_by_task(task_options, _TASKS)
    accounts = _checked(accounts, tag)
    loading: dict[str, Any] = {
        "lake_uri": lake_uri,
        "lake_conn_id": lake_conn_id,
        "plan_options": plan_options,
        "keep_raw": keep_raw,
        "decode_policy": decode_policy,
        "redaction": redaction,
        "pseudonyms": pseudonyms,
        "severities": severities,
        "table": table,
        "catalog_conn_id": catalog_conn_id,
        "headroom_warning": headroom_warning,
        "on_low_headroom": on_low_headroom,
        "fail_when_critical": fail_when_critical,
        "quarantined_share": quarantined_share,
    }
    with DAG(
        dag_id,
        **dag_settings(
            description="Every log of many accounts of Imperva Cloud WAF, into the lake",
            doc=_DOC,
            schedule=schedule,
            default_args=default_args,
            tags=tags,
        )
        | run_types()
        | dag_args,
    ) as dag:
        # To see here, rather than in a task at night, what cannot be meant.
        ImpervaLoadLogsOperator(task_id="load", dag=DAG("checked"), **loading)
        look = ImpervaAccountsOperator(
            **{
                "task_id": "accounts",
                "accounts": accounts,
                "tag": tag,
                "lake_uri": lake_uri,
                "lake_conn_id": lake_conn_id,
                "plan_options": plan_options,
                "side_by_side": side_by_side,
            }
            | dict(given.get("accounts", {}))
        )
        ImpervaLoadLogsOperator.partial(
            **{
                "task_id": "load",
                "map_index_template": "{{ task.imperva_conn_id }}",
                "max_active_tis_per_dagrun": side_by_side,
                "outlets": [events_asset or imperva_events_asset(lake_uri)],
            }
            | loading
            | dict(given.get("load", {}))
        ).expand_kwargs(look.output, strict=False)
    return dag


def imperva_fleet_maintenance_dag(
    dag_id: str,
    *,
    accounts: Accounts,
    tag: str | None = None,
    lake_uri: str,
    lake_conn_id: str | None = None,
    catalog_conn_id: str | None = None,
    policy: Mapping[str, Any] | str | None = None,
    compaction_options: Mapping[str, Any] | None = None,
    schedule: str | timedelta | None = "40 4 * * *",
    side_by_side: int = 4,
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    default_args: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    **dag_args: Any,
) -> DAG:
    """Build one DAG that compacts the lake of many accounts and keeps it to a retention policy.

    It does for each account what :func:`~airflow_provider_imperva.compact_dag.imperva_compact_dag` and
    :func:`~airflow_provider_imperva.retention_dag.imperva_retention_dag` do for one, with one task each. Accounts with
    different policies have different tags, and a DAG for each tag.

    :param accounts, tag, lake_uri, lake_conn_id, catalog_conn_id: as of :func:`imperva_fleet_dag`.
    :param policy: days by class, as a mapping or the path of a YAML file; as of
        :class:`~airflow_provider_imperva.operators.retention.ImpervaExpireLakeOperator`. Without it nothing expires.
    :param compaction_options: fields of :class:`~airflow_provider_imperva.options.CompactionOptions` that are not the
        default.
    :param schedule: once a day by default.
    :param side_by_side: how many accounts are compacted at once, each by a task that takes up to 700 MB of memory, and
        how many expire at once.
    :param task_options: other arguments for single tasks, by ``accounts``, ``compact`` and ``expire``.
    :param default_args: for its tasks, besides ours: two retries, a minute apart and growing, and an
        ``execution_timeout`` of an hour.
    :param tags: besides ours: ``imperva``.
    :param dag_args: any other argument of :class:`~airflow.sdk.DAG`, in place of ours.
    :raises ConfigurationError: if the lake's URI, an option, the policy, or a list given as such cannot be meant.
    """
    check_lake_uri(lake_uri)
    check_positive(side_by_side=side_by_side)
    given = options_by_task(task_options, _MAINTENANCE_TASKS)
    accounts = _checked(accounts, tag)
    compacting: dict[str, Any] = {"options": dict(compaction_options or {})}
    expiring: dict[str, Any] = {"policy": policy}
    common: dict[str, Any] = {
        "map_index_template": "{{ task.imperva_conn_id }}",
        "max_active_tis_per_dagrun": side_by_side,
        "lake_uri": lake_uri,
        "lake_conn_id": lake_conn_id,
        "catalog_conn_id": catalog_conn_id,
    }
    settings = dag_settings(
        description="The lake of many accounts, compacted and kept to its retention policy",
        doc=_MAINTENANCE_DOC,
        schedule=schedule,
        dagrun_timeout=timedelta(hours=12),
        default_args=default_args,
        tags=tags,
    )
    with DAG(dag_id, **settings | dag_args) as dag:
        # To see here, rather than in a task at night, what cannot be meant.
        checked = DAG("checked")
        ImpervaCompactLakeOperator(task_id="compact", dag=checked, lake_uri=lake_uri, **compacting)

        @task(**{"task_id": "accounts"} | dict(given.get("accounts", {})))
        def listed() -> list[dict[str, Any]]:
            return [
                {name: account[name] for name in _OF_LAKE if name in account}
                for account in read_accounts(accounts, tag=tag)
            ]

        listed_accounts = listed()
        compact = ImpervaCompactLakeOperator.partial(
            **{"task_id": "compact"} | common | compacting | dict(given.get("compact", {}))
        ).expand_kwargs(listed_accounts, strict=False)
        if policy is not None:
            ImpervaExpireLakeOperator(task_id="expire", dag=checked, lake_uri=lake_uri, **expiring)
            # Both plan in the account's ledger, so the one waits for the other, whatever came of it.
            expire = ImpervaExpireLakeOperator.partial(
                **{"task_id": "expire", "trigger_rule": TriggerRule.ALL_DONE}
                | common
                | expiring
                | dict(given.get("expire", {}))
            ).expand_kwargs(listed_accounts, strict=False)
            compact >> expire
    return dag


def _checked(accounts: Accounts, tag: str | None) -> Accounts:
    """Return where the list is, or the list itself, once it was read; :raises ConfigurationError: if it cannot be."""
    if isinstance(accounts, str) or callable(accounts):
        return accounts
    accounts = list(accounts)
    read_accounts(accounts, tag=tag)
    return accounts
