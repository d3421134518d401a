"""Whom an erasure is about: values that are looked for, and never shown."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.privacy.pseudonyms import Pseudonyms

_COLUMNS = {
    "client_ip": ("client_ip", "client_edge_ip", "x_forwarded_for"),
    "visitor": ("visitor_id",),
    "session": ("session_id",),
    "account_name": ("account_name",),
}
"""The columns of ``events/`` that make a row one of the person's, by what is asked for."""

_SHORTEST = 4
_AFTER_ESCAPE = r"(?<=%[0-9A-Fa-f][0-9A-Fa-f])"
_BOUNDS = {
    4: (rf"(?:(?<![0-9])(?<![0-9]\.)|{_AFTER_ESCAPE})", r"(?![0-9])(?!\.[0-9])"),
    6: (rf"(?:(?<![0-9A-Fa-f:])|{_AFTER_ESCAPE})", r"(?![0-9A-Fa-f:])"),
    None: (rf"(?:(?<![0-9A-Za-z])|{_AFTER_ESCAPE})", r"(?![0-9A-Za-z])"),
}
"""What may not stand beside a value, so that ``1.2.3.4`` is not found in ``11.2.3.45``: by version of an address."""


class Subject:
    """A person, as the logs know them.

    :param client_ip: address of a client, IPv4 or IPv6, however it is written; forwarded addresses count.
    :param visitor: id of a visitor; ``session`` of a session.
    :param account_name: name of an account, often an e-mail address.
    :raises ConfigurationError: if nothing is given, or something that cannot be looked for. It does not say the value.
    """

    __slots__ = ("_needles",)

    def __init__(
        self,
        *,
        client_ip: str | None = None,
        visitor: str | None = None,
        session: str | None = None,
        account_name: str | None = None,
    ) -> None:
        given = {"client_ip": client_ip, "visitor": visitor, "session": session, "account_name": account_name}
        self._needles = tuple(Needle.of(kind, value) for kind, value in given.items() if value is not None)
        if not self._needles:
            raise ConfigurationError(
                "nothing says whom to erase",
                do="Give a client address, visitor, session or account name",
                about="erasure",
            )

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read a JSON object such as ``{"client_ip": "192.0.2.1"}``; errors as of the class."""
        try:
            given: Any = json.loads(text)
        except ValueError:
            given = None
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise ConfigurationError(
                "it is not a JSON object of texts",
                do='Write it as {"client_ip": "..."}; the keys are client_ip, visitor, session and account_name',
                about="erasure",
            ) from None
        if unknown := given.keys() - _COLUMNS.keys():
            raise ConfigurationError(
                f"{len(unknown)} keys of it are unknown", do=f"The keys are {', '.join(_COLUMNS)}", about="erasure"
            )
        return cls(**given)

    def with_pseudonyms(self, pseudonyms: Pseudonyms) -> Subject:
        """Return the same person, in a lake whose rows have pseudonyms; ``raw/`` has the values themselves."""
        subject = object.__new__(Subject)
        subject._needles = tuple(needle.with_pseudonyms(pseudonyms) for needle in self._needles)
        return subject

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked for, without the values."""
        return tuple(needle.kind for needle in self._needles)

    @property
    def needles(self) -> tuple[Needle, ...]:
        """What to look for."""
        return self._needles

    def __repr__(self) -> str:
        return f"Subject({', '.join(self.kinds)})"


@dataclass(frozen=True)
class Needle:
    """One value to look for.

    :ivar kind: what it is; the only thing that may be shown.
    :ivar spellings: the ways in which it may be written.
    :ivar version: of an address; None if it is not an address.
    """

    kind: str
    spellings: tuple[str, ...] = field(repr=False)
    version: int | None = None

    @classmethod
    def of(cls, kind: str, value: str) -> Needle:
        """Make one; :raises ConfigurationError: if the value cannot be looked for."""
        value = value.strip()
        if kind == "client_ip":
            try:
                address = ipaddress.ip_address(value)
            except ValueError:
                raise ConfigurationError("it is not an IP address", do="Correct it", about=kind) from None
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
                address = address.ipv4_mapped
            return cls(kind, tuple(dict.fromkeys(_spellings_of_address(address))), address.version)
        if len(value) < _SHORTEST:
            raise ConfigurationError(
                f"it has fewer than {_SHORTEST} characters, and would be found in text that has nothing to do with it",
                do="Give the whole value",
                about=kind,
            )
        return cls(kind, tuple(dict.fromkeys(_spellings(value))))

    def with_pseudonyms(self, pseudonyms: Pseudonyms) -> Needle:
        """Look for the pseudonym, too."""
        column = self.columns[0]
        if column not in pseudonyms.options.columns or (self.version and pseudonyms.options.addresses == "truncate"):
            return self
        return replace(self, spellings=(*self.spellings, pseudonyms.of(column, self.spellings[0])))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that make a row one of the person's."""
        return _COLUMNS[self.kind]

    @cached_property
    def literals(self) -> tuple[bytes, ...]:
        """The spellings in lower case, one of which stands in the lower case of any text with the value."""
        return tuple(dict.fromkeys(spelling.lower().encode() for spelling in self.spellings))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds the value in a text."""
        return re.compile(self._expression, re.IGNORECASE)

    @cached_property
    def bytes_pattern(self) -> re.Pattern[bytes]:
        """Finds the value in bytes."""
        return re.compile(self._expression.encode(), re.IGNORECASE)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest spelling."""
        return max(len(spelling.encode()) for spelling in self.spellings)

    @property
    def has_letters(self) -> bool:
        """Whether upper and lower case matter."""
        return any(spelling.lower() != spelling.upper() for spelling in self.spellings)

    @property
    def _expression(self) -> str:
        before, after = _BOUNDS[self.version]
        return f"{before}(?:{'|'.join(map(re.escape, self.spellings))}){after}"


def _spellings_of_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[str]:
    if isinstance(address, ipaddress.IPv4Address):
        yield str(address)
        return
    every = (
        address.compressed,
        address.exploded,
        ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":")),
    )
    yield from every
    yield from (text.replace(":", "%3A") for text in every)


def _spellings(value: str) -> Iterator[str]:
    """Yield a text as it is, and as CEF, JSON and URLs write it."""
    yield value
    escaped = value.replace("\\", "\\\\")
    yield escaped.replace("=", "\\=")
    yield escaped.replace("|", "\\|")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    yield quote(value, safe="@")
