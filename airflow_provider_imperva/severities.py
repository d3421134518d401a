"""Rule types and how severe it is that such a rule fired; the option ``severities`` as people give it.

The option is checked while a DAG is parsed, so nothing here needs Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from airflow_provider_imperva.errors import ConfigurationError, quoted

VERSION_KEY = "imperva.severities"
"""The key in a part's metadata under which the severities stand that are not the default's."""


class RuleType(NamedTuple):
    """A rule type.

    :ivar name: as events are named; customers' rules have their own name in parentheses after it.
    :ivar severity: of an event for which such a rule fired, unless a user says otherwise.
    """

    name: str
    severity: str


RULE_TYPES: Mapping[int, RuleType] = {
    -1: RuleType("ACL", "low"),
    0: RuleType("SQL Injection", "high"),
    1: RuleType("Cross Site Scripting", "high"),
    3: RuleType("Illegal Resource Access", "medium"),
    4: RuleType("Bot Access Control", "low"),
    8: RuleType("DDoS", "high"),
    9: RuleType("Backdoor Protect", "critical"),
    10: RuleType("Remote File Inclusion", "high"),
    11: RuleType("IncapRules", "medium"),
    12: RuleType("API Specification Violation", "medium"),
    13: RuleType("Account Takeover Protection", "high"),
    14: RuleType("Bad Bot", "medium"),
}
"""By ``rule_type_code``. Imperva logs no severity: that of a rule type is a judgement of ours."""

SEVERITIES: Mapping[int, str] = MappingProxyType({code: rule_type.severity for code, rule_type in RULE_TYPES.items()})
SEVERITY_LEVELS = ("informational", "low", "medium", "high", "critical")
"""The values of ``severity``, rising."""


@dataclass(frozen=True, slots=True)
class Severities:
    """The severity of an event by the type of the rule that fired.

    :ivar own: those of a user, by rule type code, in place of the default's.
    """

    own: Mapping[int, str] = field(default_factory=dict)

    @property
    def by_rule_type(self) -> Mapping[int, str]:
        """All of them."""
        return {**SEVERITIES, **self.own}

    @property
    def version(self) -> str:
        """A user's severities as text, the same for the same ones; empty without any."""
        return ",".join(f"{code}={severity}" for code, severity in sorted(self.own.items()))

    @classmethod
    def parse(cls, version: str) -> Self:
        """Read what :attr:`version` gives."""
        pairs = (pair.split("=") for pair in version.split(",") if pair)
        return cls({int(code): severity for code, severity in pairs})


def severity_options(given: Any) -> Severities:
    """Return what an option ``severities`` asks for.

    :param given: None for the default's; a mapping of rule type codes to ``informational``, ``low``, ``medium``,
        ``high`` or ``critical``.
    :raises ConfigurationError: if it is something else.
    """
    if given is None:
        return Severities()
    if isinstance(given, Severities):
        return given
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"severities is of type {type(given).__name__}",
            do="Give a mapping of rule type codes to severities, such as {4: 'medium'}",
            about="severities",
        )
    for code, severity in given.items():
        if isinstance(code, bool) or not isinstance(code, int) or severity not in SEVERITY_LEVELS:
            raise ConfigurationError(
                f"a rule type has the severity {quoted(f'{code}: {severity}')}",
                do=f"Map rule type codes (integers: {', '.join(map(str, RULE_TYPES))}, or others) to one of"
                f" {', '.join(SEVERITY_LEVELS)}",
                about="severities",
            )
    return Severities(dict(given))
