"""The Arrow schemas of ``events/`` and ``quarantine/``."""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_imperva.events.schema.columns import CATEGORY, COLUMNS, INT64, TEXT

SCHEMA_VERSION = "2"
"""Rises when a column is added. A column's name, type or meaning never changes."""

SCHEMA: pa.Schema = pa.schema(
    [pa.field(column.name, column.type) for column in COLUMNS],
    metadata={"imperva.schema_version": SCHEMA_VERSION},
)
"""The columns of a part in ``events/``, in order, all nullable."""

PARTITIONS: pa.Schema = pa.schema([pa.field("event_class", CATEGORY), pa.field("event_date", pa.date32())])
"""What decides a row's partition. The lake keeps both in the path only, never in a part.

``event_class`` is ``access``, ``security``, ``attack_analytics`` or ``other``; ``event_date`` is the UTC date of
``event_time``.
"""

HELD_SCHEMA: pa.Schema = pa.schema(
    [pa.field(column.name, column.held_as) for column in COLUMNS], metadata=SCHEMA.metadata
)
"""``SCHEMA`` in memory: strings that recur are dictionaries of strings. A part has them as ``SCHEMA`` says."""

READ_SCHEMA: pa.Schema = pa.schema(
    [pa.field(column.name, column.held_as) for column in COLUMNS if column.kind != "completed"],
    metadata=SCHEMA.metadata,
)
"""``HELD_SCHEMA`` less the columns that are filled when rows are written."""

PARSED_SCHEMA: pa.Schema = pa.schema([*READ_SCHEMA, *PARTITIONS], metadata=SCHEMA.metadata)
"""What parsing yields: the columns of ``READ_SCHEMA``, then those of ``PARTITIONS``."""

QUARANTINE_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("src_file", TEXT),
        pa.field("src_seq", INT64),
        pa.field("src_line", INT64),
        pa.field("reason", TEXT),
        pa.field("raw", pa.large_binary()),
        pa.field("src_account_id", INT64),
        pa.field("src_config_id", INT64),
        pa.field("src_format", TEXT),
    ],
    metadata=SCHEMA.metadata,
)
"""The columns of a part in ``quarantine/``: where the line stood, why it is not an event, and its bytes.

``src_format`` is what the header says, since nothing was found in the line itself.
"""
