"""Values as they are compared: whatever types an engine has for them, in what JSON can carry."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
"""Values by column."""

_LONG = 1000


def cell(value: Any) -> Any:
    """Return a value as JSON can carry it, so that equal values are equal and others are not.

    A time becomes microseconds since 1970, one without a zone ``["no zone", microseconds]``; bytes become hexadecimal;
    a long text becomes its length and digest.
    """
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, datetime):
        return _microseconds(value) if value.tzinfo else ["no zone", _microseconds(value.replace(tzinfo=UTC))]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, Mapping):
        return {str(key): cell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cell(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, str) and len(value) > _LONG:
        return {"characters": len(value), "sha256": hashlib.sha256(value.encode()).hexdigest()}
    return value


def _microseconds(time: datetime) -> int:
    since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
