"""The reference page of the columns: ``python -m airflow_provider_imperva.events.reference`` writes it."""

from __future__ import annotations

import sys

import pyarrow as pa

from airflow_provider_imperva.events.columns import COLUMNS, HEADER, LABELS, Column, Format
from airflow_provider_imperva.events.record import Rejection
from airflow_provider_imperva.events.schema import PARTITIONS, SCHEMA_VERSION

_FORMATS: tuple[Format, ...] = ("CEF", "LEEF", "W3C", "JSON")

_TYPES = {
    pa.string(): "string",
    pa.dictionary(pa.int32(), pa.string()): "dictionary of string",
    pa.list_(pa.string()): "list of string",
    pa.map_(pa.string(), pa.string()): "map of string to string",
    pa.float64(): "float64",
    pa.timestamp("ms", tz="UTC"): "timestamp, ms, UTC",
}

_INTRODUCTION = f"""\
# Columns of `events/`

<!-- Written by `python -m airflow_provider_imperva.events.reference`; do not edit. -->

Version {SCHEMA_VERSION} of the schema, as `imperva.schema_version` in each file's metadata has it. Columns may be \
added; the name, type and meaning of a column never change. Every column is nullable. `repository`, \
{" and ".join(f"`{name}`" for name in PARTITIONS.names)} are in the path.

- `event_class` is `access`, `security`, `attack_analytics` or `other` (JSON, and products that are not Imperva's WAF).
- A key without a column is in `extra` under the name the log used, and so is a text that does not fit its column's \
type, and a second value of a key (`key`, `key#2`, …).
- Custom keys (`cs1` and so on) count only with the label given here. Any other label is a key of that name in `extra`.
- A line that is no event is in `quarantine/`, with its bytes and a reason: \
{", ".join(f"`{reason.value}`" for reason in Rejection)}.
- JSON keys are paths; the first path that is there counts.

| column | type | meaning and unit | CEF | LEEF | W3C | JSON |
|---|---|---|---|---|---|---|
"""


def schema_page() -> str:
    """Write the page, in Markdown."""
    return _INTRODUCTION + "".join(f"| {' | '.join(_cells(column))} |\n" for column in COLUMNS)


def _cells(column: Column) -> list[str]:
    meaning = column.meaning.replace("|", "\\|")
    return [f"`{column.name}`", _TYPES.get(column.type, str(column.type)), meaning, *_sources(column)]


def _sources(column: Column) -> list[str]:
    sources = [_source(column, format_name) for format_name in _FORMATS[:3]]
    return [*sources, ", ".join(f"`{path}`" for path in column.json)]


def _source(column: Column, format_name: Format) -> str:
    source = column.source(format_name)
    if source.startswith(HEADER):
        return source
    label = LABELS.get(source, "")
    return f"`{source}`{f' ({label})' if label else ''}" if source else ""


if __name__ == "__main__":
    sys.stdout.write(schema_page())
