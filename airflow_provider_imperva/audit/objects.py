"""Checking the objects that the ledger names: each is there, and has the bytes that the ledger has the hash of."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.errors import DataKeyError, LakeError, SealedObjectError
from airflow_provider_imperva.lake.digest import RowsDigest, digests_of
from airflow_provider_imperva.lake.layout import partition_of
from airflow_provider_imperva.lake.raw import RawBytes, seal_of
from airflow_provider_imperva.lake.store import Store

_READERS = 8
_OBJECTS_AT_ONCE = 256


LogKey: TypeAlias = tuple[str, int]
"""What a row says it is from, ``src_file`` and ``src_seq``: one path may be delivered twice."""


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object of which is known what has to be in it.

    :ivar size: bytes; None if nothing says.
    :ivar sha256: its first digits, or all.
    :ivar by: what says so: the last commit that names it, or its own name.
    :ivar is_part: whether it is a Parquet part; else a log in ``raw/``, and ``sha256`` is of the bytes received.
    :ivar stored_sha256: of the object, where the ledger says that it is encrypted.
    """

    path: str
    size: int | None
    sha256: str
    by: str
    is_part: bool
    stored_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading the bytes of an object showed.

    :ivar unopened: why an encrypted object was only hashed as it is stored; None if it was decrypted, or is stored as
        received.
    :ivar lines: of a part that is as it was written: which rows it has of each log; of one in ``quarantine/`` only how
        many.
    """

    named: NamedObject
    findings: tuple[Finding, ...]
    lines: Mapping[LogKey, RowsDigest] | None = None
    unopened: str | None = None


def draw_sample(objects: Iterable[NamedObject], *, sample: int | None, seed: int) -> list[NamedObject]:
    """Draw which objects to hash: all, or some at random; the same objects and seed give the same ones."""
    in_order = sorted(objects, key=lambda named: named.path)
    if sample is None or sample >= len(in_order):
        return in_order
    chosen = random.Random(seed).sample(in_order, sample)  # noqa: S311
    return sorted(chosen, key=lambda named: named.path)


def check_presence(named: Iterable[NamedObject], there: Mapping[str, int]) -> Iterator[Finding]:
    """Compare what the ledger names with a listing of the lake."""
    for item in named:
        if item.path not in there:
            yield Finding(Kind.MISSING, item.path, f"{item.by} names it, and it is not there")
        elif item.size not in (None, there[item.path]):
            yield Finding(Kind.ALTERED, item.path, f"it has {there[item.path]} bytes, {item.by} says {item.size}")


def check_bytes(store: Store, raw: RawBytes, named: Iterable[NamedObject]) -> Iterator[Checked]:
    """Read objects whole, several at once, and compare their SHA-256 with the ledger's.

    :param raw: decrypts what is encrypted, as far as it has the keys; without, the stored bytes alone are compared.
    """
    rest = iter(named)
    with ThreadPoolExecutor(_READERS) as pool:
        while some := list(islice(rest, _OBJECTS_AT_ONCE)):
            yield from pool.map(lambda item: _check(store, item) if item.is_part else _check_raw(raw, item), some)


def _check_raw(raw: RawBytes, named: NamedObject) -> Checked:
    """Compare the stored bytes with what the ledger says of them, and the bytes received wherever they can be read."""
    try:
        with raw.open(named.path) as file:
            seal = seal_of(file)
            if named.stored_sha256 and (stored := seal.sha256 if seal else None) != named.stored_sha256:
                stored_as = f"its SHA-256 is {stored}" if stored else "it is not encrypted"
                return _altered(named, f"{stored_as}, {named.by} says that as stored it is {named.stored_sha256}")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if not sha256.startswith(named.sha256):
                return _altered(named, f"its SHA-256 is {sha256}, {named.by} says {named.sha256}")
            return Checked(named, ())
    except DataKeyError as error:
        return Checked(named, (), unopened=f"{error.about}: {error.found}")
    except SealedObjectError as error:
        return _altered(named, error.found)
    except FileNotFoundError:
        problem = f"{named.by} names it, and it is not there"
        return Checked(named, (Finding(Kind.MISSING, named.path, problem),))
    except (OSError, LakeError) as error:
        problem = f"it could not be read ({type(error).__name__})"
        return Checked(named, (Finding(Kind.UNREADABLE, named.path, problem),))


def _altered(named: NamedObject, problem: str) -> Checked:
    return Checked(named, (Finding(Kind.ALTERED, named.path, problem),))


def _check(store: Store, named: NamedObject) -> Checked:
    try:
        with store.reader(named.path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            if not sha256.startswith(named.sha256):
                return _altered(named, f"its SHA-256 is {sha256}, {named.by} says {named.sha256}")
            file.seek(0)
            partition = partition_of(named.path)
            columns = ["src_file", "src_seq", "src_line"]
            if partition is None:
                return Checked(named, (), _counts(pq.read_table(file, columns=columns)))
            rows = pq.read_table(file, columns=[*columns, "event_time"])
            return Checked(named, tuple(_check_date(named, rows["event_time"], partition[1])), digests_of(rows))
    except FileNotFoundError:
        problem = f"{named.by} names it, and it is not there"
        return Checked(named, (Finding(Kind.MISSING, named.path, problem),))
    except (OSError, LakeError, pa.ArrowException) as error:
        problem = f"it could not be read ({type(error).__name__})"
        return Checked(named, (Finding(Kind.UNREADABLE, named.path, problem),))


def _check_date(named: NamedObject, times: pa.ChunkedArray, day: str) -> Iterator[Finding]:
    """See that the events of a part are of its date, UTC."""
    try:
        begin = datetime.combine(date.fromisoformat(day), time(), UTC)
    except ValueError:
        yield Finding(Kind.TIME, named.path, "its folder does not name a date")
        return
    inside = pc.and_(pc.greater_equal(times, begin), pc.less(times, begin + timedelta(days=1)))
    # Rows without a time are null here, and count as neither.
    if outside := pc.sum(pc.invert(inside)).as_py():
        yield Finding(Kind.TIME, named.path, f"{outside} of its {len(times)} events are not of its date")


def _counts(table: pa.Table) -> Mapping[LogKey, RowsDigest]:
    counts = table.group_by(["src_file", "src_seq"]).aggregate([([], "count_all")]).to_pylist()
    return {(row["src_file"], row["src_seq"]): RowsDigest(row["count_all"]) for row in counts}
