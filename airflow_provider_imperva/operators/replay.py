"""Replay as an Airflow task."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.hooks.protection import open_protection
from airflow_provider_imperva.lineage import Lineage
from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.options import DecodePolicy, checked_options
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.privacy.rules import redaction_rules
from airflow_provider_imperva.retries import ends_for_good
from airflow_provider_imperva.severities import severity_options

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.lake.records import Commit, Run


class ImpervaReplayLogsOperator(ImpervaOperator):
    """Loads logs again from ``raw/``: those in quarantine after a fix, or any others after a change of the parser.

    Plans, normalizes and commits in one task; nothing is fetched unless ``fetch`` says so. The logs that meet every
    condition are replayed, with all that were loaded in the same batches. A log that is loaded, and now would not
    decode, keeps its batch as it is, and the task fails without retry after its commit.

    A plan that a dead run left is recovered first. A run that loads the same repository meanwhile recovers this one:
    then the task fails, and the runs that come do the rest. Pause their DAG to replay much at once. To map it over
    selections, let one instance run at a time (``max_active_tis_per_dagrun=1``), since they would recover each other.

    :param logs: names of logs; a list, or a text with commas between them.
    :param sequences: ranges of sequence numbers, such as ``8416:100-200``; likewise.
    :param since, until: bounds of a log's start time, ISO 8601, UTC if they do not say; the upper one is excluded.
    :param state: ``quarantined`` (as a whole or some lines), ``committed`` or ``all``.
    :param fetch: whether logs that do not decode are asked for again, as long as the repository has them.
    :param keep_raw, decode_policy, redaction, pseudonyms, severities: as of
        :class:`~airflow_provider_imperva.operators.imperva.ImpervaNormalizeLogsOperator`; give the same here.
    """

    template_fields: Sequence[str] = (
        *ImpervaOperator.template_fields,
        "logs",
        "sequences",
        "since",
        "until",
        "state",
    )

    def __init__(
        self,
        *,
        logs: str | Sequence[str] = (),
        sequences: str | Sequence[str] = (),
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        state: str | None = None,
        fetch: bool = False,
        keep_raw: bool = False,
        decode_policy: dict[str, Any] | None = None,
        redaction: Any = True,
        pseudonyms: Any = None,
        severities: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fetch = fetch
        self.logs = logs
        self.sequences = sequences
        self.since = since
        self.until = until
        self.state = state
        self.keep_raw = keep_raw
        self.decode_policy = checked_options(DecodePolicy, decode_policy)
        self.redaction = redaction_rules(redaction)
        self.pseudonyms = pseudonym_options(pseudonyms)
        self.severities = severity_options(severities)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, int]:
        """Replay, and return how much."""
        from airflow_provider_imperva.load.normalize import NormalizeOptions
        from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay

        selection = Selection.of(
            names=self.logs, sequences=self.sequences, since=self.since, until=self.until, state=self.state
        )
        run = _run(context)
        protection = open_protection(self.redaction, self.pseudonyms, self.severities)
        options = NormalizeOptions(
            policy=DecodePolicy(**self.decode_policy), keep_raw=self.keep_raw, protection=protection
        )
        hook = self._make_hook()
        keys = hook.key_ring()
        with ExitStack() as stack:
            client, ledger = stack.enter_context(self._open(hook)) if self.fetch else (None, self._open_ledger(hook))
            plan = make_replay_plan(ledger, run=run, selection=selection, take_over=True)
            if plan is None:
                raise AirflowSkipException("Nothing to replay: no log that was loaded is selected")
            self.log.info("Plan %d: %d logs of %d batches are replayed", plan.commit, plan.logs, len(plan.batches))
            try:
                commit = replay(ledger, keys, plan, options=options, client=client)
            except LedgerConflictError as error:
                raise AirflowFailException(
                    f"Another run took over: {error} Pause its DAG to replay at once."
                ) from error
        self._lineage = Lineage.of_parts(self.lake_uri, commit.parts, repository=commit.repository)
        self._check_sealed(ledger)
        if left := _left(commit):
            raise AirflowFailException(f"Commit {commit.commit} is made, but {left}")
        return {
            "commit": commit.commit,
            "batches": len(commit.replaced),
            "logs": sum(commit.totals.logs.values()),
            "rows": commit.totals.rows,
            "quarantined_lines": commit.totals.quarantined_lines,
        }


def _run(context: Context) -> Run:
    """Return who plans: another task of the run may plan too, and so may other instances of a mapped one."""
    from airflow_provider_imperva.lake.records import Run

    ti = context["ti"]
    mapped = "" if ti.map_index in (None, -1) else f" {ti.map_index}"
    return Run(dag_id=ti.dag_id, run_id=f"{ti.run_id} {ti.task_id}{mapped}")


def _left(commit: Commit) -> str:
    """Describe what of a replay was not done; nothing if all was."""
    texts = []
    if commit.failed_batches:
        batches = ", ".join(map(str, commit.failed_batches))
        texts.append(f"batches {batches} failed; the next plan does them again")
    kept = len(commit.batches) - len(commit.replaced)
    if kept:
        texts.append(f"{kept} batches stay as they were, since logs in them would be lost (the task's log names them)")
    return " and ".join(texts)
