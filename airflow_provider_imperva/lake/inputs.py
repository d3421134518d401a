"""Reading parts to rewrite them: each is whole, or nothing of it is taken over."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.derived.complete import upgraded
from airflow_provider_imperva.events.schema.schema import HELD_SCHEMA, READ_SCHEMA, SCHEMA, SCHEMA_VERSION
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import batch_of_part
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.severities import VERSION_KEY as SEVERITIES_KEY
from airflow_provider_imperva.severities import Severities

_SMALL_BYTES = 4 << 20
"""Parts up to this size are read at once, and several ahead; larger ones go through a temporary file."""

_AHEAD = 8
_CHUNK_BYTES = 8 << 20
_READ_ROWS = 1 << 15
DERIVED_SINCE = 2
"""Version of the schema from which on parts have the derived columns."""

_VERSION_KEY = b"imperva.schema_version"
_PROTECTION = (b"imperva.redaction", b"imperva.pseudonyms", SEVERITIES_KEY.encode())
_CODED = {field.name for field in HELD_SCHEMA if pa.types.is_dictionary(field.type)}


def protection_of(ledger: Ledger, part: Part) -> dict[str, str]:
    """Return what a part's metadata says of redaction and pseudonyms.

    Of one that does not read, what the report of its batch says: to merge it will fail, and tell why.
    """
    try:
        with ledger.store.reader(part.path) as file:
            return _protection_in(pq.ParquetFile(file).schema_arrow)
    except (FileNotFoundError, pa.ArrowException, OSError):
        batch = batch_of_part(part.path)
        report = ledger.report(batch.commit, batch.batch) if batch else None
        return report.protection if report else {}


def read_parts(store: Store, parts: Sequence[Part], *, protection: Mapping[str, str]) -> Iterator[pa.Table]:
    """Yield the rows of parts in ``events/``, in order, some at a time, as tables of ``HELD_SCHEMA``.

    A part's bytes are held against the SHA-256 that its commit names before any of them is used, so that a part that
    somebody edited is never merged into one that the ledger vouches for.

    :param protection: what all of them have to say in their metadata of redaction and pseudonyms.
    :raises LakeError: if one is missing, is not as it was written, or cannot be taken over whole.
    """
    with ThreadPoolExecutor(_AHEAD) as pool:
        rest = iter(parts)
        while some := list(islice(rest, _AHEAD)):
            contents = [pool.submit(store.read, part.path) if part.size <= _SMALL_BYTES else None for part in some]
            for part, content in zip(some, contents, strict=True):
                try:
                    if content:
                        file = io.BytesIO(content.result())
                        yield from _rows(store, part, file, protection)
                    else:
                        with _copied(store, part) as copy:
                            yield from _rows(store, part, copy, protection)
                except FileNotFoundError:
                    raise _unusable(store, part, "it is not there") from None


@contextmanager
def _copied(store: Store, part: Part) -> Iterator[BinaryIO]:
    """Copy a part to a temporary file, so that what is hashed is what is read."""
    with tempfile.TemporaryFile() as copy, store.reader(part.path) as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                copy.write(chunk)
            copy.seek(0)
        except OSError as error:
            raise LakeError(
                f"{part.path} could not be copied ({error.strerror or type(error).__name__})",
                do="Make room there, or set TMPDIR to a folder that has it; the lake is as it was",
                about=tempfile.gettempdir(),
            ) from error
        yield copy


def _rows(store: Store, part: Part, file: BinaryIO, protection: Mapping[str, str]) -> Iterator[pa.Table]:
    if (sha256 := hashlib.file_digest(file, "sha256").hexdigest()) != part.sha256:  # type: ignore[arg-type]
        raise _unusable(store, part, f"its SHA-256 is {sha256}, its commit says {part.sha256}")
    file.seek(0)
    try:
        footer = pq.ParquetFile(file)
        version = _check_schema(store, part, footer.schema_arrow, protection)
        coded = [name for name in footer.schema_arrow.names if name in _CODED]
        parquet = pq.ParquetFile(file, metadata=footer.metadata, read_dictionary=coded)
        severities = Severities.parse(protection.get(SEVERITIES_KEY, ""))
        rows = 0
        for batch in parquet.iter_batches(_READ_ROWS, use_threads=False):
            rows += batch.num_rows
            table = pa.Table.from_batches([batch])
            if version >= DERIVED_SINCE:
                yield _brought_into(HELD_SCHEMA, table)
            else:
                yield of_version_1(table, part.event_class, severities)
    except (pa.ArrowException, OSError) as error:
        raise _unusable(store, part, f"it does not read ({type(error).__name__})") from error
    if rows != part.rows:
        raise _unusable(store, part, f"it has {rows} rows, its commit says {part.rows}")


def _check_schema(store: Store, part: Part, schema: pa.Schema, protection: Mapping[str, str]) -> int:
    """Return the version of a part's schema, once it is sure that this provider knows it."""
    version = schema_version_of(schema)
    strange = set(schema.names) - set(SCHEMA.names)
    if strange or version > int(SCHEMA_VERSION):
        raise LakeError(
            f"it is of version {version} of the schema, with {len(strange)} columns that this provider does not know",
            do="Upgrade the provider to at least the version that wrote it; the lake is as it was",
            about=store.uri(part.path),
        )
    if (said := _protection_in(schema)) != protection:
        raise _unusable(store, part, f"its metadata says {said} of redaction, that of the others {protection}")
    return version


def schema_version_of(schema: pa.Schema) -> int:
    """Return the version of the schema that a part was written by, which its metadata has."""
    return int((schema.metadata or {}).get(_VERSION_KEY, b"1"))


def _protection_in(schema: pa.Schema) -> dict[str, str]:
    metadata = schema.metadata or {}
    return {name.decode(): metadata[name].decode() for name in _PROTECTION if name in metadata}


def _brought_into(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    """Give rows the columns of a schema: those that came with a later version are null."""
    there = set(rows.column_names)
    columns = [
        rows[field.name].cast(field.type) if field.name in there else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def of_version_1(rows: pa.Table, event_class: str | None, severities: Severities) -> pa.Table:
    """Bring rows of version 1 of the schema into ``HELD_SCHEMA``, with the columns that version 2 derives.

    :param event_class: of the part that they are in.
    """
    read = _brought_into(READ_SCHEMA, rows)
    return upgraded(read, event_class or "", severities=severities.by_rule_type)


def _unusable(store: Store, part: Part, problem: str) -> LakeError:
    return LakeError(
        f"{problem}: the parts of its batch stay as they are",
        do="Run imperva-logs verify, and replay the logs of this part",
        about=store.uri(part.path),
    )
