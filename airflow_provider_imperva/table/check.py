"""Checking a table against the ledgers that it is published from: which files it has, and who wrote its versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.layout import DELTA_LOG, ICEBERG, partition_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import LiveSet, batch_of_part
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table import delta, iceberg
from airflow_provider_imperva.table.changes import COMMIT, CREATED, REPOSITORY, ROOT, SHA256
from airflow_provider_imperva.table.publish import open_table, table_kind


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which a table is not what it should be.

    :ivar about: path of the file or version, below the lake's root, or the name of a version without an object.
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
        shown = table.published(repository) or 0
        there = {file.path: file for file in table.files() if _is_of(file.path, file.partition, repository)}
    except (LakeError, ConfigurationError) as error:
        yield Difference(DELTA_LOG if table_kind(store) == "delta" else ICEBERG, error.found)
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
        file = there[path]
        if expected[path] != file.size:
            yield Difference(path, f"the table says that it has {file.size} bytes, its commit says {expected[path]}")
        if file.partition != (repository, *(partition_of(path) or ())):
            yield Difference(path, "the table has it in another partition than that of its path")


def _is_of(path: str, partition: tuple[str | None, ...], repository: str) -> bool:
    """Return whether a file is a repository's: by its partition or, so that a wrong one is noticed, by its path."""
    return partition[0] == repository or path.startswith(f"{ROOT}/repository={repository}/")


def check_versions(store: Store) -> Iterator[Difference]:
    """Find the versions of a table that no commit of a ledger made, as far as it keeps them."""
    versions = delta.versions if table_kind(store) == "delta" else iceberg.versions
    for about, info in versions(store):
        if problem := _check_version(store, info):
            yield Difference(about, problem)


def _check_version(store: Store, info: Mapping[str, Any] | None) -> str | None:
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
