"""Figures in words, as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Say a time in two significant steps: ``45 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    for limit, unit, name in ((100, 1, "s"), (5940, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.0f} {name}" if name != "h" else f"{value:.1f} {name}"
    return f"{seconds / 86_400:.1f} d"


def size(count: int) -> str:
    """Say a number of bytes."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"


def counted(count: int, noun: str) -> str:
    """Describe how many there are of something."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
