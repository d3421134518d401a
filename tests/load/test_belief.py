"""What is not believed without a check: clocks, servers behind one name, and ledgers that are older than the events."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.audit import verify as verify_module
from airflow_provider_imperva.audit.findings import Kind
from airflow_provider_imperva.audit.inventory import Inventory, take_inventory
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.errors import LakeMismatchError, LedgerCorruptError
from airflow_provider_imperva.lake.claim import check_claim, claim
from airflow_provider_imperva.lake.records import OpenCode
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.load.plan import Work
from airflow_provider_imperva.load.rescue import rescue
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import Fault
from airflow_provider_imperva.testing.forge import ForgedLog, forge_repository
from tests.load.load_runs import Account, Clock

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


def name(number: int) -> str:
    return f"8416_{number}.log"


def index_of(*numbers: int) -> bytes:
    return "".join(f"{name(number)}\n" for number in numbers).encode()


class TestClocks:
    def test_a_clock_that_was_ahead_in_the_last_run_vouches_for_nothing(
        self, account: Account, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Logs 3 to 8 came and went while nobody looked; the ledger says that somebody looks in three days' time."""
        account.serve(1)
        clock.ahead = 3 * DAY
        account.run_some()
        account.repository.remove(name(1))
        account.serve(2, 9)
        clock.ahead = 2.5 * DAY
        commit = account.run_some()
        assert account.states()["8416_3..8"] == "unobserved"
        assert commit.lost == 6
        assert "which is in the future: a clock was wrong" in caplog.text

    def test_clocks_that_differ_by_minutes_are_no_matter(self, account: Account, clock: Clock) -> None:
        account.serve(1)
        clock.ahead = timedelta(minutes=20)
        account.run_some()
        clock.ahead = timedelta()
        account.serve(4)
        commit = account.run_some()
        assert commit.lost == 0
        assert [item.state for item in commit.prefixes["8416"].open] == ["gap"]


class TestOldestFirst:
    def test_over_several_prefixes_the_oldest_logs_go_first(self, account: Account, clock: Clock) -> None:
        """A prefix that sorts behind the others waits no longer than they do: its logs leave the window as soon."""
        first = {"9001": (1, 2), "8416": (5, 6), "77": (9,)}
        for hours, (prefix, numbers) in enumerate(first.items()):
            clock.ahead = hours * HOUR
            account.options = PlanOptions(max_logs=1)
            account.serve(*numbers, prefix=prefix)
            account.plan_if_any()
        account.options = PlanOptions(max_logs=3, logs_per_batch=1)
        left = account.ledger.head().plan
        assert left is not None
        planned = []
        for _ in range(2):
            clock.ahead += HOUR / 6
            plan = account.plan()
            planned += [log.name for batch in plan.batches for log in batch]
            account.finish(plan)
        assert planned == ["9001_1.log", "9001_2.log", "8416_5.log", "8416_6.log", "77_9.log"]
        assert account.rows() == account.expected()


class TestTwoServers:
    """Two servers behind one name, of which one lags by a log or two."""

    def test_a_log_that_the_other_server_does_not_have_yet_has_not_expired(self, account: Account) -> None:
        account.serve(1, 2, 3)
        for ahead in (4, 5, 6):
            account.serve(ahead)
            plan = account.plan()
            account.repository.index = index_of(*range(1, ahead))
            account.repository.fail(name(ahead), Fault(status=404))
            commit = account.finish(plan)
            assert (commit.lost, commit.open_codes, commit.stuck) == (0, {name(ahead): OpenCode.LAGGING}, [])
            account.repository.index = None
            assert account.run_some().open == {}
        assert account.rows() == account.expected()
        assert set(account.states().values()) == {"committed"}

    @pytest.fixture
    def restarted(self, account: Account) -> list[ForgedLog]:
        """The counter begins again: its first three logs; the last three of the old counter are still listed."""
        account.serve(*range(1, 7))
        account.run_some()
        for number in (1, 2, 3):
            account.repository.remove(name(number))
        return list(forge_repository(3, first=1, events_per_log=5, seed=99))

    def test_nor_has_one_where_logs_of_an_old_counter_are_still_listed(
        self, account: Account, restarted: list[ForgedLog]
    ) -> None:
        """They have higher numbers, and came before it."""
        for log, there in zip(restarted, [(), (1,), (1, 2)], strict=True):
            account.repository.add(log.name, log.content)
            plan = account.plan()
            account.repository.index = index_of(*there, 4, 5, 6)
            account.repository.fail(log.name, Fault(status=404))
            commit = account.finish(plan)
            assert (commit.lost, commit.open_codes) == (0, {log.name.replace("_", "-2_"): OpenCode.LAGGING})
            account.repository.index = None
            account.run_some()
        assert "expired" not in account.states().values()
        assert account.rows().total() == account.expected().total() + 15

    def test_one_that_newer_logs_of_the_new_counter_are_listed_beside_has_expired_at_once(
        self, account: Account, restarted: list[ForgedLog]
    ) -> None:
        first, *others = restarted
        account.repository.add(first.name, first.content)
        account.run_some()
        for log in others:
            account.repository.add(log.name, log.content)
        plan = account.plan()
        account.repository.remove(others[0].name)
        assert account.finish(plan).lost == 1

    def test_nor_does_it_help_that_the_newer_log_is_loaded(self, account: Account, restarted: list[ForgedLog]) -> None:
        first, *others = restarted
        account.repository.add(first.name, first.content)
        account.run_some()
        for log in others:
            account.repository.add(log.name, log.content)
        account.repository.fail(others[0].name, *[Fault(status=503)] * 2)
        account.run_some()
        plan = account.plan()
        account.repository.remove(others[0].name)
        assert account.finish(plan).lost == 1

    def test_one_that_never_comes_has_expired_after_an_hour(self, account: Account, clock: Clock) -> None:
        account.serve(1, 2)
        plan = account.plan()
        account.repository.remove(name(2))
        assert account.finish(plan).open_codes == {name(2): OpenCode.LAGGING}
        clock.ahead = 2 * HOUR
        commit = account.run_some()
        assert (commit.lost, account.states()[name(2)]) == (1, "expired")

    def test_one_that_newer_logs_are_listed_beside_has_expired_at_once(self, account: Account) -> None:
        account.serve(1, 2, 3)
        plan = account.plan()
        account.repository.remove(name(2))
        assert account.finish(plan).lost == 1


class TestOlderLedger:
    """Yesterday's ledger over today's events: what was loaded since would be loaded again."""

    @pytest.fixture
    def restored(self, account: Account, tmp_path: Path) -> Account:
        for number in (1, 2, 3, 4):
            account.serve(number)
            account.run_some()
            if number == 2:
                shutil.copytree(account.lake / "ledger", tmp_path / "backup")
        shutil.rmtree(account.lake / "ledger")
        shutil.copytree(tmp_path / "backup", account.lake / "ledger")
        return account

    def test_no_plan_is_made(self, restored: Account) -> None:
        with pytest.raises(
            LakeMismatchError, match=r"part-00000000000[34]-0000.parquet: this part is of a commit after 2"
        ):
            restored.run()
        assert restored.rows() == restored.expected()
        assert restored.ledger.head().plan is None

    def test_a_batch_that_is_about_to_write_beside_later_parts_does_not(self, restored: Account) -> None:
        """The plan looked at the newest partitions only, or was made before the backup came back."""
        (part,) = restored.lake.glob("events/**/part-000000000004-0000.parquet")
        hidden = restored.lake / "hidden"
        shutil.move(part, hidden)
        (other,) = restored.lake.glob("events/**/part-000000000003-0000.parquet")
        shutil.move(other, restored.lake / "also-hidden")
        plan = restored.plan()
        shutil.move(hidden, part)
        with pytest.raises(LakeMismatchError, match="this part is of a commit after 3"):
            restored.normalize(plan, restored.fetch(plan))
        assert not list(restored.lake.glob("events/**/part-000000000003-0000.parquet"))

    def test_it_goes_on_once_later_parts_are_moved_away(self, restored: Account) -> None:
        for part in restored.lake.glob("events/**/part-00000000000[34]-*.parquet"):
            part.unlink()
        restored.run_some()
        assert restored.rows() == restored.expected()

    def test_a_ledger_that_is_gone_over_events_that_are_there(self, account: Account) -> None:
        account.serve(1)
        account.run_some()
        shutil.rmtree(account.lake / "ledger")
        with pytest.raises(LakeMismatchError, match="this part is of a commit after 0"):
            account.run()


class TestTornObjects:
    """An object of the plan that has no commit is torn: nothing rests on it, so no run stops for it."""

    @pytest.mark.parametrize("torn", [b"", b'{"v":1,"repository":"8416_17'], ids=["empty", "half"])
    @pytest.mark.parametrize("kind", ["plan", "report", "intent"])
    def test_the_next_run_loads_everything_once(self, account: Account, kind: str, torn: bytes) -> None:
        account.serve(1, 2)
        account.run_some()
        account.serve(3, 4)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
        numbers = (2,) if kind == "plan" else (2, 0)
        path = getattr(account.ledger.layout, kind)(*numbers)
        account.ledger.store.write(path, torn)
        assert account.work() is not None
        account.run_some() if kind != "intent" else account.run()
        account.serve(5)
        account.run()
        assert account.rows() == account.expected()
        account.assert_balanced()
        verification = verify_lake(account.ledger.store).repositories[0].findings
        assert [finding for finding in verification if finding.kind is not Kind.UNREADABLE] == []

    def test_a_commit_that_is_torn_stops_runs_and_the_logs_come_to_raw_all_the_same(self, account: Account) -> None:
        account.serve(1)
        account.run_some()
        account.ledger.store.write(account.ledger.layout.commit(1), b"")
        account.serve(2, 3)
        assert account.work() == Work(recover=0)
        with pytest.raises(LedgerCorruptError):
            account.run()
        with account.client() as client:
            assert rescue(account.ledger, client, max_concurrency=2) == 2
        assert account.raw(name(3)).read_bytes() == account.forged[name(3)].content

    def test_what_was_rescued_is_loaded_once_the_ledger_is_whole(self, account: Account) -> None:
        account.serve(1)
        account.run_some()
        whole = account.ledger.store.read(account.ledger.layout.commit(1))
        account.ledger.store.write(account.ledger.layout.commit(1), b"")
        account.serve(2)
        with account.client() as client:
            rescue(account.ledger, client, max_concurrency=2)
        account.repository.fail(name(2), Fault(status=404))
        account.ledger.store.write(account.ledger.layout.commit(1), whole)
        account.run_some()
        assert account.rows() == account.expected()
        assert account.requested().count(name(2)) == 1


class TestOtherFolders:
    def test_what_others_put_beside_the_ledgers_folders_is_not_part_of_it(self, account: Account) -> None:
        """Two copies of the ledger in itself, and folders that sort behind its own."""
        account.serve(1)
        account.run_some()
        root = account.lake / account.ledger.layout.ledger
        for other in ("zz1", "zz2", "backup-1", "99", "0000000000"):
            shutil.copytree(root / "000000000", root / other)
            for path in (root / other).iterdir():
                path.rename(path.with_name(path.name.replace("000000000001", "000000000777")))
        account.serve(2)
        assert account.run_some().commit == 2
        assert account.rows() == account.expected()


class TestClaim:
    def test_an_emptied_claim_is_written_anew_and_verify_names_it(self, account: Account) -> None:
        account.serve(1)
        account.run_some()
        claim(account.ledger, "8416_1745073")
        path = account.ledger.layout.claim
        account.ledger.store.write(path, b"")
        (finding,) = verify_lake(account.ledger.store).repositories[0].findings
        assert (finding.kind, finding.about) == (Kind.UNREADABLE, path)
        check_claim(account.ledger, "8416_1745073")
        claim(account.ledger, "8416_1745073")
        assert verify_lake(account.ledger.store).ok
        with pytest.raises(LakeMismatchError):
            claim(account.ledger, "9000_22")


def test_what_is_committed_while_verify_looks_is_not_missing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake is listed before the ledger is read, and a run commits in between."""
    account.serve(1)
    account.run_some()

    def take_and_commit(store: Store, repository: str) -> Inventory:
        inventory = take_inventory(store, repository)
        account.serve(2)
        account.run_some()
        return inventory

    monkeypatch.setattr(verify_module, "take_inventory", take_and_commit)
    verification = verify_lake(account.ledger.store)
    assert verification.ok, verification.repositories[0].findings
    monkeypatch.undo()
    account.raw(name(2)).unlink()
    assert not verify_lake(account.ledger.store).ok, "what is still missing at the second look is told"
