"""Checking a table against the ledgers that it is published from: which files it has, and who wrote its versions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.layout import TABLE_LOG
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import LiveSet, batch_of_part
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table.delta import (
    COMMIT,
    CREATED,
    REPOSITORY,
    ROOT,
    SHA256,
    VERSION_NAME,
    application,
    commit_info,
    open_table,
)

_READERS = 16


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which a table is not what it should be.

    :ivar about: path of the file or version, below the lake's root.
    :ivar missing: whether it should be there and is not; else it is there and should not be, or is another.
    """

    about: str
    found: str
    missing: bool = False


def check_files(store: Store, repository: str, live: LiveSet, *, last: int) -> Iterator[Difference]:
    """Compare a repository's files in the table with its live set as of the commit that the table shows.

    :param live: the live set as of commit ``last``.
    """
    try:
        table = open_table(store)
        shown = table.transaction_version(application(repository)) or 0
        there = _files(table, repository)
    except (LakeError, ConfigurationError) as error:
        yield Difference(TABLE_LOG, error.found)
        return
    if shown > last:
        return  # published since the ledger was read
    expected = {path: part.size for path, (part, added) in live.parts.items() if added <= shown}
    for path, (part, removed) in live.removed.items():
        if removed > shown and (by := batch_of_part(path)) and by.commit <= shown:
            expected[path] = part.size
    expected = {path: size for path, size in expected.items() if path.startswith(f"{ROOT}/")}
    for path in sorted(expected.keys() - there.keys()):
        yield Difference(path, f"the table lacks this part, and shows commit {shown}", missing=True)
    for path in sorted(there.keys() - expected.keys()):
        yield Difference(path, f"the table has this file, and no commit up to {shown} has it as a live part")
    for path in sorted(expected.keys() & there.keys()):
        if expected[path] != there[path]:
            yield Difference(path, f"the table says that it has {there[path]} bytes, its commit says {expected[path]}")


def _files(table: object, repository: str) -> dict[str, int]:
    import pyarrow as pa

    files = pa.table(table.get_add_actions(flatten=True))  # type: ignore[attr-defined]
    rows = files.select(["path", "size_bytes", "partition.repository"]).to_pylist()
    return {f"{ROOT}/{row['path']}": row["size_bytes"] for row in rows if row["partition.repository"] == repository}


def check_versions(store: Store) -> Iterator[Difference]:
    """Find the versions of a table that no commit of a ledger made."""
    names = [item.path for item in store.objects(TABLE_LOG) if VERSION_NAME.fullmatch(item.path.rsplit("/", 1)[-1])]
    with ThreadPoolExecutor(_READERS) as pool:
        for path, found in zip(names, pool.map(lambda path: _check_version(store, path), names), strict=True):
            if found:
                yield Difference(path, found)


def _check_version(store: Store, path: str) -> str | None:
    try:
        info = commit_info(store.read(path))
    except FileNotFoundError:
        return None  # cleared away meanwhile
    if info is None:
        return "it does not read as a version of the table"
    if CREATED in info:
        return None
    if COMMIT not in info:
        return "this version of the table was written by another program"
    try:
        sha256 = Ledger(store, str(info.get(REPOSITORY))).sha256(int(info[COMMIT]))
    except (FileNotFoundError, ValueError, TypeError):
        return "this version of the table names a commit that is not there"
    return None if sha256 == info.get(SHA256) else "this version of the table is of another commit than the ledger has"
