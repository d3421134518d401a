"""The enumerations of OCSF that events are mapped to, and what of Imperva's vocabulary becomes which value.

Identifiers and captions are those of OCSF 1.1.0 and 1.8.0. What fits no value is ``Other`` (99), with Imperva's own
text beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNKNOWN, OTHER = 0, 99

SEVERITIES: Mapping[int, str] = {
    0: "Unknown",
    1: "Informational",
    2: "Low",
    3: "Medium",
    4: "High",
    5: "Critical",
    6: "Fatal",
    99: "Other",
}
SEVERITY_IDS: Mapping[str, int] = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
"""``severity_id`` by the lake's ``severity``."""

_METHODS: Mapping[str, tuple[int, str]] = {
    "CONNECT": (1, "Connect"),
    "DELETE": (2, "Delete"),
    "GET": (3, "Get"),
    "HEAD": (4, "Head"),
    "OPTIONS": (5, "Options"),
    "POST": (6, "Post"),
    "PUT": (7, "Put"),
    "TRACE": (8, "Trace"),
}


def methods(*, modern: bool) -> dict[str, tuple[int, str]]:
    """Return ``activity_id`` and caption by HTTP method.

    :param modern: whether OCSF has ``PATCH``, which 1.1 does not.
    """
    return {**_METHODS, "PATCH": (9, "Patch")} if modern else dict(_METHODS)


_REFUSALS = frozenset(
    {
        *("REQ_DOMAIN_BLACKLISTED", "REQ_LOCKED_IP_VIOLATION", "REQ_SSL_NOT_SUPPORTED", "REQ_NON_SNI_FORBIDDEN"),
        *("REQ_CLIENT_CERT_REQUIRED", "REQ_ILLEGAL_PORT", "REQ_ILLEGAL_IP_VIOLATION", "REQ_IPV6_NOT_SUPPORTED"),
    }
)
"""Requests that Imperva turned away although no security rule fired."""


class Verdict(NamedTuple):
    """What became of a request, as the profile ``security_control`` says it."""

    action_id: int
    action: str
    disposition_id: int
    disposition: str
    status_id: int
    status: str


_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")
_NONE = Verdict(UNKNOWN, "Unknown", UNKNOWN, "Unknown", UNKNOWN, "Unknown")
_ALLOWED = Verdict(1, "Allowed", 1, "Allowed", *_SUCCESS)
_DETECTED = Verdict(3, "Observed", 15, "Detected", *_SUCCESS)
_BLOCKED = Verdict(2, "Denied", 2, "Blocked", *_SUCCESS)
_CAPTCHA = Verdict(4, "Modified", 22, "Captcha", *_SUCCESS)
_CHALLENGE = Verdict(4, "Modified", 23, "Challenge", *_SUCCESS)
_REJECTED = Verdict(2, "Denied", 25, "Rejected", *_SUCCESS)


def verdict(action: str | None, outcome: str | None, *, is_alert: bool, modern: bool) -> Verdict:
    """Return what became of a request. ``status`` is that of the control, so a blocked request is a success.

    :param action: Imperva's word, such as ``REQ_BLOCKED_SECURITY``.
    :param outcome: the lake's, derived from it.
    :param is_alert: whether a security rule fired.
    :param modern: whether OCSF has the actions ``Observed`` and ``Modified``, which 1.1 does not.
    """
    if action is None:
        return _NONE
    decided = _verdict(action, outcome, is_alert=is_alert)
    if modern or decided.action_id <= 2 or decided.action_id == OTHER:
        return decided
    # To be seen or challenged is to be let through for now.
    return decided._replace(action_id=1, action="Allowed")


def _verdict(action: str, outcome: str | None, *, is_alert: bool) -> Verdict:
    if action in _REFUSALS:
        return _REJECTED
    if outcome in ("passed", "cached"):
        return _DETECTED if is_alert else _ALLOWED
    if outcome == "blocked":
        return _BLOCKED
    if outcome == "challenged":
        return _CAPTCHA if "CAPTCHA" in action else _CHALLENGE
    if outcome == "error":
        return Verdict(OTHER, action, 27, "Error", *_FAILURE)
    return Verdict(OTHER, action, OTHER, action, OTHER, action)
