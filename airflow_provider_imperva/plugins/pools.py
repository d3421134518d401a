"""A look at the pools that a DAG's tasks are in, when a run of it starts.

Airflow starts no task of a pool that is missing or has too few slots, and fails none: the run hangs. A task cannot look
at pools, since the interface that it has to Airflow does not show them. The scheduler can, and calls this. What it
finds goes into the run's ``conf``, where the first task, which is in no pool of ours, finds it and fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

_FIRST = "ImpervaLogSensor"


@hookimpl
def on_dag_run_running(dag_run: DagRun) -> None:
    """Look at the pools of a run that begins with our sensor."""
    from airflow.models.pool import Pool
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    from airflow_provider_imperva.retries import POOLS_FOUND

    tasks = list(dag_run.dag.tasks) if dag_run.dag else []
    session = object_session(dag_run)
    if session is None or not any(task.task_type == _FIRST for task in tasks):
        return
    wanted = wanted_slots(tasks)
    there = {pool.pool: pool.slots for pool in session.scalars(select(Pool).where(Pool.pool.in_(wanted)))}
    if problems := list(find_problems(wanted, there)):
        dag_run.conf = {**(dag_run.conf or {}), POOLS_FOUND: problems}


def wanted_slots(tasks: Iterable[Any]) -> dict[str, tuple[int, str]]:
    """Return by pool the most slots that one task takes, and which task that is."""
    wanted: dict[str, tuple[int, str]] = {}
    for task in tasks:
        wanted[task.pool] = max(wanted.get(task.pool, (0, "")), (task.pool_slots, task.task_id))
    return wanted


def find_problems(wanted: Mapping[str, tuple[int, str]], there: Mapping[str | None, int]) -> Iterable[str]:
    """Describe which pools are missing or too small; one with -1 slots has no bound."""
    for pool, (slots, task) in sorted(wanted.items()):
        if pool not in there:
            yield f"the pool {pool} does not exist, and the task {task} is in it"
        elif 0 <= there[pool] < slots:
            yield f"the pool {pool} has {there[pool]} slots, and the task {task} takes {slots}"
