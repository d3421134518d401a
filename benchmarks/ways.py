"""What is timed: the steps of our way, all of it at once, and the two ways it is held against."""

from __future__ import annotations

import hashlib
import io
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pycef
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from isal import isal_zlib

from airflow_provider_imperva.container.crypto import unwrap_key
from airflow_provider_imperva.container.decode import decode
from airflow_provider_imperva.container.header import split_container
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.events.parse import ParsedBlock, parse
from airflow_provider_imperva.events.scan import kernel, plain
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.memory import memory_kept
from airflow_provider_imperva.lake.parts import BatchParts, parquet_writer
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.repository.names import LogName
from benchmarks.batch import Batch
from benchmarks.corpus import Log


@dataclass(frozen=True, slots=True)
class Decode:
    """Container to text: AES, inflate, MD5."""

    log: Log
    keys: KeyRing

    def __call__(self) -> None:
        """Decode the log, and read it."""
        for _ in decode(self.log.content, log=self.log.name, keys=self.keys).chunks():
            pass


@dataclass(frozen=True, slots=True)
class Parse:
    """Text to Arrow.

    :ivar source: what the log's header says, as for normalizing, so that the same columns are filled.
    """

    body: bytes
    source: LogSource

    @classmethod
    def of(cls, log: Log, keys: KeyRing) -> Parse:
        """Decode a log, whose text is what there is to parse."""
        plain = decode(log.content, log=log.name, keys=keys)
        if plain.header is None:
            raise ValueError(f"{log.name} has no header")
        source = LogSource(
            file=log.name,
            sequence=LogName.parse(log.name).sequence,
            account_id=plain.header.account_id,
            config_id=plain.header.config_id,
            format=plain.header.format,
            fields=plain.header.fields,
            start_time=plain.header.start_time,
            end_time=plain.header.end_time,
            checksum_ok=plain.checksum_ok,
            encrypted=plain.encrypted,
            compressed=plain.compressed,
        )
        return cls(plain.body, source)

    @memory_kept()
    def __call__(self) -> None:
        """Parse the log."""
        for _ in self.parsed():
            pass

    def parsed(self) -> Iterator[ParsedBlock]:
        """Yield every block of the log."""
        return parse([self.body], self.source)


@dataclass(frozen=True, slots=True)
class PlainParse:
    """Text to Arrow as it is done without the compiled extension."""

    parse: Parse

    def __call__(self) -> None:
        """Parse the log."""
        chosen = {name: getattr(kernel, name) for name in plain.__all__}
        try:
            for name in chosen:
                setattr(kernel, name, getattr(plain, name))
            self.parse()
        finally:
            for name, function in chosen.items():
                setattr(kernel, name, function)


@dataclass(frozen=True, slots=True)
class Write:
    """Arrow to Parquet, sorted, in a lake."""

    folder: Path
    blocks: Sequence[ParsedBlock]

    @memory_kept()
    def __call__(self) -> None:
        """Write every block."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with BatchParts(open_store(str(self.folder)), Layout("8416_1745073"), commit=1, batch=0) as parts:
            for block in self.blocks:
                parts.add(block.events, block.quarantined)
            parts.write()

    def finished(self) -> list[pa.Table]:
        """Write, and read the parts back as the tables they are."""
        self()
        return [pq.ParquetFile(path).read() for path in sorted(self.folder.glob("events/repository=*/**/*.parquet"))]


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it: from containers in ``raw/`` to Parquet parts and the report.

    :param redact: whether rows are redacted.
    """

    batch: Batch
    keys: KeyRing
    events: int
    redact: bool

    def __call__(self) -> None:
        """Normalize the batch, and see that no event is missing."""
        self.batch.forget()
        report = self.batch.normalize(self.keys, redact=self.redact)
        rows = sum(part.rows for part in report.parts if part.event_class)
        if rows != self.events:
            raise SystemExit(f"{self.events} events became {rows} rows: there is nothing to measure")


@dataclass(frozen=True, slots=True)
class Pycef:
    """(a) What users have today: pycef for each line, a dict for each event, pyarrow, Parquet."""

    logs: Sequence[Log]
    keys: KeyRing
    file: Path

    def __call__(self) -> None:
        """Take logs from containers to one Parquet file."""
        rows = []
        for log in self.logs:
            body = zlib.decompress(_decrypted(log, self.keys))
            hashlib.md5(body, usedforsecurity=False).hexdigest()
            rows += [pycef.parse(line) for line in body.decode().split("\n") if line]
        names = dict.fromkeys(name for row in rows for name in row)
        table = pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))
        pq.write_table(table, self.file, compression="zstd")


@dataclass(frozen=True, slots=True)
class Limit:
    """(b) What no parser could beat: AES, isal's inflate, MD5, and writing the table that is finished already."""

    logs: Sequence[Log]
    keys: KeyRing
    tables: Sequence[pa.Table]
    folder: Path

    @memory_kept()
    def __call__(self) -> None:
        """Decode all logs, then write the tables."""
        for log in self.logs:
            body = isal_zlib.decompress(_decrypted(log, self.keys))
            hashlib.md5(body, usedforsecurity=False).hexdigest()
        store = open_store(str(self.folder))
        for number, table in enumerate(self.tables):
            with store.writer(f"{number}.parquet") as file, parquet_writer(file, table.schema) as writer:
                writer.write_table(table)


def _decrypted(log: Log, keys: KeyRing) -> bytes:
    header, body = split_container(io.BytesIO(log.content), log=log.name)
    if header is None:
        raise ValueError(f"{log.name} has no header")
    decryptor = Cipher(AES(unwrap_key(header, log=log.name, keys=keys)), CBC(bytes(16))).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(body.read(0, body.size))) + unpadder.finalize()
