"""What a lake holds of a period: its objects in raw/, events/ and quarantine/, each of them read and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.findings import Finding
from airflow_provider_imperva.audit.history import History, Progress
from airflow_provider_imperva.audit.named import RAW_COLUMNS, named_raw
from airflow_provider_imperva.audit.objects import Checked, LogKey, NamedObject, check_bytes
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.lake.layout import partition_of
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.store import Store


class Holding(msgspec.Struct, frozen=True):
    """The objects of one folder that belong to a period.

    :ivar sha256: of the JSON array, without blanks, of an array for each object, by path: path, size, SHA-256.
    """

    objects: int
    size: int
    sha256: str


class Reconciliation(msgspec.Struct, frozen=True):
    """How the rows of logs that were listed in a period and the events that happened in it come to each other.

    ``rows of its logs = both + listed_only`` and ``its events = both + happened_only``.

    :ivar both: rows of logs that were listed in the period, of events that happened in it.
    :ivar listed_only: rows of such logs, of events that happened before or after it.
    :ivar happened_only: rows of logs that were listed before or after it, of events that happened in it.
    """

    both: int
    listed_only: int
    happened_only: int


@dataclass(frozen=True, slots=True)
class ObjectsRead:
    """What reading the objects gave."""

    findings: tuple[Finding, ...]
    bridge: Reconciliation


def named_of_period(history: History, logs: pa.Table, period: Period) -> list[NamedObject]:
    """Return the objects of a period: its logs as received, the parts that have their rows, and those of its dates.

    :param logs: the last row of each of its logs.
    """
    rows = logs.select(RAW_COLUMNS).to_pylist()
    raw = [named_raw(row) for row in rows if row["raw_key"] and row["raw_key"] not in history.live.removed_raw]
    written = [part.path for number in _commits_of(history, logs) for part in history.commits[number].parts]
    paths = history.live.successors(written)
    paths |= {path for path in history.live.parts if _happened_in(path, period)}
    parts = [history.live.parts[path] for path in sorted(paths)]
    return raw + [NamedObject(part.path, part.size, part.sha256, f"commit {by}", is_part=True) for part, by in parts]


def _commits_of(history: History, logs: pa.Table) -> list[int]:
    """Return the commits that say anything of some logs."""
    names = pc.is_in(history.logs["name"], logs["name"].combine_chunks())
    numbers: list[int] = pc.unique(history.logs.filter(names)["commit"]).to_pylist()
    return numbers


def holdings(named: Iterable[NamedObject]) -> dict[str, Holding]:
    """Add objects up by folder, as the ledger names them."""
    trees: dict[str, list[NamedObject]] = {"raw": [], "events": [], "quarantine": []}
    for item in named:
        trees[item.path.partition("/")[0]].append(item)
    return {tree: _holding(sorted(items, key=lambda item: item.path)) for tree, items in trees.items()}


def _holding(items: list[NamedObject]) -> Holding:
    rows = [[item.path, item.size, item.sha256] for item in items]
    digest = hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
    return Holding(len(items), sum(item.size or 0 for item in items), digest)


def read_objects(
    store: Store, raw: RawBytes, named: list[NamedObject], logs: pa.Table, period: Period, *, progress: Progress
) -> ObjectsRead:
    """Read and hash objects, and count whose rows are in them.

    :param raw: of the repository; what it has no keys for is hashed as it is stored.
    :param logs: the last row of each log of the period.
    """
    mine = {
        (row["delivered_as"] or row["name"], row["sequence"])
        for row in logs.select(["delivered_as", "name", "sequence"]).to_pylist()
    }
    findings: list[Finding] = []
    counts = [0, 0, 0]
    for done, checked in enumerate(check_bytes(store, raw, named), 1):
        findings += checked.findings
        for place, rows in _rows(checked, mine, period):
            counts[place] += rows
        progress("Hashing objects", done, len(named))
    return ObjectsRead(tuple(findings), Reconciliation(*counts))


def _rows(checked: Checked, mine: set[LogKey], period: Period) -> Iterator[tuple[int, int]]:
    """Yield where rows count in the bridge: both, listed only, happened only."""
    if partition_of(checked.named.path) is None:
        return
    happened = _happened_in(checked.named.path, period)
    for key, digest in (checked.lines or {}).items():
        if key in mine:
            yield (0 if happened else 1), digest.rows
        elif happened:
            yield 2, digest.rows


def _happened_in(path: str, period: Period) -> bool:
    partition = partition_of(path)
    # ISO 8601 sorts as dates do; what is not a date is in no period.
    return partition is not None and period.first.isoformat() <= partition[1] < period.end.isoformat()
