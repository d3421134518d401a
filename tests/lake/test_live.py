"""The live set: all parts of all commits less all that were removed, and where the rows of a removed part are now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import CommittedPart, LiveSet, batch_of_part, live_set
from airflow_provider_imperva.lake.records import BatchId, Commit, Kind, Part
from tests.lake.ledger_records import commit_of, finish_batch, plan_of

_DAYS = ("2026-11-21", "2026-11-22")


def part_of(commit: int, day: str | None = _DAYS[0], *, batch: int = 0) -> Part:
    name = f"part-{commit:012d}-{batch:04d}.parquet"
    if day is None:
        return Part(f"quarantine/repository=8416_1745073/{name}", 1, 9, "")
    folder = f"events/repository=8416_1745073/event_class=access/event_date={day}"
    return Part(f"{folder}/{name}", 1, 9, "", "access", day)


@pytest.fixture
def empty(ledger: Ledger) -> Commit:
    return commit_of(ledger, ledger.create_plan(plan_of()))


@pytest.fixture
def live() -> LiveSet:
    return LiveSet()


class TestParts:
    def make(self, empty: Commit, number: int, added: Sequence[Part], **fields: object) -> Commit:
        return msgspec.structs.replace(empty, commit=number, parts=tuple(added), **fields)

    def test_a_part_is_live_until_a_commit_removes_it_and_there_until_one_retires_it(
        self, live: LiveSet, empty: Commit
    ) -> None:
        first, second, third = part_of(1), part_of(2), part_of(3)
        live.add(self.make(empty, 1, [first]))
        live.add(self.make(empty, 2, [second]))
        assert live.parts == {first.path: CommittedPart(first, 1), second.path: CommittedPart(second, 2)}
        live.add(self.make(empty, 3, [third], removed=(first, second), kind=Kind.COMPACT))
        assert live.parts == {third.path: CommittedPart(third, 3)}
        assert live.removed == {first.path: CommittedPart(first, 3), second.path: CommittedPart(second, 3)}
        live.add(self.make(empty, 4, [], retired=(first.path,), kind=Kind.RETIRE))
        assert (set(live.removed), live.retired) == ({second.path}, {first.path: 4})
        assert live.parts == {third.path: CommittedPart(third, 3)}

    def test_rows_of_a_removed_part_are_in_the_parts_of_its_partition_that_took_its_place(
        self, live: LiveSet, empty: Commit
    ) -> None:
        one, other, quarantined = part_of(1), part_of(1, _DAYS[1]), part_of(1, None)
        live.add(self.make(empty, 1, [one, other, quarantined]))
        assert live.successors([one.path, quarantined.path]) == {one.path, quarantined.path}
        merged = part_of(2), part_of(2, batch=1)
        live.add(self.make(empty, 2, merged, removed=(one,)))
        assert live.successors([one.path]) == {part.path for part in merged}
        assert live.successors([other.path]) == {other.path}
        again = part_of(3)
        live.add(self.make(empty, 3, [again], removed=merged))
        assert live.successors([one.path, quarantined.path]) == {again.path, quarantined.path}
        live.add(self.make(empty, 4, [], removed=(again,), kind=Kind.EXPIRE))
        assert live.successors([one.path, again.path]) == set()

    def test_a_replay_of_version_1_took_the_place_of_what_its_home_had(self, live: LiveSet, empty: Commit) -> None:
        live.add(self.make(empty, 1, [part_of(1), part_of(1, None), part_of(1, batch=1)], v=1))
        new = msgspec.structs.replace(part_of(1), sha256="new")
        live.add(self.make(empty, 2, [new], v=1, replaced={0: BatchId(1, 0)}))
        assert live.parts == {
            new.path: CommittedPart(new, 2),
            part_of(1, batch=1).path: CommittedPart(part_of(1, batch=1), 1),
        }


def test_it_is_read_from_the_whole_ledger(ledger: Ledger) -> None:
    reports = []
    for number in (1, 2, 3):
        plan = ledger.create_plan(plan_of([number], commit=number))
        reports.append(finish_batch(ledger, plan))
        commit_of(ledger, plan)
    ledger.create_plan(plan_of([4], commit=4))
    parts = [part for report in reports for part in report.parts]
    assert live_set(ledger).parts == {part.path: CommittedPart(part, number) for number, part in enumerate(parts, 1)}


@pytest.mark.parametrize("name", ["part-1-0.parquet", "part-000000000001-0000.parquet.tmp", "a.parquet"])
def test_what_has_no_part_s_name_is_of_no_batch(name: str) -> None:
    assert batch_of_part(f"events/{name}") is None
    assert batch_of_part("events/part-000000000012-0003.parquet") == BatchId(12, 3)
