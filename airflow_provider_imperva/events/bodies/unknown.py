"""Bodies of no known format: nothing in them is read, and all of it goes to quarantine.

The reason shows how the body begins, escaped, since that shows a person what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_imperva.events.bodies.text_block import RejectedLine, TextBlock
from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.scan.lines import Lines, Tally, blocks

SHOWN = 80
"""How many bytes of a body, and then how many characters, the reason shows."""

_LOOKED_AT = 4096


def read(chunks: Iterable[bytes], *, head: bytes, block_bytes: int) -> Iterator[TextBlock]:
    """Give every line; one row with the first bytes if there is a NUL among them, for that has no lines.

    :param head: how the body begins.
    """
    reason = f"{RejectionReason.UNKNOWN_FORMAT.value}: begins with {repr(head[:SHOWN])[2:-1][:SHOWN]}"
    if b"\0" in head[:_LOOKED_AT]:
        yield _block([RejectedLine(1, reason, head[:SHOWN])], lines=1)
        return
    number = 1
    for block in blocks(chunks, block_bytes=block_bytes):
        lines = Lines.split(block, first_number=number)
        rejected = [RejectedLine(line, reason, lines.text(index)) for index, line in enumerate(lines.numbers.tolist())]
        tally = Tally.of(block)
        yield _block(rejected, lines=tally.lines)
        number += tally.line_ends


def _block(rejected: list[RejectedLine], *, lines: int) -> TextBlock:
    # Of no rows; the format of none says nothing.
    return TextBlock(TextColumns.of([], format_name="CEF", lines=[], raw=None), rejected, lines)
