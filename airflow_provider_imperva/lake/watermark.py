"""How far a repository has been loaded, per prefix: pure sequence algebra over ranges of numbers.

Ranges, and never single numbers, because an index is not to be trusted: one line with a huge number must not make us
count up to it.

A number that the index does not list is a *gap* while Imperva may still list it, was *skipped* once
it has been missing for longer than the window while we looked, and is *unobserved* if the index was not read for so
long that it may have come and gone. A gap too long to be one stays open: what comes next stands in it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

import msgspec


class State(StrEnum):
    """What is known of a log, or of a number that no log is known for."""

    LISTED = "listed"
    """In the index; will be fetched."""
    GAP = "gap"
    """Below a number that was listed, never listed itself, younger than the window."""
    AWAITING_KEY = "awaiting_key"
    """In ``raw/``; loads by itself once its private key is there."""
    DAMAGED = "damaged"
    """In ``raw/``, but what came is damaged or not a log; asked for again while the index lists it."""
    COMMITTED = "committed"
    """Loaded."""
    QUARANTINED = "quarantined"
    """In ``raw/``, but could not be decoded."""
    DUPLICATE = "duplicate"
    """In ``raw/``, and its content is that of another log, which is loaded."""
    EXPIRED = "expired"
    """Was listed, and gone when we asked for it."""
    SKIPPED = "skipped"
    """A gap older than the window: Imperva never wrote it."""
    UNOBSERVED = "unobserved"
    """A gap that logs may have come and gone in while nobody looked: skipped or lost, which cannot be decided."""


LOST = frozenset({State.EXPIRED, State.UNOBSERVED})
"""States in which events may be missing from the lake for good: the run alerts people."""

ABSENT = LOST | {State.SKIPPED}
"""Final states of numbers of which nothing was ever fetched: such a log is fetched if an index lists it after all."""

CLOCKS_DIFFER = timedelta(hours=1)
"""How far the clocks of two machines may be apart before a time in the ledger is taken as wrong."""

_PLAUSIBLE_JUMP = 1_000_000
"""More numbers than a repository can have skipped, and than it could hold logs: one that lies farther ahead is a wrong
line of the index, and no evidence that those below it are missing.
"""


class Range(msgspec.Struct, frozen=True, omit_defaults=True, rename={"first": "from", "last": "to"}):
    """Consecutive numbers of one prefix in one state.

    :ivar first, last: the ends, both included.
    :ivar since: when it was first listed or, for a gap, first missed; UTC.
    :ivar public_key_id: of the private key that is missing, for ``awaiting_key``.
    :ivar ask_again_at: when it is to be fetched again, for ``damaged``; UTC.
    :ivar after: for ``listed``, the look before the one that first listed it: it was written later than that.
    """

    first: int
    last: int
    state: State
    since: datetime
    public_key_id: str | None = None
    after: datetime | None = None
    ask_again_at: datetime | None = None


class Waiting(msgspec.Struct, frozen=True):
    """What keeps a log undecided although its bytes are in ``raw/``.

    :ivar state: ``awaiting_key`` or ``damaged``.
    :ivar public_key_id: of the private key that is missing.
    :ivar ask_again_at: when it is to be fetched again, UTC.
    """

    state: State
    public_key_id: str | None = None
    ask_again_at: datetime | None = None


class Prefix(msgspec.Struct, frozen=True, omit_defaults=True):
    """The watermark of one prefix.

    :ivar contiguous: every number up to it is decided.
    :ivar highest: the highest number ever listed.
    :ivar open: what is undecided between the two, ascending.
    :ivar left_out: every number up to it was left out on purpose when the lake began; -1 if none was.
    """

    contiguous: int
    highest: int
    open: tuple[Range, ...] = ()
    left_out: int = -1

    def numbers(self, state: State) -> Iterator[tuple[int, Range]]:
        """Yield each open number in a state with the range it is in, ascending."""
        for item in self.open:
            if item.state is state:
                for number in range(item.first, item.last + 1):
                    yield number, item


MOST_SUMMARIZED = 40
"""How many prefixes a summary names, so that it stays below 10 kB whatever an index has in it."""


def summarize(prefixes: Mapping[str, Prefix]) -> dict[str, dict[str, Any]]:
    """Describe how far a repository has been loaded in few words: XComs and asset events live in Airflow's database.

    :returns: by prefix ``contiguous``, ``highest`` and, in ``open``, how many numbers are open in each state (left out
        if none is). Of more than 40 prefixes, those with open numbers come first.
    """
    in_order = sorted(prefixes, key=lambda name: (not prefixes[name].open, len(name), name))
    return {name: _summary(prefixes[name]) for name in in_order[:MOST_SUMMARIZED]}


def _summary(prefix: Prefix) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for item in prefix.open:
        counts[item.state.value] += item.last - item.first + 1
    opened = {"open": dict(counts)} if counts else {}
    return {"contiguous": prefix.contiguous, "highest": prefix.highest, **opened}


class Observation(msgspec.Struct, frozen=True):
    """What one look at the index changes for a prefix.

    :ivar prefix: the watermark after the look.
    :ivar closed: gaps that the look decides, as skipped or unobserved.
    """

    prefix: Prefix
    closed: tuple[Range, ...]


def begin(
    listed: Sequence[int],
    *,
    at: datetime,
    window: timedelta,
    start: str | int = "oldest",
    unwatched: bool = False,
    last_look: datetime | None = None,
) -> Observation:
    """Look at a prefix for the first time.

    :param listed: the numbers in the index, ascending, at least one.
    :param start: ``oldest`` takes everything the index has, ``now`` what comes after it, a number what comes from
        there on.
    :param unwatched, last_look: as for :func:`observe`, if other prefixes were looked at before.
    """
    left_out = -1 if start == "oldest" else listed[-1] if start == "now" else int(start) - 1
    wanted = listed[bisect_right(listed, left_out) :]
    if not wanted:
        return Observation(Prefix(left_out, left_out, left_out=left_out), ())
    before = wanted[0] - 1
    # Between the number asked for and the first listed, what there was cannot be known.
    unknown = (Range(left_out + 1, before, State.UNOBSERVED, at),) if start != "oldest" and left_out < before else ()
    none_yet = Prefix(before, before, left_out=left_out)
    seen = observe(none_yet, wanted, at=at, window=window, unwatched=unwatched, last_look=last_look)
    return msgspec.structs.replace(seen, closed=unknown + seen.closed)


def observe(
    prefix: Prefix,
    listed: Sequence[int],
    *,
    at: datetime,
    window: timedelta,
    unwatched: bool,
    last_look: datetime | None = None,
) -> Observation:
    """Compare an index with the watermark.

    :param listed: the numbers of this prefix in the index, ascending; may be empty.
    :param at: when the index was read, UTC.
    :param window: how long Imperva keeps a log.
    :param unwatched: whether so long has passed since the look before this one that logs may have come and gone.
    :param last_look: when that was; None if there was none.
    """
    opened: list[Range] = []
    closed: list[Range] = []
    for piece, hit in _split(_believed(prefix.open, listed, at=at), listed):
        if piece.state is not State.GAP:
            opened.append(piece)
        elif hit:
            opened.append(Range(piece.first, piece.last, State.LISTED, at, after=last_look))
        elif is_implausible(piece):
            opened.append(piece)
        elif unwatched:
            closed.append(_with(piece, State.UNOBSERVED, piece.since))
        elif at - piece.since > window:
            closed.append(_with(piece, State.SKIPPED, piece.since))
        elif piece.since - at > CLOCKS_DIFFER:
            # A clock that was ahead says nothing of how long it has been missing.
            opened.append(_with(piece, State.GAP, at))
        else:
            opened.append(piece)
    next_expected = prefix.highest + 1
    for first, last in _runs(listed[bisect_right(listed, prefix.highest) :]):
        if next_expected < first:
            # Numbers come late now and then, so that a lower one still listed does not vouch for those above it.
            hole = Range(next_expected, first - 1, State.GAP, at)
            if unwatched and not is_implausible(hole):
                closed.append(_with(hole, State.UNOBSERVED, at))
            else:
                opened.append(hole)
        opened.append(Range(first, last, State.LISTED, at, after=last_look))
        next_expected = last + 1
    return Observation(_settle(prefix, opened, highest=next_expected - 1), tuple(closed))


def decided(prefix: Prefix, listed: Sequence[int]) -> list[int]:
    """Return the numbers that an index lists although they are decided, ascending; none that was left out.

    :param listed: the numbers of this prefix in the index, ascending.
    """
    above = bisect_right(listed, prefix.left_out)
    return [number for number, item in _with_ranges(prefix, listed[above:]) if item is None]


def knows_any(prefix: Prefix, listed: Sequence[int], *, late: Container[int]) -> bool:
    """Return whether one of the logs listed was listed, or left out, at an earlier look.

    :param listed: the numbers of this prefix in the index, ascending.
    :param late: those of them that are decided although no log of theirs was ever had.
    """
    return any(
        number not in late if item is None else item.state is not State.GAP
        for number, item in _with_ranges(prefix, listed)
    )


def listed_since(prefix: Prefix, number: int, since: datetime) -> bool:
    """Return whether a number that is listed now was first listed at some time or later; False if it is decided."""
    if number > prefix.highest:
        return True
    ((_, item),) = _with_ranges(prefix, [number])
    return item is not None and (item.state is State.GAP or item.since >= since)


def decide(prefix: Prefix, outcomes: Mapping[int, Waiting | None]) -> Prefix:
    """Apply what became of logs.

    :param outcomes: by number: None for a log that is decided, or what it waits for.
    """
    numbers = sorted(outcomes)
    opened: list[Range] = []
    for piece, hit in _split(prefix.open, numbers):
        if not hit:
            opened.append(piece)
            continue
        for number in range(piece.first, piece.last + 1):
            if waiting := outcomes[number]:
                opened.append(
                    Range(
                        number,
                        number,
                        waiting.state,
                        piece.since,
                        public_key_id=waiting.public_key_id,
                        ask_again_at=waiting.ask_again_at,
                    )
                )
    return _settle(prefix, opened, highest=prefix.highest)


def hand_over(prefix: Prefix, listed: Sequence[int], *, in_raw: Container[int]) -> Observation:
    """Give up the logs that were never fetched, and whose names the index lists for the next generation.

    They are lost, as far as can be known: what comes under such a name now may be the same log or another one, and
    there are no bytes to compare. Whatever is in ``raw/`` stays open.

    :param listed: the numbers of this prefix in the index, ascending.
    :param in_raw: those of them that were fetched.
    """
    opened: list[Range] = []
    closed: list[Range] = []
    never_fetched = [number for number in listed if number not in in_raw]
    for piece, hit in _split(prefix.open, never_fetched):
        if hit and piece.state is State.LISTED:
            closed.append(_with(piece, State.EXPIRED, piece.since))
        else:
            opened.append(piece)
    return Observation(_settle(prefix, opened, highest=prefix.highest), tuple(closed))


def reopen(prefix: Prefix, numbers: Iterable[int], *, at: datetime) -> Prefix:
    """Take back the decision on numbers that an index lists after all, so that their logs are fetched.

    ``contiguous`` falls below the lowest of them, since they are undecided again.
    """
    listed = [Range(number, number, State.LISTED, at) for number in numbers]
    return _settle(prefix, [*prefix.open, *listed], highest=prefix.highest)


def _with(piece: Range, state: State, since: datetime) -> Range:
    return Range(piece.first, piece.last, state, since)


def _with_ranges(prefix: Prefix, listed: Sequence[int]) -> Iterator[tuple[int, Range | None]]:
    """Yield the numbers listed that are not new, each with the open range it is in; None if it is decided."""
    starts = [item.first for item in prefix.open]
    for number in listed[: bisect_right(listed, prefix.highest)]:
        place = bisect_right(starts, number) - 1
        item = prefix.open[place] if place >= 0 else None
        yield number, item if item and number <= item.last else None


def is_implausible(item: Range) -> bool:
    """Return whether it is a gap of so many numbers that the one after it must be a wrong line of the index."""
    return item.state is State.GAP and item.last - item.first >= _PLAUSIBLE_JUMP


def _believed(ranges: Iterable[Range], listed: Sequence[int], *, at: datetime) -> Iterator[Range]:
    """Cut implausible gaps above the highest number listed in them: only below that is a number known to be missing.

    And it is so from now on, since what stood above the gap was not evidence of it.
    """
    for item in ranges:
        inside = listed[bisect_left(listed, item.first) : bisect_right(listed, item.last)]
        if is_implausible(item) and inside:
            yield Range(item.first, inside[-1], State.GAP, at)
            item = msgspec.structs.replace(item, first=inside[-1] + 1)
        if item.first <= item.last:
            yield item


def _settle(prefix: Prefix, opened: Iterable[Range], *, highest: int) -> Prefix:
    """Join ranges that touch and say the same, and move ``contiguous`` up to the first open one."""
    joined: list[Range] = []
    for item in sorted(opened, key=lambda piece: piece.first):
        if joined and joined[-1].last + 1 == item.first and _same(joined[-1], item):
            item = msgspec.structs.replace(joined.pop(), last=item.last)
        joined.append(item)
    contiguous = joined[0].first - 1 if joined else highest
    return Prefix(contiguous, highest, tuple(joined), prefix.left_out)


def _same(one: Range, other: Range) -> bool:
    return msgspec.structs.replace(one, first=other.first, last=other.last) == other


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of consecutive numbers."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        yield run[0], run[-1]


def _split(ranges: Iterable[Range], numbers: Sequence[int]) -> Iterator[tuple[Range, bool]]:
    """Cut ranges into the pieces that are among ``numbers`` (True) and the rest (False)."""
    for item in ranges:
        rest = item.first
        for first, last in _runs(numbers[bisect_left(numbers, item.first) : bisect_right(numbers, item.last)]):
            if rest < first:
                yield msgspec.structs.replace(item, first=rest, last=first - 1), False
            yield msgspec.structs.replace(item, first=first, last=last), True
            rest = last + 1
        if rest <= item.last:
            yield msgspec.structs.replace(item, first=rest), False
