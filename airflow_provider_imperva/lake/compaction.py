"""Which parts compaction merges: small ones of one class and date that has been quiet, where fewer files come of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice

from airflow_provider_imperva.lake.inputs import protection_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import LiveSet, live_set
from airflow_provider_imperva.lake.records import Kind, Part
from airflow_provider_imperva.options import CompactionOptions

_MOST_ROWS = 4_000_000
"""Rows of one merged part: what their order is found by is in memory, about 40 bytes a row."""

_FULL = 0.75
"""A part of so much of the size wanted is left as it is."""

_OVERHEAD = 96 << 10
"""What is gained at most of a part that is merged: its footer, and dictionaries that others have too."""

_READERS = 16


def parts_to_merge(ledger: Ledger, *, at: datetime, options: CompactionOptions) -> list[tuple[Part, ...]]:
    """Return what pays to be merged: each item are parts that become one, at least two.

    :param at: now, UTC.
    :raises LedgerCorruptError: if a commit is missing or does not read.
    """
    live = live_set(ledger)
    pays = [parts for parts in _partitions(live) if any(_batches(parts, options=options))]
    quiet = (parts for parts in pays if at - _last_added(ledger, live, parts) >= options.quiet)
    alike = (group for parts in quiet for group in _alike(ledger, parts))
    batches = (batch for parts in alike for batch in _batches(parts, options=options))
    return list(islice(batches, options.max_batches))


def _partitions(live: LiveSet) -> list[list[Part]]:
    """Return the live parts of each class and date, in the order they came to be; the oldest date first."""
    partitions: defaultdict[tuple[str, str], list[Part]] = defaultdict(list)
    for part, _ in live.parts.values():
        if part.event_class is not None and part.event_date is not None:
            partitions[part.event_date, part.event_class].append(part)
    return [sorted(partitions[key], key=lambda part: part.path) for key in sorted(partitions)]


def _last_added(ledger: Ledger, live: LiveSet, parts: Iterable[Part]) -> datetime:
    """Return when something was last added to a partition; to merge what is there adds nothing."""
    numbers = sorted({live.parts[part.path].commit for part in parts}, reverse=True)
    commits = map(ledger.commit, numbers)
    last = next((commit for commit in commits if commit.kind is not Kind.COMPACT), None)
    return last.committed_at if last else datetime.min.replace(tzinfo=UTC)


def _alike(ledger: Ledger, parts: Sequence[Part]) -> Iterable[list[Part]]:
    """Part what was redacted by other rules, or has other pseudonyms, so that a part's metadata is true of each row."""
    groups: defaultdict[tuple[tuple[str, str], ...], list[Part]] = defaultdict(list)
    with ThreadPoolExecutor(_READERS) as pool:
        for part, protection in zip(parts, pool.map(lambda part: protection_of(ledger, part), parts), strict=True):
            groups[tuple(sorted(protection.items()))].append(part)
    return groups.values()


def _batches(parts: Iterable[Part], *, options: CompactionOptions) -> Iterator[tuple[Part, ...]]:
    """Cut parts that follow each other into batches that make a file each; a part that would stay alone is left."""
    batch: list[Part] = []
    size = rows = 0
    for part in parts:
        if part.size >= _FULL * options.file_bytes or part.rows > _MOST_ROWS:
            continue
        merged = max(part.size // 4, part.size - _OVERHEAD)
        if batch and (size + merged > options.file_bytes or rows + part.rows > _MOST_ROWS):
            if len(batch) > 1:
                yield tuple(batch)
            batch, size, rows = [], 0, 0
        batch.append(part)
        size += merged
        rows += part.rows
    if len(batch) > 1:
        yield tuple(batch)
