"""Growth: whether the bytes of one delivered log are those that another one begins with."""

from __future__ import annotations

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.repository.names import LogName

_CHUNK_BYTES = 2**20


def begins_with(ledger: Ledger, log: LogName, earlier: LogName) -> bool | None:
    """Tell whether a log begins with the bytes of one that came before it; both as they are in ``raw/``.

    :returns: None if one of them is not there.
    """
    layout, store = ledger.layout, ledger.store
    try:
        with store.reader(layout.raw(earlier)) as before, store.reader(layout.raw(log)) as after:
            while chunk := before.read(_CHUNK_BYTES):
                if after.read(len(chunk)) != chunk:
                    return False
    except FileNotFoundError:
        return None
    return True
