"""Lines of a block: where they end, and how many there are."""

from __future__ import annotations

import numpy as np

from airflow_provider_imperva.events.scan.buffers import Bytes, Positions

_LF = ord("\n")


def find_line_ends(text: Bytes, places: Positions) -> int:
    """Write where each LF stands, as far as there is room."""
    line_ends = np.flatnonzero(text == _LF)
    room = min(len(line_ends), len(places))
    places[:room] = line_ends[:room]
    return len(line_ends)


def count_text(text: Bytes, sought: Bytes) -> int:
    """Count as ``bytes.count`` does."""
    return text.tobytes().count(sought.tobytes())


def count_either(text: Bytes, one: Bytes, other: Bytes) -> tuple[int, int]:
    """Count two texts."""
    return count_text(text, one), count_text(text, other)


def tally(text: Bytes, prefix: Bytes) -> tuple[int, int, int]:
    """Count the LF, the lines with content, and the lines that begin with a prefix."""
    *ended, rest = text.tobytes().split(b"\n")
    lines = [*ended, rest] if rest else ended
    sought = prefix.tobytes()
    return len(ended), sum(bool(line.strip()) for line in lines), sum(line.startswith(sought) for line in lines)
