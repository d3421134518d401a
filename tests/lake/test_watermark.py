"""The watermark tells every number apart, and says the same as a model that remembers each of them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_imperva.lake.watermark import (
    ABSENT,
    Observation,
    Prefix,
    Range,
    State,
    Waiting,
    begin,
    decide,
    decided,
    knows_any,
    observe,
    reopen,
)

WINDOW = timedelta(hours=48)
T0 = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def first_look(*listed: int, start: str | int = "oldest") -> Observation:
    return begin(listed, at=T0, window=WINDOW, start=start)


def look(prefix: Prefix, *listed: int, hours: float, unwatched: bool = False) -> Observation:
    return observe(prefix, listed, at=T0 + hours * HOUR, window=WINDOW, unwatched=unwatched)


def key(public_key_id: str | None) -> Waiting:
    return Waiting(State.AWAITING_KEY, public_key_id=public_key_id)


def committed(prefix: Prefix, *numbers: int) -> Prefix:
    return decide(prefix, dict.fromkeys(numbers))


def ranges(items: Iterable[Range]) -> list[tuple[int, int, str]]:
    return [(item.first, item.last, item.state.value) for item in items]


class TestBegin:
    def test_oldest_takes_all_that_the_index_has_and_knows_nothing_of_what_was_before(self) -> None:
        seen = first_look(17, 18, 20)
        assert ranges(seen.prefix.open) == [(17, 18, "listed"), (19, 19, "gap"), (20, 20, "listed")]
        assert (seen.prefix.contiguous, seen.prefix.highest) == (16, 20)
        assert seen.closed == ()

    def test_now_leaves_out_what_is_listed_and_takes_what_comes_after(self) -> None:
        prefix = first_look(17, 18, 20, start="now").prefix
        assert (prefix.contiguous, prefix.highest, prefix.left_out, prefix.open) == (20, 20, 20, ())
        later = look(prefix, 17, 18, 20, 21, hours=1)
        assert ranges(later.prefix.open) == [(21, 21, "listed")]
        assert decided(prefix, [17, 18, 20, 21]) == [], "what was left out on purpose must not come back as late"

    def test_a_number_begins_there(self) -> None:
        seen = first_look(17, 18, 20, start=18)
        assert ranges(seen.prefix.open) == [(18, 18, "listed"), (19, 19, "gap"), (20, 20, "listed")]
        assert seen.prefix.left_out == 17
        assert decided(seen.prefix, [17, 18, 20]) == []

    def test_a_number_below_the_first_listed_leaves_unobserved_what_may_have_come_and_gone(self) -> None:
        seen = first_look(17, 18, start=10)
        assert ranges(seen.closed) == [(10, 16, "unobserved")]
        assert ranges(seen.prefix.open) == [(17, 18, "listed")]

    def test_a_number_above_all_listed_waits_for_it(self) -> None:
        prefix = first_look(17, 18, start=30).prefix
        assert (prefix.contiguous, prefix.highest, prefix.open) == (29, 29, ())
        assert ranges(look(prefix, 28, 29, 30, hours=1).prefix.open) == [(30, 30, "listed")]

    def test_number_zero_is_a_log_like_any_other(self) -> None:
        assert ranges(first_look(0, 1).prefix.open) == [(0, 1, "listed")]
        assert decided(committed(first_look(5).prefix, 5), [0, 5]) == [0, 5], "0 came late, below the first ever listed"


class TestKnowsAny:
    def test_what_was_listed_before_is_known_loaded_or_not(self) -> None:
        prefix = committed(first_look(1, 2, 3).prefix, 1, 2)
        assert knows_any(prefix, [2], late=())
        assert knows_any(prefix, [3, 4], late=())

    def test_a_new_log_and_one_that_fills_a_gap_are_not(self) -> None:
        prefix = committed(first_look(1, 4).prefix, 1, 4)
        assert not knows_any(prefix, [5, 6], late=())
        assert not knows_any(prefix, [2, 3, 5], late=())
        assert knows_any(prefix, [2, 3, 4], late=())
        assert not knows_any(prefix, [], late=())

    def test_what_was_left_out_on_purpose_is(self) -> None:
        assert knows_any(first_look(17, 18, start="now").prefix, [18, 19], late=())

    def test_a_late_one_that_was_given_up_or_lies_below_all_that_was_listed_is_not(self) -> None:
        prefix = look(committed(first_look(4, 6).prefix, 4, 6), 6, hours=49).prefix
        assert not knows_any(prefix, [2, 5, 7], late={2, 5})
        assert knows_any(prefix, [2, 5, 6], late={2, 5})


class TestObserve:
    def test_a_new_number_is_listed_since_the_look(self) -> None:
        prefix = look(committed(first_look(1).prefix, 1), 1, 2, hours=3).prefix
        assert prefix.open == (Range(2, 2, State.LISTED, T0 + 3 * HOUR),)

    def test_a_log_keeps_the_time_it_was_first_listed(self) -> None:
        prefix = look(first_look(1, 2).prefix, 1, 2, hours=3).prefix
        assert prefix.open == (Range(1, 2, State.LISTED, T0),)

    def test_a_listed_log_that_leaves_the_index_stays_open_until_it_was_asked_for(self) -> None:
        assert ranges(look(first_look(1, 2).prefix, 2, hours=100, unwatched=True).prefix.open) == [(1, 2, "listed")]

    def test_a_hole_is_a_gap_while_it_may_still_be_listed(self) -> None:
        seen = look(first_look(1, 4).prefix, 1, 4, hours=48)
        assert ranges(seen.prefix.open) == [(1, 1, "listed"), (2, 3, "gap"), (4, 4, "listed")]
        assert seen.closed == ()

    def test_a_late_number_inside_the_window_splits_its_gap(self) -> None:
        prefix = look(first_look(1, 6).prefix, 1, 4, 6, hours=5).prefix
        assert ranges(prefix.open)[1:4] == [(2, 3, "gap"), (4, 4, "listed"), (5, 5, "gap")]
        assert prefix.open[2].since == T0 + 5 * HOUR
        assert prefix.open[1].since == T0

    def test_a_gap_older_than_the_window_was_skipped(self) -> None:
        seen = look(first_look(1, 4).prefix, 1, 4, hours=48.1)
        assert ranges(seen.closed) == [(2, 3, "skipped")]
        assert seen.closed[0].since == T0
        assert ranges(seen.prefix.open) == [(1, 1, "listed"), (4, 4, "listed")]

    def test_a_number_listed_in_the_last_moment_is_fetched_and_not_skipped(self) -> None:
        seen = look(first_look(1, 4).prefix, 2, 4, hours=50)
        assert ranges(seen.closed) == [(3, 3, "skipped")]
        assert (2, 2, "listed") in ranges(seen.prefix.open)

    def test_after_a_long_absence_whatever_is_not_listed_may_have_come_and_gone(self) -> None:
        """10 may have come late, and 12 been there and gone before it: so 10 does not vouch for 12."""
        prefix = committed(first_look(1, 2).prefix, 1, 2)
        seen = look(prefix, 10, 11, 14, hours=100, unwatched=True)
        assert ranges(seen.closed) == [(3, 9, "unobserved"), (12, 13, "unobserved")]
        assert ranges(seen.prefix.open) == [(10, 11, "listed"), (14, 14, "listed")]

    def test_after_a_long_absence_without_a_hole_nothing_is_unobserved(self) -> None:
        seen = look(committed(first_look(1, 2).prefix, 1, 2), 3, 4, hours=100, unwatched=True)
        assert seen.closed == ()
        assert ranges(seen.prefix.open) == [(3, 4, "listed")]

    def test_a_gap_that_nobody_watched_is_unobserved_and_not_skipped(self) -> None:
        seen = look(committed(first_look(1, 4).prefix, 1, 4), 4, hours=100, unwatched=True)
        assert ranges(seen.closed) == [(2, 3, "unobserved")]
        assert (seen.prefix.contiguous, seen.prefix.open) == (4, ())

    def test_after_a_long_absence_the_holes_of_a_new_prefix_are_unobserved_too(self) -> None:
        seen = begin((7, 9), at=T0 + 100 * HOUR, window=WINDOW, unwatched=True, last_look=T0)
        assert ranges(seen.closed) == [(8, 8, "unobserved")]
        assert ranges(seen.prefix.open) == [(7, 7, "listed"), (9, 9, "listed")]
        assert seen.prefix.open[0].after == T0

    def test_after_a_long_absence_one_wrong_line_is_no_evidence_either(self) -> None:
        """Else the numbers below it were lost by the billion, and every log to come would be late for ever."""
        prefix = committed(first_look(1, 2).prefix, 1, 2)
        seen = look(prefix, 5, 99_999_999_999, hours=100, unwatched=True)
        assert ranges(seen.closed) == [(3, 4, "unobserved")]
        assert ranges(seen.prefix.open)[1] == (6, 99_999_999_998, "gap")
        seen = look(seen.prefix, 5, 6, 8, 99_999_999_999, hours=200, unwatched=True)
        assert ranges(seen.closed) == [(7, 7, "unobserved")], "a real hole below it is seen"
        assert ranges(seen.prefix.open)[:3] == [(5, 5, "listed"), (6, 6, "listed"), (8, 8, "listed")]
        assert decided(seen.prefix, [6, 8]) == [], "logs below it are new, and not late"

    def test_a_gap_noted_in_the_future_is_missing_since_now(self) -> None:
        prefix = look(first_look(1).prefix, 1, 4, hours=72).prefix
        seen = look(prefix, 1, 4, hours=1)
        assert [item.since for item in seen.prefix.open if item.state is State.GAP] == [T0 + HOUR]

    def test_what_waits_for_a_key_is_no_gap(self) -> None:
        prefix = decide(first_look(1, 2).prefix, {1: key("7"), 2: None})
        seen = look(prefix, 2, hours=1000, unwatched=True)
        assert ranges(seen.prefix.open) == [(1, 1, "awaiting_key")]
        assert seen.prefix.open[0].public_key_id == "7"
        assert seen.closed == ()

    def test_an_index_without_this_prefix_changes_only_what_time_changes(self) -> None:
        prefix = first_look(1, 3).prefix
        assert look(prefix, hours=1).prefix == prefix
        assert ranges(look(prefix, hours=49).closed) == [(2, 2, "skipped")]

    def test_decided_numbers_that_are_listed_are_named_once_and_open_ones_are_not(self) -> None:
        prefix = committed(first_look(5, 6, 9).prefix, 5, 9)
        assert decided(prefix, [3, 5, 6, 9, 10]) == [3, 5, 9]

    def test_a_huge_number_costs_nothing(self) -> None:
        huge = 2**63 - 1
        began = time.perf_counter()
        prefix = first_look(1, huge).prefix
        prefix = committed(look(prefix, 1, 2, 2**40, huge, hours=1).prefix, 1, 2)
        seen = look(prefix, 1, 2, 2**40, huge, hours=49)
        assert time.perf_counter() - began < 0.5
        assert ranges(seen.closed) == []
        assert ranges(seen.prefix.open)[-3:] == [
            (2**40, 2**40, "listed"),
            (2**40 + 1, huge - 1, "gap"),
            (huge, huge, "listed"),
        ]

    def test_a_number_far_beyond_all_others_is_no_evidence_of_those_below_it(self) -> None:
        """Else one wrong line of an index would call every log that is yet to come skipped."""
        prefix = committed(look(committed(first_look(1).prefix, 1), 1, 10**9, hours=1).prefix, 10**9)
        assert look(prefix, 1, hours=60).closed == ()
        seen = look(prefix, 1, 2, 4, hours=60)
        assert seen.closed == (), "3 is missing only since 4 is there"
        assert ranges(seen.prefix.open) == [(2, 2, "listed"), (3, 3, "gap"), (4, 4, "listed"), (5, 10**9 - 1, "gap")]
        assert ranges(look(seen.prefix, 2, 4, hours=109).closed) == [(3, 3, "skipped")]

    def test_after_a_long_absence_such_a_gap_stays_open_too(self) -> None:
        prefix = committed(look(committed(first_look(1).prefix, 1), 1, 10**9, hours=1).prefix, 10**9)
        seen = look(prefix, 1, 4, hours=100, unwatched=True)
        assert ranges(seen.closed) == [(2, 3, "unobserved")]
        assert ranges(seen.prefix.open) == [(4, 4, "listed"), (5, 10**9 - 1, "gap")]


class TestDecide:
    def test_a_damaged_log_stays_open_with_the_time_to_ask_again(self) -> None:
        waiting = Waiting(State.DAMAGED, ask_again_at=T0 + HOUR)
        prefix = decide(first_look(1, 2).prefix, {1: waiting, 2: None})
        assert prefix == Prefix(0, 2, (Range(1, 1, State.DAMAGED, T0, ask_again_at=T0 + HOUR),))
        seen = look(prefix, 3, hours=1000, unwatched=True)
        assert ranges(seen.prefix.open) == [(1, 1, "damaged"), (3, 3, "listed")], "no gap: its bytes are in raw/"
        assert decide(prefix, {1: None}) == Prefix(2, 2)

    def test_contiguous_is_the_last_number_before_the_first_open_one(self) -> None:
        prefix = first_look(1, 2, 3, 5).prefix
        assert committed(prefix, 1, 3).contiguous == 1
        assert committed(prefix, 1, 2, 3, 5).contiguous == 3
        assert ranges(committed(prefix, 1, 2, 3, 5).open) == [(4, 4, "gap")]

    def test_a_log_that_waits_for_a_key_stays_open_with_the_id_and_its_own_time(self) -> None:
        prefix = decide(first_look(1, 2, 3).prefix, {1: None, 2: key("2"), 3: key("3")})
        assert prefix.open == (
            Range(2, 2, State.AWAITING_KEY, T0, public_key_id="2"),
            Range(3, 3, State.AWAITING_KEY, T0, public_key_id="3"),
        )
        assert committed(prefix, 2, 3) == Prefix(3, 3)

    def test_neighbours_that_wait_for_the_same_key_are_one_range(self) -> None:
        assert ranges(decide(first_look(1, 2).prefix, {1: key("2"), 2: key("2")}).open) == [(1, 2, "awaiting_key")]

    def test_what_is_decided_twice_is_decided_once(self) -> None:
        prefix = committed(first_look(1, 2).prefix, 1)
        assert committed(prefix, 1) == prefix


class TestReopen:
    def test_contiguous_falls_back_below_it(self) -> None:
        prefix = reopen(committed(first_look(3, 4, 5).prefix, 3, 4, 5), [4], at=T0 + HOUR)
        assert prefix == Prefix(3, 5, (Range(4, 4, State.LISTED, T0 + HOUR),))

    def test_below_the_first_ever_listed(self) -> None:
        prefix = reopen(committed(first_look(3).prefix, 3), [1], at=T0)
        assert (prefix.contiguous, prefix.highest) == (0, 3)
        assert committed(prefix, 1) == Prefix(3, 3)


class TestRecord:
    def test_the_json_is_the_one_other_programs_read(self) -> None:
        since = "2026-11-22T10:00:00Z"
        prefix = Prefix(540, 560, (Range(545, 546, State.GAP, T0), Range(550, 550, State.AWAITING_KEY, T0, "2")))
        assert msgspec.to_builtins(prefix) == {
            "contiguous": 540,
            "highest": 560,
            "open": (
                {"from": 545, "to": 546, "state": "gap", "since": since},
                {"from": 550, "to": 550, "state": "awaiting_key", "since": since, "public_key_id": "2"},
            ),
        }

    def test_numbers_gives_each_open_number_of_a_state(self) -> None:
        prefix = first_look(1, 2, 4).prefix
        assert [number for number, _ in prefix.numbers(State.LISTED)] == [1, 2, 4]


_NEAR = st.sets(st.integers(-25, 12), max_size=20)


class WatermarkMachine(RuleBasedStateMachine):
    """Looks, outages, decisions and late logs in any order, against a dict with every number in it."""

    @initialize(listed=st.sets(st.integers(0, 40), min_size=1), start=st.sampled_from(["oldest", "now", 0, 7, 20, 60]))
    def begin(self, listed: set[int], start: str | int) -> None:
        self.now = self.looked = T0
        numbers = sorted(listed)
        seen = begin(numbers, at=self.now, window=WINDOW, start=start)
        self.left_out = -1 if start == "oldest" else numbers[-1] if start == "now" else int(start) - 1
        lowest = numbers[0] if start == "oldest" else self.left_out + 1
        self.highest = max(numbers[-1], lowest - 1)
        self.states: dict[int, tuple[State, datetime, str | None]] = {}
        expected_closed = set()
        for number in range(lowest, self.highest + 1):
            if number in listed:
                self.states[number] = State.LISTED, self.now, None
            elif start != "oldest" and number < next((n for n in numbers if n >= lowest), 0):
                self.states[number] = State.UNOBSERVED, self.now, None
                expected_closed.add(number)
            else:
                self.states[number] = State.GAP, self.now, None
        assert {n for item in seen.closed for n in range(item.first, item.last + 1)} == expected_closed
        self.prefix = seen.prefix

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule(hours=st.integers(49, 200))
    def outage(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule(near=_NEAR)
    def index_is_read(self, near: set[int]) -> None:
        listed = sorted({self.highest + offset for offset in near if self.highest + offset >= 0})
        unwatched = self.now - self.looked > WINDOW
        seen = observe(self.prefix, listed, at=self.now, window=WINDOW, unwatched=unwatched)
        closed = self._model_look(set(listed), unwatched=unwatched)
        assert {(n, item.state) for item in seen.closed for n in range(item.first, item.last + 1)} == closed
        again = [n for n in listed if n <= self.known and n > self.left_out and not self._is_open(n, before=True)]
        assert decided(self.prefix, listed) == again
        self.prefix = seen.prefix
        self.looked = self.now

    @precondition(lambda self: self.highest - self.left_out > 0)
    @rule(chosen=st.sets(st.integers(0, 30)))
    def late_logs_are_listed(self, chosen: set[int]) -> None:
        numbers = sorted({self.highest - offset for offset in chosen if self.highest - offset >= 0})
        seen = observe(self.prefix, numbers, at=self.now, window=WINDOW, unwatched=False)
        again = decided(self.prefix, numbers)
        self._model_look(set(numbers), unwatched=False)
        late = [n for n in again if n not in self.states or self.states[n][0] in ABSENT]
        self.prefix = reopen(seen.prefix, late, at=self.now)
        self.states |= dict.fromkeys(late, (State.LISTED, self.now, None))
        self.looked = self.now

    @rule(outcome=st.lists(st.sampled_from([None, "1", "2", "expired", "left"]), min_size=1, max_size=12))
    def logs_are_decided(self, outcome: list[str | None]) -> None:
        waiting = [n for n, (state, _, _) in sorted(self.states.items()) if state in (State.LISTED, State.AWAITING_KEY)]
        chosen = {n: what for n, what in zip(waiting, outcome, strict=False) if what != "left"}
        outcomes = {n: key(what) if what in ("1", "2") else None for n, what in chosen.items()}
        self.prefix = decide(self.prefix, outcomes)
        for n, what in chosen.items():
            since = self.states[n][1]
            final = State.EXPIRED if what == "expired" else State.COMMITTED
            self.states[n] = (State.AWAITING_KEY, since, what) if what in ("1", "2") else (final, since, None)

    def _is_open(self, number: int, *, before: bool = False) -> bool:
        states = self.before if before else self.states
        return number in states and states[number][0] in (State.LISTED, State.GAP, State.AWAITING_KEY)

    def _model_look(self, listed: set[int], *, unwatched: bool) -> set[tuple[int, State]]:
        self.before, self.known = dict(self.states), self.highest
        closed = set()
        for number, (state, since, _) in self.before.items():
            if state is not State.GAP:
                continue
            if number in listed:
                self.states[number] = State.LISTED, self.now, None
            elif unwatched or self.now - since > WINDOW:
                final = State.UNOBSERVED if unwatched else State.SKIPPED
                self.states[number] = final, since, None
                closed.add((number, final))
        new = sorted(n for n in listed if n > self.highest)
        for number in range(self.highest + 1, new[-1] + 1 if new else 0):
            if number in listed:
                self.states[number] = State.LISTED, self.now, None
            elif unwatched:
                self.states[number] = State.UNOBSERVED, self.now, None
                closed.add((number, State.UNOBSERVED))
            else:
                self.states[number] = State.GAP, self.now, None
        self.highest = max([self.highest, *new])
        return closed

    @invariant()
    def ranges_are_sorted_disjoint_and_joined(self) -> None:
        for item in self.prefix.open:
            assert item.first <= item.last
        for one, other in pairwise(self.prefix.open):
            assert one.last < other.first
            touching = one.last + 1 == other.first
            same = (one.state, one.since, one.public_key_id) == (other.state, other.since, other.public_key_id)
            assert not (touching and same)

    @invariant()
    def every_number_is_in_the_state_the_model_remembers(self) -> None:
        told = {
            number: (item.state, item.since, item.public_key_id)
            for item in self.prefix.open
            for number in range(item.first, item.last + 1)
        }
        assert told == {number: state for number, state in self.states.items() if self._is_open(number)}
        assert self.prefix.highest == self.highest
        assert self.prefix.left_out == self.left_out
        assert self.prefix.contiguous == (min(told) - 1 if told else self.highest)

    @invariant()
    def the_json_gives_the_same_back(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(self.prefix), type=Prefix) == self.prefix


WatermarkMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAgainstTheModel = pytest.mark.timeout(120)(WatermarkMachine.TestCase)
