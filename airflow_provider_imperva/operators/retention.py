"""Retention and erasure as Airflow tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_imperva.hooks.protection import open_protection
from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.retries import ends_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.lake.records import Run


class ImpervaExpireLakeOperator(ImpervaOperator):
    """Takes out of a repository what is older than a retention policy allows.

    It waits up to ten minutes for a run that loads the repository, and never overtakes it; it needs nothing of the
    repository but its id. Skipped if nothing was ever loaded. Returns how much of each class left, what holds kept
    back, the commits that say so, and the oldest day of each class that can still be queried (PCI DSS 4.0.1, 10.5.1).

    :param policy: a mapping with ``raw``, ``events``, ``quarantine`` and ``coverage_pages``, in days, or the path of a
        YAML file with one; as of :class:`~airflow_provider_imperva.retention.policy.RetentionPolicy`.
    :param preview: only find out what would leave.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "preview")

    def __init__(self, *, policy: Mapping[str, Any] | str, preview: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        from airflow_provider_imperva.retention.policy import RetentionPolicy

        RetentionPolicy.of(policy)
        self.policy = policy
        self.preview = preview

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Expire, and return how much."""
        from airflow_provider_imperva.retention.expire import expire, oldest_days
        from airflow_provider_imperva.retention.idle import PATIENCE
        from airflow_provider_imperva.retention.policy import RetentionPolicy

        ledger = self._open_ledger(self._make_hook())
        if ledger.head(with_plan=False).commit is None:
            raise AirflowSkipException("Nothing was ever loaded from this repository, so nothing expires")
        done = expire(
            ledger,
            RetentionPolicy.of(self.policy),
            run=_run(context),
            dry_run=_is_true(self.preview),
            max_wait=PATIENCE,
        )
        self._check_sealed(ledger)
        oldest = oldest_days(ledger)
        for what, count in done.counts.items():
            self.log.info("%s: %d objects, %d rows, %d bytes", what, count.objects, count.rows, count.size)
        for what, day in oldest.items():
            self.log.info("The oldest day of %s is %s", what, day)
        return {
            "objects": {what: count.objects for what, count in done.counts.items()},
            "rows": {what: count.rows for what, count in done.counts.items() if count.rows},
            "held": done.held,
            "commits": [commit.commit for commit in done.commits],
            "oldest_days": oldest,
        }


class ImpervaEraseOperator(ImpervaOperator):
    """Erases a person from a repository's part of the lake.

    Whom it is about stands in an Airflow Variable, so that it is in no DAG, rendered field, XCom or log: a JSON object
    with any of ``client_ip``, ``visitor``, ``session`` and ``account_name``. Delete the Variable afterwards. Bytes in
    ``raw/`` of each log that names the person leave as a whole.

    It waits up to ten minutes for a run that loads the repository. Returns counts. Fails without retry, after its
    commit, if something may be left: a log that is not loaded yet, or bytes that could not be looked into.

    :param subject_variable: key of the Variable.
    :param by: who asks for it; ``why``, and the ``reference`` of the request: the ledger keeps all three for ever.
    :param preview: only count what would leave.
    :param pseudonyms: as of :class:`~airflow_provider_imperva.operators.imperva.ImpervaNormalizeLogsOperator`; give the
        same here.
    """

    template_fields: Sequence[str] = (
        *ImpervaOperator.template_fields,
        "subject_variable",
        "by",
        "why",
        "reference",
        "preview",
    )

    def __init__(
        self,
        *,
        subject_variable: str,
        by: str,
        why: str,
        reference: str,
        preview: bool | str = False,
        pseudonyms: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.subject_variable = subject_variable
        self.by = by
        self.why = why
        self.reference = reference
        self.preview = preview
        self.pseudonyms = pseudonym_options(pseudonyms)

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Erase, and return how much."""
        from airflow.sdk import Variable
        from airflow.sdk.log import mask_secret

        from airflow_provider_imperva.retention.erase import erase
        from airflow_provider_imperva.retention.idle import PATIENCE
        from airflow_provider_imperva.retention.subject import Subject

        text = str(Variable.get(self.subject_variable))
        mask_secret(text)
        subject = Subject.parse(text)
        for needle in subject.needles:
            for spelling in needle.spellings:
                mask_secret(spelling)
        if protection := open_protection(None, self.pseudonyms).pseudonyms:
            subject = subject.with_pseudonyms(protection)
        hook = self._make_hook()
        ledger = self._open_ledger(hook)
        done = erase(
            ledger,
            subject,
            keys=hook.key_ring(),
            by=self.by,
            why=self.why,
            reference=self.reference,
            run=_run(context),
            dry_run=_is_true(self.preview),
            max_wait=PATIENCE,
        )
        for what, count in done.trace.counts.items():
            self.log.info("%s: %d", what.replace("_", " "), count)
        if warnings := list(done.trace.warnings()):
            made = f"Commit {done.commit.commit} is made, but " if done.commit else ""
            raise AirflowFailException(f"{made}{'; '.join(warnings)}")
        self._check_sealed(ledger)
        return {**done.trace.counts, "commit": done.commit.commit if done.commit else None}


def _is_true(value: bool | str) -> bool:
    return value if isinstance(value, bool) else value.strip().lower() in ("true", "1", "yes")


def _run(context: Context) -> Run:
    """Return who plans; another task of the run may plan too."""
    from airflow_provider_imperva.lake.records import Run

    ti = context["ti"]
    return Run(dag_id=ti.dag_id, run_id=f"{ti.run_id} {ti.task_id}")
