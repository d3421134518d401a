"""The name of a log: ``8416_179.log`` is number 179 of prefix 8416."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

_NAME = re.compile(r"([0-9]{1,19}(?:-[0-9]{1,6})?)_([0-9]{1,19})\.log")
_PREFIX = re.compile(r"(0|[1-9][0-9]{0,18})(?:-([2-9]|[1-9][0-9]{1,5}))?")
_MAX_SEQUENCE = 2**63 - 1  # the lake keeps sequences as int64


@total_ordering
@dataclass(frozen=True, slots=True)
class LogName:
    """The name of one log, taken verbatim from the index.

    Names that come again with other bytes, since Imperva's counter began again, are of another *generation*: the
    second of 8416 is the prefix ``8416-2``. The repository knows nothing of it: ``8416-2_5.log`` is its ``8416_5.log``.

    Only digits, one hyphen, one underscore and ``.log`` get through, so a name is safe as a file name and as a part of
    a URL.
    Names are ordered by number: ``8416_99.log`` comes before ``8416_100.log``.

    :param prefix: the log source, 1 to 19 decimal digits without a leading zero (``"0"`` itself is one). Imperva uses
        3 to 13 digits. From the second generation on, with a hyphen and its number.
    :param sequence: the log's number within its prefix, 0 to 2**63 - 1. Imperva counts from 1 and skips numbers.
    :raises ValueError: prefix or sequence is none of that.
    """

    prefix: str
    sequence: int

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError("the prefix of a log's name is 1 to 19 digits without a leading zero")
        if not 0 <= self.sequence <= _MAX_SEQUENCE:
            raise ValueError("the sequence of a log's name is a number from 0 to 2**63 - 1")

    @classmethod
    def parse(cls, text: str) -> LogName:
        """Read a name such as ``8416_179.log``.

        :raises ValueError: the text is not exactly such a name.
        """
        match = _NAME.fullmatch(text)
        # A zero-padded number would not give the same name back, and the name is what the repository knows the log by.
        if match is None or (match[2][0] == "0" and match[2] != "0"):
            raise ValueError("not the name of a log, which is <prefix>_<sequence>.log")
        return cls(match[1], int(match[2]))

    @classmethod
    def listed(cls, text: str) -> LogName:
        """Read a name as a repository lists it.

        :raises ValueError: the text is not exactly such a name. Prefix 0 is ours, for logs without a number.
        """
        name = cls.parse(text)
        if name.generation > 1 or name.prefix == "0":
            raise ValueError("not a name that a repository gives")
        return name

    @property
    def base(self) -> str:
        """The prefix as the repository has it."""
        return self.prefix.partition("-")[0]

    @property
    def generation(self) -> int:
        """Which generation of its prefix it is of, from 1 on."""
        return prefix_order(self.prefix)[1]

    @property
    def as_listed(self) -> LogName:
        """The name as the repository has it."""
        return LogName(self.base, self.sequence)

    def of_generation(self, number: int) -> LogName:
        """Return the name of this number in another generation."""
        return LogName(generation_prefix(self.base, number), self.sequence)

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Prefix, generation and sequence as numbers, by which names are ordered."""
        return *prefix_order(self.prefix), self.sequence

    def __str__(self) -> str:
        return f"{self.prefix}_{self.sequence}.log"

    def __lt__(self, other: LogName) -> bool:
        return self.numbers < other.numbers


def prefix_order(prefix: str) -> tuple[int, int]:
    """Return a prefix and its generation as numbers, by which prefixes are ordered."""
    base, _, generation = prefix.partition("-")
    return int(base), int(generation or 1)


def generation_prefix(base: str, number: int) -> str:
    """Return the prefix of a generation."""
    return base if number == 1 else f"{base}-{number}"
