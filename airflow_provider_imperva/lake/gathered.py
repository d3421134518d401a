"""What the commits say of logs, gathered: one table for each thousand commits, for whoever queries the ledger.

They lie in ``reports/``, since they prove nothing: audits read the ``logs.parquet`` of each commit.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.commit import SWEPT_COMMITS
from airflow_provider_imperva.lake.layout import COMMITS_A_FOLDER
from airflow_provider_imperva.lake.ledger import Ledger, decode_logs
from airflow_provider_imperva.lake.records import LOGS_SCHEMA

logger = logging.getLogger(__name__)

GATHERED_SCHEMA = LOGS_SCHEMA.append(pa.field("commit", pa.int64()))
"""Schema of a gathered table: that of ``logs.parquet``, and the commit that a row is of."""

MOST_AT_ONCE = 10
"""How many tables are written at a time: a thousand commits take a second on a disk."""

_READERS = 16


def gather_logs(ledger: Ledger) -> list[str]:
    """Write the tables that are missing of thousands of commits that are complete, the oldest first.

    Run again, or by two at once, it writes the same.

    :returns: the objects that were written.
    """
    layout = ledger.layout
    head = ledger.head(with_plan=False).next_commit - 1
    there = {item.path for item in ledger.store.objects(layout.gathered_logs_folder)}
    # The last few logs.parquet may yet be put right.
    complete = range((head + 1 - SWEPT_COMMITS) // COMMITS_A_FOLDER)
    written: list[str] = []
    for thousand in complete:
        path = layout.gathered_logs(thousand)
        if path in there or len(written) == MOST_AT_ONCE:
            continue
        tables = list(_logs_of(ledger, thousand))
        if any(table is None for table in tables):
            logger.warning("%s is not gathered: a commit's logs are missing or damaged. Run verify", path)
            continue
        table = pa.concat_tables(table for table in tables if table is not None)
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        ledger.store.write(path, buffer.getvalue())
        written.append(path)
    return written


def _logs_of(ledger: Ledger, thousand: int) -> Iterator[pa.Table | None]:
    """Yield what each commit says of logs; None if it does not read, or is not what its commit names."""
    first = thousand * COMMITS_A_FOLDER

    def read(number: int) -> pa.Table | None:
        path = ledger.layout.logs(number)
        try:
            content = ledger.store.read(path)
            if hashlib.sha256(content).hexdigest() != ledger.commit(number).logs_sha256:
                return None
            return decode_logs(content, about=ledger.store.uri(path))
        except (FileNotFoundError, LedgerCorruptError):
            return None

    numbers = range(max(first, 1), first + COMMITS_A_FOLDER)
    with ThreadPoolExecutor(_READERS) as pool:
        for number, logs in zip(numbers, pool.map(read, numbers), strict=True):
            if logs is None:
                yield None
                continue
            columns = [
                logs[field.name] if field.name in logs.schema.names else pa.nulls(len(logs), field.type)
                for field in LOGS_SCHEMA
            ]
            commit = pa.array([number] * len(logs), pa.int64())
            yield pa.table([*columns, commit], schema=GATHERED_SCHEMA)
