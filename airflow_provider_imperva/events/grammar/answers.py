"""What a server says in place of a log: answers in JSON that tell of an error."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_imperva.events.grammar.envelopes import EVENT_KEYS

LONGEST = 1 << 16
"""Bytes that such an answer may have."""

_SURE = frozenset({"error", "errors", "errorcode", "error_code", "errormessage", "error_message", "fault", "exception"})
_DETAILS = frozenset({"message", "msg", "detail", "details", "title", "reason", "description", "res_message"})
_CODES = frozenset({"code", "status", "statuscode", "status_code", "res", "type"})


def is_error(body: bytes) -> bool:
    """Whether a body is one JSON object that tells of an error, and no event: ``{"error": ...}`` and the like.

    What to do with it is for the caller to say: a server that is in trouble may give the log later.
    """
    if len(body) > LONGEST:
        return False
    try:
        answer: Any = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, dict):
        return False
    told = {key.lower() for key, value in answer.items() if value not in (None, "", [], {}, False)}
    if told & EVENT_KEYS or any(_has_objects(value) for key, value in answer.items() if key.lower() not in _SURE):
        return False
    return bool(told & _SURE) or bool(told & _DETAILS and {key.lower() for key in answer} & _CODES)


def _has_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)
