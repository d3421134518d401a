"""Values that were masked at the source: Imperva can replace what an account must not see, such as client addresses."""

from __future__ import annotations

import re

_MASKED = re.compile(
    r"[xX*]{2,}"
    # An address of which a part is left.
    r"|(?=.*[xX*])(?:[0-9]{1,3}|[xX*]{1,3})(?:\.(?:[0-9]{1,3}|[xX*]{1,3})){3}"
    r"|(?=.*[xX*])(?=.*:)[0-9a-fA-FxX*:]{3,39}"
    # A salted hash: MD5, SHA-1 or SHA-2, in hexadecimal or Base64.
    r"|(?=[0-9]*[a-fA-F])(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})"
    r"|[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{43}="
)


def is_masked(text: str) -> bool:
    """Whether a text that does not fit its column is a mask or a hash rather than a wrong value."""
    return _MASKED.fullmatch(text) is not None
