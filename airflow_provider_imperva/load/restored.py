"""A ledger older than the lake's events, as a restored backup is: it would have all since then loaded twice."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_imperva.errors import LakeMismatchError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.partitions import later_parts, partitions


def stop_if_older_than_events(ledger: Ledger, folders: Iterable[str] | None = None, *, head: int) -> None:
    """Refuse a ledger that ends before a part that is in the lake.

    :param folders: where to look; by default in the newest partitions and in ``quarantine/``.
    :param head: the last commit or plan of the ledger.
    :raises LakeMismatchError: if a part is of a later commit.
    """
    store, layout = ledger.store, ledger.layout
    if folders is None:
        folders = [*partitions(store, layout, recent=True), layout.quarantine_folder]
    path = next(later_parts(store, folders, commit=head), None)
    if path:
        raise LakeMismatchError(
            f"this part is of a commit after {head}, the ledger's last: the ledger is older than the events",
            do="Restore the newest copy of ledger/ there is. If there is none, move away every part of a later commit"
            " (`imperva-logs verify` names them), and the next run loads their logs again",
            about=store.uri(path),
        )
