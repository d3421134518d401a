"""Plans and commits stay small however many holes an index has, and say the same packed and plain."""

from __future__ import annotations

import json
from bisect import bisect_right
from datetime import timedelta
from itertools import accumulate, cycle, islice, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import LedgerCorruptError, UnreadableObjectError
from airflow_provider_imperva.lake.ledger import Ledger, decode_record
from airflow_provider_imperva.lake.packing import PACKED_VERSION, PLAIN_RANGES, VERSION, encode
from airflow_provider_imperva.lake.records import Closed, Plan, PlannedLog, Run
from airflow_provider_imperva.lake.watermark import (
    MOST_SUMMARIZED,
    Observation,
    Prefix,
    Range,
    State,
    begin,
    decide,
    observe,
    summarize,
)
from tests.lake.ledger_records import T0, commit_of, plan_of

WINDOW = timedelta(hours=48)
STEPS = (1, 3, 3, 1, 3, 1, 3, 2, 1, 1, 1)
"""From each number listed to the next: 8988, 8989, 8992, 8995, 8996, 8999, 9000, 9003, 9005 to 9008, as a user saw."""


def index_of(names: int, *, first: int = 1_000_000) -> list[int]:
    return list(accumulate(islice(cycle(STEPS), names - 1), initial=first))


def plan_with(seen: Observation, *, commit: int = 1, logs: int = 2000) -> Plan:
    pending = [number for number, _ in seen.prefix.numbers(State.LISTED)][:logs]
    batch = tuple(PlannedLog(f"8416_{number}.log", T0) for number in pending)
    closed = tuple(Closed("8416", gap.first, gap.last, gap.state, gap.since) for gap in seen.closed)
    return msgspec.structs.replace(
        plan_of(commit=commit), batches=(batch,), closed=closed, prefixes={"8416": seen.prefix}
    )


def all_loaded(numbers: list[int], *, looks: int) -> Prefix:
    """The watermark when all is loaded that so many looks within the window found, each the next part of it."""
    since = [T0 + WINDOW * look / (looks + 1) for look in range(1, looks + 1)]
    ends = [len(numbers) * look // looks for look in range(1, looks + 1)]
    gaps = [
        Range(before + 1, number - 1, State.GAP, since[bisect_right(ends, position)])
        for position, (before, number) in enumerate(pairwise(numbers), 1)
        if number - before > 1
    ]
    return Prefix(gaps[0].first - 1, numbers[-1], tuple(gaps))


def test_the_watermark_when_all_is_loaded_is_what_the_looks_come_to() -> None:
    numbers, looks = index_of(500), 24
    seen = begin(numbers[:1], at=T0, window=WINDOW)
    for look in range(1, looks + 1):
        at = T0 + WINDOW * look / (looks + 1)
        listed = numbers[: len(numbers) * look // looks]
        seen = observe(seen.prefix, listed, at=at, window=WINDOW, unwatched=False)
        seen = Observation(decide(seen.prefix, dict.fromkeys(listed)), ())
    assert seen.prefix == all_loaded(numbers, looks=looks)


def json_bytes(value: object) -> int:
    return len(json.dumps(value))


class TestBounds:
    """An index of 50,000 names with holes as real ones have, from the first look to the last closed gap."""

    def test_the_first_look_is_small(self, ledger: Ledger) -> None:
        seen = begin(index_of(50_000), at=T0, window=WINDOW)
        assert len(seen.prefix.open) > 40_000
        plan = ledger.create_plan(plan_with(seen))
        commit = commit_of(ledger, plan)
        sizes = {len(ledger.store.read(path)) for path in (ledger.layout.plan(1), ledger.layout.commit(1))}
        assert max(sizes) < 2000 * 150 + 50_000 * 4, sizes
        assert ledger.plan(1) == plan
        assert ledger.commit(1) == commit
        assert commit.prefixes == plan.prefixes, "nothing of it was loaded"

    def test_all_loaded_it_is_smaller_and_so_are_gaps_of_many_looks(self, ledger: Ledger) -> None:
        numbers = index_of(50_000)
        seen = Observation(all_loaded(numbers, looks=288), ())
        plan = ledger.create_plan(plan_with(seen))
        commit_of(ledger, plan)
        sizes = {len(ledger.store.read(path)) for path in (ledger.layout.plan(1), ledger.layout.commit(1))}
        assert max(sizes) < 50_000 * 4, sizes
        closing = observe(seen.prefix, numbers, at=T0 + 3 * WINDOW, window=WINDOW, unwatched=False)
        assert len(closing.closed) > 20_000
        plan = ledger.create_plan(plan_with(closing, commit=2))
        assert len(ledger.store.read(ledger.layout.plan(2))) < 50_000 * 4
        assert ledger.plan(2) == plan

    def test_what_goes_to_xcom_is_below_10_kb_whatever_is_listed(self) -> None:
        prefix = begin(index_of(50_000), at=T0, window=WINDOW).prefix
        summary = summarize({"8416": prefix})
        assert summary["8416"]["open"] == {"listed": 50_000, "gap": prefix.highest - 999_999 - 50_000}
        wide = Range(2**61, 2**62, State.GAP, T0)
        opened = (wide, msgspec.structs.replace(wide, state=State.LISTED), Range(1, 2**60, State.AWAITING_KEY, T0, "1"))
        many = {str(10**18 + name): Prefix(2**61, 2**62, opened) for name in range(5000)}
        assert len(summarize(many)) == MOST_SUMMARIZED
        assert json_bytes(summarize(many)) < 10_000
        many["1"] = Prefix(5, 5)
        assert "1" not in summarize(many), "those with open numbers come first"


class TestForms:
    def test_few_ranges_are_named_one_by_one_as_before(self) -> None:
        opened = tuple(Range(2 * number, 2 * number, State.GAP, T0) for number in range(PLAIN_RANGES))
        plan = msgspec.structs.replace(plan_of(), prefixes={"8416": Prefix(-1, 10**6, opened)})
        written = json.loads(encode(plan))
        assert written["v"] == VERSION
        assert written["prefixes"]["8416"]["open"][1] == {
            "from": 2,
            "to": 2,
            "state": "gap",
            "since": "2026-11-22T10:00:00Z",
        }

    def test_many_are_lengths_in_turn(self) -> None:
        opened = tuple(Range(545 + 3 * number, 546 + 3 * number, State.GAP, T0) for number in range(PLAIN_RANGES + 1))
        plan = msgspec.structs.replace(plan_of(), prefixes={"8416": Prefix(544, 10**6, opened)})
        written = json.loads(encode(plan))
        assert written["v"] == PACKED_VERSION
        (entry,) = written["prefixes"]["8416"]["open"]
        assert entry == {
            "from": 545,
            "state": "gap",
            "since": "2026-11-22T10:00:00Z",
            "runs": [2, 1] * PLAIN_RANGES + [2],
        }

    def test_an_object_of_version_1_is_read(self) -> None:
        plan = msgspec.structs.replace(plan_of(), v=1, prefixes={"8416": Prefix(1, 3, (Range(2, 2, State.GAP, T0),))})
        indented = msgspec.json.format(msgspec.json.encode(plan), indent=1)
        assert decode_record(indented, Plan, about="plan") == plan

    def test_the_packed_form_of_version_1_is_read(self) -> None:
        """It was called version 2, which is now what is plain and not of version 1."""
        plan = msgspec.structs.replace(plan_of(), v=1, prefixes={"8416": Prefix(1, 3, (Range(2, 2, State.GAP, T0),))})
        packed = encode(plan, plain_ranges=0).replace(b'"v":3', b'"v":2')
        assert json.loads(packed)["v"] == 2
        assert decode_record(packed, Plan, about="plan") == plan

    def test_a_run_called_runs_does_not_make_an_object_packed(self) -> None:
        plan = msgspec.structs.replace(plan_of(), run=Run("runs", '"runs": ['))
        assert decode_record(encode(plan), Plan, about="plan") == plan

    @pytest.mark.parametrize(
        "spoiled", ['{"v": 2}', '{"v": 2, "prefixes": {"8416": {"open": [{"runs": []}]}}}', '{"v": 3}']
    )
    def test_a_packed_object_that_is_none_is_named(self, spoiled: str) -> None:
        with pytest.raises(UnreadableObjectError, match="plan-1: the object does not read"):
            decode_record(spoiled.encode(), Plan, about="plan-1")

    def test_a_later_version_is_refused(self) -> None:
        with pytest.raises(LedgerCorruptError, match="plan-1: it is of ledger version 4"):
            decode_record(b'{"v": 4}', Plan, about="plan-1")


@st.composite
def watermarks(draw: st.DrawFn) -> Prefix:
    ranges = []
    at = draw(st.integers(-1, 5))
    for skip, length, state, since in draw(
        st.lists(
            st.tuples(
                st.integers(1, 3),
                st.integers(1, 3),
                st.sampled_from([State.GAP, State.LISTED, State.AWAITING_KEY]),
                st.integers(0, 2),
            ),
            max_size=30,
        )
    ):
        first = at + skip
        key_id = str(since) if state is State.AWAITING_KEY else None
        ranges.append(Range(first, first + length - 1, state, T0 + timedelta(hours=since), key_id))
        at = first + length - 1
    return Prefix(-1, at + 1, tuple(ranges))


@given(st.dictionaries(st.sampled_from(["1", "8416", "99", "0"]), watermarks()))
def test_packed_and_plain_say_the_same(prefixes: dict[str, Prefix]) -> None:
    closed = tuple(
        Closed(name, item.first, item.last, State.SKIPPED, item.since)
        for name in sorted(prefixes, key=lambda name: (len(name), name))
        for item in prefixes[name].open
    )
    plan = msgspec.structs.replace(plan_of(), prefixes=prefixes, closed=closed)
    assert decode_record(encode(plan, plain_ranges=0), Plan, about="plan") == plan
    assert decode_record(encode(plan, plain_ranges=10**6), Plan, about="plan") == plan
