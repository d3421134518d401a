"""How many lines and records a block of CEF or LEEF has, counted without reading them.

``lines = events + quarantined`` proves that no event was swallowed only if lines are counted by another rule than the
one they are read by. Here a line is what LF ends, and a record is what has the names of Imperva's products in it, three
bars apart, wherever that stands: nothing is known here of prefixes, keys or values.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from airflow_provider_imperva.events.scan.lines import Tally, count_either

_NAMES = (b"|Incapsula|SIEMintegration|", b"|Imperva Inc|Attack Analytics|")
_USUAL = tuple(version + _NAMES[0] for version in (b"CEF:0", b"LEEF:1.0"))


class Count(NamedTuple):
    """What is counted in a block.

    :ivar line_ends: the LF.
    :ivar lines: lines that hold more than white space; each further record on a line counts as one more.
    :ivar all_usual: whether every such line begins like the first, with a record, and has no other one in it.
    """

    line_ends: int
    lines: int
    all_usual: bool

    @classmethod
    def of(cls, block: bytes) -> Count:
        """Count."""
        usual = next((begin for begin in _USUAL if block.startswith(begin)), _USUAL[0])
        tally = Tally.of(block, usual)
        counts = count_either(block, *_NAMES)
        if tally.begun == tally.lines == sum(counts):
            return cls(tally.line_ends, tally.lines, not counts[1])
        places = sorted(
            place for name, most in zip(_NAMES, counts, strict=True) for place in _places(block, name, most)
        )
        further = sum(block.find(b"\n", one, other) < 0 for one, other in pairwise(places))
        return cls(tally.line_ends, tally.lines + further, False)


def _places(block: bytes, name: bytes, count: int) -> list[int]:
    places = [-1]
    for _ in range(count):
        places.append(block.find(name, places[-1] + 1))
    return places[1:]
