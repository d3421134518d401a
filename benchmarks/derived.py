"""``python -m benchmarks.derived``: what the derived columns cost from container to Parquet, with and without them.

Both are measured by turns in one run on one core, so that what other programs take falls on both; what counts is the
median of each round's ratio. Accounts that have headers logged have two lists in each event, others have none, so both
kinds are measured.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

import pyarrow as pa

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.events.schema.schema import READ_SCHEMA, SCHEMA
from airflow_provider_imperva.lake import parts
from airflow_provider_imperva.testing.forge import KeyPair
from benchmarks.batch import Batch
from benchmarks.corpus import Log, forge_corpus

_WITHOUT = {
    "SCHEMA": pa.schema([SCHEMA.field(name) for name in READ_SCHEMA.names], metadata=SCHEMA.metadata),
    "HELD_SCHEMA": READ_SCHEMA,
    "complete": lambda events, **_: events,
}
"""What makes parts of the columns that logs have."""

_MEASURED = (
    *(("CEF", headers, redact) for headers in (True, False) for redact in (False, True)),
    *(("LEEF", headers, False) for headers in (True, False)),
    ("W3C", False, False),
)
"""Formats, whether events have headers, which W3C never has, and whether secrets are redacted."""


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.derived", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="of the corpus")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is measured")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pair = KeyPair.generate()
    keys = KeyRing({pair.public_key_id: pair.private_key})
    logs = max(1, options.events // 10_000)
    print("| | CPU seconds | without derived columns | they cost | parts are larger by |")
    print("| --- | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        corpora = {
            headers: forge_corpus(pair, events=options.events, logs=logs, header_lists=headers)
            for headers in (True, False)
        }
        for name, headers, redact in _MEASURED:
            measured = ", ".join([name, *["headers logged"] * headers, *["secrets redacted"] * redact])
            row = _row(Path(folder) / measured, corpora[headers][name], keys, rounds=options.rounds, redact=redact)
            print(f"| {measured} | {row} |", flush=True)


def _row(lake: Path, logs: list[Log], keys: KeyRing, *, rounds: int, redact: bool) -> str:
    batch = Batch(lake, [log.name for log in logs])
    batch.fetch(log.content for log in logs)
    full, bare = _round(batch, keys, redact=redact)
    size = full[1] / bare[1]
    measured = [_round(batch, keys, redact=redact, bare_first=bool(place % 2)) for place in range(rounds)]
    ratio = median(one[0] / other[0] for one, other in measured)
    seconds = [median(pair[which][0] for pair in measured) for which in (0, 1)]
    return f"{seconds[0]:.3f} | {seconds[1]:.3f} | {100 * (ratio - 1):.1f} % | {100 * (size - 1):.0f} %"


_Once = tuple[float, int]
"""CPU seconds, and bytes of the parts."""


def _round(batch: Batch, keys: KeyRing, *, redact: bool, bare_first: bool = False) -> tuple[_Once, _Once]:
    """Normalize a batch with derived columns and without, and return both in this order."""
    once = {}
    for is_bare in (bare_first, not bare_first):
        batch.forget()
        gc.collect()
        with _without_derived() if is_bare else nullcontext():
            began = time.process_time()
            report = batch.normalize(keys, redact=redact)
            once[is_bare] = time.process_time() - began, sum(part.size for part in report.parts)
    return once[False], once[True]


@contextmanager
def _without_derived() -> Iterator[None]:
    chosen = {name: getattr(parts, name) for name in _WITHOUT}
    try:
        for name, replaced in _WITHOUT.items():
            setattr(parts, name, replaced)
        yield
    finally:
        for name, value in chosen.items():
            setattr(parts, name, value)


if __name__ == "__main__":
    main()
