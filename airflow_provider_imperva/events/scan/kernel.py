"""The loops over the bytes of a log, in the one place that chooses what runs them.

Each is a function of buffers: bytes and positions in, preallocated arrays out. A function writes nothing but what its
description names, and refuses arrays whose sizes do not fit together with ``ValueError``. Arrays are C-contiguous.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_provider_imperva.events.scan import loops

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]
Places = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NUMBER, BEGIN, END = range(3)
"""What is told of a text, in a row of ``found`` (int32): the number of what it is, and where in the block it begins
and ends."""

KEY_BEGIN, KEY_END, KIND, LABEL, TEXT_BEGIN, TEXT_END = range(6)
"""What is told of a key, in a row of ``known`` (int64): where its lower-case name stands in ``words``; what it is; the
number of the key of the label that its value must have, 0 for none; where the text that its value must be stands in
``words``, both 0 for any."""

FREE_TEXT, JSON, STRANGE = 1, 2, 4
"""What a key can be, bits of ``KIND``: one in whose value an unknown key is none; one whose value is JSON; one that
only the careful reader understands."""

LONGEST_KEY = 63
"""Bytes of the longest key."""

PLAIN, BACKSLASH, QUOTE = b'\0\\"'
"""How texts are escaped, by the byte to look for: not at all; as in CEF and LEEF, with backslashes (``\\=``, ``\\\\``,
``\\n``, ``\\r``; before anything else a backslash is itself); as in W3C, quotes only, with a backslash or a quote."""

SLACK = 32
"""Bytes of ``copied`` behind each column that :func:`copy` may write to for speed. What is there means nothing."""


def find_line_ends(text: Bytes, places: Positions) -> int:
    """Write where each LF stands, as far as there is room in ``places``; return how many there are."""
    return loops.find_line_ends(text, places)


def tally(text: Bytes, prefix: Bytes) -> tuple[int, int, int]:
    """Count the LF, the lines that hold more than white space, and those that begin with ``prefix``.

    White space is blank, TAB, VT, FF and CR. Every line begins with an empty ``prefix``; no line is counted behind an
    LF that is the last byte.
    """
    return loops.tally(text, prefix)


def find_pairs(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    words: Bytes,
    known: Positions,
    tabs: bool,
    odd: Mask,
    found: Places,
    firsts: Positions,
    headers: Positions,
) -> None:
    """Cut CEF or LEEF records into keys and values, by the rules of ``grammar.extension``.

    A record about which those rules ask for more than is done here is marked in ``odd``, and has no pairs: one without
    a key, with a key that comes twice or is ``STRANGE``, with a value that begins with a quote, with JSON whose
    brackets do not close, with a label that is missing or of another text, or for whose pairs there is no room left.

    :param begins, ends: where each record stands in ``text``.
    :param words, known: the vocabulary: for each number from 1 up what is told of that key. Row 0 is of no key.
    :param tabs: whether records with a tab behind the first key are cut at tabs, as LEEF is.
    :param odd: records that are not looked at, too.
    :param found: takes a row for each pair but labels: ``NUMBER`` is that of the key, 0 for one that is not known;
        the value from ``BEGIN`` to ``END`` is trimmed of blanks and tabs, and is not empty.
    :param firsts: takes the first row of each record, and the number of rows behind the last: one more than records.
    :param headers: takes where the first key of each record begins that has any; else it stays as it is.
    """
    slots = loops.slots_of(words, known)
    loops.find_pairs(
        text, begins, ends, words, known, slots, tabs, odd, found, firsts, headers, np.full(len(known), -1)
    )


def cut_rows(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    names: int,
    moments: Positions,
    odd: Mask,
    escaped: Mask,
    found: Places,
    firsts: Positions,
) -> None:
    """Cut W3C rows of quoted values, in the first or the second of the ways of ``grammar.w3c``.

    A row that is not so is marked in ``odd`` and has no values; so is one whose date and time are not those of its
    start, or that has only one of date and time.

    :param names: how many values a row has.
    :param moments: which values are date, time and start; ``names`` for one that there is not.
    :param odd: rows that are not looked at, too.
    :param escaped: takes which rows are cut in the second way.
    :param found: takes a row for each value that is not empty: ``NUMBER`` from 0 up, ``BEGIN`` and ``END``, trimmed.
        It has to have room for one value more than ``names`` behind the values of the other rows.
    :param firsts: takes the first row of each, and the number of rows behind the last.
    """
    loops.cut_rows(
        text,
        begins,
        ends,
        moments,
        odd,
        escaped,
        found,
        firsts,
        np.zeros(2 * names, np.int64),
        np.full(names + 1, -1, np.int64),
        np.full(3, -1).astype(np.uint64),
    )


def measure(found: Places, column_of: Positions, sizes: Positions) -> None:
    """Add the bytes of each text to ``sizes`` of the column of its number, if it has one.

    :param column_of: column by number, -1 for none; numbers beyond have none either.
    """
    loops.measure(found, column_of, sizes)


def copy(
    text: Bytes,
    found: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    escaped: Mask,
    copied: Bytes,
    places: Positions,
    ends: Places,
    codes: Places,
    counts: Positions,
) -> None:
    """Copy the texts of some lines to their columns, without escapes. The first columns, ``len(codes)``, have codes.

    :param rows: the lines, each a place in ``firsts``.
    :param column_of: column by number, -1 for none; numbers beyond have none either.
    :param escape: ``PLAIN``, ``BACKSLASH`` or ``QUOTE``; ``escaped``: in which lines (places in ``firsts``) to look
        for any.
    :param copied: takes the texts of each column, one behind the other, and behind them ``SLACK`` bytes of anything.
    :param places: where in ``copied`` the next text of each column goes to; moves on.
    :param ends: ``[column, len(rows) + 1]``. Of a column with codes it takes where the distinct texts end in
        ``copied``, in the order they come first, from ``[column, 1]`` on; ``[column, 0]`` is where the first begins.
        Of another it takes at ``[column, row + 1]`` how long the text of the row is, and is left alone where the row
        has none.
    :param codes: ``[column, row]``: takes which of the distinct texts the row has; left alone where it has none.
    :param counts: how many distinct texts each column with codes has; counts on.
    """
    width = 1 << (2 * len(rows)).bit_length()
    slots = np.full((len(codes), width), -1, np.int32)
    loops.copy(
        text,
        found,
        firsts,
        rows,
        column_of,
        escape,
        escaped,
        copied,
        places,
        ends,
        codes,
        slots,
        loops.FACTOR,
        counts,
    )


def sum_lengths(lengths: Places) -> None:
    """Put the sum of the lengths of each row so far in their place."""
    loops.sum_lengths(lengths)


def read_digits(
    characters: Bytes, offsets: Offsets, fewest: int, most: int, largest: int, values: Positions, odd: Mask
) -> int:
    """Read texts that consist of digits only, ``fewest`` to ``most`` of them (18 at most).

    :param offsets: where each text begins in ``characters``, and the last one ends.
    :param values: takes the numbers; anything for an odd text.
    :param odd: takes whether a text is another one, or its number above ``largest``; empty texts (nulls) are odd.
    :return: how many are odd.
    """
    return loops.read_digits(characters, offsets, fewest, most, largest, values, odd)


def find_doubtful(characters: Bytes, offsets: Offsets, doubtful: Positions) -> int:
    """Write which texts are not empty and not plainly an IPv4 or IPv6 address; return how many.

    Some addresses are not plain (``::ffff:1.2.3.4``), but what is plain is an address for certain.
    """
    return loops.find_doubtful(characters, offsets, doubtful)


def cut_lists(
    characters: Bytes, offsets: Offsets, trimmed: bool, ends: Offsets, copied: Bytes, firsts: Offsets
) -> None:
    """Cut texts at commas; an empty text has no elements.

    :param trimmed: whether elements are trimmed of blanks and tabs; if not, one comma at the end of a text is dropped.
    :param ends: takes where each element ends in ``copied``, from 1 on; ``ends[0]`` stays 0.
    :param copied: takes the elements, one behind the other.
    :param firsts: takes how many elements there are up to the end of each text, from 1 on; ``firsts[0]`` stays 0.
    """
    loops.cut_lists(characters, offsets, trimmed, ends, copied, firsts)


def cut_urls(characters: Bytes, offsets: Offsets, found: Places, firsts: Positions) -> None:
    """Find host (0), without port, and path (1), up to ``?``, of URLs; one that is empty is left out.

    :param found: takes ``NUMBER``, ``BEGIN``, ``END`` for each; has room for two for each URL.
    :param firsts: takes the number of rows up to the end of each URL, from 1 on; ``firsts[0]`` stays 0.
    """
    loops.cut_urls(characters, offsets, found, firsts)


def count_values(text: Bytes, depth: int, level: int) -> int:
    """Count JSON values by their brackets and quotes: at the top, but for arrays, and in lists ``level`` brackets deep.

    :param depth: how many brackets, all of them lists, are open at the begin.
    """
    return loops.count_values(text, depth, level)
