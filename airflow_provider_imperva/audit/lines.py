"""The lines of each log, counted in the parts and held against what the commits say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.inventory import QUARANTINE
from airflow_provider_imperva.audit.objects import Checked, LogKey, NamedObject
from airflow_provider_imperva.audit.reading import IN_PARTS, AuditedLedger
from airflow_provider_imperva.lake.digest import RowsDigest
from airflow_provider_imperva.lake.watermark import State


def check_lines(
    rows: pa.Table, proof: AuditedLedger, named: Iterable[NamedObject], checked: Iterable[Checked]
) -> Iterator[Finding]:
    """Look which rows of each log are in the parts themselves, and hold them against what the commits say."""
    events: defaultdict[LogKey, RowsDigest] = defaultdict(RowsDigest)
    quarantine: defaultdict[LogKey, RowsDigest] = defaultdict(RowsDigest)
    read = set()
    for item in checked:
        if item.lines is not None:
            read.add(item.named.path)
            found_in = quarantine if item.named.path.startswith(f"{QUARANTINE}/") else events
            for key, lines in item.lines.items():
                found_in[key] += lines
    # Of a log whose parts were not all read, nothing can be said.
    unread = {item.path for item in named if item.is_part and item.path not in read}
    live = proof.history.live
    unsure = {batch_id for batch_id, paths in proof.written.items() if not unread.isdisjoint(live.successors(paths))}
    rows_in_parts = rows.filter(pc.is_in(rows["state"], pa.array([state.value for state in IN_PARTS])))
    columns = ["name", "sequence", "delivered_as", "state", "rows", "quarantined_lines", "rows_digest", "note_removed"]
    for row in rows_in_parts.select(columns).to_pylist():
        name = row["name"]
        key = (row["delivered_as"] or name, row["sequence"])
        if proof.loaded_by.get(name) in unsure:
            continue
        # A log that is in quarantine as a whole has one row there.
        whole = row["state"] == State.QUARANTINED and not row["note_removed"]
        expected = (row["rows"], row["quarantined_lines"] + whole)
        there = (events[key].rows, quarantine[key].rows)
        if expected != there:
            problem = f"events/ has {there[0]} rows of it and quarantine/ {there[1]}"
            yield Finding(Kind.CONTRADICTION, name, f"{problem}; the commits say {expected[0]} and {expected[1]}")
        elif row["rows_digest"] not in (None, str(events[key])):
            yield Finding(Kind.CONTRADICTION, name, f"its {there[0]} rows in events/ are not those that were loaded")
