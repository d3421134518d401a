"""Replay: logs are loaded again from raw/, and one commit takes their old parts out of the lake and the new ones in."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ConfigurationError, LedgerConflictError
from airflow_provider_imperva.events.parse import ParsedBlock, parse
from airflow_provider_imperva.lake.records import BatchId, Commit, Kind, Plan, Run
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.load import normalize as normalize_module
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.plan import Work
from airflow_provider_imperva.load.replay import Selection, find_batches, make_replay_plan, replay
from airflow_provider_imperva.options import DecodePolicy, PlanOptions
from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import KeyPair, forge_log
from tests.load.load_runs import Account, Clock
from tests.load.stepped_store import BrokenOffError, SteppedStore, break_off
from tests.long_form import LONG

MIDNIGHT = 1_767_225_600_000
ALL = Selection(state="all")
QUARANTINED = Selection(state="quarantined")
Parser = Callable[..., Iterator[ParsedBlock]]


def name(number: int) -> str:
    return f"8416_{number}.log"


def plan_replay(account: Account, selection: Selection, *, run: Run | None = None, take_over: bool = True) -> Plan:
    plan = make_replay_plan(account.ledger, run=run or account.next_run(), selection=selection, take_over=take_over)
    assert plan is not None
    return plan


def run_replay(account: Account, selection: Selection, *, keys: KeyRing | None = None, **options: Any) -> Commit:
    plan = plan_replay(account, selection, **options)
    return replay(account.ledger, keys or account.keys, plan, options=NormalizeOptions())


def parsed_anew(change: Callable[[ParsedBlock], ParsedBlock]) -> Parser:
    def parse_anew(*arguments: Any, **options: Any) -> Iterator[ParsedBlock]:
        yield from map(change, parse(*arguments, **options))

    return parse_anew


def with_column(table: pa.Table, column: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    index = table.schema.get_field_index(column)
    return table.set_column(index, table.schema.field(index), values.cast(table.schema.field(index).type))


def marked(parsed: ParsedBlock, mark: str = "new") -> ParsedBlock:
    """What a parser that gives another column value yields."""
    return replace(parsed, events=with_column(parsed.events, "account_ref", pa.repeat(mark, parsed.events.num_rows)))


def moved(parsed: ParsedBlock) -> ParsedBlock:
    """What a very different parser yields: all is marked, days are swapped, and quarantined lines are events.

    With days swapped, lines go round in a circle between the parts of the two days.
    """
    days = parsed.events["event_date"]
    other = pc.if_else(pc.equal(days, date(2026, 1, 1)), date(2025, 12, 31), date(2026, 1, 1))
    odd = pc.equal(pc.bit_wise_and(parsed.events["src_line"], 1), 1)
    events = with_column(parsed.events, "event_date", pc.if_else(odd, other.cast(pa.date32()), days))
    lines = parsed.quarantined["src_line"]
    # Stands in for what the quarantined lines are parsed to.
    more = with_column(
        pa.concat_tables([events.slice(0, 1)] * len(lines)) if len(lines) else events[:0], "src_line", lines
    )
    return marked(replace(parsed, events=pa.concat_tables([events, more]), quarantined=parsed.quarantined[:0]))


def moved_back_half(parsed: ParsedBlock) -> ParsedBlock:
    """The real parser, but half of the lines go to quarantine."""
    odd = pc.equal(pc.bit_wise_and(parsed.events["src_line"], 1), 1)
    taken = parsed.events.filter(odd)
    names = [column for column in parsed.quarantined.column_names if column in taken.column_names and column != "raw"]
    given = taken.select(names).to_pylist()
    more = pa.Table.from_pylist([row | {"reason": "odd"} for row in given], schema=parsed.quarantined.schema)
    return marked(
        replace(
            parsed,
            events=parsed.events.filter(pc.invert(odd)),
            quarantined=pa.concat_tables([parsed.quarantined, more]),
        )
    )


def use_parser(monkeypatch: pytest.MonkeyPatch, change: Callable[[ParsedBlock], ParsedBlock]) -> None:
    monkeypatch.setattr(normalize_module, "parse", parsed_anew(change))


def marks(account: Account) -> Counter[str]:
    glob = f"{account.lake}/events/repository=*/**/*.parquet"
    found = duckdb.execute(f"SELECT CASE account_ref WHEN 'new' THEN 'new' ELSE 'old' END FROM read_parquet('{glob}')")
    return Counter(mark for (mark,) in found.fetchall())


def lines(lake: Path) -> Counter[tuple[str, int | None]]:
    """How often each line is in the lake, events and quarantine together, as DuckDB reads it."""
    counts: Counter[tuple[str, int | None]] = Counter()
    for folder in ("events", "quarantine"):
        if list(lake.glob(f"{folder}/repository=*/**/*.parquet")):
            glob = f"{lake}/{folder}/repository=*/**/*.parquet"
            counts.update(duckdb.execute(f"SELECT src_file, src_line FROM read_parquet('{glob}')").fetchall())
    return counts


def assert_nothing_twice(lake: Path) -> None:
    assert not [line for line, count in lines(lake).items() if count > 1]


def committed(account: Account) -> Counter[tuple[str, int | None, str]]:
    """The lines in the parts that the commits say the lake is made of, each with its mark; quarantine has none."""
    counts: Counter[tuple[str, int | None, str]] = Counter()
    columns = {"events": "CASE account_ref WHEN 'new' THEN 'new' ELSE 'old' END", "quarantine": "'quarantine'"}
    for folder, mark in columns.items():
        if paths := [str(account.lake / path) for path in account.parts() if path.startswith(f"{folder}/")]:
            rows = duckdb.execute(f"SELECT src_file, src_line, {mark} FROM read_parquet({paths})").fetchall()
            counts.update(rows)
    assert max(counts.values()) == 1, "a line is there twice"
    return counts


def digests(account: Account, *, batch: str) -> dict[str, str]:
    parts = account.lake.glob(f"*/**/part-{batch}.parquet")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in parts}


def assert_chained(account: Account) -> None:
    for before, after in pairwise(account.ledger.commits()):
        content = account.ledger.store.read(account.ledger.layout.commit(before.commit))
        assert after.previous_sha256 == hashlib.sha256(content).hexdigest()
    for path, part in account.parts().items():
        assert hashlib.sha256((account.lake / path).read_bytes()).hexdigest() == part.sha256


@pytest.fixture(autouse=True)
def all_is_right_in_the_end(account: Account) -> Iterator[None]:
    """After every test: each event once, the ledger a chain that names what is there."""
    yield
    account.assert_balanced()
    assert_chained(account)
    assert_nothing_twice(account.lake)


class TestQuarantinedLogs:
    def test_logs_that_had_a_wrong_key_are_loaded_once_it_is_right(
        self, account: Account, key_pair: KeyPair, other_pair: KeyPair
    ) -> None:
        account.serve(1, 3)
        account.serve(2, 4, keys=[key_pair])
        account.keys = KeyRing({"1": other_pair.private_key})
        before = account.run_some()
        assert account.states()[name(2)] == "quarantined"
        asked = len(account.repository.requests)

        commit = run_replay(account, QUARANTINED, keys=KeyRing({"1": key_pair.private_key}))
        assert commit.totals.logs == {State.COMMITTED: 4}
        assert set(account.states().values()) == {"committed"}
        assert account.rows() == account.expected()
        assert account.quarantined() == []
        assert commit.prefixes == before.prefixes
        assert commit.observed_at == before.observed_at
        assert commit.replaced == {0: BatchId(1, 0)}
        assert len(account.repository.requests) == asked, "nothing is fetched"

    def test_no_log_is_in_quarantine_as_a_whole_and_in_events_at_once(
        self, account: Account, key_pair: KeyPair, other_pair: KeyPair
    ) -> None:
        account.serve(1)
        account.serve(2, keys=[key_pair])
        account.keys = KeyRing({"1": other_pair.private_key})
        account.run()

        def look(step: int, path: str) -> None:
            found = committed(account)
            whole = {log for log, line, _ in found if line is None}
            assert whole.isdisjoint(log for log, line, _ in found if line is not None)

        account.ledger.store = SteppedStore(account.ledger.store, after=look)
        run_replay(account, QUARANTINED, keys=KeyRing({"1": key_pair.private_key}))
        assert account.rows() == account.expected()

    def test_with_the_wrong_key_still_they_stay_where_they_are(
        self, account: Account, key_pair: KeyPair, other_pair: KeyPair
    ) -> None:
        account.serve(1)
        account.serve(2, keys=[key_pair])
        account.keys = KeyRing({"1": other_pair.private_key})
        account.run()
        before = lines(account.lake)
        run_replay(account, QUARANTINED)
        assert lines(account.lake) == before
        assert account.states()[name(2)] == "quarantined"

    def test_lines_in_quarantine_count_too(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        [log] = account.serve(1)
        account.repository.add(log.name, forge_log("".join(f"{line}\n" for line in ("no event", *log.events))))
        account.serve(2)
        account.options = PlanOptions(logs_per_batch=1)
        account.run()
        assert [row[:2] for row in account.quarantined()] == [(name(1), 1)]
        use_parser(monkeypatch, moved)
        commit = run_replay(account, QUARANTINED)
        assert commit.replaced == {0: BatchId(1, 0)}
        assert account.quarantined() == []
        assert not list(account.lake.glob("quarantine/**/*.parquet")), "a part that is not made any more is gone"
        assert lines(account.lake)[(name(1), 1)] == 1


class TestAfterAParserChange:
    def test_everything_is_parsed_anew_in_one_commit(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        account.serve(1, 2, 3)
        account.run()
        account.serve(4, 5)
        last = account.run_some()
        names = set(account.parts())
        use_parser(monkeypatch, marked)
        commit = run_replay(account, ALL)
        assert marks(account) == {"new": 25}
        assert account.rows() == account.expected()
        assert {part.path for part in commit.removed} == names
        assert set(account.parts()) == {part.path for part in commit.parts}
        assert all("/part-000000000003-" in path for path in account.parts()), "named by the replay's own commit"
        assert commit.replaced == {0: BatchId(1, 0), 1: BatchId(2, 0)}
        assert (commit.commit, commit.prefixes, commit.replaying) == (3, last.prefixes, ())
        retired = account.ledger.commit(4)
        assert (retired.kind, set(retired.retired)) == (Kind.RETIRE, names)
        assert (commit.kind, [item.commit for item in commit.unretired], retired.unretired) == (Kind.REPLAY, [3], ())
        assert account.run() is None, "there is nothing left to do"

    def test_a_log_replaced_twice_is_there_once_and_the_last_counts(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1, 2)
        account.run()
        use_parser(monkeypatch, moved_back_half)
        first = run_replay(account, Selection(names=frozenset([name(1)])))
        assert account.record(name(1))["quarantined_lines"] == 3
        assert len(account.quarantined()) == 6
        monkeypatch.undo()
        second = run_replay(account, QUARANTINED)
        assert (first.replaced, second.replaced) == ({0: BatchId(1, 0)}, {0: BatchId(2, 0)})
        assert account.quarantined() == []
        assert account.rows() == account.expected()
        assert len(find_batches(account.ledger, ALL)) == 1
        assert find_batches(account.ledger, QUARANTINED) == {}, "what the last replay made of it counts"

    def test_a_late_log_stays_known_as_late(self, account: Account, clock: Clock) -> None:
        account.serve(1, 3)
        account.run()
        clock.ahead = timedelta(hours=30)
        account.run()
        clock.ahead = timedelta(hours=60)
        account.run()
        account.serve(2)
        account.run()
        assert account.record(name(2))["late"]
        run_replay(account, ALL)
        assert account.record(name(2))["late"]

    def test_a_log_that_waits_for_its_key_is_left_out_and_one_that_came_later_has_its_home_there(
        self, account: Account, key_pair: KeyPair
    ) -> None:
        other = KeyPair.generate("2", bits=1024)
        account.serve(1)
        account.serve(2, keys=[key_pair])
        account.serve(3, keys=[other])
        account.run()
        account.keys = KeyRing({"1": key_pair.private_key})
        account.run()
        account.keys = KeyRing({"1": key_pair.private_key, "2": other.private_key})
        batches = find_batches(account.ledger, ALL)
        assert {batch: [log.name for log in loaded.logs] for batch, loaded in batches.items()} == {
            BatchId(1, 0): [name(1)],
            BatchId(2, 0): [name(2)],
        }
        commit = run_replay(account, ALL)
        assert account.rows() == account.expected([name(1), name(2)])
        assert account.states()[name(3)] == "awaiting_key"
        assert commit.prefixes["8416"].open[0].state is State.AWAITING_KEY
        account.run()
        assert account.rows() == account.expected(), "it is loaded by itself all the same"


class TestFetchedAgain:
    """A log in quarantine can be asked for again, as long as the repository has it."""

    @pytest.fixture
    def damaged(self, account: Account) -> str:
        """Load a log that came damaged until the index began above it, and is there whole after all."""
        (log,) = account.serve(1)
        account.repository.add(log.name, log.content[:-50])
        account.run()
        account.repository.remove(log.name)
        account.serve(2)
        account.run()
        assert account.states() == {name(1): "quarantined", name(2): "committed"}
        account.repository.add(log.name, log.content)
        return log.name

    def test_the_command_loads_what_the_repository_has_now(
        self, account: Account, damaged: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = account.repository
        monkeypatch.setenv("IMPERVA_API_ID", repository.login)
        monkeypatch.setenv("IMPERVA_API_KEY", repository.password)
        assert main(["replay", str(account.lake), "--state", "quarantined"]) == 0
        assert account.states()[damaged] == "quarantined", "by itself it fetches nothing"
        assert main(["replay", str(account.lake), "--state", "quarantined", "--fetch", repository.url]) == 0
        assert account.states() == {name(1): "committed", name(2): "committed"}
        assert account.rows() == account.expected()
        assert account.quarantined() == []
        account.assert_balanced()

    def test_what_is_gone_stays_in_quarantine(self, account: Account, damaged: str) -> None:
        account.repository.remove(damaged)
        selection = Selection(state="quarantined")
        plan = make_replay_plan(account.ledger, run=account.next_run(), selection=selection, take_over=True)
        assert plan is not None
        with account.client() as client:
            replay(account.ledger, account.keys, plan, options=NormalizeOptions(), client=client)
        assert account.states()[damaged] == "quarantined"
        account.assert_balanced()


class TestNothingGetsWorse:
    """A replay takes no events out of the lake."""

    def test_a_batch_whose_key_is_gone_stays_as_it_is_and_the_others_are_replayed(
        self, account: Account, key_pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.keys = KeyRing({"1": key_pair.private_key})
        account.serve(1)
        account.serve(2, keys=[key_pair])
        account.run()
        account.serve(3)
        account.run()
        before = digests(account, batch="000000000001-0000")
        use_parser(monkeypatch, marked)
        commit = run_replay(account, ALL, keys=KeyRing())
        assert commit.replaced == {1: BatchId(2, 0)}
        assert commit.replaying == ()
        assert list(commit.open) == [name(2)]
        assert "1/Private.key" in commit.open[name(2)]
        assert digests(account, batch="000000000001-0000") == before
        assert account.states()[name(2)] == "committed"

    @pytest.mark.parametrize("damage", ["cut", "gone"])
    def test_so_does_one_whose_raw_bytes_are_damaged_or_gone(self, account: Account, damage: str) -> None:
        account.serve(1, 2)
        account.run()
        before = digests(account, batch="000000000001-0000")
        path = account.raw(name(2))
        content = path.read_bytes()
        path.unlink()
        if damage == "cut":
            path.write_bytes(content[:-30])
        commit = run_replay(account, ALL)
        assert (commit.replaced, list(commit.open)) == ({}, [name(2)])
        assert digests(account, batch="000000000001-0000") == before

    def test_a_batch_that_fails_holds_up_no_other_and_tells_nothing_of_the_log(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        account.serve(1)
        account.run()
        account.repository.add(name(2), bytes(range(256)))
        account.run()
        for number in (1, 2):
            account.repository.remove(name(number))
        account.serve(3)
        account.run()
        assert account.states()[name(2)] == "quarantined"
        secret = "198.51.100.7"

        def fail(parsed: ParsedBlock) -> ParsedBlock:
            if parsed.events["src_file"][0].as_py() == name(1):
                raise MemoryError(f"src={secret} is in the message")
            return marked(parsed)

        with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
            use_parser(patch, fail)
            commit = run_replay(account, ALL)
        assert (commit.failed_batches, commit.replaced) == ((0,), {1: BatchId(3, 0)})
        assert "Batch 0 failed: MemoryError" in caplog.text
        assert secret not in caplog.text
        assert account.work() == Work(), "the next run of any kind does it again"
        asked = account.requested()
        assert account.run_some().replaced == {0: BatchId(1, 0)}
        assert account.requested() == asked, "and fetches nothing for it, not even what still does not decode"
        assert account.run() is None


def load_hourly(account: Account) -> None:
    """Five logs, a batch each, an hour apart, and one of another prefix."""
    account.options = PlanOptions(logs_per_batch=1)
    for number in range(1, 6):
        account.serve(number, start=MIDNIGHT + number * 3_600_000)
    account.serve(7, prefix="8417", start=MIDNIGHT + 9 * 3_600_000)
    account.run()


@pytest.fixture(scope="module")
def hourly_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("hourly") / "lake"
    with FakeRepository() as repository:
        load_hourly(Account(repository, lake))
    return lake


class TestSelection:
    @pytest.fixture
    def batches(self, account: Account, hourly_lake: Path) -> Callable[..., list[int]]:
        """What a selection finds in the lake of `load_hourly`."""
        shutil.copytree(hourly_lake, account.lake)

        def select(**conditions: Any) -> list[int]:
            batches = find_batches(account.ledger, Selection.of(**conditions))
            return sorted(log.sequence for loaded in batches.values() for log in loaded.logs)

        return select

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            ({"names": [name(2), name(4)]}, [2, 4]),
            ({"sequences": ["8416:2-3", "8416:5"]}, [2, 3, 5]),
            ({"names": name(2)}, [2]),
            ({"names": f"{name(2)}, {name(4)}"}, [2, 4]),
            ({"sequences": "8416:2-3,8416:5", "names": ""}, [2, 3, 5]),
            ({"sequences": ["8417:0-100"]}, [7]),
            ({"since": "2026-01-01T03:00"}, [3, 4, 5, 7]),
            ({"until": "2026-01-01T03:00Z"}, [1, 2]),
            ({"since": datetime(2026, 1, 1, 2, tzinfo=UTC), "until": "2026-01-01T05:30+01:00"}, [2, 3, 4]),
            ({"since": "2026-01-01T03:00", "sequences": ["8416:1-4"]}, [3, 4]),
            ({"state": "committed"}, [1, 2, 3, 4, 5, 7]),
            ({"state": "quarantined"}, []),
            ({"state": "all", "since": ""}, [1, 2, 3, 4, 5, 7]),
        ],
    )
    def test_every_condition_holds(
        self, batches: Callable[..., list[int]], conditions: dict[str, Any], expected: list[int]
    ) -> None:
        assert batches(**conditions) == expected

    @pytest.mark.parametrize(
        ("conditions", "found"),
        [
            ({}, "nothing says which logs"),
            ({"since": ""}, "nothing says which logs"),
            ({"state": "lost"}, "lost: no state to replay by"),
            ({"since": "yesterday"}, "yesterday: no time"),
            ({"sequences": ["8416"]}, "8416: no range"),
            ({"sequences": ["8416:5-2"]}, "8416:5-2: no range"),
            ({"sequences": ["x:1-2"]}, "x:1-2: no range"),
            ({"names": "", "sequences": ""}, "nothing says which logs"),
            ({"names": [name(1), name(99)]}, r"8416_99.log: 1 logs were never loaded"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(
        self, batches: Callable[..., list[int]], conditions: dict[str, Any], found: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=found):
            batches(**conditions)

    def test_other_batches_are_left_alone(
        self, account: Account, batches: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = {batch: digests(account, batch=f"000000000001-000{batch}") for batch in range(6)}
        use_parser(monkeypatch, marked)
        run_replay(account, Selection(names=frozenset([name(2)])))
        after = {batch: digests(account, batch=f"000000000001-000{batch}") for batch in range(6)}
        assert [batch for batch in range(6) if before[batch] != after[batch]] == [1]


class TestOtherRuns:
    def test_a_plan_of_another_run_is_not_overtaken_unless_told_to(self, account: Account) -> None:
        account.serve(1)
        account.run()
        account.serve(2)
        living = account.plan()
        with pytest.raises(LedgerConflictError, match="is at work or has died"):
            run_replay(account, ALL, take_over=False)
        account.finish(living)
        run_replay(account, ALL, take_over=False)
        assert account.rows() == account.expected()

    def test_the_same_run_planning_again_gets_its_plan(self, account: Account) -> None:
        account.serve(1)
        account.run()
        plan = plan_replay(account, ALL)
        assert plan_replay(account, ALL, run=plan.run, take_over=False) == plan
        replay(account.ledger, account.keys, plan, options=NormalizeOptions())

    def test_a_replay_that_was_overtaken_stops_and_later_runs_do_the_rest(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.options = PlanOptions(logs_per_batch=1)
        account.serve(1, 2, 3)
        account.run()
        use_parser(monkeypatch, marked)
        plan = plan_replay(account, ALL)
        changed: list[str] = []

        def overtake(step: int, path: str) -> None:
            changed.append(path)
            if "part-000000000002-0001" in path:
                store.__init__(account.ledger.store._store)  # type: ignore[attr-defined,misc]
                account.ledger.store = store._store
                account.serve(4)
                account.plan()
                account.ledger.store = store

        store = SteppedStore(account.ledger.store, after=overtake)
        account.ledger.store = store
        with pytest.raises(LedgerConflictError, match="was committed without batch 1"):
            replay(account.ledger, account.keys, plan, options=NormalizeOptions())
        commit = account.ledger.commit(2)
        assert commit.replaced == {0: BatchId(1, 0)}
        assert [item.original for item in commit.replaying] == [BatchId(1, 1), BatchId(1, 2)]
        assert_nothing_twice(account.lake)
        assert account.ledger.commit(3).kind is Kind.RETIRE
        last = account.finish(account.ledger.plan(4))
        assert last.replaced == {1: BatchId(1, 1), 2: BatchId(1, 2)}
        assert last.replaying == ()
        assert account.rows() == account.expected()
        assert marks(account) == {"new": 20}

    def test_an_urgent_plan_only_fetches_and_the_replay_waits(self, account: Account, clock: Clock) -> None:
        account.serve(1)
        account.run()
        plan = plan_replay(account, ALL)
        account.serve(2)
        account.options = PlanOptions(critical_headroom=timedelta(hours=48))
        urgent = account.plan()
        assert (urgent.urgent, urgent.originals) == (True, {})
        assert [item.original for item in account.finish(urgent).replaying] == [BatchId(1, 0)]
        account.options = PlanOptions()
        assert account.run_some().replaying == ()
        assert account.ledger.commit(plan.commit).failed_batches == (0,)


@pytest.fixture(scope="module")
def old_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two batches of three logs, over two days, and a line of the first batch in quarantine."""
    lake = tmp_path_factory.mktemp("old") / "lake"
    with FakeRepository() as repository:
        fill(Account(repository, lake, options=PlanOptions(logs_per_batch=3)))
    return lake


def fill(account: Account) -> None:
    serve_old(account)
    account.run()


def serve_old(account: Account) -> None:
    # With this share both classes have odd lines on both days, so that each goes round in a circle.
    for number in range(1, 7):
        account.serve(number, events=6, start=MIDNIGHT - 120_000, security_share=0.25)
    log = account.forged[name(2)]
    account.repository.add(name(2), forge_log("".join(f"{line}\n" for line in ("no event", *log.events))))


STEPS = 17
"""Plan, intent, four parts, report, logs, commit; to retire the old ones plan, logs, commit and five parts."""
BY = ("a run", "a replay")
MOMENTS = ("before", "after")
EACH_STEP = list(product(range(STEPS), MOMENTS, BY))


class TestBrokenOff:
    """A replay that ends at any step, and is done again by the next run of any kind."""

    @pytest.fixture(autouse=True)
    def lake(self, account: Account, old_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copytree(old_lake, account.lake)
        account.options = PlanOptions(logs_per_batch=3)
        serve_old(account)
        use_parser(monkeypatch, moved)

    SELECTION = Selection(sequences=Selection.of(sequences=["8416:1-3"]).sequences)

    def step_through(self, account: Account, **hooks: Any) -> SteppedStore:
        store = SteppedStore(account.ledger.store, **hooks)
        account.ledger.store = store
        try:
            run_replay(account, self.SELECTION)
        except BrokenOffError:
            pass
        finally:
            account.ledger.store = store._store
        return store

    def test_at_every_step_the_commits_say_the_old_rows_or_the_new_ones(self, account: Account) -> None:
        """Though lines go from quarantine to events, and round in a circle between two days."""
        untouched = digests(account, batch="000000000001-0001")
        seen = [committed(account)]

        def look(step: int, path: str) -> None:
            if (found := committed(account)) != seen[-1]:
                seen.append(found)

        store = self.step_through(account, after=look)
        assert [Counter(mark for *_, mark in rows) for rows in seen] == [
            {"old": 36, "quarantine": 1},
            {"old": 18, "new": 19},
        ]
        assert digests(account, batch="000000000001-0001") == untouched
        assert [step for step in store.steps if step.startswith("-")] == [
            f"-{path}" for path in account.ledger.commit(3).retired
        ]
        assert len(store.steps) == STEPS

    @pytest.mark.parametrize(
        ("step", "moment", "by"),
        # What is there after a step is what is there before the next one: in the short form each is tried once, by one
        # of the two.
        [
            (step, moment, by)
            for step, moment, by in EACH_STEP
            if LONG or MOMENTS.index(moment) == BY.index(by) == step % len(BY)
        ],
    )
    def test_the_next_run_puts_it_right(self, account: Account, step: int, moment: str, by: str) -> None:
        watermark = account.ledger.commit(1).prefixes
        untouched = digests(account, batch="000000000001-0001")
        before = committed(account)
        self.step_through(account, **{moment: break_off(step)})
        is_done = account.ledger.committed(2)
        assert (committed(account) == before) != is_done
        if by == "a run":
            account.run()
            account.run()
        else:
            run_replay(account, self.SELECTION)
        planned = (step, moment) > (0, "before") or (step, moment) == (0, "after")
        last = list(account.ledger.commits())[-1]
        assert (last.prefixes, last.replaying, last.unretired) == (watermark, (), ())
        if by == "a replay" or planned:
            assert marks(account) == {"new": 19, "old": 18}
            assert lines(account.lake) == dict.fromkeys(lines(account.lake), 1)
            assert sum(lines(account.lake).values()) == 37
        assert digests(account, batch="000000000001-0001") == untouched

    @pytest.mark.parametrize("step", range(1, STEPS, 3 if LONG else 5))
    def test_it_may_break_off_again_and_again(self, account: Account, step: int) -> None:
        """The runs that do it again die too, one step later each time."""
        for more in range(4):
            self.step_through(account, after=break_off(step + more))
            assert sum(committed(account).values()) == 37
        account.run()
        account.run()
        assert marks(account) == {"new": 19, "old": 18}

    def test_another_parser_may_finish_it(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was written half by one version is replaced by the next, which has other parts."""
        for step in range(1, 8, 1 if LONG else 2):
            use_parser(monkeypatch, moved)
            self.step_through(account, after=break_off(step))
            use_parser(monkeypatch, moved_back_half)
            self.step_through(account, after=break_off(step))
            assert sum(committed(account).values()) == 37
        monkeypatch.setattr(normalize_module, "parse", parse)
        run_replay(account, self.SELECTION)
        expected = [(name(number), line) for number in range(1, 7) for line in range(1, 7)] + [(name(2), 7)]
        assert lines(account.lake) == Counter(expected)
        assert [row[:2] for row in account.quarantined()] == [(name(2), 1)]


def cli(lake: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, "replay", str(lake), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


# Any import of Airflow fails.
BLOCKED = """
import sys
class NoAirflow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow":
            raise ImportError("Airflow must not be needed here")
sys.meta_path.insert(0, NoAirflow())
from airflow_provider_imperva.cli import main
sys.exit(main())
"""


def figures(output: str) -> dict[str, list[int]]:
    """Read the table: for each outcome batches, logs, rows and lines in quarantine."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if "│" in line]
    return {row[0]: [int(cell) for cell in row[1:]] for row in rows if row[0]}


class TestCommand:
    def test_quarantined_logs_with_the_right_key(
        self, account: Account, key_pair: KeyPair, other_pair: KeyPair, tmp_path: Path
    ) -> None:
        account.keys = KeyRing({"1": other_pair.private_key})
        account.serve(1)
        account.serve(2, keys=[key_pair])
        account.run()
        key_pair.write(tmp_path / "keys")
        files = sorted(account.lake.rglob("*"))
        dry = cli(account.lake, "--state", "quarantined", "--keys", tmp_path / "keys", "--dry-run")
        assert (dry.returncode, figures(dry.stdout)) == (0, {"would be replayed": [1, 2, 5, 0]}), dry.stderr
        assert sorted(account.lake.rglob("*")) == files
        done = cli(account.lake, "--state", "quarantined", "--keys", tmp_path / "keys")
        assert done.returncode == 0, done.stderr
        assert figures(done.stdout) == {
            "replayed": [1, 2, 10, 0],
            "left as they were": [0, 0, 0, 0],
            "failed": [0, 0, 0, 0],
        }
        assert account.rows() == account.expected()
        assert cli(account.lake, "--state", "quarantined").stdout.startswith("Nothing to replay")

    def test_without_the_key_the_batch_stays_and_the_exit_code_says_so(
        self, account: Account, key_pair: KeyPair
    ) -> None:
        account.keys = KeyRing({"1": key_pair.private_key})
        account.serve(1, keys=[key_pair])
        account.run()
        done = cli(account.lake, "--all")
        assert done.returncode == 1
        assert figures(done.stdout)["left as they were"] == [1, 1, 0, 0]
        assert "Add the private key as 1/Private.key" in done.stderr
        assert account.rows() == account.expected()

    def test_an_open_plan_is_refused_unless_told_to_recover(self, account: Account) -> None:
        account.serve(1)
        account.run()
        account.serve(2)
        account.plan()
        refused = cli(account.lake, "--all")
        assert refused.returncode == 2
        assert "is at work or has died" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert cli(account.lake, "--all", "--recover").returncode == 0
        account.run()
        assert account.rows() == account.expected()

    def test_a_log_that_the_dags_decode_policy_refuses_stays_out_if_it_is_said_here_too(self, account: Account) -> None:
        [log] = account.serve(1)
        account.repository.add(name(1), forge_log("\n".join(log.events), compress=False, checksum="0" * 32))
        strict = NormalizeOptions(policy=DecodePolicy(clear_checksum="quarantine"))
        for state in ("damaged", "quarantined"):
            plan = account.plan()
            fetched = account.fetch(plan)
            with account.client() as client:
                normalize_module.normalize(account.ledger, client, account.keys, plan, fetched, options=strict)
            account.commit(plan)
            assert account.states()[name(1)] == state
            if state == "damaged":
                account.repository.remove(name(1))
                account.serve(2)
        main(["replay", str(account.lake), "--all", "--clear-checksum", "quarantine"])
        assert account.states() == {name(1): "quarantined", name(2): "committed"}
        assert account.rows() == account.expected([name(2)])
        assert main(["replay", str(account.lake), "--all"]) == 0
        assert account.rows() == account.expected()

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            ((), "nothing says which logs to replay"),
            (("--all", "--passphrase-env", "HOME", "--dry-run"), "--passphrase-env opens keys"),
            (("--log", "8416_9.log"), "8416_9.log: 1 logs were never loaded"),
            (("--all", "--repository", "other"), "ledgers of 1 repositories: 8416_1745073"),
            (("--sequence", "8416"), "8416: no range of sequence numbers"),
        ],
    )
    def test_what_cannot_start_says_why(
        self, account: Account, arguments: Iterable[str], found: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        account.serve(1)
        account.run()
        assert main(["replay", str(account.lake), *arguments]) == 2
        printed = capsys.readouterr()
        assert (printed.out, found in printed.err) == ("", True)
