"""XComs of earlier runs, as tasks pull them."""

from __future__ import annotations

from typing import Any


def pull_earlier(ti: Any, *, task_id: str, key: str = "return_value") -> Any:
    """Pull the XCom that a task of an earlier run pushed last; None if there is none.

    Where no run of the DAG has ended yet, none is asked for: Airflow logs an error for an XCom that is not there.
    """
    count_runs = getattr(ti, "get_dr_count", None)
    if count_runs and not count_runs(dag_id=ti.dag_id, states=["success", "failed"]):
        return None
    return ti.xcom_pull(task_ids=task_id, key=key, include_prior_dates=True, map_indexes=-1)
