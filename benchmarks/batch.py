"""A lake with raw logs in it, and the batch that has them normalized, as the operator does it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_imperva import __version__
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import VERSION, Commit, Plan, PlannedLog, Report, Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.fetch import Fetched
from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.repository.names import LogName

_REPOSITORY = "8416_1745073"
_URL = f"https://logs.example.com/{_REPOSITORY}/"


class Batch:
    """Logs that were fetched into the lake in a folder, and wait to be normalized.

    :ivar ledger: of the lake.
    """

    def __init__(self, folder: Path, names: Iterable[str], *, commit: int = 1) -> None:
        self._folder = folder
        self._names = tuple(names)
        self._commit = commit
        self.ledger = Ledger(open_store(str(folder)), _REPOSITORY)

    def fetch(self, contents: Iterable[bytes]) -> None:
        """Put the logs into ``raw/``."""
        for name, content in zip(self._names, contents, strict=True):
            self.ledger.store.write(self.ledger.layout.raw(LogName.parse(name)), content)

    def normalize(self, keys: KeyRing, *, redact: bool = True) -> Report:
        """Do all that turns the logs into Parquet parts.

        :param redact: whether rows are redacted, which is the default of the operator, too.
        """
        return self._normalize(self._plan(), keys, redact=redact)

    def commit(self, keys: KeyRing) -> Commit:
        """Normalize the logs, and commit them."""
        plan = self.ledger.create_plan(self._plan())
        self._normalize(plan, keys, redact=True)
        return commit_plan(self.ledger, plan, by=plan.run, provider_version=__version__, at=datetime.now(UTC))

    def _plan(self) -> Plan:
        now = datetime.now(UTC)
        return Plan(
            v=VERSION,
            repository=_REPOSITORY,
            commit=self._commit,
            run=Run("benchmark", "benchmark"),
            provider_version=__version__,
            created_at=now,
            observed_at=now,
            listed=len(self._names),
            batches=(tuple(PlannedLog(name, now) for name in self._names),),
            closed=(),
            prefixes={},
        )

    def _normalize(self, plan: Plan, keys: KeyRing, *, redact: bool) -> Report:
        options = NormalizeOptions() if redact else NormalizeOptions(protection=Protection(None))
        fetched = Fetched(commit=plan.commit, batch=0, expired=[], not_yet=[], unavailable=[])
        # The source is not asked, since every log decodes.
        with RepositoryClient(url=_URL, login="id", password="key") as client:  # noqa: S106
            return normalize(self.ledger, client, keys, plan, fetched, options=options)

    def forget(self) -> None:
        """Remove what normalizing wrote, so that it can be done again."""
        for folder in ("events", "quarantine", "ledger"):
            shutil.rmtree(self._folder / folder, ignore_errors=True)
