"""The view of events under the names of the Elastic Common Schema: ``python -m pages.ecs`` writes it, for DuckDB.

It follows from the table that forwarded documents follow from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from airflow_provider_imperva.events.schema.columns import COLUMNS
from airflow_provider_imperva.forward.ecs import FIELDS, OUTCOMES, SEVERITIES, TYPES, VERSION

_VIEW = """\
-- Events under the names of the Elastic Common Schema {version}, over the view events: for those who want no copy.
-- DuckDB.
-- Written by `python -m pages.ecs`; do not edit. Values are those that a forward with the format ecs sends.
CREATE OR REPLACE VIEW ecs_events AS
SELECT
{columns}
FROM events;
"""

_IS_ADDRESS = "regexp_full_match({}, '[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*')"
_CONVERTED: Mapping[str, str] = {
    "account_id": "account_id::VARCHAR",
    "protocol": "lower(protocol)",
    "tls_version": "lower(tls_version)",
    "x_forwarded_for": f"CASE WHEN {_IS_ADDRESS.format('x_forwarded_for[1]')} THEN x_forwarded_for[1] END",
    "server_ip": f"CASE WHEN {_IS_ADDRESS.format('server_ip')} THEN server_ip END",
}
_LEFT_OUT = {"raw", "client_address_bytes", "request_headers", "response_headers"}


def view() -> str:
    """Return the view."""
    return _VIEW.format(version=VERSION, columns=",\n".join(f'    {text} AS "{name}"' for name, text in _columns()))


def _columns() -> Iterator[tuple[str, str]]:
    """Yield the name and the expression of each column."""
    yield "ecs.version", f"'{VERSION}'"
    yield "event.module", "'imperva'"
    yield "event.dataset", "concat('imperva.', event_class)"
    yield "event.kind", "CASE WHEN is_alert THEN 'alert' ELSE 'event' END"
    yield "event.category", "CASE WHEN event_class = 'access' THEN ['web'] ELSE ['web', 'intrusion_detection'] END"
    yield "event.outcome", _case("outcome", {name: f"'{value}'" for name, value in OUTCOMES.items()}, "'unknown'")
    yield "event.type", _case("outcome", {name: str(value) for name, value in TYPES.items()})
    yield "event.start", "event_time"
    yield "event.duration", "duration_ms * 1000000"
    yield "rule.category", "CASE WHEN is_alert THEN event_name END"
    yield "url.scheme", "CASE WHEN url IS NOT NULL THEN lower(protocol) END"
    yield "url.full", "lower(protocol) || '://' || url"
    yield (
        "source.geo.location",
        "CASE WHEN client_latitude IS NOT NULL AND client_longitude IS NOT NULL"
        " THEN {lat: client_latitude, lon: client_longitude} END",
    )
    for column in COLUMNS:
        if column.name == "severity":
            yield FIELDS["severity"], _case("severity", {name: str(number) for name, number in SEVERITIES.items()})
        elif column.name not in _LEFT_OUT:
            name = FIELDS.get(column.name, f"imperva.{column.name}")
            yield name, _CONVERTED.get(column.name, column.name)
    yield "imperva.event_class", "event_class"
    yield "imperva.repository", "repository"


def _case(column: str, values: Mapping[str, str], other: str = "") -> str:
    branches = " ".join(f"WHEN '{name}' THEN {value}" for name, value in values.items())
    if not other:
        return f"CASE {column} {branches} END"
    return f"CASE WHEN {column} IS NOT NULL THEN CASE {column} {branches} ELSE {other} END END"


if __name__ == "__main__":
    sys.stdout.write(view())
