"""An account whose logs come both ways, fetched from Imperva and delivered by it: no event twice, and none missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import duckdb
import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import OpenCode
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import FakeRepository, KeyPair, forge_log
from airflow_provider_imperva.testing.forge import FORGED_START, LOG_SPAN_MS
from tests.delivery.inbox import NO_REPOSITORY, Deliveries, Inbox
from tests.load.load_runs import Account, request_id
from tests.load.stepped_store import BrokenOffError, SteppedStore, break_off
from tests.long_form import LONG

GROUP = "shop"


class BothWays:
    """One account, one lake: what is in the repository, and what is delivered."""

    def __init__(self, repository: FakeRepository, inbox: Inbox, lake: Path) -> None:
        self.lake = lake
        self.pull = Account(repository, lake, options=PlanOptions(account_group=GROUP))
        self.push = Deliveries(
            NO_REPOSITORY, lake, inbox=inbox, options=PlanOptions(window_bytes=None, account_group=GROUP)
        )

    def write(self, number: int, *, pulled: bool = True, pushed: bool = True, key: KeyPair | None = None) -> None:
        """Let Imperva write a log, and keep or deliver it; what is delivered is another container of the same body."""
        (log,) = self.pull.serve(number, events=3)
        body = "".join(f"{event}\n" for event in log.events)
        start = FORGED_START + number * LOG_SPAN_MS
        if pulled:
            self.pull.repository.add(log.name, forge_log(body, start=start))
        else:
            self.pull.repository.remove(log.name)
        if pushed:
            self.push.inbox.put(f"day/{number}", forge_log(body, start=start, compress=False, key=key))

    def events(self) -> Counter[str]:
        if not any(self.lake.glob("events/repository=*/**/*.parquet")):
            return Counter()
        found = duckdb.execute(
            f"SELECT request_id FROM read_parquet('{self.lake}/events/repository=*/**/*.parquet')"
        ).fetchall()
        return Counter(request for (request,) in found)

    def assert_each_once(self) -> None:
        assert self.events() == Counter(request_id(event) for log in self.pull.forged.values() for event in log.events)

    def assert_none_twice(self) -> None:
        assert [request for request, times in self.events().items() if times > 1] == []


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as started:
        yield started


@pytest.fixture
def both(repository: FakeRepository, disk: Inbox, tmp_path: Path) -> BothWays:
    return BothWays(repository, disk, tmp_path / "lake")


def test_switching_from_pull_to_push_gives_no_event_twice(both: BothWays) -> None:
    """Around the switch some logs come both ways, before only one, after only the other."""
    for number in (1, 2):
        both.write(number, pushed=False)
    both.write(3)
    both.pull.run_some()
    both.write(4)
    both.write(5, pulled=False)
    both.push.run_some()
    both.pull.run()
    both.assert_each_once()
    assert both.push.states() == {"0_1.log": "duplicate", "0_2.log": "committed", "0_3.log": "committed"}
    assert both.pull.states()["8416_4.log"] == "duplicate"
    assert both.pull.record("8416_4.log")["reason"] == "its content is that of 0_2.log of repository pushed"
    for account in (both.pull, both.push):
        assert account.run() is None
        assert all(commit.totals.lines == commit.totals.rows for commit in account.ledger.commits())


def test_an_encrypted_log_is_recognised_by_its_plain_body(both: BothWays) -> None:
    pair = KeyPair.generate("1")
    both.push.keys = KeyRing({"1": pair.private_key})
    both.write(1, key=pair)
    both.pull.run_some()
    both.push.run_some()
    both.assert_each_once()
    assert both.push.states() == {"0_1.log": "duplicate"}


def test_of_two_at_once_one_loads_and_the_other_waits_for_its_commit(both: BothWays) -> None:
    """A claim alone does not say that the events are in the lake."""
    both.write(1)
    pulled = both.pull.plan()
    both.pull.normalize(pulled, both.pull.fetch(pulled))
    commit = both.push.run_some()
    assert commit.totals.logs == {}
    assert commit.open_codes["0_1.log"] == OpenCode.COPY_BEING_LOADED
    both.assert_each_once()
    both.pull.commit(pulled)
    both.push.run_some()
    assert both.push.states() == {"0_1.log": "duplicate"}
    both.assert_each_once()


def test_one_that_waits_in_vain_says_what_to_do(both: BothWays) -> None:
    """The other pipeline was switched off between its claim and its commit."""
    both.write(1)
    pulled = both.pull.plan()
    report = both.pull.normalize(pulled, both.pull.fetch(pulled))
    both.pull.ledger.store.delete([part.path for part in report.parts])
    (claim,) = both.lake.glob("contents/**/*.json")
    record = json.loads(claim.read_text())
    record["claimed_at"] = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    claim.write_text(json.dumps(record))
    commit = both.push.run_some()
    assert set(commit.open_codes.values()) == {OpenCode.COPY_ABANDONED}
    (reason,) = commit.open.values()
    assert f"delete the claim {claim}" in reason
    claim.unlink()
    both.push.run_some()
    both.assert_each_once()


def test_a_log_whose_rows_were_never_reported_claims_again(both: BothWays) -> None:
    """Its batch failed: the claim is its own, and the next plan loads it."""
    both.write(1)
    plan = both.pull.plan()
    both.pull.fetch(plan)
    store = both.pull.ledger.store
    both.pull.ledger.store = SteppedStore(store, before=break_off(1))
    with pytest.raises(BrokenOffError):
        both.pull.normalize(plan, both.pull.fetch(plan))
    both.pull.ledger.store = store
    assert both.push.run_some().totals.logs == {}
    both.pull.run_some()
    both.assert_each_once()
    both.push.run_some()
    both.assert_each_once()


def test_without_a_group_nobody_looks(repository: FakeRepository, disk: Inbox, tmp_path: Path) -> None:
    """And no object is written for it."""
    both = BothWays(repository, disk, tmp_path / "lake")
    both.pull.options = PlanOptions()
    both.write(1, pushed=False)
    both.pull.run_some()
    assert not (both.lake / "contents").exists()
    assert both.pull.record("8416_1.log")["content_sha256"] is None


def test_logs_without_an_event_are_no_copies_of_each_other(both: BothWays) -> None:
    for path in ("a", "b"):
        both.push.inbox.put(path, forge_log("", start=1 if path == "a" else 2))
    assert both.push.run_some().totals.logs == {"committed": 2}


class TestReplay:
    """Claims are kept by a replay."""

    @staticmethod
    def replay_all(account: Account, state: str = "all") -> None:
        plan = make_replay_plan(
            account.ledger, run=account.next_run(), selection=Selection.of(state=state), take_over=True
        )
        assert plan
        replay(account.ledger, account.keys, plan, options=NormalizeOptions())

    def test_what_is_loaded_stays_and_keeps_its_name(self, both: BothWays) -> None:
        both.write(1)
        both.write(2, pulled=False)
        both.pull.run_some()
        both.push.run_some()
        rows = both.push.rows()
        for account in (both.pull, both.push):
            self.replay_all(account)
        both.assert_each_once()
        assert both.push.rows() == rows
        assert both.push.record("0_2.log")["delivered_as"] == "day/2"
        assert both.push.record("0_2.log")["content_sha256"]

    def test_what_was_in_quarantine_and_came_the_other_way_becomes_a_duplicate(self, both: BothWays) -> None:
        """It did not decode with the wrong key; with the right one it would be there twice."""
        pair, other = KeyPair.generate("1"), KeyPair.generate("1")
        both.push.keys = KeyRing({"1": other.private_key})
        both.write(1, key=pair)
        both.push.run_some()
        assert both.push.states() == {"0_1.log": "quarantined"}
        both.pull.run_some()
        both.push.keys = KeyRing({"1": pair.private_key})
        self.replay_all(both.push, "quarantined")
        both.assert_each_once()
        assert both.push.states() == {"0_1.log": "duplicate"}
        assert both.push.quarantined() == []


def test_what_came_only_one_way_is_told_by_name(both: BothWays, capsys: pytest.CaptureFixture[str]) -> None:
    """Within the time that both ways brought logs; what came before and after cannot have come both ways."""
    both.write(1, pushed=False)
    for number in (2, 5):
        both.write(number)
    both.write(3, pulled=False)
    both.write(4, pushed=False)
    both.write(6, pulled=False)
    both.pull.run_some()
    both.push.run_some()
    both.assert_each_once()
    assert main(["deliveries", str(both.lake), "pushed", both.pull.repository.name]) == 1
    output = capsys.readouterr().out
    assert "2 logs came by all ways" in output
    assert [line.split()[2:] for line in output.splitlines() if line.startswith("  ")] == [
        ["0_3.log", "'day/3'"],
        ["8416_4.log"],
    ]


def test_all_that_came_both_ways_is_fine(both: BothWays) -> None:
    for number in (1, 2):
        both.write(number)
    both.push.run_some()
    both.pull.run_some()
    assert main(["deliveries", str(both.lake), "pushed", both.pull.repository.name]) == 0


def test_ways_that_cannot_be_compared_say_why(both: BothWays, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deliveries", str(both.lake), "pushed", "pushed"]) == 2
    assert main(["deliveries", str(both.lake), "pushed", "other"]) == 2
    assert "account_group" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("way", ["pull", "push"])
def test_whichever_stops_anywhere_no_event_is_lost_or_doubled(
    repository: FakeRepository,
    disk: Inbox,
    tmp_path: Path,
    way: str,
    done: bool,
    record_property: Callable[[str, object], None],
) -> None:
    """One run ends at each of its writes in turn; the other way runs meanwhile; then both go on."""
    first = BothWays(repository, disk, tmp_path / "lake")
    for written in (1, 2):
        first.write(written)
    first.write(3, pulled=False)
    first.write(4, pushed=False)
    # In the short form every third, and by each way after it as well as before it.
    for number in count(step=1 if LONG else 3):
        both = BothWays(repository, disk, tmp_path / f"lake-{number}")
        both.pull.forged = first.pull.forged
        stopped, other = (both.pull, both.push) if way == "pull" else (both.push, both.pull)
        store = stopped.ledger.store
        stop = break_off(number)
        stepped = SteppedStore(store, **{"after" if done else "before": stop})
        stopped.ledger = Ledger(stepped, stopped.ledger.layout.repository)
        try:
            stopped.run()
            break
        except BrokenOffError:
            pass
        both.assert_none_twice()
        other.run()
        both.assert_none_twice()
        stopped.ledger = Ledger(store, stopped.ledger.layout.repository)
        for account in (stopped, other, stopped, other):
            account.run()
            both.assert_none_twice()
        both.assert_each_once()
        assert stopped.run() is None
        assert other.run() is None
    assert number >= 10
    record_property("crash points", number if LONG else number // 3)


def test_a_lake_with_copies_is_proved_whole_and_told(both: BothWays, capsys: pytest.CaptureFixture[str]) -> None:
    both.write(1)
    both.write(2, pulled=False)
    both.pull.run_some()
    both.push.run_some()
    assert main(["verify", str(both.lake)]) == 0, capsys.readouterr().out
    assert main(["explain", str(both.lake), "0_1.log", "--repository", "pushed"]) == 0
    assert "its content is that of 8416_1.log" in " ".join(capsys.readouterr().out.split())
    assert main(["coverage", str(both.lake), "--repository", "pushed"]) == 0, capsys.readouterr()
