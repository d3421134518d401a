"""The retention policy: for how many days each class of what is in a lake is kept. The ledger is kept for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.options import unknown_name

EVENT_CLASSES = ("access", "security", "attack_analytics", "other")
"""Classes of events that have a rule of their own."""

_OTHERS = ("raw", "quarantine", "coverage_pages")
_LEAST_RAW_DAYS = 3
"""The repository lists a log for 48 hours; as long, what came is compared with what is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """For how many days things are kept; what has no number is kept for ever.

    :ivar raw: bytes as received, from the day on which they came. At least 3.
    :ivar events: by event class, from the UTC date of the event.
    :ivar quarantine: lines and logs that could not be decoded, from the day on which their log came.
    :ivar coverage_pages: pages in ``reports/``, from the day on which they were written.
    :raises ConfigurationError: if a class is unknown, or a number is not a whole number of days above 0.
    """

    raw: int | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    quarantine: int | None = None
    coverage_pages: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.events, Mapping):
            raise _wrong("events", "is not a mapping", "Give the days of each class, such as {access: 90}")
        for name in self.events:
            if name not in EVENT_CLASSES:
                raise _wrong("events", unknown_name(str(name), EVENT_CLASSES), "Correct the name of the event class")
        for name, days in self.days.items():
            if type(days) is not int or days < 1:
                raise _wrong(name, "is not a whole number of days above 0", "Correct it, or leave it out")
        if self.raw is not None and self.raw < _LEAST_RAW_DAYS:
            raise _wrong(
                "raw",
                f"is less than {_LEAST_RAW_DAYS} days, and the repository lists a log for two",
                f"Keep bytes for at least {_LEAST_RAW_DAYS} days: until then they are compared with what is listed",
            )
        if not self.days:
            raise _wrong("the policy", "has no rule", "Give the days of at least one class")

    @property
    def days(self) -> dict[str, int]:
        """The rules: days by class, event classes and others together."""
        others = {name: getattr(self, name) for name in _OTHERS}
        return {**self.events, **{name: days for name, days in others.items() if days is not None}}

    def first_kept(self, today: date) -> dict[str, date]:
        """Return the first date of each class that is kept as of a day.

        A class that is kept for one day has the events of today and of yesterday.
        """
        return {name: today - timedelta(days=days) for name, days in self.days.items()}

    @classmethod
    def of(cls, given: Any) -> RetentionPolicy:
        """Make a policy of what people give.

        :param given: a policy, a mapping of its fields, or the path of a YAML file with one.
        :raises ConfigurationError: if it is none of them, or something in it is wrong.
        """
        if isinstance(given, cls):
            return given
        about = "retention policy"
        if isinstance(given, str | Path):
            about, given = str(given), _read_yaml(Path(given))
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"the retention policy is of type {type(given).__name__}",
                do="Give a mapping with raw, events, quarantine or coverage_pages, or the path of a YAML file with one",
                about=about,
            )
        known = ("events", *_OTHERS)
        for name in given:
            if name not in known:
                raise ConfigurationError(
                    unknown_name(str(name), known), do="Correct the name of the class", about=about
                )
        return cls(**{"events": {}, **{name: value for name, value in given.items() if value is not None}})


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the file could not be read ({error.strerror or type(error).__name__})",
            do="Check its path",
            about=str(path),
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the file is not YAML ({type(error).__name__})", do="Correct it", about=str(path)
        ) from None


def _wrong(name: str, problem: str, do: str) -> ConfigurationError:
    return ConfigurationError(f"{name} {problem}", do=do, about="retention policy")
