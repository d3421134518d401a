"""The rows that a batch of a commit brought, wherever in the lake they are by now, in an order that never changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.schema.columns import CATEGORY
from airflow_provider_imperva.lake.groups import Block, row_groups
from airflow_provider_imperva.lake.inputs import protection_of, read_parts
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import LiveSet
from airflow_provider_imperva.lake.records import BatchId, Commit, Kind, Part, Report
from airflow_provider_imperva.lake.spill import Rows
from airflow_provider_imperva.ocsf.events import times

GROUP_ROWS = 1 << 16
"""Rows of a row group: about 40 MB as OCSF, before they are compressed."""

_LogKey: TypeAlias = tuple[str, int]
_REMOVES = frozenset({Kind.EXPIRE, Kind.ERASE})


class LakeState:
    """What the lake is made of now, as far as it matters to some commits and to those after them."""

    def __init__(self, ledger: Ledger, *, since: int) -> None:
        self.ledger = ledger
        self._live = LiveSet()
        self._superseded: dict[BatchId, int] = {}
        self._removed_at = 0
        for number in range(since, ledger.head(with_plan=False).next_commit):
            commit = ledger.commit(number)
            self._live.add(commit)
            self._superseded |= dict.fromkeys(commit.replaced.values(), number)
            if commit.kind in _REMOVES:
                self._removed_at = number

    def is_superseded(self, batch_id: BatchId) -> bool:
        """Return whether the logs of a batch were loaded again by a later commit."""
        return self._superseded.get(batch_id, 0) > batch_id.commit

    def may_lack_rows(self, commit: int) -> bool:
        """Return whether rows of a commit may have been taken out of the lake."""
        return self._removed_at > commit

    def parts(self, parts: Sequence[Part]) -> list[Part]:
        """Return the live parts in which the rows of some parts are now."""
        return [self._live.parts[path].part for path in sorted(self._live.successors(part.path for part in parts))]


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of one batch that go to one file.

    :ivar parts: parts of the batch, of one date and of classes that become the same.
    :ivar logs: which of the rows in the live parts are the batch's.
    """

    lake_state: LakeState
    parts: Sequence[Part]
    logs: frozenset[_LogKey]
    event_date: date

    def read(self, rows: Rows) -> int:
        """Set the rows aside, and return how many they are."""
        count = 0
        store = self.lake_state.ledger.store
        for part in self.lake_state.parts(self.parts):
            for table in read_parts(store, [part], protection=protection_of(self.lake_state.ledger, part)):
                own = self._own(table)
                if own.num_rows:
                    count += own.num_rows
                    rows.add(_with_class(own, part))
        rows.finish()
        return count

    def _own(self, table: pa.Table) -> pa.Table:
        """Return the rows that are of the batch's logs."""
        files = table["src_file"].combine_chunks()
        sequences = table["src_seq"].fill_null(-1).to_numpy()
        wanted: dict[str, list[int]] = {}
        for name, sequence in self.logs:
            wanted.setdefault(name, []).append(sequence)
        codes = files.indices.to_numpy()
        own = np.zeros(len(codes), bool)
        for code, name in enumerate(files.dictionary.to_pylist()):
            if name in wanted:
                own |= (codes == code) & np.isin(sequences, wanted[name])
        return table if own.all() else table.filter(pa.array(own))


def sources(lake_state: LakeState, report: Report, classes: Sequence[Sequence[str]]) -> Iterator[tuple[int, Source]]:
    """Yield the rows of a batch, a source for each date and OCSF class.

    :param classes: the lake's classes that become each OCSF class; the first value yielded says which.
    """
    logs = frozenset((log.delivered_as or str(log.name), log.sequence) for log in report.logs if log.rows)
    for number, members in enumerate(classes):
        mine = [part for part in report.parts if part.event_class in members]
        for day in sorted({str(part.event_date) for part in mine}):
            of_day = [part for part in mine if part.event_date == day]
            yield number, Source(lake_state, of_day, logs, date.fromisoformat(day))


def report_of(ledger: Ledger, commit: Commit, batch: int) -> Report:
    """Return what a batch of a commit did.

    :raises LakeError: if its report is missing.
    """
    report = ledger.report(commit.commit, batch)
    if report is None:
        raise LakeError(
            f"the report of batch {batch} of commit {commit.commit} is missing",
            do="Restore it from a backup of the lake, then export again",
            about=ledger.store.uri(ledger.layout.report(commit.commit, batch)),
        )
    return report


def _with_class(table: pa.Table, part: Part) -> pa.Table:
    indices = pa.repeat(pa.scalar(0, pa.int32()), table.num_rows)
    classes = pa.DictionaryArray.from_arrays(indices, pa.array([part.event_class], pa.string()))
    return table.append_column(pa.field("event_class", CATEGORY), classes)


def in_order(rows: Rows, event_date: date) -> Iterator[pa.Table]:
    """Yield rows sorted by time, log and line, ``GROUP_ROWS`` at a time.

    Neither the order nor what comes together depends on which parts they were read from.
    """
    order = _order(rows.blocks, event_date)
    for begin in range(0, len(order), GROUP_ROWS):
        groups = row_groups(rows.blocks, order[begin : begin + GROUP_ROWS], forget=rows.forget)
        yield pa.concat_tables(list(groups)).unify_dictionaries().combine_chunks()
        rows.forget()


def _order(blocks: Sequence[Block], event_date: date) -> npt.NDArray[np.int32]:
    tables = [block.table for block in blocks]
    names = sorted({name for table in tables for name in table["src_file"].unique().to_pylist()})
    rank = pa.array(names)
    files = [pc.index_in(table["src_file"].cast(pa.string()), rank).to_numpy() for table in tables]
    lines = [table["src_line"].to_numpy() for table in tables]
    sequences = [table["src_seq"].fill_null(-1).to_numpy() for table in tables]
    keys = [lines, sequences, files, [times(table, event_date) for table in tables]]
    return np.lexsort([np.concatenate(key) for key in keys]).astype(np.int32)
