"""Separates the rows of batches from those of others, into parts of their own that a replay can replace.

Compaction merges the parts of batches. Before a replay, such merged parts are split again: the rows of each batch to
be replayed go to parts of their own, all others stay together. That is a commit of its own, of kind ``compact``, since
the rows stay the same.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set, parts_of_batch
from airflow_provider_imperva.lake.maintenance import plan_maintenance
from airflow_provider_imperva.lake.merge import LogKey, merge_batch
from airflow_provider_imperva.lake.records import BatchId, Commit, Kind, Part, PlannedLog, Run
from airflow_provider_imperva.repository.names import LogName

logger = logging.getLogger(__name__)

_READERS = 16


class SeparateParts(NamedTuple):
    """The parts that hold the rows of one batch and of no other.

    :ivar last: the commit that this is true after: a plan that rests on it has the next number, so that it is refused
        if another run was quicker.
    """

    parts: dict[BatchId, tuple[Part, ...]]
    last: int


def separate_parts(
    ledger: Ledger, batch_ids: Mapping[BatchId, Iterable[PlannedLog]], *, last: Commit, run: Run, at: datetime
) -> SeparateParts:
    """Return the live parts with the rows of these batches and of nothing else; merged parts are split first.

    :param batch_ids: the logs of each.
    :param last: the last commit when the batches were looked up.
    :param run: who takes them apart, if there are any.
    :param at: now, UTC.
    :raises LakeError: if a merged part is missing, or cannot be taken apart.
    :raises LedgerConflictError: if another run took over meanwhile.
    """
    if not batch_ids:
        return SeparateParts({}, last.commit)
    keys = {batch_id: {_key(log) for log in logs} for batch_id, logs in batch_ids.items()}
    parts, shared = _find(ledger, keys)
    if shared:
        last = _take_apart(ledger, shared, keys, last=last, run=run, at=at)
        parts, shared = _find(ledger, keys)
    if shared:
        raise LakeError(
            f"{len(shared)} merged parts could not be taken apart",
            do="Nothing is lost: replay again",
            about=ledger.store.uri(shared[0].path),
        )
    return SeparateParts(parts, last.commit)


def _key(log: PlannedLog) -> LogKey:
    """Return what the rows of a log say they are from."""
    return log.delivered_as or log.name, LogName.parse(log.name).sequence


def _find(ledger: Ledger, keys: Mapping[BatchId, set[LogKey]]) -> tuple[dict[BatchId, tuple[Part, ...]], list[Part]]:
    """Return the parts with rows of one batch alone, by batch, and those with rows of a batch and of other logs."""
    first = {batch_id: parts_of_batch(ledger, batch_id) for batch_id in keys}
    live = live_set(ledger, since=min(batch_id.commit for batch_id in keys))
    moved = {
        batch_id: [part.path for part in parts if part.path not in live.parts] for batch_id, parts in first.items()
    }
    ahead = {
        batch_id: live.successors(paths) - {part.path for part in first[batch_id]} for batch_id, paths in moved.items()
    }
    candidates = [live.parts[path].part for path in sorted(set().union(*ahead.values()))]
    with ThreadPoolExecutor(_READERS) as pool:
        logs = dict(
            zip((part.path for part in candidates), pool.map(lambda part: _logs(ledger, part), candidates), strict=True)
        )
    own: dict[BatchId, tuple[Part, ...]] = {}
    shared: set[str] = set()
    for batch_id, parts in first.items():
        kept = [part for part in parts if part.path in live.parts]
        for path in sorted(ahead[batch_id]):
            if logs[path] <= keys[batch_id]:
                kept.append(live.parts[path].part)
            elif not logs[path].isdisjoint(keys[batch_id]):
                shared.add(path)
        own[batch_id] = tuple(kept)
    return own, [live.parts[path].part for path in sorted(shared)]


def _logs(ledger: Ledger, part: Part) -> set[LogKey]:
    """Look which logs a part has rows of: the ledger only knows where they may be."""
    try:
        with ledger.store.reader(part.path) as file:
            rows = pq.read_table(file, columns=["src_file", "src_seq"])
    except (FileNotFoundError, pa.ArrowException) as error:
        raise LakeError(
            f"a merged part that a commit names is missing or damaged ({type(error).__name__})",
            do="Restore it from a backup of the lake; imperva-logs verify names what else is wrong",
            about=ledger.store.uri(part.path),
        ) from None
    distinct = rows.group_by(["src_file", "src_seq"]).aggregate([])
    return set(zip(distinct["src_file"].to_pylist(), distinct["src_seq"].to_pylist(), strict=True))


def _take_apart(
    ledger: Ledger, shared: list[Part], keys: Mapping[BatchId, set[LogKey]], *, last: Commit, run: Run, at: datetime
) -> Commit:
    """Give each batch parts of its own, by a commit that changes no row."""
    logger.info("%d merged parts are taken apart, so that their logs can be replayed", len(shared))
    plan = plan_maintenance(
        ledger,
        last,
        kind=Kind.COMPACT,
        run=run,
        provider_version=__version__,
        at=at,
        inputs={batch: (part,) for batch, part in enumerate(shared)},
    )
    pieces: defaultdict[LogKey, int] = defaultdict(int)
    for piece, batch_id in enumerate(sorted(keys)):
        pieces |= dict.fromkeys(keys[batch_id], piece)
    for batch in range(len(shared)):
        merge_batch(ledger, plan, batch, pieces=pieces)
    return commit_plan(ledger, plan, by=run, provider_version=__version__, at=at)
