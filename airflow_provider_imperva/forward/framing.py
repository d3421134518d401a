"""Framing: how a receiver of a byte stream finds where a message ends (RFC 6587, RFC 5425)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

Framing: TypeAlias = Literal["octet", "lf", "nul"]
"""``octet`` puts the length before each message, so that it may hold anything. ``lf`` and ``nul`` put that byte after
it, and write it as ``\\n`` or ``\\x00`` within.
"""


def octet(message: bytes) -> bytes:
    """Put the number of bytes before a message (RFC 6587, 3.4.1)."""
    return b"%d %b" % (len(message), message)


def line(message: bytes) -> bytes:
    r"""End a message with a line feed; line ends within become ``\n`` and ``\r``, as CEF writes them."""
    if b"\n" in message or b"\r" in message:
        message = message.replace(b"\r", rb"\r").replace(b"\n", rb"\n")
    return message + b"\n"


def nul(message: bytes) -> bytes:
    r"""End a message with NUL; a NUL within becomes ``\x00``."""
    if b"\0" in message:
        message = message.replace(b"\0", rb"\x00")
    return message + b"\0"


FRAMINGS: dict[Framing, Callable[[bytes], bytes]] = {"octet": octet, "lf": line, "nul": nul}
