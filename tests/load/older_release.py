"""The release before version 2 of the schema, as far as parts tell: what it wrote is what today's lakes begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest

from airflow_provider_imperva.events.schema.columns import COLUMNS
from airflow_provider_imperva.events.schema.schema import READ_SCHEMA
from airflow_provider_imperva.events.schema.vocabulary import OUTCOMES_BY_PREFIX
from airflow_provider_imperva.events.typed import convert
from airflow_provider_imperva.lake import parts
from airflow_provider_imperva.table import changes

ADDED = (
    *("is_alert", "severity", "bot_classification", "violations"),
    *("client_address", "client_address_bytes", "client_subnet", "incident_id"),
    *("request_headers", "response_headers"),
    *("analytics_severity", "analytics_host", "analytics_events", "analytics_blocked_percent"),
)
"""The columns that came with version 2."""

SCHEMA = pa.schema(
    [pa.field(column.name, column.type) for column in COLUMNS if column.name not in ADDED],
    metadata={"imperva.schema_version": "1"},
)


@contextmanager
def older_release() -> Iterator[None]:
    """Write parts, and make tables, as that release did."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "SCHEMA", SCHEMA)
        patch.setattr(changes, "SCHEMA", SCHEMA)
        patch.setattr(parts, "HELD_SCHEMA", READ_SCHEMA)
        patch.setattr(parts, "complete", lambda events, event_class, severities: events)
        patch.setattr(convert, "outcome_of", _outcome_of)
        yield


def _outcome_of(action: str) -> str:
    return next((outcome for prefix, outcome in OUTCOMES_BY_PREFIX.items() if action.startswith(prefix)), "other")
