"""The way through as Airflow tasks: plan, then fetch and normalize for each batch, then commit.

What a task hands on is small: numbers and names of logs. All else is in the ledger, so that the loss of every XCom
loses nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import BaseOperator

from airflow_provider_imperva import __version__
from airflow_provider_imperva.assets import announce
from airflow_provider_imperva.documentation import troubleshooting
from airflow_provider_imperva.errors import (
    ConfigurationError,
    LedgerConflictError,
)
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.hooks.protection import open_protection
from airflow_provider_imperva.lineage import Lineage
from airflow_provider_imperva.links import ImpervaCoverageLink
from airflow_provider_imperva.metrics import send_commit, send_fetch, send_headroom
from airflow_provider_imperva.operators.planning import plan_logs, run_of
from airflow_provider_imperva.operators.progress import BatchProgress, size
from airflow_provider_imperva.options import DecodePolicy, PlanOptions, TableKind, check_type, checked_options
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.privacy.rules import redaction_rules
from airflow_provider_imperva.retries import ends_for_good, refuse_backfill
from airflow_provider_imperva.severities import severity_options
from airflow_provider_imperva.uri import check_lake_uri
from airflow_provider_imperva.xcoms import pull_earlier

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_imperva.lake.headroom import Headroom
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Commit, Plan
    from airflow_provider_imperva.load.origin import LogOrigin

PLAN_KEY = "plan"
"""Key of the XCom with which a plan task names its plan."""


class ImpervaOperator(BaseOperator):
    """What the operators share: a repository by its connection, and its ledger in a lake.

    :param lake_uri: root of the lake.
    :param imperva_conn_id: connection of type ``imperva``.
    :param lake_conn_id: connection with the lake's credentials; ambient ones without.
    :param catalog_conn_id: connection of type ``iceberg`` with the catalog of the lake's Iceberg table, if it has one.
    """

    template_fields: Sequence[str] = ("imperva_conn_id", "lake_uri", "lake_conn_id", "catalog_conn_id")
    ui_color = "#e8f0fe"
    _lineage: Lineage | None = None
    """What the task has read and written, where it moves bytes."""
    _killed = False

    def __init__(
        self,
        *,
        lake_uri: str,
        imperva_conn_id: str = ImpervaLogHook.default_conn_name,
        lake_conn_id: str | None = None,
        catalog_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_lake_uri(lake_uri)
        self.lake_uri = lake_uri
        self.imperva_conn_id = imperva_conn_id
        self.lake_conn_id = lake_conn_id
        self.catalog_conn_id = catalog_conn_id

    def get_openlineage_facets_on_complete(self, ti: object) -> OperatorLineage[Any, Any] | None:
        """Report to OpenLineage's provider, if it is installed, what the task has read and written."""
        return self._lineage.facets() if self._lineage else None

    def on_kill(self) -> None:
        """Have the task end before its next log. What it has done is in the lake as a whole, or not at all."""
        self._killed = True

    def _stop_if_killed(self) -> None:
        if self._killed:
            raise AirflowException("The task was asked to stop. Nothing is lost: the next run goes on from here")

    def _count(self, done: str, plan: Plan, batch: int) -> BatchProgress:
        """Count the logs of a batch as they are done, in the task's log; and stop between two if the task is killed."""
        return BatchProgress(
            self.log, done=done, name=plan.batch_name(batch), total=len(plan.batches[batch]), check=self._stop_if_killed
        )

    def _open(self, hook: ImpervaLogHook) -> AbstractContextManager[tuple[LogOrigin, Ledger]]:
        return hook.open(self.lake_uri, self.lake_conn_id, self.catalog_conn_id)

    def _open_ledger(self, hook: ImpervaLogHook) -> Ledger:
        """Open the ledger alone, for what asks nothing of the repository: its credentials may be wrong or missing."""
        return hook.open_ledger(hook.repository, self.lake_uri, self.lake_conn_id, self.catalog_conn_id)

    def _check_sealed(self, ledger: Ledger) -> None:
        """Fail a task that has made a commit, if that commit could not be noted outside of the lake, or timestamped.

        :raises AirflowFailException: another try would find nothing to do.
        """
        if ledger.unsealed:
            raise AirflowFailException(f"The commit is made, but {'; '.join(ledger.unsealed)}")

    def _make_hook(self) -> ImpervaLogHook:
        """Open the connection, and warn once a task of what is not as it should be in it."""
        hook = ImpervaLogHook(self.imperva_conn_id)
        hook.log_cautions()
        return hook


class ImpervaPlanLogsOperator(ImpervaOperator):
    """Recovers what a dead run left, reads the index, and writes to the ledger which logs this run loads.

    Returns a list with one item a batch, to map the next tasks over; its XCom ``plan`` is the plan's number. Skipped
    if there is nothing to do.

    :param plan_options: fields of :class:`~airflow_provider_imperva.options.PlanOptions` that are not the default.
    :param commit_task_id: the task whose XCom of an earlier run says how far that run got. Where it names a ledger
        and the lake has none, planning stops, unless the run's Param ``start_anew`` is true. Where it names a later
        commit than the ledger has, planning stops unless the Param ``go_by_ledger`` is true.
    """

    def __init__(
        self, *, plan_options: dict[str, Any] | None = None, commit_task_id: str = "commit", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.plan_options = checked_options(PlanOptions, plan_options)
        self.commit_task_id = commit_task_id

    @ends_for_good
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Plan, and hand the batches on."""
        refuse_backfill(context)
        hook = self._make_hook()
        with self._open(hook) as (client, ledger):
            last = pull_earlier(context["ti"], task_id=self.commit_task_id)
            plan = plan_logs(context, hook, client, ledger, plan_options=self.plan_options, last=last, log=self.log)
        if plan is None:
            raise AirflowSkipException("Nothing new: no log to load, no gap to close")
        context["ti"].xcom_push(key=PLAN_KEY, value=plan.commit)
        return [
            {"commit": plan.commit, "batch": batch, "logs": plan.batch_name(batch)}
            for batch in range(len(plan.batches))
        ]


class ImpervaFetchLogsOperator(ImpervaOperator):
    """Fetches the logs of one batch into ``raw/``, side by side.

    Returns which logs did not come and why. Logs that gave no whole answer make the task fail while it has tries
    left; after the last, the batch goes on without them.

    In an Airflow pool other than the default one, it has no more requests under way than it holds slots
    (``pool_slots``), so that the size of the pool bounds the requests of all workers together.

    :param batch: an item of what the plan task returned.
    :param plan_options: as the plan task has them, for the window.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "batch")

    def __init__(self, *, batch: Any, plan_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.plan_options = checked_options(PlanOptions, plan_options)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch, and say what did not come."""
        import msgspec

        from airflow_provider_imperva.load.fetch import fetch

        hook = self._make_hook()
        with self._open(hook) as (client, ledger):
            plan = ledger.plan(self.batch["commit"])
            progress = self._count("Fetched", plan, self.batch["batch"])
            fetched = fetch(
                ledger,
                client,
                plan,
                self.batch["batch"],
                max_concurrency=self._most_requests(hook),
                window=hook.plan_options(self.plan_options).window,
                on_log=progress.on_log,
            )
        repository, received = ledger.layout.repository, fetched.received_bytes
        progress.end(f"{size(received)} received, {fetched.missing} logs did not come")
        send_fetch(seconds=progress.seconds, received=received, repository=repository)
        self._lineage = Lineage.of_fetch(client.url, self.lake_uri, repository=repository, received=received)
        ti = context["ti"]
        if fetched.unavailable and ti.try_number <= ti.max_tries:
            raise AirflowException(f"{len(fetched.unavailable)} logs gave no whole answer; they are asked for again")
        return {**msgspec.to_builtins(fetched), "logs": plan.batch_name(fetched.batch)}

    def _most_requests(self, hook: ImpervaLogHook) -> int:
        in_default_pool = self.pool == _DEFAULT_POOL
        return hook.max_concurrency if in_default_pool else min(hook.max_concurrency, self.pool_slots)


class ImpervaNormalizeLogsOperator(ImpervaOperator):
    """Turns one batch's logs from ``raw/`` into Parquet parts, and reports to the ledger.

    Returns the batch's figures. Fails, without retry, if the plan was committed without this batch.

    :param fetched: what the batch's fetch task returned.
    :param keep_raw: whether each row carries its line in the column ``raw``.
    :param decode_policy: fields of :class:`~airflow_provider_imperva.options.DecodePolicy` that are not the
        default.
    :param redaction: what is redacted: true for the default rules, false for nothing, or rules as
        :func:`~airflow_provider_imperva.privacy.rules.redaction_rules` takes them.
    :param pseudonyms: what has pseudonyms, as
        :func:`~airflow_provider_imperva.privacy.options.pseudonym_options` takes it; nothing by default.
    :param severities: the column ``severity`` by rule type code, in place of the default's, as
        :func:`~airflow_provider_imperva.severities.severity_options` takes it.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "fetched")

    def __init__(
        self,
        *,
        fetched: Any,
        keep_raw: bool = False,
        decode_policy: dict[str, Any] | None = None,
        redaction: Any = True,
        pseudonyms: Any = None,
        severities: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fetched = fetched
        self.keep_raw = keep_raw
        self.decode_policy = checked_options(DecodePolicy, decode_policy)
        self.redaction = redaction_rules(redaction)
        self.pseudonyms = pseudonym_options(pseudonyms)
        self.severities = severity_options(severities)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, int]:
        """Normalize, and return how much."""
        import msgspec

        from airflow_provider_imperva.load.fetch import Fetched
        from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize

        fetched = msgspec.convert(self.fetched, Fetched)
        protection = open_protection(self.redaction, self.pseudonyms, self.severities)
        options = NormalizeOptions(
            policy=DecodePolicy(**self.decode_policy), keep_raw=self.keep_raw, protection=protection
        )
        hook = self._make_hook()
        with self._open(hook) as (client, ledger):
            plan = ledger.plan(fetched.commit)
            progress = self._count("Normalized", plan, fetched.batch)
            try:
                report = normalize(
                    ledger, client, hook.key_ring(), plan, fetched, options=options, on_log=progress.on_log
                )
            except LedgerConflictError as error:
                # Not skipped: the commit, which is to tell of it, is skipped where a task before it is.
                raise AirflowFailException(str(error)) from error
        self._lineage = Lineage.of_parts(self.lake_uri, report.parts, repository=plan.repository)
        figures = {
            "commit": report.commit,
            "batch": report.batch,
            "logs": len(report.logs),
            "rows": sum(log.rows for log in report.logs),
            "quarantined_lines": sum(log.quarantined_lines for log in report.logs),
        }
        progress.end(
            f"{figures['rows']:,} rows, {figures['quarantined_lines']:,} lines in quarantine,"
            f" {size(sum(part.size for part in report.parts))} written"
        )
        return figures


class ImpervaCommitLogsOperator(ImpervaOperator):
    """Commits the plan, whatever became of its batches; then reports to XCom, and fails if something was left behind.

    Give it the trigger rule ``all_done_min_one_success``: it has to run whatever became of the batches, and has nothing
    to do where nothing was planned. Returns ``watermark`` (at most 40 prefixes, with how many numbers are open in each
    state), ``logs``, ``rows`` and ``headroom_seconds``, with ``repository``, ``commit`` and how many ``prefixes`` there
    are. Fails without retry, after the commit and its XCom, if a batch failed, a log was lost or ``on_low_headroom``
    failed. Skipped if nothing was planned.

    Each asset among its outlets gets an event, as
    :func:`~airflow_provider_imperva.assets.event_extra` describes. Airflow emits none for a task that fails, so the
    event of the next run that is green covers those commits too, and of what other runs recovered or replayed.

    It measures the headroom as of the ledger's last commit, and sends the metrics
    (:mod:`airflow_provider_imperva.metrics`). What is counted is counted once: a retry that finds the commit made sends
    the headroom only.

    :param plan_task_id: the task that planned.
    :param plan_options: as the plan task has them, for the window and the critical headroom.
    :param headroom_warning: the headroom below which it warns, and calls ``on_low_headroom``.
    :param on_low_headroom: an Airflow notifier, or any callable that takes the context.
    :param fail_when_critical: whether the task fails, after the commit, while the headroom is critical.
    :param quarantined_share: the share of a commit's lines, 0 to 1, above which lines in quarantine make the task fail,
        after the commit. A log that is there as a whole always does.
    :param table: the table that a new lake gets; None for a lake of Parquet files only. Whatever table a lake has shows
        each commit in any case.
    """

    operator_extra_links = (ImpervaCoverageLink(),)

    def __init__(
        self,
        *,
        plan_task_id: str = "plan",
        plan_options: dict[str, Any] | None = None,
        headroom_warning: timedelta = timedelta(hours=24),
        on_low_headroom: Callable[[Context], object] | None = None,
        fail_when_critical: bool = False,
        quarantined_share: float = 0.01,
        table: TableKind | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_type("table", table, TableKind | None)
        self.quarantined_share = quarantined_share
        self.table = table
        self.plan_task_id = plan_task_id
        self.plan_options = checked_options(PlanOptions, plan_options)
        check_type("headroom_warning", headroom_warning, timedelta)
        check_type("quarantined_share", quarantined_share, float)
        if not 0 <= quarantined_share <= 1:
            raise ConfigurationError(
                f"quarantined_share is {quarantined_share}", do="Set it from 0 to 1; 0.01 is one line in a hundred"
            )
        self.headroom_warning = headroom_warning
        self.on_low_headroom = on_low_headroom
        self.fail_when_critical = fail_when_critical

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Commit, and tell."""
        number = context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PLAN_KEY, map_indexes=-1)
        if number is None:
            self._end_without_plan(context)
        hook = self._make_hook()
        with self._open(hook) as (origin, ledger):
            return self._commit(context, hook, origin, ledger, ledger.plan(number))

    def _commit(
        self, context: Context, hook: ImpervaLogHook, origin: LogOrigin, ledger: Ledger, plan: Plan
    ) -> dict[str, Any]:
        """Commit a plan, and tell."""
        from airflow_provider_imperva.lake.commit import commit_plan
        from airflow_provider_imperva.lake.complaints import left_behind, lost_ranges
        from airflow_provider_imperva.lake.headroom import measure
        from airflow_provider_imperva.lake.quarantine import too_much
        from airflow_provider_imperva.load.delivered import DeliveredLogs
        from airflow_provider_imperva.table.settle import settle

        now = datetime.now(UTC)
        options = hook.plan_options(self.plan_options)
        commit = commit_plan(ledger, plan, by=run_of(context), provider_version=__version__, at=now)
        unpublished = settle(ledger, commit, run=run_of(context), create=self.table, clock=lambda: now)
        # If an old run's task is cleared, there are some after its own.
        last_commits = [*islice(ledger.commits(newest_first=True), 1 + _MEASURED_COMMITS)][::-1]
        if isinstance(origin, DeliveredLogs) and (disposed := origin.dispose(commit)):
            self.log.info("%d delivered logs that are loaded were deleted or moved", disposed)
        headroom = measure(last_commits, at=now, window=options.window, window_bytes=options.window_bytes)
        value = _xcom(commit, headroom)
        complaints = left_behind(commit, lost=lost_ranges(ledger, commit))
        complaints += too_much(ledger, commit, share=self.quarantined_share)
        value["sha256"] = ledger.sha256(commit.commit)
        complaints += ledger.unsealed
        if unpublished:
            complaints.append(f"the table does not show it: {unpublished}")
        if commit.committed_at == now:
            send_commit(commit, ledger.logs(commit.commit), is_complete=not complaints)
        send_headroom(headroom, repository=commit.repository)
        complaints += self._report(headroom, context)
        if self.fail_when_critical and headroom.seconds < options.critical_headroom.total_seconds():
            complaints.append(f"the headroom is critical: {headroom}")
        if complaints:
            # Airflow keeps no return value of a task that fails, and the next run needs it.
            context["ti"].xcom_push(key="return_value", value=value)
            where = troubleshooting("a-commit-is-made-but-something-is-left-behind")
            raise AirflowFailException(f"Commit {commit.commit} is made, but {' and '.join(complaints)}. See {where}")
        announce(self, context, ledger, commit)
        self._warn_of_quarantine(ledger, commit)
        self.log.info(
            "Commit %d: %d logs, %d rows, %d lines in quarantine",
            *(commit.commit, value["logs"], value["rows"], commit.totals.quarantined_lines),
        )
        return value

    def _warn_of_quarantine(self, ledger: Ledger, commit: Commit) -> None:
        """Warn of what is in quarantine, or came damaged, and does not make the run fail: once for each cause."""
        from airflow_provider_imperva.lake.quarantine import quarantined_lines
        from airflow_provider_imperva.lake.watermark import State

        for reason, count in quarantined_lines(ledger, commit).most_common() if commit.totals.quarantined_lines else ():
            self.log.warning(
                "%d lines are in quarantine/: %s. What it means: %s", count, reason, troubleshooting(_QUARANTINE)
            )
        if damaged := commit.totals.logs.get(State.DAMAGED):
            self.log.warning("%d logs came damaged, and are asked for again while they are listed", damaged)

    def _end_without_plan(self, context: Context) -> None:
        """Skip if there was nothing to do; fail if the tasks before could not tell."""
        ti = context["ti"]
        states = ti.get_task_states(
            dag_id=ti.dag_id, task_ids=sorted(self.get_flat_relative_ids(upstream=True)), run_ids=[ti.run_id]
        )
        task_states = states.get(ti.run_id, {})
        # Those that could not run since another failed are not to be looked at.
        failed = sorted(task for task, state in task_states.items() if state == "failed")
        if failed or "upstream_failed" in task_states.values():
            named = f"{', '.join(failed)} failed, whose log says why" if failed else "a task before it did not run"
            raise AirflowFailException(f"There is no plan: {named}")
        raise AirflowSkipException("Nothing was planned")

    def _report(self, headroom: Headroom, context: Context) -> list[str]:
        """Log the headroom, and call for people if it is low; return what is to be complained of."""
        if headroom.seconds >= self.headroom_warning.total_seconds():
            self.log.info("Headroom: %s", headroom)
            return []
        self.log.warning("The headroom is low: %s", headroom)
        try:
            if self.on_low_headroom:
                self.on_low_headroom(context)
        except Exception as error:
            # There may be more to tell, such as what is lost. The error's text may hold a secret, so only its place.
            place = "".join(traceback.format_tb(error.__traceback__))
            self.log.error("on_low_headroom failed: %s\n%s", type(error).__name__, place)
            return [f"the headroom is low, and on_low_headroom failed ({type(error).__name__}): {headroom}"]
        return []


_QUARANTINE = "whole-logs-or-too-many-lines-are-in-quarantine"
"""Where Troubleshooting explains reasons of lines in quarantine."""

_MEASURED_COMMITS = 6
"""How many commits back the rates are measured."""

_DEFAULT_POOL = "default_pool"
"""The pool that Airflow puts tasks in which name none."""


def _xcom(commit: Commit, headroom: Headroom) -> dict[str, Any]:
    from airflow_provider_imperva.lake.watermark import summarize

    return {
        "repository": commit.repository,
        "commit": commit.commit,
        "watermark": summarize(commit.prefixes),
        "prefixes": len(commit.prefixes),
        "logs": sum(commit.totals.logs.values()),
        "rows": commit.totals.rows,
        "headroom_seconds": int(headroom.seconds),
    }
