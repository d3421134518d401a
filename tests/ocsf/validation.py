"""What OCSF's own schemas say of a row, by a validator that knows nothing of this package."""

from __future__ import annotations

import functools
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema


@functools.cache
def validator(version: str, class_name: str, profiles: tuple[str, ...]) -> Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version)).get_class_schema(class_name, list(profiles))
    return Draft202012Validator(schema)


def as_event(value: Any) -> Any:
    """A row as JSON: what is null is not there, and a map is an object."""
    if isinstance(value, dict):
        return {name: as_event(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(item, tuple) for item in value)
        return {name: as_event(inner) for name, inner in value} if pairs else [as_event(item) for item in value]
    return value


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event, by the version, class and profiles that it names itself."""
    class_name = {4002: "http_activity", 2004: "detection_finding"}[event["class_uid"]]
    profiles = tuple(event["metadata"].get("profiles", ()))
    found = validator(event["metadata"]["version"], class_name, profiles).iter_errors(event)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]
