"""Imperva's vocabulary as far as it is public, and what each word means. The reference page prints these tables."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_imperva.severities import RULE_TYPES

OUTCOMES_BY_PREFIX: Mapping[str, str] = {
    "REQ_PASSED": "passed",
    "REQ_CACHED": "cached",
    "REQ_BLOCKED": "blocked",
    "REQ_CHALLENGE": "challenged",
    "REQ_BAD": "error",
    "REQ_UNRESOLVED": "error",
}
"""Imperva adds actions of the same prefix at any time."""

OUTCOMES_BY_ACTION: Mapping[str, str] = {
    # Imperva turned the request away although no security rule fired.
    "REQ_CLIENT_CERT_REQUIRED": "blocked",
    "REQ_DOMAIN_BLACKLISTED": "blocked",
    "REQ_ILLEGAL_IP_VIOLATION": "blocked",
    "REQ_ILLEGAL_PORT": "blocked",
    "REQ_IPV6_NOT_SUPPORTED": "blocked",
    "REQ_LOCKED_IP_VIOLATION": "blocked",
    "REQ_NON_SNI_FORBIDDEN": "blocked",
    "REQ_SSL_NOT_SUPPORTED": "blocked",
    # The request could not be answered.
    "REQ_ALL_IPS_DOWN": "error",
    "REQ_NO_IP_FOUND": "error",
    "REQ_POST_TIMEOUT": "error",
    "REQ_SSL_CERT_HOST_MISMATCH": "error",
    "REQ_TOO_MANY_CONNECTIONS_TO_ORIGIN": "error",
    # The words of Advanced Bot Protection, in any case.
    "ALLOW": "passed",
    "MONITOR": "passed",
    "BLOCK": "blocked",
    "CAPTCHA": "challenged",
    "IDENTIFY": "challenged",
}
"""Actions that have none of the prefixes."""


def outcome_of(action: str) -> str:
    """Return how a request ended, by Imperva's word for how it was handled."""
    word = action.upper()
    if known := OUTCOMES_BY_ACTION.get(word):
        return known
    return next((outcome for prefix, outcome in OUTCOMES_BY_PREFIX.items() if word.startswith(prefix)), "other")


ANALYTICS_SEVERITIES: Mapping[str, str] = {"CRITICAL": "critical", "MAJOR": "high", "MINOR": "low"}
"""By the level of an incident of Attack Analytics."""

_CODES: Mapping[str, int] = {
    **{rule_type.name: code for code, rule_type in RULE_TYPES.items()},
    "Accepted country": -1,
    "Blocked country": -1,
    "Blocked IP": -1,
    "Blocked URL": -1,
}
_CUSTOM_RULE = "IncapRules("
_CUSTOM_RULE_CODE = 11


def rule_type_of(event_name: str) -> int | None:
    """Return the code of a rule type by an event's name, for formats that have no code; None if it is not known."""
    return _CUSTOM_RULE_CODE if event_name.startswith(_CUSTOM_RULE) else _CODES.get(event_name)


_NORMAL = "Normal"
_OTHER_DATASETS = frozenset(
    {
        *("ABP", "ATO", "AUDIT", "AUDIT_TRAIL", "ATTACK", "CONNECTION", "IP", "NETFLOW", "NETSEC", "NOTIFICATIONS"),
        *("CSP", "DNS", "DNSMS_SECURITY_LOGS"),
    }
)


def class_of_json(dataset: str, event_name: str) -> str:
    """Return the class of a JSON event: that of the WAF's own events, which CEF has too, or ``other``.

    :param dataset: ``event.dataset``, which names the product.
    :param event_name: ``event.code``.
    """
    product = dataset.upper()
    if product in _OTHER_DATASETS:
        return "other"
    if product == "WAF_ANALYTICS_LOGS":
        return "attack_analytics"
    if event_name == _NORMAL or product == "CLOUD_WAF_ACCESS":
        return "access"
    if rule_type_of(event_name) is not None or (product == "WAF_RAW_LOGS" and event_name):
        return "security"
    return "other"


CLIENT_TYPES: Mapping[str, str] = {
    "Browser": "browser",
    "Feed Fetcher": "good_bot",
    "Search Bot": "good_bot",
    "Site Helper": "good_bot",
    "Crawler": "bot",
    "Developer Tool": "bot",
    "Click Bot": "bad_bot",
    "Comment Spammer": "bad_bot",
    "DDoS Bot": "bad_bot",
    "Hacking Tool": "bad_bot",
    "Masking Proxy": "bad_bot",
    "Spam Bot": "bad_bot",
    "Vulnerability Scanner": "bad_bot",
    "Worm": "bad_bot",
}
"""``bot_classification`` by ``client_type``; ``bot`` is automated, and its type alone makes it neither good nor bad."""

BAD_BOT_RULE_TYPES = frozenset({4, 14})
"""Rule types that fire for bots that a site does not want, whatever type the client is."""

_CLIENT_TYPES = {name.lower(): kind for name, kind in CLIENT_TYPES.items()}


def bot_classification_of(client_type: str | None, rule_type: int | None) -> str | None:
    """Return what is known of a client; None if nothing is."""
    if rule_type in BAD_BOT_RULE_TYPES:
        return "bad_bot"
    return _CLIENT_TYPES.get(client_type.lower()) if client_type else None


ATTACK_TYPES: Mapping[str, str] = {
    "50033": "SQL Injection",
    "50037": "SQL Injection",
    "50044": "SQL Injection",
    "50999": "SQL Injection",
    "90879": "Custom Rule",
    "900111": "Illegal Resource Access",
}
"""Attack types by code. Imperva publishes no list: these are the codes in public events, by what the events are."""
