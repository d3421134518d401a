"""Reports that name clients: they are made from events, leave with them, and can be made again."""

from __future__ import annotations

import io
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.lake.layout import TRAFFIC_PAGE
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.retention.search import find_in_rows
from airflow_provider_imperva.retention.subject import Subject


def findings(ledger: Ledger) -> dict[str, str]:
    """Return the objects with what detections found, by day (``YYYY-MM-DD``)."""
    store, layout = ledger.store, ledger.layout
    days = (name.partition("=")[2] for name in store.folders(layout.detections_folder))
    paths = {day: layout.findings(day) for day in days}
    return {day: path for day, path in paths.items() if store.exists(path)}


def findings_about(ledger: Ledger, subject: Subject) -> list[str]:
    """Return the objects with what detections found of which any names a person, and those that do not read."""
    return [path for path in findings(ledger).values() if _is_in(ledger, path, subject)]


def _is_in(ledger: Ledger, path: str, subject: Subject) -> bool:
    try:
        rows = pq.read_table(io.BytesIO(ledger.store.read(path)))
    except pa.ArrowException:
        return True  # Whom it names is unknown.
    return len(rows) > 0 and len(find_in_rows(rows, subject).mentions) > 0


def traffic_page(ledger: Ledger, *, before: date | None = None) -> list[str]:
    """Return the page about the traffic, which names clients, if there is one.

    :param before: only if it was written before this date (UTC), so that it shows nothing of later days.
    """
    items = ledger.store.objects(TRAFFIC_PAGE.rpartition("/")[0])
    return [item.path for item in items if item.path == TRAFFIC_PAGE and (not before or item.modified.date() < before)]
