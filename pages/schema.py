"""The reference page of the columns: ``python -m pages.schema`` writes it."""

from __future__ import annotations

import sys

import pyarrow as pa

from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.events.schema.columns import (
    COLUMNS,
    HEADER,
    HEADERS,
    LABELS,
    VIOLATIONS,
    Column,
    Format,
)
from airflow_provider_imperva.events.schema.schema import PARTITIONS, SCHEMA_VERSION
from airflow_provider_imperva.events.schema.vocabulary import (
    ANALYTICS_SEVERITIES,
    ATTACK_TYPES,
    BAD_BOT_RULE_TYPES,
    CLIENT_TYPES,
    OUTCOMES_BY_ACTION,
    OUTCOMES_BY_PREFIX,
)
from airflow_provider_imperva.severities import RULE_TYPES

_FORMATS: tuple[Format, ...] = ("CEF", "LEEF", "W3C", "JSON")

_TYPES = {
    pa.string(): "string",
    pa.dictionary(pa.int32(), pa.string()): "dictionary of string",
    pa.list_(pa.string()): "list of string",
    pa.map_(pa.string(), pa.string()): "map of string to string",
    pa.float64(): "float64",
    pa.timestamp("ms", tz="UTC"): "timestamp, ms, UTC",
    HEADERS: "map of string to list of string",
    VIOLATIONS: f"list of struct of strings: {', '.join(member.name for member in VIOLATIONS.value_type)}",
}

_INTRODUCTION = f"""\
# Columns of `events/`

<!-- Written by `python -m pages.schema`; do not edit. -->

Version {SCHEMA_VERSION} of the schema, as `imperva.schema_version` in each file's metadata has it. Columns may be \
added; the name, type and meaning of a column never change. Every column is nullable. `repository`, \
{" and ".join(f"`{name}`" for name in PARTITIONS.names)} are in the path.

- `event_class` is `access`, `security`, `attack_analytics` or `other` (products that are not \
Imperva's WAF, and JSON that is not an event of the WAF).
- A key without a column is in `extra` under the name the log used, and so is a text that does not fit its column's \
type, and a second value of a key (`key`, `key#2`, …).
- Custom keys (`cs1` and so on) count only with the label given here. Any other label is a key of that name in `extra`.
- JSON keys are paths; the first path that is there counts.

- Columns without a key in any format are derived from others, after redaction and pseudonyms. Parts of version 1 \
lack those that version 2 added: engines read them as null until the part is merged or its logs are replayed.

| column | type | meaning and unit | CEF | LEEF | W3C | JSON |
|---|---|---|---|---|---|---|
"""


_ADDRESSES = """
## Addresses and networks

`client_address_bytes` sorts, compares and joins as addresses do, in DuckDB, Spark and Trino alike. An IPv4 address is \
mapped to IPv6, so its 16 bytes are `00000000000000000000ffff` and its own four. A network is a range: 192.0.2.0/25 is

```sql
-- DuckDB; in Spark X'...', in Trino from_hex('...')
WHERE client_address_bytes BETWEEN unhex('00000000000000000000ffffc0000200')
                               AND unhex('00000000000000000000ffffc000027f')
```

Python has both bounds: `ipaddress.ip_network('2001:db8::/32')[0].packed.hex()`, and `[-1]` for the last one. To group \
by network, `client_subnet` has the /24 or /48.
"""

_REASONS: dict[RejectionReason, str] = {
    RejectionReason.NOT_A_RECORD: "does not begin like a record of the body's format, or is JSON but no object",
    RejectionReason.BAD_HEADER: "begins like a CEF or LEEF record but lacks a part of the header",
    RejectionReason.AMBIGUOUS_HEADER: "holds a second header, or follows one: a record, or text that a client wrote",
    RejectionReason.TOO_LONG: "is longer than 16 MiB; after a colon, how much of it is kept: `raw/` has all",
    RejectionReason.FIELD_COUNT: "a W3C row that has more or fewer values than there are names",
    RejectionReason.BAD_JSON: "is not JSON",
    RejectionReason.TRUNCATED: "JSON that ends within a value",
    RejectionReason.TOO_DEEP: "JSON, nested deeper than can be read",
    RejectionReason.UNKNOWN_FORMAT: "the whole body is of no known format; after a colon, how it begins",
}

_WARNINGS = {
    "bad_<kind>:<key>": "the text does not fit the column; it is in `extra` (an address is kept in its column). Of "
    "`startTime` and `endTime`: no time stands in the header of the log",
    "duplicate_key:<key>": "the key came more than once; the other values are in `extra`",
    "epoch_seconds:<key>": "the time was in seconds (`startTime`, `endTime`: in the header of the log)",
    "follows_incomplete": "the record before lacks something, so this one may be a part of it",
    "header_in_text:<key>": "the value holds a header as records have it",
    "incomplete:<key>": "the record lacks what every WAF event has",
    "joined_lines": "the record went on in the next line",
    "sign_in_value:<key>": "an unescaped `=` is left in a value that no client writes: it may hold another key",
    "key_in_text:<key>": "a client seems to have written the key into its text; if it comes again, that value counts",
    "lost_space:<key>": "the blank before the key was missing",
    "no_label:<key>": "a custom key without its label; its value is in `extra`",
    "no_time": "neither the event nor the log has a time",
    "quoted_value:<key>": "quotes around the whole value were taken off",
    "redacted:<column>": "something in the column was redacted (docs/how-to/privacy.md)",
    "replaced_bytes": "bytes that are not UTF-8 became U+FFFD",
    "text_before_header": "other text than a syslog prefix stands before the record; it is in `extra`",
    "far_date:<key>": "the time is far from the log's own, and the log has as many such dates as it may; its text is in"
    " `extra`",
    "time_from_file": "the event's time is missing or wrong; the start of the log stands in",
    "unaligned:<key>": "the list is not as long as `attack_type_codes`",
    "unkeyed_text": "text before the first key; it is in `extra`",
}


def schema_page() -> str:
    """Write the page, in Markdown."""
    return (
        _INTRODUCTION
        + "".join(f"| {' | '.join(_cells(column))} |\n" for column in COLUMNS)
        + _vocabulary()
        + "\n## Codes in `parse_warnings`\n\n| code | meaning |\n|---|---|\n"
        + "".join(f"| `{code}` | {meaning} |\n" for code, meaning in _WARNINGS.items())
        + "\n## Reasons in `quarantine/`\n\nThe line, whose bytes are in `raw`:\n\n| reason | meaning |\n|---|---|\n"
        + "".join(f"| `{reason.value}` | {meaning} |\n" for reason, meaning in _REASONS.items())
        + "\nA log whose container does not decode has one row without bytes; they are in `raw/`.\n"
    )


def _vocabulary() -> str:
    """Write what derived columns are derived by."""
    bad_bots = " and ".join(f"`{RULE_TYPES[code].name}`" for code in sorted(BAD_BOT_RULE_TYPES))
    return (
        "\n## `outcome` by `action`\n\nAny other action is `other`.\n\n| action | outcome |\n|---|---|\n"
        + "".join(f"| `{prefix}…` | `{outcome}` |\n" for prefix, outcome in OUTCOMES_BY_PREFIX.items())
        + "".join(f"| `{action}` | `{outcome}` |\n" for action, outcome in OUTCOMES_BY_ACTION.items())
        + "\n## `severity` by rule type\n\nAccess events are `informational`. Imperva logs no severity for events: the "
        "number in the header says which type of rule fired. The option `severities` of the DAG that loads changes the "
        "table. LEEF has no number; there the event's name says the rule type.\n\n"
        "| `rule_type_code` | rule type | severity |\n|---|---|---|\n"
        + "".join(f"| {code} | {kind.name} | `{kind.severity}` |\n" for code, kind in RULE_TYPES.items())
        + "\nIncidents of Attack Analytics have a level: "
        + ", ".join(f"`{level}` is `{severity}`" for level, severity in ANALYTICS_SEVERITIES.items())
        + ".\n\n## `bot_classification` by `client_type`\n\n"
        f"Whatever the type, a client for which {bad_bots} fired is a `bad_bot`.\n\n| client type | classification |\n"
        "|---|---|\n"
        + "".join(f"| {name} | `{value}` |\n" for name, value in CLIENT_TYPES.items())
        + "\n## Attack types\n\nImperva publishes no list of the codes. `attack_type_name` knows those that stand in "
        "public events; it is null for others.\n\n| code | name |\n|---|---|\n"
        + "".join(f"| {code} | {name} |\n" for code, name in ATTACK_TYPES.items())
        + _ADDRESSES
    )


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
