"""Shapes that a pattern alone does not tell from harmless text: card numbers, and credentials in Basic form."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_imperva.privacy.patterns import REDACTED


@dataclass(frozen=True, slots=True)
class Check:
    """A pattern of Python, and what decides about a place where it is found.

    :ivar pattern: bounded, so that no text makes it slow; group 1, if there is one, is kept.
    :ivar is_secret: takes the found text without group 1.
    """

    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]

    def redact(self, text: str) -> str:
        """Replace what is a secret."""
        return self.pattern.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        kept = match[1] if self.pattern.groups else ""
        return f"{kept}{REDACTED}" if self.is_secret(match[0][len(kept) :]) else match[0]


def passes_luhn(text: str) -> bool:
    """Whether the digits of a text are a card number by their check digit (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in re.sub(r"%(?:25)*20|\D", "", text)]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (doubled + sum(digits[-1::-2])) % 10 == 0


def is_basic(text: str) -> bool:
    """Whether a text is Base64 of a name, a colon and a password (RFC 7617)."""
    plain = re.sub(r"(?i)%(?:25)*(2b|2f|3d)", lambda match: chr(int(match[1], 16)), text).rstrip("=")
    try:
        return b":" in base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


_GAP = r"(?:[ +-]|%(?:25){0,2}20)?"
_DIGITS = (
    # The first digits that card schemes use, each with its lengths; order numbers and times begin otherwise.
    r"4[0-9]{3}G[0-9]{4}G[0-9]{4}G[0-9]{4}(?:G[0-9]{3})?|4[0-9]{12}"
    r"|(?:5[1-5][0-9]{2}|2[2-7][0-9]{2}|6(?:011|4[4-9][0-9]|5[0-9]{2})|35[2-8][0-9]|62[0-9]{2})"
    r"G[0-9]{4}G[0-9]{4}G[0-9]{4}(?:[0-9]{3})?"
    r"|3[47][0-9]{2}G[0-9]{6}G[0-9]{5}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]G[0-9]{6}G[0-9]{4}"
    r"|(?:50[0-9]{2}|5[6-8][0-9]{2}|6[0-9]{3})[0-9]{8,15}"
).replace("G", _GAP)

CARD_CANDIDATE = _DIGITS
"""Digits that may be a card number; nothing is said of what stands around them."""

_NO_ID = r"(?<![ |\t]fileId=)(?<![ |\t]deviceExternalId=)"
"""Ids of events in whole lines, which may pass the check digit. Nothing a client names stands after a blank."""

CHECKS: Mapping[str, Check] = {
    "card_number": Check(
        re.compile(
            r"(?:(?<![0-9A-Za-z])|(?<=%[0-9A-Fa-f]{2}))(?<![0-9][.-])"
            rf"{_NO_ID}(?:{_DIGITS})(?![0-9A-Za-z]|[.-][0-9])"
        ),
        passes_luhn,
    ),
    "basic": Check(
        re.compile(
            r"(?i)(basic(?:[\s+]|%(?:25){0,2}(?:20|2b)){1,4})(?:[a-z0-9+/]|%(?:25){0,2}2[bf]){6,4096}"
            r"(?:=|%(?:25){0,2}3d){0,2}"
        ),
        is_basic,
    ),
}
"""By the name of the rule."""
