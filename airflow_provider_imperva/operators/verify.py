"""Verifying a lake as an Airflow task."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.retries import ends_for_good
from airflow_provider_imperva.xcoms import pull_earlier

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.seal.anchors import Anchor


class ImpervaVerifyLakeOperator(ImpervaOperator):
    """Proves that a repository's part of the lake is what its ledger says; fails, without retry, if it is not.

    Returns the last commit with its SHA-256 and the figures. The next run demands that commit of the chain it finds, so
    that a ledger that was forged as a whole, or cut off at its end, is noticed too. The task's log has the report.

    It needs nothing of the repository but its id, and may run while logs are loaded.

    :param sample: how many objects to hash, drawn at random; all by default. The ledger is read, and each object looked
        for with its size, in any case.
    :param seed: draws the same sample each time; by default each run draws another.
    :param public_keys: files with public keys: each commit, from the first signed one on, has to be signed by the
        private half of one of them. Where the connection names a place of anchors, the heads that are noted there are
        demanded as well.
    :param timestamp_ca: files with the certificates of timestamp authorities: each commit, from the first timestamped
        one on, has to have been there within an hour of the time that it says it was made.
    :param load_dag_id: the DAG that loads the repository: the commit that its task ``load_task_id`` returned last is
        demanded too, which is in Airflow's database and not in the lake.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "sample", "seed", "public_keys", "timestamp_ca")

    def __init__(
        self,
        *,
        sample: int | str | None = None,
        seed: int | str | None = None,
        public_keys: Sequence[str] | None = None,
        timestamp_ca: Sequence[str] | None = None,
        load_dag_id: str | None = None,
        load_task_id: str = "commit",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.load_dag_id = load_dag_id
        self.load_task_id = load_task_id
        self.public_keys = public_keys
        self.timestamp_ca = timestamp_ca
        self.sample = sample
        self.seed = seed

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Verify, and return what the next run is to find again."""
        import msgspec

        from airflow_provider_imperva.audit.trusted import TrustedInputs
        from airflow_provider_imperva.audit.verify import verify
        from airflow_provider_imperva.audit.words import describe_repository
        from airflow_provider_imperva.seal.signature import PublicKeys
        from airflow_provider_imperva.seal.timestamps import TrustedAuthorities

        sample = None if self.sample in (None, "") else int(self.sample)
        seed = zlib.crc32(context["ti"].run_id.encode()) if self.seed in (None, "") else int(self.seed)
        hook = self._make_hook()
        ledger = self._open_ledger(hook)
        repository = ledger.layout.repository
        trusted = TrustedInputs(
            (*self._anchors(context, repository), *hook.read_anchors()),
            PublicKeys.of_files(self.public_keys or ()),
            TrustedAuthorities.of_files(self.timestamp_ca or ()),
            master=hook.master_keys(),
        )
        verification = verify(
            ledger.store, repository, sample=sample, seed=seed, trusted=trusted, announce=self.log.info
        )
        for line in describe_repository(verification):
            self.log.info("%s", line)
        if not verification.ok:
            first = verification.findings[0]
            raise AirflowFailException(
                f"The lake is not what its ledger says: {len(verification.findings)} findings, {first}"
            )
        return {
            "repository": repository,
            "head": msgspec.to_builtins(verification.head),
            "objects": verification.objects,
            "hashed": verification.hashed,
            "seed": verification.seed,
            "lines": verification.lines,
            "rows": verification.rows,
            "quarantined_lines": verification.quarantined_lines,
        }

    def _anchors(self, context: Context, repository: str) -> list[Anchor]:
        """Return the commits that are noted in Airflow's database: by this task's last good run, and by who loads."""
        from airflow_provider_imperva.seal.anchors import Anchor

        where: dict[str, Any] = {"key": "return_value", "include_prior_dates": True, "map_indexes": -1}
        last = pull_earlier(context["ti"], task_id=self.task_id)
        heads = [last["head"]] if last and last["repository"] == repository and last["head"] else []
        if self.load_dag_id:
            load = context["ti"].xcom_pull(dag_id=self.load_dag_id, task_ids=self.load_task_id, **where)
            heads += [load] if load and load["repository"] == repository and load.get("sha256") else []
        return [Anchor(head["commit"], head["sha256"], repository) for head in heads]
