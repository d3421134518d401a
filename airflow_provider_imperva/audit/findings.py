"""What an audit finds wrong: a kind, the object or number it is about, and what was found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What is wrong, in one word."""

    MISSING = "missing"
    """The ledger names it, or it has to be there, and it is not."""
    ALTERED = "altered"
    """Its bytes are not those that the ledger names."""
    UNNAMED = "unnamed"
    """It is in the lake, and no commit names it."""
    UNREADABLE = "unreadable"
    """It is there and cannot be read."""
    CHAIN = "chain"
    """Commits do not follow each other."""
    CONTRADICTION = "contradiction"
    """Two records of the ledger, or the ledger and the lake, say different things."""
    TIME = "time"
    """Two times that cannot both be, or one that is yet to come."""
    SIGNATURE = "signature"
    """A commit that is not signed by a key that is trusted."""
    UNACCOUNTED = "unaccounted"
    """A number, or a line, of which nothing says what became of it."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    :ivar about: path below the lake's root, or the log or number.
    :ivar found: what was found, without a final full stop.
    """

    kind: Kind
    about: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.found}"
