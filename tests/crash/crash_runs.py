"""Runs that die at a chosen durable operation, in a process of their own, and what has to hold afterwards."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import signal
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import duckdb
import fsspec
from deltalake import DeltaTable
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import retire
from airflow_provider_imperva.lake.records import Commit, Part, Run
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.load.compact import compact
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.options import CompactionOptions, PlanOptions, TableKind
from airflow_provider_imperva.table import delta, iceberg
from airflow_provider_imperva.table.publish import table_kind
from airflow_provider_imperva.testing import ForgedLog, KeyPair, forge_log, forge_repository
from tests.crash.object_server import BUCKET, KEY, WAREHOUSE, object_filesystem
from tests.crash.stopping_store import Hook, StoppingStore, nothing_happens
from tests.load.load_runs import Account, Row, current_parts, request_id
from tests.table.table_reader import rows_of_table

LOG = "8416_{}.log"
_WRITES_TO_TABLES: tuple[tuple[Any, str], ...] = (
    (delta, "_create"),
    (delta.Delta, "_put"),
    (DeltaTable, "create_checkpoint"),
    # Manifests, lists of them, and the metadata, then the row or the request that makes them the table.
    (PyArrowFile, "create"),
    (SqlCatalog, "create_table"),
    (SqlCatalog, "commit_table"),
    (RestCatalog, "create_table"),
    (RestCatalog, "commit_table"),
    # What no snapshot needs any more.
    (PyArrowFileIO, "delete"),
)
"""What makes something durable without the store."""

_MOST_RUNS = 3
_MOST_SECONDS = 120
_DAYS_AGO = 2 * 86400


@dataclass(frozen=True, slots=True)
class LakeAddress:
    """Where a lake is; unlike a store it can be handed to another process.

    :ivar folder: the lake on disk or, for one on an object server, where copies of it are put to be looked at.
    :ivar server: URL of the object server.
    :ivar catalog: URL of the Iceberg REST catalog that the object server has.
    """

    folder: Path
    server: str | None = None
    catalog: str | None = None

    @property
    def _name(self) -> str:
        return f"{self.folder.parent.name}-{self.folder.name}"

    @property
    def _root(self) -> str:
        return f"{BUCKET}/{self._name}"

    def open(self) -> Store:
        if self.server is None:
            return open_store(str(self.folder))
        catalog = partial(self._open_catalog, self.catalog) if self.catalog else None
        return open_store(f"s3://{self._root}", fs=object_filesystem(self.server), catalog=catalog)

    def _open_catalog(self, url: str) -> RestCatalog:
        table = re.sub(r"[^a-z0-9]", "_", self._name.lower())
        return RestCatalog(
            "rest",
            uri=url,
            warehouse=f"s3://{WAREHOUSE}",
            credential=f"{KEY}:{KEY}",
            **{"imperva.table-name": f"crash.{table}", "imperva.location": "catalog"},
        )

    def open_to_read(self) -> Store:
        """Return a store that sees the lake as it is now: a copy of it, unless its table is not in it."""
        return self.open() if self.catalog else open_store(str(self.look()))

    def look(self) -> Path:
        """Return a folder with the lake as it is now; what has not changed since the last look is not copied again."""
        if self.server is None:
            return self.folder
        fs = object_filesystem(self.server)
        fs.invalidate_cache()
        found = {path.removeprefix(f"{self._root}/"): str(info["ETag"]) for path, info in self._objects(fs).items()}
        kept = self.folder.with_name(f"{self.folder.name}.etags")
        before: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
        for path in before.keys() - found.keys():
            (self.folder / path).unlink()
        changed = [path for path, tag in found.items() if before.get(path) != tag]
        for path, content in self._read(fs, changed).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(content)
        kept.write_text(json.dumps(found))
        return self.folder

    def _objects(self, fs: fsspec.AbstractFileSystem) -> dict[str, dict[str, Any]]:
        objects: dict[str, dict[str, Any]] = fs.find(self._root, detail=True)
        return objects

    def _read(self, fs: fsspec.AbstractFileSystem, paths: list[str]) -> dict[str, bytes]:
        content: dict[str, bytes] = fs.cat([f"{self._root}/{path}" for path in paths]) if paths else {}
        return {path.removeprefix(f"{self._root}/"): body for path, body in content.items()}


Servers = Callable[[str, TableKind | None], tuple[str | None, str | None]]
"""Runs what a lake of a place with such a table needs; gives the URLs of its object server and of its catalog."""


@dataclass
class CrashAccount(Account):
    """An account whose lake can be anywhere, and some of whose logs begin with a line that is no event."""

    address: LakeAddress = field(kw_only=True)
    hook: Hook = nothing_happens

    def __post_init__(self) -> None:
        super().__post_init__()
        self.store = StoppingStore(self.address.open(), self.hook)
        self.ledger = Ledger(self.store, self.repository.name)
        self.spoiled: set[str] = set()
        self.table_operations: list[int] = []

    def _claim(self, source: str) -> None:
        ledger = Ledger(self.address.open(), self.ledger.layout.repository)
        if not ledger.store.exists(ledger.layout.claim):
            claim(ledger, source)

    def next_run(self) -> Run:
        return Run("imperva_logs_to_parquet", uuid.uuid4().hex)

    def serve_spoiled(self, number: int) -> None:
        (log,) = forge_repository(1, first=number, events_per_log=3)
        lines = ["no event at all", *log.events]
        content = forge_log("".join(f"{line}\n" for line in lines))
        self.forged[log.name] = ForgedLog(log.name, content, log.events)
        self.spoiled.add(log.name)
        self.repository.add(log.name, content)

    def expected(self, names: Iterable[str] | None = None) -> Counter[Row]:
        logs = self.forged.values() if names is None else [self.forged[name] for name in names]
        return Counter(
            (log.name, line, request_id(event))
            for log in logs
            for line, event in enumerate(log.events, 2 if log.name in self.spoiled else 1)
        )

    def run_as(self, run: Run) -> Commit | None:
        """Do what a retry of a run's tasks does."""
        plan = self.plan_if_any(run)
        return self.finish(plan) if plan else None

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Let what is written to the table count as an operation of the store, too."""

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                with self.store.operation() as before:
                    self.table_operations.append(self.store.operations)
                    before()
                    return function(*arguments, **options)

            return call

        with ExitStack() as stack:
            for owner, name in _WRITES_TO_TABLES:
                stack.enter_context(patch.object(owner, name, counted(getattr(owner, name))))
            yield

    def replay_all(self, run: Run) -> Commit | None:
        plan = make_replay_plan(self.ledger, run=run, selection=Selection(state="all"), take_over=True)
        return replay(self.ledger, self.keys, plan, options=NormalizeOptions()) if plan else None

    def settle(self) -> None:
        """Let runs follow until one finds nothing to do; a new log comes meanwhile."""
        age_scratch(self.lake)
        self.serve(90, events=2)
        for _ in range(_MOST_RUNS):
            if self.run() is None:
                return
        raise AssertionError(f"there is still something to do after {_MOST_RUNS} runs")


Step = Callable[[CrashAccount, Run], object]


def load(account: CrashAccount, run: Run) -> None:
    """What one run of the DAG does; where another left something, that is a recovery."""
    with account.counted():
        account.run_as(run)


def replay_all(account: CrashAccount, run: Run) -> None:
    with account.counted():
        account.replay_all(run)


def merge_parts(account: CrashAccount, run: Run) -> None:
    with account.counted():
        options = CompactionOptions(quiet=timedelta())
        for _ in compact(account.ledger, run=run, options=options, max_wait=timedelta()):
            pass


def merge_and_retire(account: CrashAccount, run: Run) -> None:
    """Merge, and do what is done once the grace is over."""
    merge_parts(account, run)
    last = account.ledger.head().commit
    assert last
    retire(account.ledger, last, run=run, provider_version="0", at=datetime.now(UTC))
    head = account.ledger.head().commit
    assert head
    assert head.unretired == ()


def age_scratch(lake: Path) -> None:
    """Make what dead writers left old enough to be swept."""
    for path in lake.glob(".tmp/*"):
        os.utime(path, (time.time() - _DAYS_AGO,) * 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orders:
    """What a process of its own is to do, and where it is to stop."""

    address: LakeAddress
    repository: dict[str, str]
    keys: dict[str, str]
    options: PlanOptions
    step: Step
    hook: Hook
    last_words: Path
    table: bool | TableKind


def _obey(orders: _Orders) -> None:
    try:
        _take_step(orders)
    except BaseException:
        orders.last_words.write_text(traceback.format_exc())
        raise


def _take_step(orders: _Orders) -> None:
    account = CrashAccount(
        SimpleNamespace(**orders.repository),  # type: ignore[arg-type]
        orders.address.folder,
        keys=KeyRing.from_pem(orders.keys),
        options=orders.options,
        address=orders.address,
        hook=orders.hook,
        table=orders.table,
    )
    orders.step(account, account.next_run())


# A helper process without threads that has imported everything: forked from it, a run starts in milliseconds.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [__name__, "airflow_provider_imperva.events.bodies.text_block", "duckdb", "s3fs", "requests"]
)


def die(account: CrashAccount, step: Step, *, keys: Iterable[KeyPair], hook: Hook) -> None:
    """Take a step in another process, and see that it is killed on the way."""
    orders = _Orders(
        address=account.address,
        repository={name: getattr(account.repository, name) for name in ("url", "login", "password", "name")},
        keys={key.public_key_id: key.private_pem() for key in keys},
        options=account.options,
        step=step,
        hook=hook,
        table=account.table,
        last_words=account.lake.parent / f"{account.lake.name}.traceback",
    )
    process = _FORKS.Process(target=_obey, args=(orders,))
    process.start()
    process.join(_MOST_SECONDS)
    said = orders.last_words.read_text() if orders.last_words.exists() else ""
    assert process.exitcode == -signal.SIGKILL, f"it was not killed, and ended with {process.exitcode}\n{said}"


def rows_of(lake: Path) -> Counter[Row]:
    return Counter(_select(lake, "events", "src_file, src_line, request_id"))


def quarantined_in(lake: Path) -> Counter[tuple[str, int | None]]:
    return Counter(_select(lake, "quarantine", "src_file, src_line"))


def _select(lake: Path, folder: str, columns: str) -> list[tuple]:  # type: ignore[type-arg]
    if not any(lake.glob(f"{folder}/repository=*/**/*.parquet")):
        return []
    return duckdb.execute(f"SELECT {columns} FROM read_parquet('{lake}/{folder}/repository=*/**/*.parquet')").fetchall()


def raw_names(lake: Path) -> set[str]:
    return {path.name for path in lake.glob("raw/**/*.log")}


def assert_nothing_twice(account: CrashAccount, *, in_files: bool) -> None:
    """No line is in the lake twice, not even right after the crash.

    :param in_files: for readers who list files, too, and not only in the parts that the commits name.
    """
    lake = account.address.look()
    commits = Ledger(open_store(str(lake)), account.repository.name).commits()
    assert _twice([str(lake / path) for path in current_parts(commits)]) == []
    if in_files:
        assert _twice([str(path) for path in lake.glob("[eq]*/repository=*/**/*.parquet")]) == []


def _twice(parts: list[str]) -> list[tuple[str, int | None]]:
    found = duckdb.execute(f"SELECT src_file, src_line FROM read_parquet({parts})").fetchall() if parts else []
    return [line for line, number in Counter(found).items() if number > 1]


def assert_all_is_well(account: CrashAccount) -> None:
    """Every event once, the ledger sound, and no object that it does not know of."""
    lake = account.address.look()
    if account.table:
        _assert_table(account)
    else:
        assert rows_of(lake) == account.expected()
        assert quarantined_in(lake) == Counter((name, 1) for name in account.spoiled)
    assert raw_names(lake) == set(account.forged)
    assert not list(lake.glob(".tmp/*"))
    ledger = Ledger(open_store(str(lake)), account.repository.name)
    assert ledger.head().plan is None
    commits = list(ledger.commits())
    _assert_chain(ledger, commits)
    retired = {path for commit in commits for path in commit.retired}
    removed = {part.path: part for commit in commits for part in commit.removed if part.path not in retired}
    _assert_parts(lake, current_parts(commits) | (removed if account.table else {}))
    assert commits[-1].replaying == ()
    _assert_states(account, ledger, commits)


def rows_shown(account: CrashAccount) -> Counter[Row]:
    """What a reader of the table sees."""
    return rows_of_table(account.address.open_to_read(), account.address.look())


def _assert_table(account: CrashAccount) -> None:
    """The table shows every event once, and each commit is in it once."""
    assert rows_shown(account) == account.expected()
    store = account.address.open_to_read()
    versions = delta.versions if table_kind(store) == "delta" else iceberg.versions
    numbers = [int(info["imperva.commit"]) for _, info in versions(store) if info and "imperva.commit" in info]
    assert numbers == sorted(set(numbers))
    verification = verify_lake(store)
    assert verification.ok, [str(item) for one in verification.repositories for item in one.findings]


def _assert_chain(ledger: Ledger, commits: list[Commit]) -> None:
    assert [commit.commit for commit in commits] == list(range(1, len(commits) + 1))
    before = None
    for commit in commits:
        assert commit.previous_sha256 == before
        before = ledger.sha256(commit.commit)
        logs = ledger.store.read(ledger.layout.logs(commit.commit))
        assert hashlib.sha256(logs).hexdigest() == commit.logs_sha256


def _assert_parts(lake: Path, named: dict[str, Part]) -> None:
    found = {
        str(path.relative_to(lake)): path.read_bytes()
        for folder in ("events", "quarantine")
        for path in lake.glob(f"{folder}/repository=*/**/*.parquet")
    }
    assert found.keys() == named.keys(), "a part that no commit names, or one that is named and not there"
    for path, content in found.items():
        assert hashlib.sha256(content).hexdigest() == named[path].sha256, path


def _assert_states(account: CrashAccount, ledger: Ledger, commits: list[Commit]) -> None:
    last = {row["name"]: row for commit in commits for row in ledger.logs(commit.commit).to_pylist() if row["name"]}
    assert {name: row["state"] for name, row in last.items()} == dict.fromkeys(account.forged, "committed")
    for name, row in last.items():
        assert row["raw_sha256"] == hashlib.sha256(account.forged[name].content).hexdigest()
    prefix = commits[-1].prefixes["8416"]
    open_numbers = {number for item in prefix.open for number in range(item.first, item.last + 1)}
    listed = {int(name.removesuffix(".log").split("_")[1]) for name in account.forged}
    assert open_numbers == set(range(min(listed), max(listed))) - listed
    assert commits[-1].committed_at <= datetime.now(UTC)
