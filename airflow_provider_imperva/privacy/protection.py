"""How rows are written: what is done to them before they are written anywhere in clear, and what is derived then."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from airflow_provider_imperva.events.derived.complete import complete
from airflow_provider_imperva.privacy import pseudonyms, redact
from airflow_provider_imperva.privacy.pseudonyms import Pseudonyms
from airflow_provider_imperva.privacy.redact import Redacted, Redactor
from airflow_provider_imperva.privacy.rules import Rules
from airflow_provider_imperva.severities import VERSION_KEY as SEVERITIES_KEY
from airflow_provider_imperva.severities import Severities


@dataclass(frozen=True)
class Protection:
    """Rules that redact secrets, pseudonyms, and how severe events are by rule type.

    :ivar rules: None if nothing is redacted.
    :ivar pseudonyms: None if there are none.
    :ivar severities: the severity of each rule type.
    """

    rules: Rules | None = field(default_factory=Rules)
    pseudonyms: Pseudonyms | None = None
    severities: Severities = field(default_factory=Severities)

    @cached_property
    def _redactor(self) -> Redactor:
        return Redactor(self.rules or Rules(()))

    def apply(self, events: pa.Table, quarantined: pa.Table) -> Redacted:
        """Put pseudonyms in, then redact.

        :param events: columns of ``PARSED_SCHEMA``.
        :param quarantined: columns of ``QUARANTINE_SCHEMA``.
        """
        if self.pseudonyms:
            # First of all, so that bytes that are taken out are not looked at.
            events = self.pseudonyms.replace(events)
            quarantined = self.pseudonyms.replace_quarantined(quarantined)
        return self._redactor.redact(events, quarantined)

    def completed(self, events: pa.Table) -> pa.Table:
        """Return rows with the columns that are derived from what :meth:`apply` has left.

        :param events: columns of ``PARSED_SCHEMA``.
        :return: columns of ``HELD_SCHEMA``, then ``event_class`` and ``event_date``.
        """
        classes = events["event_class"].combine_chunks()
        return complete(events, classes, severities=self.severities.by_rule_type)

    @property
    def metadata(self) -> dict[str, str]:
        """What stands in the metadata of a part; nothing if rows are as the log has them."""
        versions = {redact.VERSION_KEY: self.rules.version} if self.rules else {}
        versions |= {pseudonyms.VERSION_KEY: self.pseudonyms.version} if self.pseudonyms else {}
        return versions | ({SEVERITIES_KEY: self.severities.version} if self.severities.own else {})

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """All that rows follow from here, with nothing of a key."""
        return (
            self.rules.version if self.rules else "",
            self.pseudonyms.fingerprint if self.pseudonyms else "",
            self.severities.version,
        )
