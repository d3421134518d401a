"""The derived columns of a table of events, filled from those that a reader and privacy have left."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.derived.addresses import address_columns
from airflow_provider_imperva.events.derived.headers import headers
from airflow_provider_imperva.events.derived.rows import combined, scattered
from airflow_provider_imperva.events.derived.violations import violations
from airflow_provider_imperva.events.schema.columns import BOOL, CATEGORY, TEXT
from airflow_provider_imperva.events.schema.schema import HELD_SCHEMA
from airflow_provider_imperva.events.schema.vocabulary import (
    ANALYTICS_SEVERITIES,
    bot_classification_of,
    class_of_json,
    rule_type_of,
)
from airflow_provider_imperva.events.typed.convert import floats, integers, outcomes
from airflow_provider_imperva.severities import SEVERITIES

_ANALYTICS = "attack_analytics"
_MANY = "distributed"
"""What stands in an incident in place of an address or a host, if there are several."""

_NAMES = frozenset(HELD_SCHEMA.names)
_LET_THROUGH = ("passed", "cached")


def complete(
    events: pa.Table, event_class: str | pa.DictionaryArray, *, severities: Mapping[int, str] = SEVERITIES
) -> pa.Table:
    """Return rows with the columns that follow from the others, in the order of ``HELD_SCHEMA``.

    ``query_string`` is what the URL has, where the log has none; all other columns of a log stay as they are.

    :param events: columns of ``READ_SCHEMA``; any others stay as they are, after those of ``HELD_SCHEMA``.
    :param event_class: of each row, or of all.
    :param severities: ``severity`` by rule type code.
    """
    columns = {name: _one_chunk(events[name]) for name in events.column_names}
    columns["event_class"] = _constant(event_class, len(events)) if isinstance(event_class, str) else event_class
    derived = _judged(columns, severities)
    derived |= address_columns(columns["client_ip"])
    lists = {name: columns[name] for name in ("attack_type_codes", "attack_ids", "rule_names")}
    derived["violations"] = violations(lists, columns["rule_info"])
    derived["incident_id"] = _incident_ids(columns, derived["is_alert"])
    derived["request_headers"] = headers(columns["additional_request_headers"])
    derived["response_headers"] = headers(columns["additional_response_headers"])
    if (queries := _query_strings(columns)) is not None:
        derived["query_string"] = queries
    derived |= _analytics(columns, derived["severity"])
    others = [field for field in events.schema if field.name not in _NAMES]
    schema = pa.schema([*HELD_SCHEMA, *others], metadata=events.schema.metadata) if others else HELD_SCHEMA
    arrays = [_column(field, derived.get(field.name, columns.get(field.name)), len(events)) for field in schema]
    return pa.table(arrays, schema=schema)


def upgraded(events: pa.Table, event_class: str, *, severities: Mapping[int, str] = SEVERITIES) -> pa.Table:
    """Return rows of version 1 of the schema as version 2 has them, as far as they tell.

    ``outcome`` knew fewer actions then, and called all others ``other``.

    :param events: columns of ``READ_SCHEMA``.
    """
    outcome, action = _one_chunk(events["outcome"]), _one_chunk(events["action"])
    if pc.any(pc.equal(outcome.dictionary, "other"), min_count=0).as_py():
        is_other = pc.equal(outcome.cast(TEXT), "other")
        known = pc.if_else(is_other, outcomes(action).cast(TEXT), outcome.cast(TEXT)).cast(CATEGORY)
        at = events.schema.get_field_index("outcome")
        events = events.set_column(at, events.schema.field(at), known)
    return complete(events, event_class, severities=severities)


def _constant(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([text], TEXT))


def _column(field: pa.Field, values: pa.Array | None, count: int) -> pa.Array:
    return pa.nulls(count, field.type) if values is None else values


def _judged(columns: Mapping[str, pa.Array], severities: Mapping[int, str]) -> dict[str, pa.Array]:
    """Return what follows from the kind of an event, its rule and its client; each combination is looked at once."""
    names = ("event_class", "src_format", "device_product", "event_name", "rule_type_code", "client_type")
    combinations, numbers = combined([columns[name] for name in names])
    judged, number = [_judge(*combination) for combination in combinations], pa.array(numbers)
    severity = [
        _severity(is_alert, rule_type, severities) if kind != _ANALYTICS else None
        for is_alert, kind, rule_type, _ in judged
    ]
    return {
        "is_alert": pa.array([one[0] for one in judged], BOOL).take(number),
        "severity": pa.array(severity, CATEGORY).take(number),
        "bot_classification": pa.array([one[3] for one in judged], CATEGORY).take(number),
    }


@lru_cache(1 << 12)
def _judge(
    event_class: str, src_format: str, product: str | None, event_name: str | None, code: int | None, client: str | None
) -> tuple[bool | None, str, int | None, str | None]:
    """Return whether a rule fired, of what kind the event is, the rule's type, and what the client is."""
    kind = class_of_json(product or "", event_name or "") if src_format == "JSON" else event_class
    is_alert = None if kind == "other" else kind != "access"
    rule_type = None
    if kind == "security":
        rule_type = code if code is not None else rule_type_of(event_name or "")
    return is_alert, kind, rule_type, bot_classification_of(client, rule_type)


def _severity(is_alert: bool | None, rule_type: int | None, severities: Mapping[int, str]) -> str | None:
    if is_alert is False:
        return "informational"
    return None if rule_type is None else severities.get(rule_type)


def _incident_ids(columns: Mapping[str, pa.Array], is_alert: pa.BooleanArray) -> pa.StringArray:
    """Return session and request, as a block page shows them, of the requests that Imperva did not just let through."""
    outcome = columns["outcome"]
    # The last one is that of null.
    is_stop = np.array([*(word not in _LET_THROUGH for word in outcome.dictionary.to_pylist()), False])
    stopped = is_stop[outcome.indices.fill_null(-1).to_numpy()]
    wanted = stopped | is_alert.fill_null(False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(wanted)
    if not len(rows):
        return pa.nulls(len(wanted), TEXT)
    place = pa.array(rows)
    session, request = columns["session_id"].take(place), columns["request_id"].take(place)
    return scattered(pc.binary_join_element_wise(session.cast(TEXT), request, "-"), rows, len(wanted))


def _query_strings(columns: Mapping[str, pa.Array]) -> pa.StringArray | None:
    """Return ``query_string``, filled where only the URL has it, after its first ``?``; None if no row is."""
    url, given = columns["url"], columns["query_string"]
    if not given.null_count or not pc.any(pc.match_substring(url.dictionary, "?"), min_count=0).as_py():
        return None
    queries = pa.array([(text or "").partition("?")[2] or None for text in url.dictionary.to_pylist()], TEXT)
    return pc.coalesce(given, queries.take(url.indices))


def _analytics(columns: Mapping[str, pa.Array], severity: pa.DictionaryArray) -> dict[str, pa.Array]:
    """Return what incidents of Attack Analytics say under keys of their own, which ``extra`` keeps.

    :param severity: of all events, null in incidents.
    """
    classes = columns["event_class"]
    code = pc.index(classes.dictionary, _ANALYTICS).as_py()
    rows = np.flatnonzero(classes.indices.to_numpy() == code) if code >= 0 else np.zeros(0, np.int64)
    if not len(rows):
        return {}
    extra = columns["extra"].take(pa.array(rows))
    level, host, events, percent = (
        pc.map_lookup(extra, key, "first")
        for key in ("severity", "dhost", "ImpervaAANumberOfEvents", "ImpervaAAPercentBlocked")
    )
    severities = pa.array([ANALYTICS_SEVERITIES.get((text or "").upper()) for text in level.to_pylist()], TEXT)
    analytics = {
        "severity": severities,
        "analytics_severity": level,
        "analytics_host": pc.if_else(pc.equal(pc.utf8_lower(host), _MANY), pa.scalar(None, TEXT), host),
        "analytics_events": integers(events),
        "analytics_blocked_percent": floats(pc.utf8_rtrim(percent, "% ")),
    }
    placed = {name: scattered(values, rows, len(classes)) for name, values in analytics.items()}
    placed["severity"] = pc.coalesce(severity.cast(TEXT), placed["severity"])
    return {name: values.cast(HELD_SCHEMA.field(name).type) for name, values in placed.items()}


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)
