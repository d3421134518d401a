"""Bodies of keyed records, CEF and LEEF: blocks that begin with a record, cut into records, and read in two ways.

:mod:`~airflow_provider_imperva.events.grammar.boundaries` decides where a record begins and ends. Nearly all are one
line each, and for most blocks one quick check shows that all lines are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.beginnings import WAF_PRODUCT
from airflow_provider_imperva.events.bodies.count import Count
from airflow_provider_imperva.events.bodies.text_block import RejectedLine, TextBlock, read_lines
from airflow_provider_imperva.events.grammar import boundaries, cef, headers, keys, leef
from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.scan.buffers import Mask, Positions
from airflow_provider_imperva.events.scan.lines import Lines, blocks
from airflow_provider_imperva.events.scan.scan import scan
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST

_TAIL = 64 << 10
_LONGEST_START = 1 << 10
"""How much of a line is looked at for what it begins with; more than a header with a syslog prefix has."""

_SIGNATURES = tuple(signature.encode() for signature in headers.SIGNATURES)
_USUAL = re.compile(rb"(?:CEF:[0-9]|LEEF:[0-9](?:\.[0-9])?)" + re.escape(_SIGNATURES[0]))
_LINE_END = re.compile(rb"[\r\0\x0b\x0c]")
_AT_ENDS = np.zeros(256, np.bool_)
_AT_ENDS[list(b"\r\x00\x0b\x0c")] = True
_READERS: dict[str, Callable[[str], TextRecord | RejectionReason]] = {"CEF": cef.read_record, "LEEF": leef.read_record}
_KEYS = {"CEF": keys.CEF, "LEEF": keys.LEEF}


def read(
    chunks: Iterable[bytes], *, format_name: Literal["CEF", "LEEF"], keep_raw: bool, block_bytes: int
) -> Iterator[TextBlock]:
    """Read a body in blocks that begin with a record."""
    number = 1
    begun = 0
    after_incomplete = False
    cut, cut_within_line = (partial(one, format_name=format_name) for one in (_last_start, _last_start_within_line))
    for block in blocks(chunks, block_bytes=block_bytes, cut=cut, cut_within_line=cut_within_line):
        count = Count.of(block)
        records = _Records.cut(block, count, first_number=number, begun=begun, format_name=format_name)
        columns, rejected = read_lines(
            records.lines,
            partial(scan, format_name=format_name, keep_raw=keep_raw),
            _READERS[format_name],
            irregular=records.irregular,
            format_name=format_name,
            keep_raw=keep_raw,
        )
        rejected = sorted([*rejected, *records.refused], key=lambda line: divmod(line.number, LINES_AT_MOST)[::-1])
        records.warn(columns)
        after_incomplete = _note_incomplete(columns, _KEYS[format_name], after=after_incomplete)
        text_block = TextBlock(columns, rejected, count.lines - records.folded)
        begun = 0 if block.endswith(b"\n") else records.on_last_line
        # Before the next block is read, not after.
        del block, records, columns, rejected
        yield text_block
        del text_block
        number += count.line_ends


def _last_start(piece: bytes, *, format_name: str) -> int:
    """Find where the last record of a piece starts, after LF or with what else ends a line there; 0 if nowhere."""
    starts = headers.BEGINNINGS[format_name].after_line_end
    for begin in (max(len(piece) - _TAIL, 0), 0):
        places = [match.start() + (match[0][:1] == b"\n") for match in starts.finditer(piece, begin)]
        if places:
            return places[-1]
    return 0


def _last_start_within_line(tail: bytes, *, format_name: Literal["CEF", "LEEF"]) -> int:
    """Find a place far down a block's tail where a record starts that is not the first of its line; 0 if there is none.

    Where a record starts hangs on the one before it and on nothing else, so that must be one that is sure.
    """
    lines = Lines.split(tail, first_number=0)
    bounds = np.column_stack((lines.begins, lines.ends)).tolist()
    pieces = boundaries.cut(tail.decode("latin-1"), bounds, format_name).pieces
    for before, one in reversed([*pairwise(pieces[:-1])]):
        if before.refused is None and one.refused is None:
            if (line_feed := tail.rfind(b"\n", before.end, one.begin)) >= 0:
                return line_feed + 1
            # What else ends a line goes with the record after it, as where that is found by it.
            end = _LINE_END.search(tail, before.end, one.begin)
            return end.start() if end else one.begin
    return 0


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """The records of a block.

    :param lines: each record as a line.
    :param irregular: which of them no scan may see.
    :param refused: what is to be read as none.
    :param warnings: codes by the number of the record.
    :param folded: how many lines and signatures were knowingly taken for a part of a record.
    :param on_last_line: how many records, and lines that are not records, begin on the last line, and those of earlier
        blocks.
    """

    lines: Lines
    irregular: Mask
    refused: list[RejectedLine]
    warnings: dict[int, list[str]]
    folded: int
    on_last_line: int

    @classmethod
    def cut(
        cls, block: bytes, count: Count, *, first_number: int, begun: int, format_name: Literal["CEF", "LEEF"]
    ) -> _Records:
        """Cut a block into records.

        :param count: of the block; if all its lines are usual ones, each is a record.
        :param begun: how many records of earlier blocks begin on the block's first line.
        """
        lines = Lines.split(block, first_number=first_number)
        while begun and len(lines) and _AT_ENDS[block[lines.begins[0]]] and lines.begins[0] < lines.ends[0] - 1:
            lines.begins[0] += 1
        last_number = first_number + (0 if block.endswith(b"\n") else count.line_ends)
        if not begun and _are_usual(lines, count):
            is_on_last = len(lines) > 0 and int(lines.numbers[-1]) == last_number
            return cls(lines, np.zeros(len(lines), np.bool_), [], {}, 0, int(is_on_last))
        simple = _are_simple(lines, format_name)
        groups = list(_groups(simple))
        rows = np.flatnonzero(simple)
        places = [np.column_stack((lines.begins[rows], lines.ends[rows], rows, np.zeros_like(rows)))]
        pieces: list[tuple[boundaries.Piece, int, int]] = []
        folded = 0
        for first, after in groups:
            origin, end = int(lines.begins[first]), int(lines.ends[after - 1])
            bounds = np.column_stack((lines.begins[first:after], lines.ends[first:after])) - origin
            cuts = boundaries.cut(block[origin:end].decode("latin-1"), bounds.tolist(), format_name)
            pieces += ((piece, origin, first) for piece in cuts.pieces)
            folded += cuts.folded
        if pieces:
            where = [(piece.begin + origin, piece.end + origin, piece.line + first) for piece, origin, first in pieces]
            places.append(np.column_stack((np.array(where, np.int64), np.arange(1, len(pieces) + 1))))
        found_at = np.concatenate(places)
        found_at = found_at[np.argsort(found_at[:, 0], kind="stable")]
        return cls._of(lines, found_at, pieces, folded, begun=begun, last_number=last_number)

    @classmethod
    def _of(
        cls,
        lines: Lines,
        spans: Positions,
        pieces: list[tuple[boundaries.Piece, int, int]],
        folded: int,
        *,
        begun: int,
        last_number: int,
    ) -> _Records:
        begins, _, line, piece = spans.T
        numbers = lines.numbers[line]
        is_shared = np.diff(numbers, prepend=-1, append=-1) == 0
        ends = _without_ends(lines.block, begins, spans[:, 1], is_shared[1:] | is_shared[:-1])
        is_on_last = len(numbers) > 0 and numbers[-1] == last_number
        firsts = np.searchsorted(numbers, numbers)
        place = np.arange(len(numbers)) - firsts + np.where(numbers == lines.numbers[0], begun, 0)
        numbers = numbers + place * LINES_AT_MOST
        refused: list[RejectedLine] = []
        warnings: dict[int, list[str]] = {}
        kept = np.ones(len(numbers), np.bool_)
        for index in np.flatnonzero(piece).tolist():
            one, number = pieces[int(piece[index]) - 1][0], int(numbers[index])
            if one.refused is not None:
                refused.append(RejectedLine(number, one.refused.value, lines.block[begins[index] : ends[index]]))
                kept[index] = False
            elif one.warnings:
                warnings[number] = one.warnings
        records = Lines(lines.block, begins[kept].copy(), ends[kept].copy(), numbers[kept])
        irregular = piece[kept] > 0
        for index in np.flatnonzero(irregular).tolist():
            irregular[index] = lines.block.find(b"\n", records.begins[index], records.ends[index]) >= 0
        return cls(records, irregular, refused, warnings, folded, int(place[-1]) + 1 if is_on_last else 0)

    def warn(self, columns: TextColumns) -> None:
        """Add the warnings to the records that they are about."""
        if not self.warnings:
            return
        row_of = {number: row for row, number in enumerate(columns.lines.to_pylist())}
        columns.notes.warnings += [
            (row_of[number], code) for number, codes in self.warnings.items() if number in row_of for code in codes
        ]


def _are_usual(lines: Lines, count: Count) -> bool:
    """Whether all lines begin with the same signature, and there is no other one in the block."""
    return count.all_usual and len(lines) == count.lines


def _usual_prefix(lines: Lines) -> bytes:
    """What the first line begins with, up to the end of its signature; nothing if that is out of the ordinary."""
    begin = int(lines.begins[0])
    match = _USUAL.match(lines.block, begin, begin + _LONGEST_START)
    return match[0] if match else b""


def _are_simple(lines: Lines, format_name: str) -> Mask:
    """Whether each line begins a record and has no signature but that of its own header."""
    at = np.array(sorted(place for signature in _SIGNATURES for place in _places(lines.block, signature)), np.int64)
    line_of = np.searchsorted(lines.begins, at, "right") - 1
    count_of = np.bincount(line_of, minlength=len(lines))
    first = np.full(len(lines), -1)
    first[line_of[::-1]] = at[::-1]
    begins = lines.begins.tolist()
    latin = headers.BEGINNINGS[format_name].latin
    prefix = _usual_prefix(lines)
    simple: Mask = count_of == 1
    simple &= lines.begin_with(prefix) if prefix else np.zeros(len(lines), np.bool_)
    for line in np.flatnonzero(~simple & (count_of <= 1)).tolist():
        start = latin.match(lines.block[begins[line] : begins[line] + _LONGEST_START].decode("latin-1"))
        simple[line] = start is not None and (not count_of[line] or first[line] == begins[line] + start.end() - 1)
    return simple


def _places(block: bytes, signature: bytes) -> Iterator[int]:
    place = block.find(signature)
    while place >= 0:
        yield place
        place = block.find(signature, place + 1)


def _groups(simple: Mask) -> Iterator[tuple[int, int]]:
    """Yield the first and after the last of lines that are to be looked at together, which are not simple then.

    With them goes the line before, which they may belong to.
    """
    simple[:-1] &= simple[1:] | ~simple[:-1]
    others = np.flatnonzero(~simple)
    for run in np.split(others, np.flatnonzero(np.diff(others) > 1) + 1) if len(others) else ():
        yield int(run[0]), int(run[-1]) + 1


def _without_ends(block: bytes, begins: Positions, ends: Positions, is_shared: Mask) -> Positions:
    """Where records end that share a line with others: not with what ends lines there, as it may after the last."""
    text = np.frombuffer(block, np.uint8)
    ends = ends.copy()
    while (more := _AT_ENDS[text[ends - 1]] & (ends - 1 > begins) & is_shared).any():
        ends -= more
    return ends


def _note_incomplete(columns: TextColumns, names: keys.Keys, *, after: bool) -> bool:
    """Note which WAF events lack what each has, and which follow one of those.

    :param after: whether the last event of the block before lacked something.
    :return: whether the last event of this one does.
    """
    rows = len(columns.lines)
    if not rows:
        return after
    product = columns.texts.get("device_product", pa.nulls(rows, pa.string())).cast(pa.string())
    waf = pc.fill_null(pc.equal(product, WAF_PRODUCT), False).to_numpy(zero_copy_only=False)
    lacking = np.zeros(rows, np.bool_)
    for key in names.required:
        texts = columns.texts.get(names.columns[key].name)
        if texts is not None and not texts.null_count:
            continue
        null = waf if texts is None else waf & texts.is_null().to_numpy(zero_copy_only=False)
        columns.notes.warnings += [(row, f"incomplete:{key}") for row in np.flatnonzero(null).tolist()]
        lacking |= null
    if not lacking.any() and not after:
        return False
    lines = columns.lines.to_numpy()
    order = np.lexsort((lines // LINES_AT_MOST, lines % LINES_AT_MOST))
    follows = np.concatenate(([after], lacking[order][:-1]))
    columns.notes.warnings += [(row, "follows_incomplete") for row in order[follows].tolist()]
    return bool(lacking[order][-1])
