"""What is done to all bytes of a log, and the one place where its implementation is chosen.

It is the extension, which is compiled when the package is built. Where there is none, for want of a compiler,
:mod:`~airflow_provider_imperva.events.scan.plain` does the same work several times as slowly, and the log says so once.
``IMPERVA_READER`` asks for one of the two: ``compiled`` or ``plain``.
"""

from __future__ import annotations

import logging
import os
from typing import Protocol

from airflow_provider_imperva.errors import ConfigurationError, quoted
from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Offsets, Places, Positions

log = logging.getLogger(__name__)


class Kernel(Protocol):
    """What every implementation does, to buffers: bytes and positions in, arrays that are there already out.

    A function writes nothing but what its description names. Arrays are C-contiguous. If their sizes do not fit
    together, or a position is outside of an array, the compiled functions raise ``ValueError``, and the others whatever
    NumPy and Arrow raise.
    """

    def find_line_ends(self, text: Bytes, places: Positions) -> int:
        """Write where each LF stands, as far as there is room in ``places``; return how many there are."""

    def count_text(self, text: Bytes, sought: Bytes) -> int:
        """Count how many times a text stands in another, as ``bytes.count`` does; it must not be empty."""

    def count_either(self, text: Bytes, one: Bytes, other: Bytes) -> tuple[int, int]:
        """Count each of two texts in another as ``bytes.count`` does; both begin with the same two bytes."""

    def tally(self, text: Bytes, prefix: Bytes) -> tuple[int, int, int]:
        """Count the LF, the lines that hold more than white space, and those that begin with ``prefix``.

        White space is blank, TAB, VT, FF and CR. Every line begins with an empty ``prefix``; no line is counted after
        an LF that is the last byte.
        """

    def find_pairs(
        self,
        text: Bytes,
        begins: Positions,
        ends: Positions,
        words: Bytes,
        known: Positions,
        tabs: bool,
        irregular: Mask,
        spans: Places,
        firsts: Positions,
        headers: Positions,
    ) -> None:
        """Cut CEF or LEEF records into keys and values, by the rules of ``grammar.extension``.

        A record for which those rules ask for more than is done here is marked in ``irregular``, and has no pairs: one
        without a key, with a key that comes twice or is ``UNEXPECTED``, with a value that begins with a quote, with
        JSON whose brackets do not close, or in a key that is not ``JSON`` (``[{``, ``[[`` or ``{"``), with a blank
        before a ``=`` that no delimiter of pairs is before, with a ``LATE`` key right after an ``EARLY`` one or after
        unknown ones that follow such, with a label that is missing or of another text, or for whose pairs there is no
        room left. Of LEEF also one cut at tabs in which the first value of a key that is not ``FREE_TEXT`` has a ``=``,
        and one without tabs in which a known key stands after the first bar.

        :param begins, ends: where each record stands in ``text``.
        :param words, known: the vocabulary: for each number from 1 up what is recorded of that key. Row 0 is of no key.
        :param tabs: whether records with a tab after the first key are cut at tabs, as LEEF is.
        :param irregular: records that are not looked at, too.
        :param spans: takes a row for each pair but labels: ``NUMBER`` is that of the key, 0 for one that is not known;
            the value from ``BEGIN`` to ``END`` is trimmed of blanks and tabs, and is not empty.
        :param firsts: takes the first row of each record, and the number of rows after the last: one more than
            records.
        :param headers: takes where the first key of each record begins that has any; else it stays as it is.
        """

    def cut_rows(
        self,
        text: Bytes,
        begins: Positions,
        ends: Positions,
        names: int,
        moments: Positions,
        irregular: Mask,
        escaped: Mask,
        spans: Places,
        firsts: Positions,
    ) -> None:
        """Cut W3C rows of quoted values, in the first or the second of the ways of ``grammar.w3c``.

        Any other row is marked in ``irregular`` and has no values; so is one whose date and time are not those of its
        start, or that has only one of date and time.

        :param names: how many values a row has.
        :param moments: which values are date, time and start; ``names`` for one that there is not.
        :param irregular: rows that are not looked at, too.
        :param escaped: takes which rows are cut in the second way.
        :param spans: takes a row for each value that is not empty: ``NUMBER`` from 0 up, ``BEGIN`` and ``END``,
            trimmed. It has to have room for one value more than ``names`` after the values of the other rows.
        :param firsts: takes the first row of each, and the number of rows after the last.
        """

    def measure(self, spans: Places, column_of: Positions, sizes: Positions) -> None:
        """Add the bytes of each text to ``sizes`` of the column of its number, if it has one.

        :param column_of: column by number, -1 for none; numbers beyond have none either.
        """

    def copy(
        self,
        text: Bytes,
        spans: Places,
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
        """Copy the texts of some lines to their columns, without escapes.

        The first columns, ``len(codes)``, have codes: their distinct texts are copied once each.

        :param rows: the lines, each a place in ``firsts``.
        :param column_of: column by number, -1 for none; numbers beyond have none either.
        :param escape: ``PLAIN``, ``BACKSLASH`` or ``QUOTE``; ``escaped``: in which lines (places in ``firsts``) to look
            for any.
        :param copied: takes the texts of each column, one after the other, and after them ``SLACK`` bytes of
            anything.
        :param places: where in ``copied`` the next text of each column goes to; moves on.
        :param ends: ``[column, len(rows) + 1]``. Of a column with codes it takes where the distinct texts end in
            ``copied``, in the order they come first, from ``[column, 1]`` on; ``[column, 0]`` is where the first
            begins. Of another it takes at ``[column, row + 1]`` how long the text of the row is, and is left alone
            where the row has none.
        :param codes: ``[column, row]``: takes which of the distinct texts the row has; left alone where it has none.
        :param counts: how many distinct texts each column with codes has; counts on.
        """

    def recode(self, codes: Offsets, used: Offsets, new_codes: Offsets) -> int:
        """Renumber codes, in the order they come first; negative ones stay.

        :param codes: takes the new ones.
        :param used: takes the old code of each new one.
        :param new_codes: room for the new code of each old one; takes -1 for one that does not come.
        :return: how many new ones there are.
        """

    def finish(self, codes: Places, ends: Places, valid: Bytes) -> None:
        """Turn what :meth:`copy` wrote into buffers of Arrow.

        :param codes: of columns with codes; a code that is negative, for no text, becomes 0.
        :param ends: of the other columns; each length becomes the sum of those up to it. The first of a column is 0.
        :param valid: takes a bit for each row of each column, from the lowest of a byte on, whether it has a text;
            each column begins with a byte of its own, first those with codes.
        """

    def read_digits(
        self,
        characters: Bytes,
        offsets: Offsets,
        fewest: int,
        most: int,
        largest: int,
        values: Positions,
        irregular: Mask,
    ) -> int:
        """Read texts that consist of digits only, ``fewest`` to ``most`` of them (18 at most).

        :param offsets: where each text begins in ``characters``, and the last one ends.
        :param values: takes the numbers; anything for an irregular text.
        :param irregular: takes whether a text is another one, or its number above ``largest``; empty texts (nulls) are
            irregular.
        :return: how many are irregular.
        """

    def find_doubtful(self, characters: Bytes, offsets: Offsets, doubtful: Positions) -> int:
        """Write which texts are not empty and not plainly an IPv4 or IPv6 address; return how many.

        Some addresses are not plain (``::ffff:1.2.3.4``), but what is plain is an address for certain.
        """

    def cut_lists(
        self, characters: Bytes, offsets: Offsets, trimmed: bool, ends: Offsets, copied: Bytes, firsts: Offsets
    ) -> None:
        """Cut texts at commas; an empty text has no elements.

        :param trimmed: whether elements are trimmed of blanks and tabs; if not, one comma at the end of a text is
            dropped.
        :param ends: takes where each element ends in ``copied``, from 1 on; ``ends[0]`` stays 0.
        :param copied: takes the elements, one after the other.
        :param firsts: takes how many elements there are up to the end of each text, from 1 on; ``firsts[0]`` stays 0.
        """

    def cut_urls(self, characters: Bytes, offsets: Offsets, spans: Places, firsts: Positions) -> None:
        """Find host (0), without port, and path (1), up to ``?``, of URLs; one that is empty is left out.

        :param spans: takes ``NUMBER``, ``BEGIN``, ``END`` for each; has room for two for each URL.
        :param firsts: takes the number of rows up to the end of each URL, from 1 on; ``firsts[0]`` stays 0.
        """

    def count_values(self, text: Bytes, depth: int) -> int:
        """Count JSON values by their brackets and quotes.

        Those count that are at the top, but for arrays, and those in arrays at the top.

        :param depth: how many brackets, all of them lists, are open at the begin.
        """

    def cut_headers(
        self,
        characters: Bytes,
        offsets: Offsets,
        irregular: Mask,
        firsts: Offsets,
        codes: Offsets,
        value_firsts: Offsets,
        ends: Offsets,
        copied: Bytes,
        name_ends: Offsets,
        names: Bytes,
    ) -> tuple[int, int, int]:
        """Take apart JSON texts of HTTP headers such as ``[{"Accept":"*/*"},{"X-Trace":"1"}]``, by name in lower case.

        A text that is written otherwise is marked in ``irregular``, and has no names: one with blanks between, with a
        backslash, without a header, with a name that is not ASCII, or with more than 64 headers two of which have the
        same name. No text has more headers than a byte in eight.

        :param irregular: texts that are not looked at, too.
        :param firsts: takes how many names there are up to the end of each text, from 1 on; ``firsts[0]`` is 0.
        :param codes: takes which of the distinct names each is; each stands once in its text, in the order they come.
        :param value_firsts: takes how many values there are up to the end of each name, from 1 on; ``value_firsts[0]``
            is 0.
        :param ends: takes where each value ends in ``copied``, from 1 on; ``ends[0]`` is 0.
        :param copied: takes the values, those of a name in their order, one after the other.
        :param name_ends: takes where each distinct name ends in ``names``, from 1 on; ``name_ends[0]`` is 0.
        :param names: takes the distinct names, one after the other.
        :return: how many names, values and distinct names there are.
        """


def _chosen(wanted: str) -> Kernel:
    if wanted not in ("", "compiled", "plain"):
        raise ConfigurationError(
            f"there is no reader {quoted(wanted)}",
            do="Set IMPERVA_READER to compiled or plain, or not at all",
            about="IMPERVA_READER",
        )
    if wanted != "plain":
        try:
            from airflow_provider_imperva.events.scan import _kernel
        except ImportError as error:
            if wanted:
                raise
            log.warning("Logs are read without the compiled extension, and so several times as slowly: %s", error)
        else:
            return _kernel
    from airflow_provider_imperva.events.scan import plain

    return plain


_KERNEL = _chosen(os.environ.get("IMPERVA_READER", ""))
find_line_ends = _KERNEL.find_line_ends
count_text = _KERNEL.count_text
count_either = _KERNEL.count_either
tally = _KERNEL.tally
find_pairs = _KERNEL.find_pairs
cut_rows = _KERNEL.cut_rows
measure = _KERNEL.measure
copy = _KERNEL.copy
recode = _KERNEL.recode
finish = _KERNEL.finish
read_digits = _KERNEL.read_digits
find_doubtful = _KERNEL.find_doubtful
cut_lists = _KERNEL.cut_lists
cut_urls = _KERNEL.cut_urls
count_values = _KERNEL.count_values
cut_headers = _KERNEL.cut_headers
