"""The tasks that load a repository: wait, plan, fetch and normalize batch by batch, commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, TriggerRule, task_group

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.operators.imperva import (
    ImpervaCommitLogsOperator,
    ImpervaFetchLogsOperator,
    ImpervaNormalizeLogsOperator,
    ImpervaPlanLogsOperator,
)
from airflow_provider_imperva.options import TableKind, check_positive, unknown_name
from airflow_provider_imperva.sensors.imperva import ImpervaLogSensor

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

TASK_DEFAULTS: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "execution_timeout": timedelta(hours=1),
}
"""Arguments of all tasks, unless a DAG says otherwise."""

# Airflow's pages show a name in backquotes as a block of its own, so names are emphasized here.
_TASK_DOCS = {
    "wait_for_logs": """
Looks at the index until there is work: a new log, a key that has come, a gap that can be closed, a plan to recover. It
waits in the triggerer and holds no worker. When its time is up with nothing to do, the run ends as skipped.
""",
    "plan": """
Finishes what a dead run left, reads the index, and writes to the ledger which logs this run loads, oldest first.

Its XCom has an item for each batch. A retry gets the same plan again.
""",
    "fetch": """
Fetches the logs of one batch into *raw/*, as they are. What is there already is not fetched again.

Its XCom names the logs that did not come, with the reason. A log that has left the index has expired, and makes
*commit* red.
""",
    "normalize": """
Decrypts, inflates, checks and parses the logs of one batch, and writes their events as Parquet. What cannot be decoded
goes to *quarantine/* with the reason, and stops nothing.

Its XCom has the figures. Cleared and run again, it writes the same.
""",
    "commit": """
Makes the plan's outcome true with one write, whatever became of the batches, then reports to XCom how far the lake is.
Skipped if nothing was planned.

**Red**, after its commit, if a batch failed or a log is lost: the last line of its log says which. The link
**Coverage** in its details leads to the page of the lake.
""",
}

TAG = "imperva"
"""By it Airflow's pages list all of these DAGs, and the navigation finds them."""

RUN_TIMEOUT = timedelta(hours=3)
"""Beyond the time that the sensor waits. A run that is killed loses nothing, and one that hangs holds up all others."""


def dag_settings(
    *,
    description: str,
    doc: str,
    schedule: Any,
    dagrun_timeout: timedelta = RUN_TIMEOUT,
    default_args: Mapping[str, Any] | None,
    tags: Iterable[str],
) -> dict[str, Any]:
    """Return the arguments that the DAGs of all factories have; what users give besides takes their place.

    :param default_args: of the user, besides ours.
    :param tags: of the user, besides ours.
    """
    return {
        "start_date": datetime(2025, 1, 1),
        "catchup": False,
        "max_active_runs": 1,
        "description": description,
        "doc_md": doc,
        "schedule": schedule,
        "dagrun_timeout": dagrun_timeout,
        "default_args": TASK_DEFAULTS | dict(default_args or {}),
        "tags": {TAG, *tags},
    }


def imperva_logs_group(
    group_id: str = "imperva_logs", *, default_args: Mapping[str, Any] | None = None, **settings: Any
) -> TaskGroup:
    """Add the tasks that load one repository to a DAG of your own, as one task group.

    Let the DAG have one active run and no catch-up, and a ``dagrun_timeout``. Its Params may have ``start_anew`` and
    ``go_by_ledger``, as the DAG of the factory has them.

    :param default_args: as of :func:`~airflow_provider_imperva.dag.imperva_logs_dag`.
    :param settings: those arguments of :func:`~airflow_provider_imperva.dag.imperva_logs_dag` that are not of the DAG
        itself: ``lake_uri`` and ``imperva_conn_id``, ``plan_options``, ``pool``, ``task_options`` and so on.
    :raises ConfigurationError: if the lake's URI, an option or a threshold cannot be meant.
    """
    defaults: Any = TASK_DEFAULTS | dict(default_args or {})
    with TaskGroup(group_id, default_args=defaults) as group:
        add_load_tasks(prefix=f"{group.group_id}.", default_args=default_args, **settings)
    return group


def options_by_task(
    task_options: Mapping[str, Mapping[str, Any]] | None, tasks: Collection[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the arguments of single tasks, by their ids; empty if there are none.

    :param tasks: the ids that there are.
    :raises ConfigurationError: if there is no task of a name.
    """
    for name in task_options or {}:
        if name not in tasks:
            raise ConfigurationError(unknown_name(name, tasks), do="Correct its name", about="task_options")
    return task_options or {}


def add_load_tasks(
    *,
    lake_uri: str,
    imperva_conn_id: str = ImpervaLogHook.default_conn_name,
    lake_conn_id: str | None = None,
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
    default_args: Mapping[str, Any] | None = None,
    task_options: Mapping[str, Mapping[str, Any]] | None = None,
    prefix: str = "",
) -> None:
    """Add the tasks to the DAG or group that is being built; arguments as of ``imperva_logs_dag``.

    :param prefix: what their ids begin with in that group.
    """
    check_positive(sensor_timeout=sensor_timeout, poke_interval=poke_interval, fetch_slots=fetch_slots)
    given = options_by_task(task_options, _TASK_DOCS)
    lake: dict[str, Any] = {"imperva_conn_id": imperva_conn_id, "lake_uri": lake_uri, "lake_conn_id": lake_conn_id}
    planning: dict[str, Any] = {"plan_options": plan_options}
    asking: dict[str, Any] = {"pool": pool} if pool else {}
    fetching: dict[str, Any] = asking | {"pool_slots": fetch_slots} if pool else {}

    def options(name: str, *ours: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {"task_id": name, "doc_md": _TASK_DOCS[name]} | lake
        for some in ours:
            merged |= some
        return merged | dict(given.get(name, {}))

    waiting: dict[str, Any] = {"deferrable": True, "timeout": sensor_timeout, "poke_interval": poke_interval}
    if "execution_timeout" not in (default_args or {}):
        # Its wait is bounded by its own time.
        waiting["execution_timeout"] = sensor_timeout + TASK_DEFAULTS["execution_timeout"]
    # Not in the pool, so that it starts and can tell of a pool in which nothing does.
    wait = ImpervaLogSensor(**options("wait_for_logs", waiting, planning))
    publishing: dict[str, Any] = {"catalog_conn_id": catalog_conn_id}
    plan = ImpervaPlanLogsOperator(
        **options("plan", {"commit_task_id": f"{prefix}commit"}, asking, planning, publishing)
    )

    @task_group(group_id="load")
    def load(batch: Any) -> None:
        named = {"map_index_template": "{{ task.batch.get('logs', '') }}"}
        fetch = ImpervaFetchLogsOperator(**options("fetch", {"batch": batch}, named, fetching, planning))
        # It asks the repository too, for what does not decode and is fetched once more.
        decoding = {
            "fetched": fetch.output,
            "map_index_template": "{{ task.fetched.get('logs', '') }}",
            "keep_raw": keep_raw,
            "decode_policy": decode_policy,
            "redaction": redaction,
            "pseudonyms": pseudonyms,
            "severities": severities,
        }
        ImpervaNormalizeLogsOperator(**options("normalize", decoding, asking))

    telling: dict[str, Any] = {
        "plan_task_id": plan.task_id,
        # It runs whatever became of the batches; not at all if there is no plan, since planning was skipped or failed.
        "trigger_rule": TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        "headroom_warning": headroom_warning,
        "on_low_headroom": on_low_headroom,
        "fail_when_critical": fail_when_critical,
        "quarantined_share": quarantined_share,
        "table": table,
        "outlets": [events_asset or imperva_events_asset(lake_uri)],
    }
    commit = ImpervaCommitLogsOperator(**options("commit", telling, planning, publishing))
    wait >> plan >> commit
    load.expand(batch=plan.output) >> commit
