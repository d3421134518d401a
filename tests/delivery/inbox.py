"""Folders that logs are delivered to, on a disk, in a bucket and behind an SFTP server, and accounts to load them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from airflow_provider_imperva.delivery.folder import DeliveryFolder
from airflow_provider_imperva.lake.arrivals import Catalog
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.delivered import DeliveredLogs
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing.forge import forge_repository
from tests.load.load_runs import Account, request_id

AT_ONCE = timedelta(0)

NO_REPOSITORY: Any = SimpleNamespace(name="none")
"""Deliveries have no log repository."""


@dataclass(frozen=True)
class Inbox:
    """A folder that logs are delivered to.

    :ivar connect: opens its filesystem.
    :ivar root: the folder in it.
    :ivar own: the filesystem of who delivers.
    """

    connect: Callable[[], Any]
    root: str
    in_bucket: bool
    own: Any

    @property
    def fs(self) -> Any:
        self.own.invalidate_cache()
        return self.own

    def put(self, path: str, content: bytes) -> None:
        target = f"{self.root}/{path}"
        fs = self.fs
        if not self.in_bucket:
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        fs.pipe_file(target, content)

    def remove(self, path: str) -> None:
        self.fs.rm_file(f"{self.root}/{path}")

    def paths(self, folder: str | None = None) -> set[str]:
        folder = folder or self.root
        return {path.removeprefix(f"{folder}/") for path in self.fs.find(folder)}

    def beside(self, name: str) -> str:
        """Return a folder that is not within it, as ``after_commit`` names one."""
        return f"{self.root.partition('/')[2]}-{name}" if self.in_bucket else f"{self.root}-{name}"

    def open(self, *, settled: timedelta = AT_ONCE, **options: Any) -> DeliveryFolder:
        url = f"{'s3' if self.in_bucket else 'sftp'}://{self.root}/"
        return DeliveryFolder(self.connect, self.root, in_bucket=self.in_bucket, url=url, settled=settled, **options)


@dataclass
class Deliveries(Account):
    """An account whose logs are delivered to an inbox."""

    inbox: Inbox = field(kw_only=True)
    name: str = "pushed"
    after_commit: str = "keep"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger = Ledger(open_store(str(self.lake)), self.name)
        if self.options == PlanOptions():
            self.options = PlanOptions(window_bytes=None, account_group=self.name)

    @contextmanager
    def client(self) -> Iterator[DeliveredLogs]:  # type: ignore[override]
        with self.inbox.open(after_commit=self.after_commit) as folder:
            yield DeliveredLogs(folder, self.ledger)

    def deliver(self, path: str, number: int, *, events: int = 3, **options: Any) -> None:
        """Forge a log and deliver it under a path; ``expected`` knows it by that."""
        (log,) = forge_repository(1, first=number, events_per_log=events, **options)
        self.forged[path] = replace(log, name=path)
        self.inbox.put(path, log.content)

    def dispose(self) -> int:
        with self.client() as origin:
            commit = self.ledger.head().commit
            assert commit
            return origin.dispose(commit)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.ledger.store, self.ledger.layout)

    def expected_events(self) -> set[str]:
        return {request_id(event) for log in self.forged.values() for event in log.events}
