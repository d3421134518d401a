"""What reading one line by itself gives: the texts of a record, or the reason why it is not one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from airflow_provider_imperva.beginnings import ANALYTICS_PRODUCT, WAF_PRODUCT


class RejectionReason(StrEnum):
    """Why a line is not an event: the reason codes of ``quarantine/``."""

    NOT_A_RECORD = "not_a_record"
    BAD_HEADER = "bad_header"
    AMBIGUOUS_HEADER = "ambiguous_header"
    TOO_LONG = "too_long"
    FIELD_COUNT = "field_count"
    BAD_JSON = "bad_json"
    TRUNCATED = "truncated"
    TOO_DEEP = "too_deep"
    UNKNOWN_FORMAT = "unknown_format"


@dataclass(frozen=True, slots=True)
class TextRecord:
    """One record as texts.

    :param event_class: ``access``, ``security``, ``attack_analytics`` or ``other``.
    :param texts: column name to text, unescaped, never empty.
    :param extra: key and text of what has no column; a key may recur.
    :param warnings: codes; one may recur.
    :param lists: column name to list, for a column whose list the format does not have as text.
    :param keys: column name to the key that its text came from, where that is not the format's usual one.
    """

    event_class: str
    texts: dict[str, str]
    extra: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lists: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


NORMAL = "Normal"
"""Name of every access event."""


def class_of(product: str, name: str) -> str:
    """Class of an event by the product and the event's name in its header."""
    if product == ANALYTICS_PRODUCT:
        return "attack_analytics"
    if product == WAF_PRODUCT:
        return "access" if name == NORMAL else "security"
    return "other"
