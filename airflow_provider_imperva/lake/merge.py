"""Merging a batch: its input parts become one sorted part, or several pieces, with the same rows.

Whatever is wrong, the inputs stay as they are: they leave the lake by the commit alone, which counts a batch only by
its report, and the report is written after the new parts were read again and have the very rows of the inputs.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.batch import stop_if_overtaken, write_batch
from airflow_provider_imperva.lake.digest import RowsDigest, digests_of
from airflow_provider_imperva.lake.groups import MERGED_GROUP_BYTES
from airflow_provider_imperva.lake.inputs import protection_of, read_parts
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import Positions, as_bytes, write_rows
from airflow_provider_imperva.lake.records import VERSION, Part, Plan, Report
from airflow_provider_imperva.lake.spill import MEMORY_BYTES, Rows

SORTED_BY = ("event_time", "src_file", "src_line")
"""The order of the rows in a merged part, which its footer declares."""

LogKey: TypeAlias = tuple[str, int]
"""What a row says it is from, ``src_file`` and ``src_seq``."""

_IDENTITY = ["src_file", "src_seq", "src_line"]
_LAST = np.iinfo(np.int64).max
_REST = -1


def merge_batch(
    ledger: Ledger,
    plan: Plan,
    batch: int,
    *,
    pieces: Mapping[LogKey, int] | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Report:
    """Write the rows of a batch's inputs as one part that is sorted by ``SORTED_BY``.

    Memory stays flat: rows that are not being written are in a temporary file.

    :param plan: its inputs for this batch are of one partition and redacted alike.
    :param pieces: the logs whose rows go to parts of their own, by the number of the piece; all else to one.
    :param memory_bytes: Arrow bytes of rows that stay in memory.
    :returns: the report; the one that is there already if the batch is done.
    :raises LakeError: if an input is not as its commit says, the rows do not fit onto the disk, or what was written
        does not have the rows of the inputs. The lake is as it was then.
    :raises LedgerConflictError: if the plan was committed without this batch.
    """
    if report := ledger.finished(plan.commit, batch):
        return report
    stop_if_overtaken(ledger, plan, batch)
    with closing(Rows(memory_bytes=memory_bytes)) as rows:
        inputs = plan.inputs[batch]
        protection = protection_of(ledger, inputs[0])
        merge = _Merge(ledger, plan, batch, inputs, protection, rows, dict(pieces or {}))
        merge.read()
        return merge.write()


@dataclass(slots=True)
class _Merge:
    """One batch on its way."""

    ledger: Ledger
    plan: Plan
    batch: int
    inputs: tuple[Part, ...]
    protection: dict[str, str]
    rows: Rows
    pieces: dict[LogKey, int]
    expected: defaultdict[LogKey, RowsDigest] = field(default_factory=lambda: defaultdict(RowsDigest))

    def read(self) -> None:
        """Set the rows aside, and remember which they are."""
        for table in read_parts(self.ledger.store, self.inputs, protection=self.protection):
            for key, digest in digests_of(table).items():
                self.expected[key] += digest
            self.rows.add(table)
        self.rows.finish()

    def write(self) -> Report:
        orders = self._orders()
        return write_batch(
            self.ledger,
            self.plan,
            self.batch,
            paths=list(orders),
            outcome=self._outcome(),
            write=lambda: self._put(orders),
        )

    def _put(self, orders: Mapping[str, Positions]) -> Report:
        parts = tuple(self._write_part(path, order) for path, order in orders.items())
        self._check(parts)
        return Report(
            VERSION,
            self.plan.commit,
            self.batch,
            parts,
            (),
            removed=self.inputs,
            carried_rows=sum(part.rows for part in self.inputs),
            protection=self.protection,
        )

    def _write_part(self, path: str, order: Positions) -> Part:
        schema = SCHEMA.with_metadata(SCHEMA.metadata | as_bytes(self.protection))
        try:
            with self.ledger.store.writer(path) as file:
                written = write_rows(
                    file, self.rows, order, schema=schema, sorted_by=SORTED_BY, group_bytes=MERGED_GROUP_BYTES
                )
        except (pa.ArrowException, MemoryError) as error:
            raise LakeError(
                f"the rows of {len(self.inputs)} parts could not be written as Parquet ({type(error).__name__})",
                do="The parts are as they were. If it lasts, report it",
                about=self.ledger.store.uri(path),
            ) from error
        first = self.inputs[0]
        return Part(
            path=path,
            rows=len(order),
            size=written.size,
            sha256=written.sha256.hexdigest(),
            event_class=first.event_class,
            event_date=first.event_date,
        )

    def _check(self, parts: tuple[Part, ...]) -> None:
        """Read again what is in the store now, since the inputs are given up for it."""
        digests: defaultdict[LogKey, RowsDigest] = defaultdict(RowsDigest)
        for part in parts:
            with self.ledger.store.reader(part.path) as file:
                for batch in pq.ParquetFile(file).iter_batches(columns=_IDENTITY, use_threads=False):
                    for key, digest in digests_of(pa.Table.from_batches([batch])).items():
                        digests[key] += digest
        if digests != self.expected:
            logs = sorted(
                str(key[0]) for key in digests.keys() | self.expected.keys() if digests[key] != self.expected[key]
            )
            self.ledger.store.delete([part.path for part in parts])
            raise LakeError(
                f"what was written does not have the rows that were read, of {len(logs)} logs: {', '.join(logs[:5])}",
                do="The parts are as they were. Report it",
                about=self.ledger.store.uri(parts[0].path),
            )

    def _orders(self) -> dict[str, Positions]:
        """Return for each part to write which rows it has, in order."""
        keys = _Keys.of(self.rows)
        order = np.lexsort((keys.lines, keys.sequences, keys.files, keys.times)).astype(np.int32)
        if not self.pieces:
            return {self._path(_REST): order}
        piece_of = keys.numbered(self.pieces)[order]
        return {self._path(piece): order[piece_of == piece] for piece in np.unique(piece_of).tolist()}

    def _path(self, piece: int) -> str:
        first = self.inputs[0]
        # Compaction takes parts in events/ only.
        assert first.event_class is not None and first.event_date is not None  # noqa: S101, PT018
        return self.ledger.layout.part(
            commit=self.plan.commit,
            batch=self.batch,
            event_class=first.event_class,
            event_date=first.event_date,
            piece=None if piece == _REST else piece,
        )

    def _outcome(self) -> str:
        inputs = [part.sha256 for part in self.inputs]
        settings = (__version__, pa.__version__, inputs, self.protection, sorted(self.pieces.items()))
        return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Keys:
    """What rows are sorted by, each an array over all rows.

    :ivar times: ``event_time`` in milliseconds; a null comes last.
    :ivar files: the rank of ``src_file`` among ``names``, which are in the order of their bytes.
    """

    times: npt.NDArray[np.int64]
    files: npt.NDArray[np.int32]
    sequences: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    names: list[str]

    @classmethod
    def of(cls, rows: Rows) -> _Keys:
        tables = [block.table for block in rows.blocks]
        files = [table["src_file"].cast(pa.string()).combine_chunks().dictionary_encode() for table in tables]
        names = sorted({name for codes in files for name in codes.dictionary.to_pylist()})
        rank = {name: number for number, name in enumerate(names)}
        ranks = [
            np.array([rank[name] for name in codes.dictionary.to_pylist()], np.int32)[codes.indices.to_numpy()]
            for codes in files
        ]
        return cls(
            times=np.concatenate([_whole(table["event_time"].cast(pa.int64()).fill_null(_LAST)) for table in tables]),
            files=np.concatenate(ranks),
            sequences=np.concatenate([_whole(table["src_seq"]) for table in tables]),
            lines=np.concatenate([_whole(table["src_line"]) for table in tables]),
            names=names,
        )

    def numbered(self, pieces: Mapping[LogKey, int]) -> npt.NDArray[np.int32]:
        """Return the piece that each row goes to."""
        numbers = np.full(len(self.files), _REST, np.int32)
        rank = {name: number for number, name in enumerate(self.names)}
        for (name, sequence), piece in pieces.items():
            if name in rank:
                numbers[(self.files == rank[name]) & (self.sequences == sequence)] = piece
        return numbers


def _whole(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = column.to_numpy()
    return numbers
