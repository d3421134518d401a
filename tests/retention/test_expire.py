"""What is older than its class allows leaves the lake, and every audit accounts for it; all else stays."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.explanation import explain_log
from airflow_provider_imperva.audit.findings import Kind
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.words import describe_lake
from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake import records
from airflow_provider_imperva.lake.layout import TRAFFIC_PAGE
from airflow_provider_imperva.retention.expire import Count, expire, find_due, oldest_days
from airflow_provider_imperva.retention.policy import RetentionPolicy
from tests.load.load_runs import Clock
from tests.retention.kept_account import KeptAccount, day_of, files_of, write_findings
from tests.table.table_reader import files_of as files_of_table

EVERY = {"events": {"access": 5, "security": 5}, "quarantine": 5}


@pytest.fixture
def loaded(account: KeptAccount) -> KeptAccount:
    """Two logs of ten days ago, one of them with a line in quarantine, and one of today."""
    account.serve_day(1, 10, broken=1)
    account.serve_day(2, 10)
    account.run()
    account.serve_day(3, 0, broken=2)
    account.run()
    return account


class TestEvents:
    def test_old_dates_leave_and_the_ledger_says_by_which_rule(self, loaded: KeptAccount) -> None:
        before = loaded.live_rows()
        done = loaded.expire(events={"access": 5, "security": 5})
        (commit,) = done.commits
        assert commit.kind is records.Kind.EXPIRE
        assert commit.purpose is not None
        assert commit.purpose.rule.startswith("events of class access are kept for 5 days")
        assert sum(count.rows for count in done.counts.values()) == commit.taken_rows == 8
        assert loaded.live_rows() == Counter({row: 1 for row in before if row[0] == "8416_3.log"})
        assert loaded.sums() == (15, 4, 3, 8, 0)
        loaded.assert_sound()

    def test_each_class_has_its_own_days(self, loaded: KeptAccount) -> None:
        loaded.expire(events={"access": 5})
        old = {part.event_class for part in loaded.live().values() if part.event_date == f"{day_of(10):%Y-%m-%d}"}
        assert old == {"security"}
        loaded.assert_sound()

    def test_the_last_day_that_is_allowed_stays(self, loaded: KeptAccount) -> None:
        assert loaded.expire(events={"access": 10, "security": 10}).commits == ()
        assert loaded.expire(events={"access": 9, "security": 9}).counts.keys() == {"access", "security"}

    def test_without_a_table_the_objects_are_deleted_at_once(self, loaded: KeptAccount) -> None:
        loaded.expire(**EVERY)
        there = {path for path in files_of(loaded.lake) if path.startswith(("events/", "quarantine/"))}
        assert there == set(loaded.live())

    def test_with_a_table_it_shows_one_version_and_the_objects_stay_for_the_grace(
        self, tabled: KeptAccount, clock: Clock
    ) -> None:
        tabled.serve_day(1, 10)
        tabled.serve_day(2, 0)
        tabled.run()
        versions = len(list((tabled.lake / "events/_delta_log").glob("*.json")))
        tabled.expire(events={"access": 5, "security": 5})
        assert len(list((tabled.lake / "events/_delta_log").glob("*.json"))) == versions + 1
        assert files_of_table(tabled.ledger.store) == sorted(tabled.live())
        old = {path for path in files_of(tabled.lake) if f"event_date={day_of(10):%Y-%m-%d}" in path}
        assert old, "readers may hold the version before"
        tabled.assert_sound()
        clock.ahead = timedelta(days=7, minutes=1)
        tabled.run()
        assert old.isdisjoint(files_of(tabled.lake))
        tabled.assert_sound()

    def test_a_log_of_two_days_keeps_the_rows_of_the_later_one(self, account: KeptAccount) -> None:
        """Its events begin two minutes before midnight."""
        account.serve_day(1, 6, events=20, hour=24 - 1 / 30)
        account.run()
        late = sum(part.rows for part in account.live().values() if part.event_date == f"{day_of(5):%Y-%m-%d}")
        account.expire(events={"access": 5, "security": 5})
        record = account.record("8416_1.log")
        assert 0 < late < 20
        assert (record["lines"], record["rows"], record["expired_lines"]) == (20, late, 20 - late)
        account.assert_sound()


class TestQuarantine:
    def test_lines_leave_by_the_day_on_which_their_log_came(self, loaded: KeptAccount, clock: Clock) -> None:
        assert loaded.expire(quarantine=5).commits == (), "the logs came today, whenever their events were"
        clock.ahead = timedelta(days=7)
        done = loaded.expire(quarantine=5)
        assert done.counts["quarantine"].rows == done.commits[0].taken_quarantined == 3
        assert loaded.sums() == (15, 12, 0, 3, 0)
        loaded.assert_sound()

    def test_a_log_in_quarantine_as_a_whole_is_accounted_for(self, account: KeptAccount, clock: Clock) -> None:
        account.serve_day(1, 0)
        account.repository.add("8416_2.log", b"\x00\x01 no log at all")
        account.run()
        clock.ahead = timedelta(days=3)
        account.run()
        assert account.states()["8416_2.log"] == "quarantined"
        clock.ahead = timedelta(days=12)
        account.expire(quarantine=5)
        assert account.record("8416_2.log")["note_removed"]
        account.assert_sound()


class TestRaw:
    def test_bytes_leave_and_their_logs_say_so(self, loaded: KeptAccount, clock: Clock) -> None:
        rows = loaded.live_rows()
        clock.ahead = timedelta(days=7)
        done = loaded.expire(raw=5)
        assert done.counts["raw"].objects == 3
        assert loaded.raw_names() == []
        assert loaded.live_rows() == rows
        assert loaded.record("8416_1.log")["raw_removed"] == "expired"
        loaded.assert_sound()
        assert loaded.expire(raw=5).commits == (), "only once"

    def test_what_waits_for_its_key_stays(self, account: KeptAccount, clock: Clock) -> None:
        from airflow_provider_imperva.testing.forge import KeyPair

        key = KeyPair.generate("1", bits=1024)
        account.serve(1, keys=[key])
        account.run()
        assert account.states() == {"8416_1.log": "awaiting_key"}
        clock.ahead = timedelta(days=7)
        done = account.expire(raw=5)
        assert (done.open_logs, done.commits, account.raw_names()) == (1, (), ["8416_1.log"])

    def test_bytes_that_lie_beside_the_first_leave_with_them(self, account: KeptAccount, clock: Clock) -> None:
        log = account.serve_day(1, 0)
        account.repository.add(log.name, log.content[:-9])
        account.run()
        account.repository.add(log.name, log.content)
        clock.ahead = timedelta(minutes=11)
        account.run()
        assert len(account.raw_names()) == 2
        clock.ahead = timedelta(days=7)
        account.expire(raw=5)
        assert account.raw_names() == []
        account.assert_sound()

    def test_what_vanished_by_itself_is_still_a_finding(self, loaded: KeptAccount, clock: Clock) -> None:
        clock.ahead = timedelta(days=7)
        loaded.expire(quarantine=5)
        loaded.raw("8416_2.log").unlink()
        (item,) = loaded.verify().repositories
        assert [(finding.kind, finding.about.rsplit("/", 1)[1]) for finding in item.findings] == [
            (Kind.MISSING, "8416_2.log")
        ]

    def test_a_part_that_vanished_by_itself_is_too(self, loaded: KeptAccount) -> None:
        loaded.expire(events={"access": 5})
        path = next(path for path, part in loaded.live().items() if part.event_class == "security")
        (loaded.lake / path).unlink()
        (item,) = loaded.verify().repositories
        assert (Kind.MISSING, path) in [(finding.kind, finding.about) for finding in item.findings]


class TestAccounts:
    def test_verify_coverage_and_explain_say_what_was_removed_and_why(self, loaded: KeptAccount, clock: Clock) -> None:
        clock.ahead = timedelta(days=7)
        loaded.expire(events={"access": 5}, raw=5)
        store = loaded.ledger.store
        text = "\n".join(describe_lake(loaded.verify()))
        expired = loaded.sums()[3]
        assert f" + {expired} expired" in text
        coverage = measure_coverage(
            store, History.read(store, loaded.repository.name), window=timedelta(hours=48), days=3
        )
        assert all(one.holds for one in coverage.sums)
        assert coverage.expired_lines == expired > 0
        assert (coverage.logs, coverage.raw_bytes) == (0, 0), "there are no bytes any more"
        (story,) = explain_log(store, loaded.repository.name, "8416_1.log")
        steps = "\n".join(step.text for step in story.steps)
        assert "expired" in steps
        assert "bytes as received are kept for 5 days" in steps
        assert story.state == "committed"

    def test_a_commit_that_removes_what_its_rule_does_not_name_is_a_finding(self, loaded: KeptAccount) -> None:
        loaded.expire(events={"access": 5, "security": 5})
        number = loaded.ledger.head().commit.commit  # type: ignore[union-attr]
        number = next(n for n in range(number, 0, -1) if loaded.ledger.commit(n).kind is records.Kind.EXPIRE)
        path = loaded.lake / loaded.ledger.layout.commit(number)
        commit = json.loads(path.read_text())
        commit["purpose"]["before"]["access"] = f"{day_of(20):%Y-%m-%d}"
        path.write_text(json.dumps(commit))
        (item,) = loaded.verify().repositories
        assert any("which its rule does not name" in finding.found for finding in item.findings)

    def test_the_oldest_day_of_each_class_is_told(self, loaded: KeptAccount) -> None:
        old, today = f"{day_of(10):%Y-%m-%d}", f"{day_of(0):%Y-%m-%d}"
        assert oldest_days(loaded.ledger) == {
            "access": old,
            "security": old,
            "attack_analytics": None,
            "other": None,
            "raw": today,
        }
        loaded.expire(events={"access": 5})
        assert oldest_days(loaded.ledger)["access"] == today
        assert oldest_days(loaded.ledger)["security"] == old


class TestRuns:
    def test_a_dry_run_writes_nothing(self, loaded: KeptAccount) -> None:
        before = files_of(loaded.lake)
        policy = RetentionPolicy(**EVERY)  # type: ignore[arg-type]
        done = expire(loaded.ledger, policy, run=loaded.maintenance_run(), dry_run=True, clock=loaded.clock)
        assert sum(count.rows for count in done.counts.values()) == 8
        assert (done.commits, files_of(loaded.lake)) == ((), before)

    def test_a_run_that_is_at_work_is_not_overtaken(self, loaded: KeptAccount) -> None:
        loaded.serve_day(4, 0)
        plan = loaded.plan()
        with pytest.raises(LedgerConflictError, match="is at work"):
            loaded.expire(**EVERY)
        loaded.finish(plan)
        assert loaded.expire(**EVERY).commits
        loaded.assert_sound()

    def test_pages_leave_too(self, loaded: KeptAccount, clock: Clock) -> None:
        page = loaded.ledger.layout.coverage_page
        loaded.ledger.store.write(page, b"<html>")
        assert loaded.expire(coverage_pages=5).counts == {}
        clock.ahead = timedelta(days=7)
        assert loaded.expire(coverage_pages=5).counts["coverage_pages"].objects == 1
        assert not loaded.ledger.store.exists(page)

    def test_reports_that_name_clients_leave_with_events(self, loaded: KeptAccount, clock: Clock) -> None:
        store, layout = loaded.ledger.store, loaded.ledger.layout
        today = clock().date()
        old, recent = (str(today - timedelta(days=days)) for days in (6, 4))
        for day in (old, recent):
            write_findings(loaded, day, "203.0.113.7")
        store.write(TRAFFIC_PAGE, b"<html>")
        policy: dict[str, Any] = {"events": {"access": 400, "other": 5}}
        assert loaded.expire(**policy).counts == {"reports": Count(1)}
        assert [store.exists(layout.findings(day)) for day in (old, recent)] == [False, True]
        assert store.exists(TRAFFIC_PAGE)
        clock.ahead = timedelta(days=7)
        assert loaded.expire(**policy).counts == {"reports": Count(2)}
        assert not store.exists(TRAFFIC_PAGE)

    def test_much_is_cut_into_several_commits(self, loaded: KeptAccount, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("airflow_provider_imperva.retention.expire.OBJECTS_A_COMMIT", 1)
        done = loaded.expire(events={"access": 5, "security": 5})
        assert len(done.commits) == 2
        loaded.assert_sound()

    def test_loading_goes_on_and_nothing_comes_back(self, loaded: KeptAccount, clock: Clock) -> None:
        clock.ahead = timedelta(days=7)
        loaded.expire(raw=5, **EVERY)
        loaded.serve_day(4, 0)
        assert loaded.run() is not None, "which fetches only, after so long"
        assert loaded.run() is not None
        assert {file for file, _ in loaded.live_rows()} == {"8416_4.log"}
        last = loaded.ledger.head().commit
        assert last is not None
        due, _ = find_due(loaded.ledger, last, RetentionPolicy(raw=5), today=loaded.clock().date())
        assert not due.raw
        loaded.assert_sound()
