"""Compaction as Airflow tasks: all in one, or planned, merged side by side, and committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.operators.imperva import PLAN_KEY, ImpervaOperator
from airflow_provider_imperva.options import CompactionOptions, check_positive, checked_options
from airflow_provider_imperva.retries import ends_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.lake.records import Commit, Plan, Run

_NOTHING = "Nothing to merge: no class and date that has been quiet would have fewer files"


class ImpervaCompactLakeOperator(ImpervaOperator):
    """Merges the small parts of a repository's lake in one task, until nothing pays any more or its time is up.

    It waits for a run that loads, and never overtakes one. A run that loads meanwhile overtakes it: what was merged by
    then is committed, and this task goes on with the rest. Whatever it is killed at, the lake is as it was or as it
    will be. Skipped if nothing pays.

    It needs nothing of the repository but its id. Returns the figures.

    :param options: fields of :class:`~airflow_provider_imperva.options.CompactionOptions` that are not the default.
    :param run_for: after this time no further part is begun.
    """

    def __init__(
        self, *, options: dict[str, Any] | None = None, run_for: timedelta = timedelta(minutes=40), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_positive(run_for=run_for)
        self.options = checked_options(CompactionOptions, options)
        self.run_for = run_for

    @ends_for_good
    def execute(self, context: Context) -> dict[str, int]:
        """Merge, and return how much."""
        from airflow_provider_imperva.load.compact import compact

        ledger = self._open_ledger(self._make_hook())
        ends = time.monotonic() + self.run_for.total_seconds()

        def on_batch(_: Plan) -> None:
            self._stop_if_killed()

        commits = []
        options = CompactionOptions(**self.options)
        for commit in compact(
            ledger, run=_run(context), options=options, until=lambda: time.monotonic() > ends, on_batch=on_batch
        ):
            self.log.info("Commit %(commit)d: %(merged)d parts became %(parts)d", _figures(commit))
            commits.append(commit)
        self._check_sealed(ledger)
        if not commits:
            raise AirflowSkipException(_NOTHING)
        figures = [_figures(commit) for commit in commits]
        return {name: sum(one[name] for one in figures) for name in ("merged", "parts", "rows")} | {
            "commit": commits[-1].commit
        }


class ImpervaPlanCompactionOperator(ImpervaOperator):
    """Plans what is to be merged; skipped if nothing pays.

    Returns a list with one item a part that will be made, to map
    :class:`ImpervaMergePartsOperator` over; its XCom ``plan`` is the plan's number. It waits for a run that loads, and
    is tried again if that run goes on for long.

    :param options: as of :class:`ImpervaCompactLakeOperator`.
    """

    def __init__(self, *, options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.options = checked_options(CompactionOptions, options)

    @ends_for_good
    def execute(self, context: Context) -> list[dict[str, int]]:
        """Plan, and hand the batches on."""
        from airflow_provider_imperva.load.compact import make_compaction_plan

        ledger = self._open_ledger(self._make_hook())
        plan = make_compaction_plan(ledger, run=_run(context), options=CompactionOptions(**self.options))
        if plan is None:
            raise AirflowSkipException(_NOTHING)
        inputs = sum(map(len, plan.inputs.values()))
        self.log.info("Plan %d: %d parts are merged into %d", plan.commit, inputs, len(plan.batches))
        context["ti"].xcom_push(key=PLAN_KEY, value=plan.commit)
        return [{"commit": plan.commit, "batch": batch} for batch in range(len(plan.batches))]


class ImpervaMergePartsOperator(ImpervaOperator):
    """Merges the parts of one batch into one, and reports to the ledger.

    Skipped if a run that loads has committed the plan without it: the next compaction merges these parts.

    :param batch: an item of what the plan task returned.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "batch")

    def __init__(self, *, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    @ends_for_good
    def execute(self, context: Context) -> dict[str, int]:
        """Merge, and return how much."""
        from airflow_provider_imperva.lake.merge import merge_batch

        ledger = self._open_ledger(self._make_hook())
        try:
            report = merge_batch(ledger, ledger.plan(self.batch["commit"]), self.batch["batch"])
        except LedgerConflictError as error:
            raise AirflowSkipException(str(error)) from error
        return {
            "merged": len(report.removed),
            "rows": report.carried_rows,
            "bytes": sum(one.size for one in report.parts),
        }


class ImpervaCommitCompactionOperator(ImpervaOperator):
    """Commits what was merged, shows it in the table, and deletes what earlier commits removed once that is due.

    Give it the trigger rule ``all_done``: it has to run whatever became of the batches. Skipped if nothing was planned.
    Returns the figures; fails if a batch failed, whose parts are as they were.

    :param plan_task_id: the task that planned.
    """

    def __init__(self, *, plan_task_id: str = "plan", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    @ends_for_good
    def execute(self, context: Context) -> dict[str, int]:
        """Commit, and return how much was merged."""
        from airflow_provider_imperva.load.compact import commit_compaction

        number = context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PLAN_KEY)
        if number is None:
            raise AirflowSkipException("Nothing was planned")
        ledger = self._open_ledger(self._make_hook())
        run = _run(context)
        plan = ledger.plan(number)
        commit = commit_compaction(ledger, plan, by=run)
        self._check_sealed(ledger)
        if commit.failed_batches:
            overtaken = commit.committed_by != run
            left = f"{len(commit.failed_batches)} of {len(plan.batches)} batches are left to the next compaction"
            if not overtaken:
                raise AirflowException(f"Commit {commit.commit} is made, but {left}: their tasks say why")
            self.log.info("A run that loads came in between: %s", left)
        return _figures(commit)


def _run(context: Context) -> Run:
    from airflow_provider_imperva.lake.records import Run

    ti = context["ti"]
    return Run(dag_id=ti.dag_id, run_id=ti.run_id)


def _figures(commit: Commit) -> dict[str, int]:
    return {
        "commit": commit.commit,
        "merged": len(commit.removed),
        "parts": len(commit.parts),
        "rows": commit.carried_rows,
    }
