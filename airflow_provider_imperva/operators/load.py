"""The whole way in one task: for one of many accounts, or where a pod for each step costs more than the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException
from airflow.sdk import BaseOperator

from airflow_provider_imperva.hooks.protection import open_protection
from airflow_provider_imperva.lineage import Lineage
from airflow_provider_imperva.metrics import send_fetch
from airflow_provider_imperva.operators.imperva import ImpervaCommitLogsOperator
from airflow_provider_imperva.operators.planning import plan_logs
from airflow_provider_imperva.operators.progress import size
from airflow_provider_imperva.options import DecodePolicy, checked_options
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.privacy.rules import redaction_rules
from airflow_provider_imperva.retries import describe_error, ends_for_good, is_transient, refuse_backfill
from airflow_provider_imperva.severities import severity_options
from airflow_provider_imperva.uri import check_lake_uri
from airflow_provider_imperva.xcoms import pull_earlier

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Part, Plan
    from airflow_provider_imperva.load.fetch import Fetched
    from airflow_provider_imperva.load.origin import LogOrigin


class ImpervaLoadLogsOperator(ImpervaCommitLogsOperator):
    """Plans, fetches, normalizes and commits in one task; skipped if there is nothing to load.

    It does what the tasks of :func:`~airflow_provider_imperva.dag.imperva_logs_dag` do, to the same ledger, with the
    same outcome, batch after batch. It may be killed at any time: the next run, or a retry, goes on from what is in
    the lake.

    A batch that fails is tried again by the task's retries, which find the others done. After the last try the plan is
    committed without it, and the task fails. Returns what
    :class:`~airflow_provider_imperva.operators.imperva.ImpervaCommitLogsOperator` returns.

    To load many accounts, map it over their connections, as :func:`~airflow_provider_imperva.fleet.imperva_fleet_dag`
    does. A task that is mapped does not hold the ledger against the XCom of an earlier run, which is not to be found
    by its account; that a lake is an older copy, it knows by the parts in ``events/``.

    :param plan_options, headroom_warning, on_low_headroom, fail_when_critical, quarantined_share: as of
        :class:`~airflow_provider_imperva.operators.imperva.ImpervaCommitLogsOperator`.
    :param keep_raw, decode_policy, redaction, pseudonyms, severities: as of
        :class:`~airflow_provider_imperva.operators.imperva.ImpervaNormalizeLogsOperator`.
    """

    def __init__(
        self,
        *,
        keep_raw: bool = False,
        decode_policy: dict[str, Any] | None = None,
        redaction: Any = True,
        pseudonyms: Any = None,
        severities: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_raw = keep_raw
        self.decode_policy = checked_options(DecodePolicy, decode_policy)
        self.redaction = redaction_rules(redaction)
        self.pseudonyms = pseudonym_options(pseudonyms)
        self.severities = severity_options(severities)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Load, and return how much."""
        refuse_backfill(context)
        hook = self._make_hook()
        with self._open(hook) as (client, ledger):
            last = self._last_commit(context)
            plan = plan_logs(context, hook, client, ledger, plan_options=self.plan_options, last=last, log=self.log)
            if plan is None:
                raise AirflowSkipException("Nothing new: no log to load, no gap to close")
            ti = context["ti"]
            tries_left = ti.try_number <= ti.max_tries
            # All are fetched before any is normalized, since what is not fetched leaves the window.
            fetched = [self._fetch(hook, client, ledger, plan, batch) for batch in range(len(plan.batches))]
            if tries_left and (missing := sum(len(one.unavailable) for one in fetched)):
                raise AirflowException(f"{missing} logs gave no whole answer; they are asked for again")
            failed = self._normalize(hook, client, ledger, plan, fetched)
            if tries_left and failed:
                raise AirflowException(f"Batches {', '.join(map(str, failed))} failed; they alone are tried again")
            return self._commit(context, hook, client, ledger, plan)

    def _last_commit(self, context: Context) -> Any:
        ti = context["ti"]
        if ti.map_index not in (None, -1):
            return None
        return pull_earlier(ti, task_id=self.task_id)

    def _normalize(
        self, hook: ImpervaLogHook, client: LogOrigin, ledger: Ledger, plan: Plan, batches: Sequence[Fetched]
    ) -> list[int]:
        """Normalize all batches, and return which have failed."""
        from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize

        options = NormalizeOptions(
            policy=DecodePolicy(**self.decode_policy),
            keep_raw=self.keep_raw,
            protection=open_protection(self.redaction, self.pseudonyms, self.severities),
        )
        keys = hook.key_ring()
        parts: list[Part] = []
        failed = []
        for fetched in batches:
            self._stop_if_killed()
            try:
                report = normalize(ledger, client, keys, plan, fetched, options=options, on_log=self._stop_if_killed)
            except Exception as error:
                # The other batches are loaded all the same.
                if self._killed or not is_transient(error):
                    raise
                self.log.error("Batch %d failed: %s", fetched.batch, describe_error(error))
                failed.append(fetched.batch)
            else:
                parts += report.parts
        self._lineage = Lineage.of_parts(self.lake_uri, parts, repository=plan.repository)
        return failed

    def _fetch(self, hook: ImpervaLogHook, client: LogOrigin, ledger: Ledger, plan: Plan, batch: int) -> Fetched:
        from airflow_provider_imperva.load.fetch import fetch

        progress = self._count("Fetched", plan, batch)
        fetched = fetch(
            ledger,
            client,
            plan,
            batch,
            max_concurrency=hook.max_concurrency,
            window=hook.plan_options(self.plan_options).window,
            on_log=progress.on_log,
        )
        progress.end(f"{size(fetched.received_bytes)} received, {fetched.missing} logs did not come")
        send_fetch(seconds=progress.seconds, received=fetched.received_bytes, repository=plan.repository)
        return fetched


class ImpervaAccountsOperator(BaseOperator):
    """Looks at many accounts at once, and returns the arguments to load each that has work, to map a task over.

    An account at which the look fails is among them, so that its own task says what is wrong, and fails alone. So a
    run in which no account has anything to load is one task start, however many accounts there are.

    :param accounts: as of :func:`~airflow_provider_imperva.fleet.imperva_fleet_dag`; read when the task runs.
    :param tag: only accounts with this tag.
    :param lake_uri, lake_conn_id: of those accounts that have none of their own.
    :param plan_options: as the task that loads has them.
    :param side_by_side: how many accounts are looked at at once.
    """

    template_fields: Sequence[str] = ("lake_uri", "lake_conn_id", "accounts", "tag")

    def __init__(
        self,
        *,
        accounts: Any,
        lake_uri: str,
        lake_conn_id: str | None = None,
        tag: str | None = None,
        plan_options: dict[str, Any] | None = None,
        side_by_side: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_lake_uri(lake_uri)
        self.accounts = accounts
        self.lake_uri = lake_uri
        self.lake_conn_id = lake_conn_id
        self.tag = tag
        self.plan_options = plan_options
        self.side_by_side = side_by_side

    @ends_for_good
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look, and return the accounts to load."""
        from concurrent.futures import ThreadPoolExecutor

        from airflow_provider_imperva.accounts import read_accounts

        refuse_backfill(context)
        accounts = read_accounts(self.accounts, tag=self.tag)
        with ThreadPoolExecutor(self.side_by_side) as pool:
            answers = [*pool.map(self._has_work, accounts)]
        work = [account for account, has_work in zip(accounts, answers, strict=True) if has_work]
        self.log.info("%d of %d accounts have something to load, or could not be looked at", len(work), len(accounts))
        return work

    def _has_work(self, account: dict[str, Any]) -> bool:
        from airflow_provider_imperva.hooks.imperva import ImpervaLogHook

        try:
            hook = ImpervaLogHook(account["imperva_conn_id"])
            work = hook.find_work(
                account.get("lake_uri", self.lake_uri),
                account.get("lake_conn_id", self.lake_conn_id),
                account.get("plan_options", self.plan_options) or {},
                attempts=1,
            )
        except Exception as error:
            self.log.warning(
                "A look at %s failed, so its own task looks: %s", account["imperva_conn_id"], describe_error(error)
            )
            return True
        return work is not None
