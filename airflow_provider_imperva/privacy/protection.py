"""All that is done to rows before they are written anywhere in clear."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from airflow_provider_imperva.privacy import pseudonyms, redact
from airflow_provider_imperva.privacy.pseudonyms import Pseudonyms
from airflow_provider_imperva.privacy.redact import Redacted, Redactor
from airflow_provider_imperva.privacy.rules import Rules


@dataclass(frozen=True)
class Protection:
    """Rules that redact secrets, and pseudonyms.

    :ivar rules: None if nothing is redacted.
    :ivar pseudonyms: None if there are none.
    """

    rules: Rules | None = field(default_factory=Rules)
    pseudonyms: Pseudonyms | None = None

    @cached_property
    def _redactor(self) -> Redactor:
        return Redactor(self.rules or Rules(()))

    def apply(self, events: pa.Table, quarantined: pa.Table) -> Redacted:
        """Redact rows, then put pseudonyms in.

        :param events: columns of ``SCHEMA``, and any others, which stay as they are.
        :param quarantined: columns of ``QUARANTINE_SCHEMA``.
        """
        if self.pseudonyms:
            # First of all, so that bytes that are taken out are not looked at.
            events = self.pseudonyms.replace(events)
            quarantined = self.pseudonyms.replace_quarantined(quarantined)
        return self._redactor.redact(events, quarantined)

    @property
    def metadata(self) -> dict[str, str]:
        """What stands in the metadata of a part; nothing if rows are as the log has them."""
        found = {redact.VERSION_KEY: self.rules.version} if self.rules else {}
        return found | ({pseudonyms.VERSION_KEY: self.pseudonyms.version} if self.pseudonyms else {})

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """All that rows follow from here, with nothing of a key."""
        return (self.rules.version if self.rules else "", self.pseudonyms.fingerprint if self.pseudonyms else "")
