"""Encryption at rest: that each data key is there, or was destroyed by the commit that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.objects import Checked
from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.data_keys import DataKey, DataKeys
from airflow_provider_imperva.lake.store import Store


def check_data_keys(store: Store, keys: DataKeys, history: History, rows: pa.Table) -> Iterator[Finding]:
    """Compare the records of data keys with the ledger; no key is opened.

    :param rows: the last row of each log, with the columns of ``LOGS``.
    """
    wanted = set(pc.unique(rows["data_key"].drop_null()).to_pylist())
    destroyed = {month: number for number, commit in history.commits.items() for month in commit.destroys}
    for month in sorted(wanted | destroyed.keys() | set(keys.months())):
        path = history.layout.data_key(month)
        try:
            record = keys.record(month)
        except LedgerCorruptError as error:
            yield Finding(Kind.UNREADABLE, path, error.found)
            continue
        if record is None:
            yield Finding(Kind.MISSING, path, "without this data key nothing of its month in raw/ can be read")
        elif problem := _contradiction(store, record, destroyed.get(month), history):
            yield Finding(Kind.CONTRADICTION, path, problem)


def _contradiction(store: Store, record: DataKey, by: int | None, history: History) -> str | None:
    """Return where a record and the ledger do not say the same of who destroyed it.

    :param by: the commit that destroys it.
    """
    if record.destroyed is None:
        return f"commit {by} destroyed this data key, and it is still there; the next run destroys it" if by else None
    said = record.destroyed.commit
    # The ledger may have gone on since it was read.
    if said == by or (said > history.last and store.exists(history.layout.commit(said))):
        return None
    return f"it says that commit {said} destroyed it, and that commit does not"


def unopened(checked: Iterable[Checked]) -> Iterator[str]:
    """Describe which encrypted objects were hashed as they are stored, and why no more was done."""
    for why, count in Counter(item.unopened for item in checked if item.unopened).items():
        text = f"{counted(count, 'object')} in raw/ {'was' if count == 1 else 'were'} compared as stored"
        yield f"{text}; that {'it is' if count == 1 else 'they are'} the bytes received was not proved again: {why}"
