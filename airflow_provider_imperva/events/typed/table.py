"""From columns of texts to a table of the schema: typed columns, derived columns, provenance, and what did not fit.

A text that does not fit its column goes to ``extra`` under the log's own key, with the code ``bad_<kind>:<key>`` in
``parse_warnings``. A key that came before in the same ``extra`` gets ``#2``, ``#3`` and so on, for readers take no map
with the same key twice.
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.grammar.text_columns import RowNotes, TextColumns
from airflow_provider_imperva.events.schema.columns import COLUMNS, EXTRA, INT64, LIST, TEXT, TIME
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.events.typed import convert
from airflow_provider_imperva.events.typed.dates import LogDates
from airflow_provider_imperva.events.typed.masks import is_masked

EARLIEST = 1_262_304_000_000
"""2010-01-01 in epoch milliseconds: an earlier time is a wrong one."""

DAY = 86_400_000
"""Milliseconds. An event cannot be later than a day after its log was fetched; clocks differ by less."""


def to_table(text_columns: TextColumns, source: LogSource, dates: LogDates) -> pa.Table:
    """Turn columns of texts into a table of ``PARSED_SCHEMA``, row by row in the same order.

    :param dates: those that the log has so far.
    """
    rows = len(text_columns.lines)
    notes = RowNotes(extra=[*text_columns.notes.extra], warnings=[*text_columns.notes.warnings])
    latest = (int(time.time() * 1000) if source.fetched_time is None else source.fetched_time) + DAY
    notes.warnings += [(row, code) for code in source.warnings for row in range(rows)]
    columns = _typed(text_columns, notes, latest=latest)
    _note_unaligned(columns, text_columns, notes)
    columns |= _derived(columns)
    _drop_far_times(columns, text_columns, notes, dates)
    columns |= _when(columns, source, notes, rows=rows, latest=latest)
    columns |= _provenance(text_columns, source)
    columns["extra"] = _extra(notes, rows)
    columns["parse_warnings"] = _warnings(notes, rows)
    arrays = [columns[f.name] if f.name in columns else pa.nulls(rows, f.type) for f in PARSED_SCHEMA]
    return pa.table(arrays, schema=PARSED_SCHEMA)


def _typed(text_columns: TextColumns, notes: RowNotes, *, latest: int) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {**text_columns.lists}
    for column in COLUMNS:
        texts = text_columns.texts.get(column.name)
        if texts is None:
            continue
        values = convert.to_type(column, texts)
        if column.kind == "time":
            values = _plausible_times(values, latest=latest)
        columns[column.name] = values
        misfits = _rows(pc.and_(pc.is_valid(texts), pc.is_null(values))) if values.null_count > texts.null_count else []
        for row in misfits:
            notes.extra.append((row, text_columns.key(row, column), texts[row].as_py()))
        wrong = [*misfits, *(convert.no_addresses(texts) if column.kind == "ip" else [])]
        notes.warnings += [
            (row, f"bad_{column.kind}:{text_columns.key(row, column)}")
            for row in wrong
            if not is_masked(texts[row].as_py())
        ]
        if column.kind == "time":
            seconds = [row for row in convert.in_seconds(texts) if values[row].is_valid]
            notes.warnings += [(row, f"epoch_seconds:{text_columns.key(row, column)}") for row in seconds]
    # Imperva's way to say that no origin server was asked.
    if "server_ip" in columns:
        columns["server_ip"] = convert.without_text(columns["server_ip"], "0.0.0.0")  # noqa: S104
    if "server_port" in columns:
        columns["server_port"] = _without(columns["server_port"], pc.equal(columns["server_port"], 0))
    return columns


def _plausible_times(times: pa.TimestampArray, *, latest: int) -> pa.TimestampArray:
    milliseconds = times.view(INT64)
    return _without(times, pc.or_(pc.less(milliseconds, EARLIEST), pc.greater(milliseconds, latest)))


def _without(values: pa.Array, which: pa.BooleanArray) -> pa.Array:
    """Make some values null; there are hardly ever any."""
    return pc.if_else(which, pa.scalar(None, values.type), values) if which.true_count else values


def _note_unaligned(columns: dict[str, pa.Array], text_columns: TextColumns, notes: RowNotes) -> None:
    """Note where the parallel lists differ in length, as they do when a rule's name has a comma in it."""
    codes = columns.get("attack_type_codes")
    for column in COLUMNS:
        other = columns.get(column.name)
        if column.kind != "slots" or codes is None or other is None:
            continue
        # Nearly all begin at the same places, if none differs in length.
        if not np.array_equal(codes.offsets, other.offsets):
            unequal = pc.not_equal(pc.list_value_length(codes), pc.list_value_length(other))
            notes.warnings += [(row, f"unaligned:{column.key(text_columns.format)}") for row in _rows(unequal)]


def _derived(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    derived: dict[str, pa.Array] = {}
    if "event_time" in columns and "end_time" in columns:
        duration = pc.subtract(columns["end_time"].view(INT64), columns["event_time"].view(INT64))
        derived["duration_ms"] = _without(duration, pc.less(duration, 0))
    if "action" in columns:
        derived["outcome"] = convert.outcomes(columns["action"])
    if "tls" in columns:
        derived["tls_version"], derived["tls_cipher"] = convert.tls_parts(columns["tls"])
    if "url" in columns:
        derived["url_host"], derived["url_path"] = convert.url_parts(columns["url"])
    # A format's own value counts: JSON has host and path, but no URL.
    return {name: values for name, values in derived.items() if name not in columns}


def _drop_far_times(columns: dict[str, pa.Array], text_columns: TextColumns, notes: RowNotes, dates: LogDates) -> None:
    """Take an event's time for a wrong one if its log has more dates far from its own than one log may have."""
    times = columns.get("event_time")
    if times is None:
        return
    too_many = dates.too_many(times.to_numpy(zero_copy_only=False).astype("datetime64[D]"))
    if not too_many.any():
        return
    column = next(column for column in COLUMNS if column.name == "event_time")
    for row in np.flatnonzero(too_many).tolist():
        key = text_columns.key(row, column)
        notes.extra.append((row, key, text_columns.texts["event_time"][row].as_py()))
        notes.warnings.append((row, f"far_date:{key}"))
    columns["event_time"] = _without(times, pa.array(too_many))


def _when(
    columns: dict[str, pa.Array], source: LogSource, notes: RowNotes, *, rows: int, latest: int
) -> dict[str, pa.Array]:
    """Give every event a time, if need be the log's start, and the date of its partition.

    Without either, the date is that of the fetch, and failing that 1970-01-01: a partition there must be.
    """
    times = columns.get("event_time", pa.nulls(rows, TIME))
    start = source.start_time
    if start is not None and not EARLIEST <= start <= latest:
        start = None
    code = "no_time" if start is None else "time_from_file"
    notes.warnings += [(row, code) for row in _rows(pc.is_null(times))]
    times = pc.fill_null(times, pa.scalar(start, TIME)) if start is not None else times
    last_resort = pa.scalar(source.fetched_time or 0, TIME)
    dates = pc.fill_null(times, last_resort).to_numpy().astype("datetime64[D]")
    return {"event_time": times, "event_date": pa.array(dates)}


def _provenance(text_columns: TextColumns, source: LogSource) -> dict[str, pa.Array]:
    rows = len(text_columns.lines)
    same_in_all = {
        "src_seq": pa.scalar(source.sequence, INT64),
        "src_account_id": pa.scalar(source.account_id, INT64),
        "src_config_id": pa.scalar(source.config_id, INT64),
        "src_file_start": pa.scalar(source.start_time, TIME),
        "src_file_end": pa.scalar(source.end_time, TIME),
        "src_checksum_ok": pa.scalar(source.checksum_ok, pa.bool_()),
        "src_encrypted": pa.scalar(source.encrypted, pa.bool_()),
        "src_compressed": pa.scalar(source.compressed, pa.bool_()),
    }
    columns = {name: pa.repeat(value, rows) for name, value in same_in_all.items()}
    for name, text in (("src_file", source.file), ("src_format", text_columns.format)):
        columns[name] = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text], safe=False)
    columns["src_line"] = text_columns.lines
    columns["event_class"] = text_columns.event_class
    if text_columns.raw is not None:
        columns["raw"] = text_columns.raw
    return columns


def _extra(notes: RowNotes, rows: int) -> pa.MapArray:
    by_row: dict[int, dict[str, str]] = {}
    times: dict[tuple[int, str], int] = {}
    for row, key, text in notes.extra:
        texts = by_row.setdefault(row, {})
        count = times.get((row, key), 0) + 1
        while (name := key if count == 1 else f"{key}#{count}") in texts:
            count += 1
        times[row, key] = count
        texts[name] = text
    entries = [by_row[row] for row in sorted(by_row)]
    return pa.MapArray.from_arrays(
        _offsets({row: len(texts) for row, texts in by_row.items()}, rows),
        pa.array([name for texts in entries for name in texts], TEXT),
        pa.array([text for texts in entries for text in texts.values()], TEXT),
    ).cast(EXTRA)


def _warnings(notes: RowNotes, rows: int) -> pa.ListArray:
    by_row: dict[int, dict[str, None]] = {}
    for row, code in notes.warnings:
        by_row.setdefault(row, {})[code] = None
    codes = pa.array([code for row in sorted(by_row) for code in by_row[row]], TEXT)
    return pa.ListArray.from_arrays(_offsets({row: len(codes) for row, codes in by_row.items()}, rows), codes).cast(
        LIST
    )


def _offsets(lengths: dict[int, int], rows: int) -> pa.Int32Array:
    sizes = np.zeros(rows + 1, np.int32)
    for row, length in lengths.items():
        sizes[row + 1] = length
    return pa.array(sizes.cumsum(dtype=np.int32))


def _rows(mask: pa.BooleanArray) -> list[int]:
    """Where a mask is true, null being false."""
    if not mask.true_count:
        return []
    rows: list[int] = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).tolist()
    return rows
