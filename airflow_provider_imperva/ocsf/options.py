"""What an OCSF export writes, and where: checked before anything is read or written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_imperva.errors import ConfigurationError, quoted

VERSIONS: Mapping[str, str] = {"1.8": "1.8.0", "1.1": "1.1.0"}
"""The versions of OCSF that can be written, by the name that users give them."""

PLAIN, SECURITY_LAKE = LAYOUTS = ("plain", "security_lake")
SEVERITY_IDS = frozenset({0, 1, 2, 3, 4, 5, 6, 99})

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_ACCOUNT = re.compile(r"\d{12}|[A-Za-z0-9_+=,.@-]{2,64}")
_SOURCE = re.compile(r"[A-Za-z0-9_-]{1,20}")


@dataclass(frozen=True, slots=True)
class OcsfOptions:
    """What an export writes.

    :ivar layout: ``plain``, a folder for each OCSF class, repository and date; or ``security_lake``, the folders of a
        custom source of Amazon Security Lake.
    :ivar version: of OCSF, ``1.8`` or ``1.1``. By default 1.8, and 1.1 for Security Lake, which accepts no later one.
    :ivar region: AWS region of the custom source, such as ``eu-central-1``; for Security Lake only, as is the rest.
    :ivar account: AWS account of the custom source (12 digits), or its external id. It is not Imperva's account.
    :ivar source: name of the custom source of HTTP Activity.
    :ivar findings_source: name of the custom source of Detection Findings: Security Lake takes one class a source.
    :ivar severities: ``severity_id`` of security events by Imperva's rule type code, in place of the default's. OCSF
        requires a severity and Imperva logs none.
    """

    layout: str = PLAIN
    version: str = ""
    region: str = ""
    account: str = ""
    source: str = "imperva-waf"
    findings_source: str = "imperva-findings"
    severities: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.layout in LAYOUTS, "layout", self.layout, f"Set it to {' or '.join(LAYOUTS)}")
        if not self.version:
            object.__setattr__(self, "version", "1.1" if self.layout == SECURITY_LAKE else "1.8")
        _check(self.version in VERSIONS, "version", self.version, f"Set it to {' or '.join(VERSIONS)}")
        self._check_severities()
        if self.layout == PLAIN:
            for name in ("region", "account"):
                value = getattr(self, name)
                _check(not value, name, value, f"Leave it out, or set layout to {SECURITY_LAKE}")
            return
        _check(self.version == "1.1", "version", self.version, "Set it to 1.1: Security Lake accepts no later one")
        _check(bool(_REGION.fullmatch(self.region)), "region", self.region, "Give an AWS region, such as eu-central-1")
        _check(
            bool(_ACCOUNT.fullmatch(self.account)),
            "account",
            self.account,
            "Give the 12 digits of the AWS account of the custom source, or its external id",
        )
        for name in ("source", "findings_source"):
            value = getattr(self, name)
            _check(bool(_SOURCE.fullmatch(value)), name, value, "Give it 1 to 20 letters, digits, '_' and '-'")
        _check(
            self.source != self.findings_source,
            "findings_source",
            self.findings_source,
            "Give it another name than source: Security Lake takes one class a source",
        )

    def _check_severities(self) -> None:
        for code, severity in self.severities.items():
            known = isinstance(code, int) and severity in SEVERITY_IDS
            known_ids = ", ".join(map(str, sorted(SEVERITY_IDS)))
            _check(known, "severities", f"{code}: {severity}", f"Map rule type codes (integers) to one of {known_ids}")

    @property
    def full_version(self) -> str:
        """The version as an event names it, such as ``1.8.0``."""
        return VERSIONS[self.version]


def ocsf_options(given: Mapping[str, Any] | None) -> OcsfOptions:
    """Return the options of an export.

    :raises ConfigurationError: if there is no such option, or a value cannot be meant.
    """
    names = [known.name for known in fields(OcsfOptions)]
    for name in given or {}:
        _check(name in names, "option", name, f"The options of an OCSF export are {', '.join(names)}")
    return OcsfOptions(**(given or {}))


def _check(holds: bool, name: str, value: object, do: str) -> None:
    if not holds:
        raise ConfigurationError(f"the {name} of the OCSF export is {quoted(str(value))}", do=do)
