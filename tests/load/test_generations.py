"""A counter that begins again: known names with other bytes are other logs, and each is loaded once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.explanation import explain_log
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.complaints import left_behind
from airflow_provider_imperva.lake.quarantine import too_much
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.retention.expire import expire
from airflow_provider_imperva.retention.policy import RetentionPolicy
from airflow_provider_imperva.testing import Fault, FaultRule, FaultScript
from airflow_provider_imperva.testing.faults import CALM
from airflow_provider_imperva.testing.forge import ForgedLog, KeyPair, forge_repository
from airflow_provider_imperva.testing.formats import Format
from tests.load.load_runs import Account, Clock, request_id, without_notice

DAY = timedelta(days=1)


def name(number: int) -> str:
    return f"8416_{number}.log"


def forge_anew(account: Account, *numbers: int, seed: int = 99, **options: object) -> list[ForgedLog]:
    """Write logs of a counter that began again: known names, other events."""
    logs: list[ForgedLog] = []
    for number in numbers:
        logs += forge_repository(1, first=number, events_per_log=5, seed=seed, **options)  # type: ignore[arg-type]
    for log in logs:
        account.repository.add(log.name, log.content)
    return logs


def requests_of(logs: Iterable[ForgedLog]) -> Counter[str]:
    return Counter(request_id(event) for log in logs for event in log.events)


def run_late(account: Account) -> Commit:
    """Run after days without a run: the first plan only fetches, since nobody knows how old the logs are."""
    commit = account.run_some()
    account.run_some()
    return commit


class TestRestart:
    @pytest.fixture
    def loaded(self, account: Account) -> Account:
        account.serve(*range(1, 11))
        account.run_some()
        return account

    def restart(
        self,
        account: Account,
        *numbers: int,
        keep: Iterable[int] = (),
        keys: Sequence[KeyPair] = (),
        **options: Any,
    ) -> list[ForgedLog]:
        for number in {log.sequence for log in account.repository.names()} - {*keep}:
            account.repository.remove(name(number))
        return forge_anew(account, *numbers, keys=keys, **options)

    def assert_all_there(self, account: Account, *logs: ForgedLog) -> None:
        counts = Counter(row[2] for row in account.rows().elements())
        assert counts == requests_of([*account.forged.values(), *logs])
        identities = Counter((file, line) for file, line, _ in account.rows().elements())
        assert max(identities.values()) == 1, "a row's identity is its own"
        account.assert_balanced()
        assert verify_lake(account.ledger.store, at=account.clock()).ok

    def assert_told(self, commit: Commit) -> None:
        (restart,) = commit.restarts
        assert (restart.prefix, restart.generation) == ("8416", "8416-2")
        assert "has other bytes" in restart.reason

    def test_a_week_later_the_first_numbers_come_again(
        self, loaded: Account, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        logs = self.restart(loaded, 1, 2, 3, 4, 5)
        clock.ahead = 7 * DAY
        assert loaded.work() is not None, "nothing but known names is listed, and there is work"
        self.assert_told(run_late(loaded))
        self.assert_all_there(loaded, *logs)
        assert loaded.states()["8416-2_5.log"] == "committed"
        assert [record for record in caplog.records if record.levelno == logging.ERROR and "8416-2" in record.message]

    @pytest.mark.parametrize("options", [{}, {"format": "JSON"}])
    def test_they_come_again_when_the_first_ones_have_left_raw(
        self, account: Account, clock: Clock, options: dict[str, Any]
    ) -> None:
        """Nothing but the ledger remembers what had these names: a checksum, or that of the bytes."""
        account.serve(*range(1, 11), **options)
        account.run_some()
        clock.ahead = 7 * DAY
        logs = self.restart(account, 1, 2, 3, **options)
        expire(account.ledger, RetentionPolicy(raw=5), run=account.next_run(), clock=clock)
        assert not [*(account.lake / "raw").rglob("8416_*.log")]
        assert account.work() is not None
        self.assert_told(run_late(account))
        lines = Counter((file, line) for file, line, _ in account.rows().elements())
        assert set(lines.values()) == {1}
        assert len(lines) == sum(len(log.events) for log in [*account.forged.values(), *logs])
        assert verify_lake(account.ledger.store, at=account.clock()).ok

    def test_logs_that_stay_listed_and_have_left_raw_are_the_same_logs(self, loaded: Account, clock: Clock) -> None:
        clock.ahead = 7 * DAY
        expire(loaded.ledger, RetentionPolicy(raw=5), run=loaded.next_run(), clock=clock)
        loaded.serve(11)
        assert run_late(loaded).restarts == ()
        assert loaded.rows() == loaded.expected()

    def test_they_are_overwritten_at_once(self, loaded: Account) -> None:
        logs = self.restart(loaded, 1, 2, 3, 4, 5)
        assert loaded.work() is not None
        self.assert_told(loaded.run_some())
        self.assert_all_there(loaded, *logs)

    def test_more_come_than_there_were(self, loaded: Account, clock: Clock) -> None:
        logs = self.restart(loaded, *range(1, 13))
        clock.ahead = 7 * DAY
        self.assert_told(run_late(loaded))
        self.assert_all_there(loaded, *logs)

    def test_all_are_overwritten_and_new_ones_come(self, loaded: Account) -> None:
        """Nothing hints at it but the bytes of a log that is asked for again."""
        logs = self.restart(loaded, *range(1, 13))
        self.assert_told(loaded.run_some())
        self.assert_all_there(loaded, *logs)

    def test_while_nothing_can_be_compared_the_run_is_red(self, loaded: Account, clock: Clock) -> None:
        """By the time that it can, these logs may be gone."""
        clock.ahead = 7 * DAY
        logs = self.restart(loaded, 1, 2, 3)
        loaded.repository.script = FaultScript(rules=(FaultRule(path="*.log", fault=Fault(status=503)),))
        commit = loaded.run_some()
        loaded.repository.script = CALM
        assert commit.restarts == ()
        assert [line.partition(":")[0] for line in commit.unread] == ["8416_1.log to 8416_3.log (3 names)"]
        assert left_behind(commit)
        assert loaded.run_some().unread == ()
        loaded.run()
        self.assert_all_there(loaded, *logs)

    def test_old_logs_that_are_still_listed_are_not_loaded_again(self, loaded: Account) -> None:
        logs = self.restart(loaded, 1, 2, 3, keep=(8, 9, 10))
        commit = loaded.run_some()
        assert not commit.restarts or commit.restarts[0].generation == "8416-2"
        while not commit.restarts:
            forge_anew(loaded, 11)
            commit = loaded.run_some()
        self.assert_told(commit)
        states = loaded.states()
        assert {states[f"8416-2_{number}.log"] for number in (8, 9, 10)} == {"duplicate"}
        assert {states[f"8416-2_{number}.log"] for number in (1, 2, 3)} == {"committed"}
        rows = Counter(row[2] for row in loaded.rows().elements())
        assert requests_of([*loaded.forged.values(), *logs]) <= rows
        assert max(rows.values()) == 1

    def test_the_new_counter_goes_on_in_its_own_generation(self, loaded: Account, clock: Clock) -> None:
        logs = self.restart(loaded, 1, 2)
        clock.ahead = 7 * DAY
        run_late(loaded)
        logs += forge_anew(loaded, 3, 5)
        commit = loaded.run_some()
        assert commit.restarts == ()
        assert commit.prefixes["8416-2"].highest == 5
        assert commit.prefixes["8416"].highest == 10
        self.assert_all_there(loaded, *logs)
        assert loaded.run() is None

    def test_it_begins_again_twice(self, loaded: Account, clock: Clock) -> None:
        logs = self.restart(loaded, 1, 2)
        clock.ahead = 7 * DAY
        run_late(loaded)
        for number in (1, 2):
            loaded.repository.remove(name(number))
        (third,) = forge_anew(loaded, 1, seed=77)
        clock.ahead = 14 * DAY
        commit = run_late(loaded)
        assert [one.generation for one in commit.restarts] == ["8416-3"]
        self.assert_all_there(loaded, *logs, third)

    def test_where_a_lake_began_with_now_what_was_left_out_comes_again(self, account: Account, clock: Clock) -> None:
        account.options = PlanOptions(start="now")
        account.serve(*range(1, 11))
        account.run()
        account.forged.clear()
        logs = self.restart(account, 1, 2, 3)
        assert account.run() is None, "what was left out is listed for as long as the window"
        clock.ahead = 7 * DAY
        (restart,) = run_late(account).restarts
        assert "left out when the lake began" in restart.reason
        self.assert_all_there(account, *logs)

    def test_encrypted_logs_tell_by_their_headers(self, account: Account, key_pair: KeyPair, clock: Clock) -> None:
        account.keys = KeyRing({"1": key_pair.private_key})
        account.serve(1, 2, 3, keys=[key_pair])
        account.run_some()
        logs = self.restart(account, 1, 2, keys=[key_pair])
        clock.ahead = 7 * DAY
        self.assert_told(run_late(account))
        self.assert_all_there(account, *logs)

    def test_a_log_listed_and_not_fetched_when_it_began_again_is_loaded_once(self, loaded: Account) -> None:
        loaded.serve(11, 12)
        loaded.options = PlanOptions(max_logs=1)
        loaded.run_some()
        loaded.options = PlanOptions()
        forged = loaded.forged.pop(name(12))
        logs = self.restart(loaded, 1, 2, keep=(12,))
        commit = loaded.run_some()
        while not commit.restarts:
            logs += forge_anew(loaded, 3)
            commit = loaded.run_some()
        self.assert_all_there(loaded, *logs, forged)

    def test_the_coverage_page_tells_of_it(self, loaded: Account, clock: Clock) -> None:
        self.restart(loaded, 1, 2)
        clock.ahead = 7 * DAY
        run_late(loaded)
        history = History.read(loaded.ledger.store, loaded.repository.name)
        coverage = measure_coverage(loaded.ledger.store, history, window=2 * DAY, days=1)
        assert {item.prefix for item in coverage.numbers} == {"8416", "8416-2"}
        html = render([coverage], lake="lake")
        assert "The logs of prefix 8416 that are listed from now on are loaded as 8416-2" in html

    def test_explain_tells_of_every_generation(self, loaded: Account, clock: Clock) -> None:
        self.restart(loaded, 1, 2)
        clock.ahead = 7 * DAY
        run_late(loaded)
        stories = explain_log(loaded.ledger.store, loaded.repository.name, "8416_1.log")
        assert [(story.name, story.state) for story in stories] == [
            (name(1), "committed"),
            ("8416-2_1.log", "committed"),
        ]
        (story,) = explain_log(loaded.ledger.store, loaded.repository.name, "8416-2_1.log")
        assert story.prefix == "8416-2"


class TestLeftOver:
    """Logs of the generation that ends, not loaded yet: none is closed as a duplicate that is not proved to be one."""

    @pytest.fixture
    def loaded(self, account: Account) -> Account:
        """Four logs, of which the third came cut, and is to be asked for again."""
        account.serve(1, 2, 4)
        self.come_cut(account, 3)
        return account

    def come_cut(self, account: Account, number: int, *, format: Format = "CEF") -> None:
        (log,) = account.serve(number, format=format)
        # Twice: what is damaged is asked for once more at once.
        account.repository.fail(log.name, *[without_notice(log.content, len(log.content) - 40)] * 2)
        account.run_some()
        assert account.states()[log.name] == "damaged"

    def restart(self, account: Account, *overwritten: int) -> list[ForgedLog]:
        """Begin again: these logs are overwritten, and the others stay listed."""
        logs = forge_anew(account, *overwritten)
        assert account.run_some().restarts
        return logs

    def assert_accounted_for(self, account: Account, rows: Iterable[ForgedLog]) -> None:
        counts = Counter(row[2] for row in account.rows().elements())
        assert counts == requests_of(rows)
        account.assert_balanced()
        (told,) = verify_lake(account.ledger.store, at=account.clock()).repositories
        assert told.findings == ()

    def test_one_that_came_cut_and_is_overwritten_is_lost_and_told_so(self, loaded: Account) -> None:
        new = self.restart(loaded, 1, 3)
        commit = loaded.run_some()
        record = loaded.record(name(3))
        assert (record["state"], record["reason_code"]) == ("quarantined", "truncated")
        assert record["raw_key"], "what came of it stays, and is named"
        assert too_much(loaded.ledger, commit, share=1), "the run is red"
        assert loaded.states()["8416-2_3.log"] == "committed"
        del loaded.forged[name(3)]
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_bytes_that_a_hung_task_left_beside_another_log_do_not_make_a_new_one_its_duplicate(
        self, account: Account
    ) -> None:
        """It asked once more for what had come cut, when the name was another log's already."""
        account.serve(1, 2, 3, 4)
        account.run_some()
        new = forge_anew(account, 1, 3)
        layout, sha256 = account.ledger.layout, hashlib.sha256(new[1].content).hexdigest()
        account.ledger.raw.create(layout.raw_beside(LogName.parse(name(3)), sha256), new[1].content)
        assert account.run_some().restarts
        assert account.states()["8416-2_3.log"] == "committed"
        counts = Counter(row[2] for row in account.rows().elements())
        assert counts == requests_of([*account.forged.values(), *new])

    def test_one_that_came_cut_and_is_still_listed_is_a_duplicate_of_what_comes(self, loaded: Account) -> None:
        new = self.restart(loaded, 1)
        loaded.run_some()
        record = loaded.record(name(3))
        assert (record["state"], record["reason_code"]) == ("duplicate", "later_generation")
        assert "8416-2_3.log" in str(record["reason"])
        assert loaded.states()["8416-2_3.log"] == "committed"
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_one_of_which_whole_bytes_came_at_last_is_loaded_once(self, loaded: Account) -> None:
        """Its task was killed after it had put them beside the first ones."""
        layout, log = loaded.ledger.layout, loaded.forged[name(3)]
        new = self.restart(loaded, 1)
        assert loaded.states()["8416-2_3.log"] == "committed"
        sha256 = hashlib.sha256(log.content).hexdigest()
        loaded.ledger.store.create(layout.raw_beside(LogName("8416", 3), sha256), log.content)
        loaded.run_some()
        assert loaded.record(name(3))["reason_code"] == "later_generation"
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_one_that_is_served_cut_for_good_is_asked_for_to_the_end(self, loaded: Account, clock: Clock) -> None:
        log = loaded.forged[name(3)]
        loaded.repository.add(log.name, log.content[:-40])
        new = self.restart(loaded, 1)
        loaded.run_some()
        states = loaded.states()
        assert (states[name(3)], states["8416-2_3.log"]) == ("duplicate", "damaged")
        clock.ahead = timedelta(hours=1)
        loaded.repository.add(log.name, log.content)
        loaded.run_some()
        assert loaded.states()["8416-2_3.log"] == "committed"
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_two_are_never_duplicates_of_each_other(self, loaded: Account, clock: Clock) -> None:
        """Neither would be loaded, and nobody would hear of it."""
        log = loaded.forged[name(3)]
        loaded.repository.add(log.name, log.content[:-40])
        new = self.restart(loaded, 1)
        clock.ahead = 3 * DAY
        for known in list(loaded.repository.names()):
            loaded.repository.remove(known)
        loaded.serve(90)
        commits = [loaded.run_some(), loaded.run_some()]
        states = loaded.states()
        assert sorted([states[name(3)], states["8416-2_3.log"]]) == ["duplicate", "quarantined"]
        assert any(too_much(loaded.ledger, commit, share=1) for commit in commits)
        del loaded.forged[name(3)]
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_one_without_a_checksum_that_came_cut_is_not_loaded_beside_the_whole_one(self, account: Account) -> None:
        """At last what is whole of a cut JSON log is loaded; but here its rows come with another."""
        account.serve(1, 2, 4, format="JSON")
        self.come_cut(account, 3, format="JSON")
        forge_anew(account, 1, format="JSON")
        assert account.run_some().restarts
        account.run_some()
        assert account.record(name(3))["reason_code"] == "later_generation"
        assert sum(account.rows().values()) == 5 * 5
        assert max(Counter(row[2] for row in account.rows().elements()).values()) == 1
        account.assert_balanced()

    def test_one_that_was_never_fetched_has_expired_and_is_named(self, loaded: Account) -> None:
        loaded.serve(5)
        loaded.repository.fail(name(5), *[Fault(status=503)] * 2)
        loaded.run_some()
        new = forge_anew(loaded, 1, 5)
        plan = loaded.plan()
        assert plan.restarts
        commit = loaded.finish(plan)
        assert commit.lost == 1
        assert left_behind(commit)
        record = loaded.record(name(5))
        assert (record["state"], record["reason_code"]) == ("expired", "counter_began_again")
        assert "8416-2_5.log" in str(record["reason"])
        loaded.run()
        del loaded.forged[name(5)]
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_what_a_task_that_hung_brings_of_it_is_loaded_once(self, loaded: Account) -> None:
        """It asked before the counter began again, and the bytes come afterwards."""
        (log,) = loaded.serve(5)
        loaded.repository.fail(name(5), *[Fault(status=503)] * 2)
        loaded.run_some()
        new = forge_anew(loaded, 1)
        loaded.run_some()
        loaded.ledger.store.create(loaded.ledger.layout.raw(LogName("8416", 5)), log.content)
        loaded.serve(6)
        loaded.run_some()
        states = loaded.states()
        assert (states[name(5)], states["8416-2_5.log"]) == ("duplicate", "committed")
        self.assert_accounted_for(loaded, [*loaded.forged.values(), *new])

    def test_an_old_log_that_the_counter_comes_to_next_is_looked_at(self, account: Account) -> None:
        """Among many that are listed, chance alone would hardly find the one that was overwritten."""
        account.serve(*range(30, 70))
        account.run_some()
        for path in account.lake.glob("raw/**/*.log"):
            os.utime(path, times=(0, path.stat().st_mtime - 3600))
        new = forge_anew(account, 28, 29)
        account.run_some()
        new += forge_anew(account, 31)
        assert account.work() is not None
        assert account.run_some().restarts
        self.assert_accounted_for(account, [*account.forged.values(), *new])


class TestNoRestart:
    """What looks like one, and is none."""

    @pytest.fixture
    def loaded(self, account: Account) -> Account:
        account.serve(*range(1, 6))
        account.run_some()
        return account

    def test_a_repository_that_keeps_its_logs_for_longer_than_told(self, loaded: Account, clock: Clock) -> None:
        clock.ahead = 7 * DAY
        loaded.serve(6)
        assert run_late(loaded).restarts == ()
        assert loaded.rows() == loaded.expected()

    def test_an_index_that_lags_behind(self, loaded: Account) -> None:
        loaded.repository.index = b"8416_1.log\n8416_2.log\n"
        assert loaded.work() is None

    @pytest.mark.parametrize(
        "fault", [Fault(status=503), Fault(status=404), Fault(shorten=0), Fault(html=True), Fault(shorten=0.5)], ids=str
    )
    def test_answers_that_prove_nothing(self, loaded: Account, fault: Fault) -> None:
        loaded.serve(6)
        for number in range(1, 6):
            loaded.repository.fail(name(number), *[fault] * 4)
        assert loaded.run_some().restarts == ()

    @pytest.mark.parametrize("body", [b'{"errorCode": 503, "message": "later"}', b"<Error>no</Error>", b"CEF"], ids=str)
    def test_an_error_in_place_of_every_log(self, loaded: Account, body: bytes) -> None:
        for number in range(1, 6):
            loaded.repository.add(name(number), body)
        loaded.serve(6)
        assert loaded.run_some().restarts == ()
        assert loaded.rows() == loaded.expected()

    @pytest.mark.parametrize(
        "body",
        [
            b"#Software: gateway\n",
            b'{"timestamp": 1767225600000, "status": 500, "error": "x", "path": "/"}',
            b'[{"message": "' + b"x" * 2000 + b'"}]',
        ],
        ids=["directive", "error", "long error"],
    )
    def test_an_error_in_place_of_every_log_without_a_header(self, account: Account, body: bytes) -> None:
        account.serve(*range(1, 6), format="JSON")
        account.run_some()
        rows = account.rows()
        for number in range(1, 6):
            account.repository.add(name(number), body)
        account.serve(6, format="JSON")
        assert account.run_some().restarts == ()
        assert account.rows() > rows

    def test_a_log_without_a_header_that_came_cut_at_a_line_end_is_the_same(self, account: Account) -> None:
        """Nobody could see that it was; it is no other log for that."""
        logs = account.serve(1, 2, format="JSON", events=4)
        for log in logs:
            account.repository.add(log.name, log.content[: log.content.rindex(b"\n", 0, -1) + 1])
        account.run_some()
        for log in logs:
            account.repository.add(log.name, log.content)
        account.serve(3, format="JSON")
        assert account.run_some().restarts == ()

    def test_a_log_that_came_damaged_and_is_whole_now(self, account: Account) -> None:
        (log,) = account.serve(1)
        cut = log.content[: len(log.content) // 2]
        account.repository.fail(name(1), *[without_notice(log.content, len(cut))] * 2)
        account.run_some()
        account.serve(2)
        assert account.run_some().restarts == ()
