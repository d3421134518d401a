"""A period: a day or a month, UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from airflow_provider_imperva.errors import ConfigurationError


class Period(msgspec.Struct, frozen=True, rename={"first": "from", "end": "to"}):
    """Whole days, UTC; the end is not in it."""

    first: date
    end: date

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read a month (``2026-11``) or a day (``2026-11-22``).

        :raises ConfigurationError: if it is neither.
        """
        try:
            if re.fullmatch(r"\d{4}-\d{2}", text):
                first = date.fromisoformat(f"{text}-01")
                return cls(first, (first + timedelta(days=31)).replace(day=1))
            first = date.fromisoformat(text)
            return cls(first, first + timedelta(days=1))
        except (ValueError, OverflowError):
            raise ConfigurationError("no month and no day", do="Write 2026-11 or 2026-11-22", about=text) from None

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The first moment in it, and the first after it."""
        return datetime.combine(self.first, time(), UTC), datetime.combine(self.end, time(), UTC)
