"""Decoding logs again: the rows that the bytes in ``raw/`` give, held against those in ``events/``, value by value."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import Progress
from airflow_provider_imperva.audit.reading import AuditedLedger
from airflow_provider_imperva.container.decode import PlainLog, decode
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ContainerError, DataKeyError, LakeError, MissingKeyError
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.inputs import DERIVED_SINCE, of_version_1, schema_version_of
from airflow_provider_imperva.lake.layout import partition_of
from airflow_provider_imperva.lake.log_source import source_of
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.options import DecodePolicy
from airflow_provider_imperva.privacy import pseudonyms, redact
from airflow_provider_imperva.privacy.options import PERSONAL
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.rules import Rules
from airflow_provider_imperva.severities import VERSION_KEY as SEVERITIES_KEY
from airflow_provider_imperva.severities import Severities

_LENIENT = DecodePolicy(encrypted_checksum="warn", clear_checksum="warn")
"""What was loaded once is decoded, whatever policy loaded it."""


@dataclass(frozen=True, slots=True)
class RedoSelection:
    """Which logs to decode again.

    :ivar logs: how many of each repository, drawn at random.
    :ivar keys: private keys of logs that are encrypted.
    :ivar rules: the rules of redaction that the rows were written by; None if they were not redacted.
    """

    logs: int
    keys: KeyRing = field(default_factory=KeyRing)
    rules: Rules | None = field(default_factory=Rules)


@dataclass(slots=True)
class RedoResult:
    """What decoding logs again came to.

    :ivar logs, rows: how many logs, and rows of them, were compared; ``of`` how many logs are loaded.
    :ivar left_out: how many logs were drawn and not compared, by the reason.
    """

    of: int
    logs: int = 0
    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_all(self) -> bool:
        """Whether every log was compared."""
        return self.logs == self.of

    def __str__(self) -> str:
        text = f"{self.logs:,} of {self.of:,} logs decoded again, {self.rows:,} rows compared value by value"
        return text + "".join(f"; {count} not compared: {why}" for why, count in sorted(self.left_out.items()))


def redo(
    store: Store,
    raw: RawBytes,
    ledger: AuditedLedger,
    rows: pa.Table,
    wanted: RedoSelection,
    *,
    seed: int,
    progress: Progress,
) -> RedoResult:
    """Decode some logs again, and compare.

    :param rows: the last row of each log, with the columns of ``LOGS``.
    :param seed: draws the same logs each time.
    """
    loaded = rows.filter(pc.equal(rows["state"], State.COMMITTED.value)).filter(pc.field("rows") > 0).to_pylist()
    done = RedoResult(len(loaded))
    drawn = random.Random(seed).sample(loaded, min(wanted.logs, len(loaded)))  # noqa: S311
    for position, row in enumerate(drawn, 1):
        try:
            problems = _again(store, raw, ledger, row, wanted)
        except _LeftOutError as reason:
            done.left_out[str(reason)] = done.left_out.get(str(reason), 0) + 1
        except (ContainerError, LakeError, OSError, pa.ArrowException) as error:
            # What cannot be read is a finding of the hashing.
            lacks_key = isinstance(error, (MissingKeyError, DataKeyError))
            why = "its private key or data key is not at hand" if lacks_key else "it does not decode now"
            done.left_out[why] = done.left_out.get(why, 0) + 1
        else:
            done.logs += 1
            done.rows += row["rows"]
            done.findings += (Finding(Kind.CONTRADICTION, row["name"], text) for text in problems)
        progress("Decoding again", position, len(drawn))
    return done


def _decoded(raw: RawBytes, row: dict[str, Any], wanted: RedoSelection) -> PlainLog:
    with raw.open(row["raw_key"]) as file:
        return decode(file.read(), log=row["name"], keys=wanted.keys, policy=_LENIENT)


class _LeftOutError(Exception):
    """Why a log cannot be compared."""


def _again(store: Store, raw: RawBytes, ledger: AuditedLedger, row: dict[str, Any], wanted: RedoSelection) -> list[str]:
    if row["expired_lines"] or row["erased_lines"] or row["raw_removed"]:
        raise _LeftOutError("some of it was expired or erased")
    file = row["delivered_as"] or row["name"]
    batch_id = ledger.loaded_by.get(row["name"])
    paths = ledger.history.live.successors(ledger.written.get(batch_id, ())) if batch_id else set()
    events = sorted(path for path in paths if partition_of(path))
    there = [_rows_of(store, path, file, row["sequence"]) for path in events]
    protection = _protection([part.metadata for part in there], wanted)
    tables = [part.current(protection) for part in there if part.rows.num_rows]
    if not tables:
        return [f"events/ has none of its {row['rows']} rows"]
    before = pa.concat_tables(tables, promote_options="default").sort_by("src_line")
    keep_raw = "raw" in before.column_names and before["raw"].null_count < len(before)
    fetched_at: datetime = ledger.fetched_at[row["name"]]
    plain = _decoded(raw, row, wanted)
    source = source_of(plain, file=file, sequence=row["sequence"], fetched_at=int(fetched_at.timestamp() * 1000))
    blocks = [
        protection.completed(protection.apply(block.events, block.quarantined).events)
        for block in parse(plain.chunks(1 << 23), source, keep_raw=keep_raw)
    ]
    after = pa.concat_tables([_plain(block.select(SCHEMA.names)) for block in blocks]).sort_by("src_line")
    skipped = _OF_PEOPLE if any(pseudonyms.VERSION_KEY in part.metadata for part in there) else set()
    return list(_differences(before, after, skipped))


_OF_PEOPLE = {
    *PERSONAL,
    *pseudonyms.HEADER_TEXTS,
    "request_headers",
    "response_headers",
    "extra",
    "client_address",
    "client_address_bytes",
    "client_subnet",
    "incident_id",
}
"""Columns that have pseudonyms, whose key is not at hand here, or follow from such columns."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one log in one part.

    :ivar version: of the schema that they were written by.
    """

    path: str
    version: int
    metadata: dict[str, str]
    rows: pa.Table

    def current(self, protection: Protection) -> pa.Table:
        """Return the rows as this release would have written them, as far as they tell."""
        if self.version >= DERIVED_SINCE:
            return _plain(self.rows)
        event_class, _ = partition_of(self.path) or ("", "")
        return _plain(of_version_1(self.rows, event_class, protection.severities))


def _rows_of(store: Store, path: str, file: str, sequence: int) -> _Part:
    with store.reader(path) as opened:
        part = pq.ParquetFile(opened)
        metadata = {
            name: value.decode()
            for name in (redact.VERSION_KEY, pseudonyms.VERSION_KEY, SEVERITIES_KEY)
            if (value := (part.metadata.metadata or {}).get(name.encode()))
        }
        table = part.read()
    mine = pc.and_(pc.equal(table["src_file"], file), pc.equal(table["src_seq"], sequence))
    return _Part(path, schema_version_of(part.schema_arrow), metadata, table.filter(mine))


def _protection(written: Sequence[dict[str, str]], wanted: RedoSelection) -> Protection:
    """Return what made rows as they were made when they were written."""
    own = {metadata.get(SEVERITIES_KEY, "") for metadata in written}
    if len(own) > 1:
        raise _LeftOutError("its rows were written with different severities")
    severities = Severities.parse("".join(own))
    versions = {metadata.get(redact.VERSION_KEY) for metadata in written}
    if versions <= {None}:
        return Protection(None, severities=severities)
    if versions == {wanted.rules.version if wanted.rules else None}:
        return Protection(wanted.rules, severities=severities)
    raise _LeftOutError("its rows were redacted by other rules than those given")


def _plain(table: pa.Table) -> pa.Table:
    """Undo dictionaries, so that values can be compared."""
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _differences(before: pa.Table, after: pa.Table, skipped: set[str]) -> Iterator[str]:
    if before["src_line"].to_pylist() != after["src_line"].to_pylist():
        yield f"events/ has {len(before)} rows of it, its bytes in raw/ give {len(after)}, or other ones"
        return
    columns = [name for name in SCHEMA.names if name in before.column_names and name not in skipped]
    different = [name for name in columns if before[name].to_pylist() != after[name].to_pylist()]
    if different:
        pairs = zip(before.select(different).to_pylist(), after.select(different).to_pylist(), strict=True)
        rows = sum(one != other for one, other in pairs)
        yield f"{rows} of its {len(before)} rows in events/ are not what its bytes in raw/ give: {', '.join(different)}"
