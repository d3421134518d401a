"""Bodies of no known format: nothing in them is read, and all of it goes to quarantine.

The reason shows how the body begins, escaped, since that is what tells a person what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_imperva.events.bodies.reading import Reading, Rejected
from airflow_provider_imperva.events.grammar.fields import Fields
from airflow_provider_imperva.events.grammar.record import Rejection
from airflow_provider_imperva.events.scan.lines import Lines, Tally, blocks

SHOWN = 80
"""How many bytes of a body, and then how many characters, the reason shows."""

_LOOKED_AT = 4096


def read(chunks: Iterable[bytes], *, head: bytes) -> Iterator[Reading]:
    """Give every line; one row with the first bytes if there is a NUL among them, for that has no lines.

    :param head: how the body begins.
    """
    reason = f"{Rejection.UNKNOWN_FORMAT.value}: begins with {repr(head[:SHOWN])[2:-1][:SHOWN]}"
    if b"\0" in head[:_LOOKED_AT]:
        yield _reading([Rejected(1, reason, head[:SHOWN])], lines=1)
        return
    number = 1
    for block in blocks(chunks):
        lines = Lines.split(block, first_number=number)
        rejected = [Rejected(line, reason, lines.text(index)) for index, line in enumerate(lines.numbers.tolist())]
        tally = Tally.of(block)
        yield _reading(rejected, lines=tally.lines)
        number += tally.line_ends


def _reading(rejected: list[Rejected], *, lines: int) -> Reading:
    # Of no rows; the format of none says nothing.
    return Reading(Fields.of([], format_name="CEF", lines=[], raw=None), rejected, lines)
