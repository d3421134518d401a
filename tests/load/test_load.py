"""The whole way through, from a real HTTP server to Parquet for another reader: nothing lost, nothing doubled."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.container.decode import PlainLog
from airflow_provider_imperva.container.decode import decode as decode_log
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import (
    AuthenticationError,
    ConfigurationError,
    ImpervaError,
    IndexNotFoundError,
    InvalidIndexError,
    LedgerConflictError,
)
from airflow_provider_imperva.events.derived.complete import complete
from airflow_provider_imperva.events.parse import ParsedBlock
from airflow_provider_imperva.events.parse import parse as parse_body
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.lake import commit as commit_module
from airflow_provider_imperva.lake import parts
from airflow_provider_imperva.lake.commit import SWEPT_COMMITS
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import OpenCode, Plan
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.load import normalize as normalize_module
from airflow_provider_imperva.load.fetch import Fetched
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.plan import Work
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.options import DecodePolicy, PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing import Fault
from airflow_provider_imperva.testing.forge import KeyPair, forge_events, forge_log
from tests.load.load_runs import Account, Clock, request_id, without_notice

HOUR = timedelta(hours=1)
HTML = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"


def name(number: int) -> str:
    return f"8416_{number}.log"


class TestPlainRuns:
    def test_every_event_of_every_log_is_there_once(self, account: Account) -> None:
        account.serve(*range(1, 8), events=40)
        commit = account.run_some()
        assert account.rows() == account.expected()
        assert sum(account.rows().values()) == 280
        account.assert_balanced()
        assert commit.totals.logs == {State.COMMITTED: 7}
        assert commit.totals.rows == 280
        assert (commit.prefixes["8416"].contiguous, commit.prefixes["8416"].open) == (7, ())
        for log in account.forged.values():
            assert account.raw(log.name).read_bytes() == log.content

    def test_a_log_too_large_to_be_read_at_once_gives_the_same(self, account: Account) -> None:
        event = forge_events(1)[0]
        count = (17 << 20) // len(event)
        account.serve(1, events=40)
        account.repository.add(name(2), forge_log(f"{event}\n" * count, compress=False))
        account.run()
        lines = Counter((name(2), line, request_id(event)) for line in range(1, count + 1))
        assert account.rows() == account.expected() + lines
        account.assert_balanced()

    @pytest.mark.parametrize("content", [b"", b" \r\n\n", b"CEF:0|x\n\n\x00 ", bytes(range(256)) * 300])
    def test_raw_holds_exactly_the_bytes_received_whatever_they_are(self, account: Account, content: bytes) -> None:
        account.repository.add(name(1), content)
        account.run()
        assert account.raw(name(1)).read_bytes() == content
        record = account.record(name(1))
        assert (record["raw_bytes"], record["raw_sha256"]) == (len(content), hashlib.sha256(content).hexdigest())

    def test_three_runs_with_gaps_and_a_late_number(self, account: Account) -> None:
        account.serve(1, 2, 5)
        assert account.run_some().prefixes["8416"].contiguous == 2
        account.serve(7)
        prefix = account.run_some().prefixes["8416"]
        assert [(item.first, item.last, item.state) for item in prefix.open] == [(3, 4, "gap"), (6, 6, "gap")]
        account.serve(4, 8)
        prefix = account.run_some().prefixes["8416"]
        assert [(item.first, item.last, item.state) for item in prefix.open] == [(3, 3, "gap"), (6, 6, "gap")]
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_only_new_logs_are_fetched(self, account: Account) -> None:
        account.serve(1, 2, 3)
        account.run()
        assert sorted(account.requested()) == [name(1), name(2), name(3)]
        account.serve(4)
        account.run()
        assert account.requested()[3:] == [name(4)]

    def test_with_nothing_new_nothing_is_written(self, account: Account) -> None:
        account.serve(1)
        account.run()
        before = sorted(account.lake.rglob("*"))
        assert account.run() is None
        assert account.work() is None
        assert sorted(account.lake.rglob("*")) == before

    def test_several_prefixes_are_told_apart(self, account: Account) -> None:
        account.serve(1, 2)
        account.run()
        account.serve(1, 9, prefix="8417")
        commit = account.run_some()
        assert (commit.prefixes["8416"].contiguous, commit.prefixes["8417"].contiguous) == (2, 1)
        assert account.rows() == account.expected()
        assert account.states() == dict.fromkeys(account.forged, "committed")

    def test_a_backlog_is_worked_off_oldest_first_in_several_commits(self, account: Account) -> None:
        account.serve(*range(95, 120), events=2)
        account.options = PlanOptions(max_logs=10, logs_per_batch=4)
        first = account.run_some()
        assert first.batches == (0, 1, 2)
        assert sorted({row[0] for row in account.rows()}) == sorted(map(name, range(95, 105)))
        assert [account.run_some().totals.logs[State.COMMITTED] for _ in range(2)] == [10, 5]
        assert account.run() is None
        assert account.rows() == account.expected()
        assert len(account.requested()) == 25
        account.assert_balanced()

    def test_a_plan_has_no_more_batches_than_airflow_maps_over(self, account: Account) -> None:
        account.repository.index = b"".join(b"8416_%d.log\n" % number for number in range(1, 2501))
        account.options = PlanOptions(max_logs=2500, logs_per_batch=1)
        plan = account.plan()
        assert plan.logs == 2500
        assert len(plan.batches) <= 1000

    def test_batches_are_cut_by_what_the_last_commit_weighed(self, account: Account) -> None:
        """Two logs of 8 MiB make a batch of 16 MiB."""
        for number in (1, 2):
            account.repository.add(name(number), bytes(8 << 20))
        account.run()
        account.serve(3, 4, 5, 6, 7)
        assert [len(batch) for batch in account.plan().batches] == [1, 2, 2]

    def test_a_line_that_is_no_event_goes_to_quarantine_and_the_others_go_on(self, account: Account) -> None:
        events = forge_events(3, seed=1)
        body = "\n".join(["no event at all", events[0], events[1], "", events[2]]) + "\n"
        account.repository.add(name(1), forge_log(body))
        commit = account.run_some()
        assert sorted(account.rows()) == [
            (name(1), line, request_id(event)) for line, event in zip((2, 3, 5), events, strict=True)
        ]
        assert [(file, line) for file, line, _ in account.quarantined()] == [(name(1), 1)]
        assert (commit.totals.lines, commit.totals.rows, commit.totals.quarantined_lines) == (4, 3, 1)
        account.assert_balanced()

    def test_a_body_of_no_known_format_quarantines_the_log(self, account: Account) -> None:
        """Its lines are in quarantine with their bytes, its own bytes in raw/, and people see it by its state."""
        account.repository.add(name(1), forge_log("a table\nof something else\n"))
        account.serve(2)
        account.run()
        assert account.states() == {name(1): "damaged", name(2): "committed"}
        account.repository.remove(name(1))
        commit = account.run_some()
        assert account.states() == {name(1): "quarantined", name(2): "committed"}
        assert str(account.record(name(1))["reason"]).startswith("unknown_format")
        quarantined = {(file, line) for file, line, _ in account.quarantined()}
        assert quarantined == {(name(1), None), (name(1), 1), (name(1), 2)}
        assert commit.totals.quarantined_lines == 2
        account.assert_balanced()

    @pytest.mark.parametrize(("logs", "batches"), [(21, [7, 7, 7]), (22, [5, 6, 5, 6]), (30, [7, 8, 7, 8]), (3, [3])])
    def test_batches_are_cut_evenly(self, account: Account, logs: int, batches: list[int]) -> None:
        account.options = PlanOptions(logs_per_batch=8 if logs != 22 else 7)
        account.serve(*range(1, logs + 1), events=1)
        assert [len(batch) for batch in account.plan().batches] == batches

    def test_two_identical_events_are_two_rows(self, account: Account) -> None:
        (event,) = forge_events(1, seed=1)
        account.repository.add(name(1), forge_log(f"{event}\n{event}\n"))
        account.repository.add(name(2), forge_log(f"{event}\n"))
        account.run()
        assert sorted(row[:2] for row in account.rows().elements()) == [(name(1), 1), (name(1), 2), (name(2), 1)]

    def test_an_empty_log_is_loaded_and_has_no_part(self, account: Account) -> None:
        account.repository.add(name(1), forge_log(b""))
        commit = account.run_some()
        assert commit.parts == ()
        assert account.states() == {name(1): "committed"}

    def test_a_log_deleted_from_raw_by_somebody_is_not_loaded_twice(self, account: Account) -> None:
        account.serve(1, 2)
        account.run()
        account.raw(name(1)).unlink()
        assert account.run() is None
        account.serve(3)
        account.run()
        assert account.rows() == account.expected()
        assert account.requested().count(name(1)) == 1


class TestNotFound:
    def test_a_log_that_is_listed_but_not_found_stays_open_and_comes_with_the_next_run(self, account: Account) -> None:
        account.serve(1, 2, 3)
        account.repository.fail(name(2), Fault(status=404))
        commit = account.run_some()
        assert commit.open == {name(2): "not found (404), but still in the index"}
        assert commit.open_codes == {name(2): OpenCode.NOT_YET}
        assert account.rows() == account.expected([name(1), name(3)])
        account.run()
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_a_log_that_is_gone_has_expired_by_name_and_with_an_alert(
        self, account: Account, caplog: pytest.LogCaptureFixture
    ) -> None:
        account.serve(1, 2, 3)
        plan = account.plan()
        account.repository.remove(name(2))
        commit = account.finish(plan)
        assert commit.lost == 1
        assert account.states() == {name(1): "committed", name(2): "expired", name(3): "committed"}
        assert [record for record in caplog.records if record.levelno >= logging.ERROR and name(2) in record.message]
        assert commit.prefixes["8416"].contiguous == 3
        assert account.run() is None, "it is asked for once only"

    def test_a_log_that_left_the_index_before_it_was_fetched_is_asked_for_all_the_same(self, account: Account) -> None:
        account.serve(1, 2)
        account.options = PlanOptions(max_logs=1)
        account.run()
        account.repository.remove(name(2))
        account.serve(3)
        account.options = PlanOptions()
        account.run()
        assert account.states()[name(2)] == "expired"

    def test_an_expired_log_that_a_task_brings_after_its_commit_is_loaded_though_no_index_lists_it(
        self, account: Account
    ) -> None:
        """The task had the bytes, and hung before it wrote them; another attempt at it found nothing."""
        account.serve(1, 3)
        (forged,) = account.serve(2)
        plan = account.plan()
        account.repository.remove(name(2))
        account.finish(plan)
        assert account.states()[name(2)] == "expired"
        account.ledger.store.create(account.ledger.layout.raw(LogName.parse(name(2))), forged.content)
        for number in (4, 5, 6):
            account.serve(number)
            account.run()
        assert account.states()[name(2)] == "committed"
        assert account.record(name(2))["late"]
        assert account.rows() == account.expected()

    def test_so_is_one_that_it_brings_some_commits_later(self, account: Account) -> None:
        """A task may live for an hour, and runs are ten minutes apart."""
        account.serve(1, 3)
        (forged,) = account.serve(2)
        plan = account.plan()
        account.repository.remove(name(2))
        account.finish(plan)
        for number in range(4, 11):
            account.serve(number)
            account.run_some()
        account.ledger.store.create(account.ledger.layout.raw(LogName.parse(name(2))), forged.content)
        account.serve(11)
        account.run_some()
        assert account.states()[name(2)] == "committed"
        assert account.rows() == account.expected()

    def test_an_expired_log_that_is_listed_after_all_is_loaded_and_reported_as_late(self, account: Account) -> None:
        log, *_ = account.serve(1, 2)
        plan = account.plan()
        account.repository.remove(name(1))
        account.finish(plan)
        account.repository.add(log.name, log.content)
        account.run()
        assert account.rows() == account.expected()
        assert account.record(name(1))["late"] is True
        assert account.record(name(2))["late"] is False

    def test_a_log_that_gives_no_whole_answer_does_not_stop_the_others(self, account: Account) -> None:
        account.serve(1, 2, 3)
        account.repository.fail(name(2), *[Fault(status=503)] * 2)
        commit = account.run_some()
        assert commit.open == {name(2): "the repository gave no whole answer"}
        assert commit.open_codes == {name(2): OpenCode.UNAVAILABLE}
        assert account.rows() == account.expected([name(1), name(3)])
        account.run()
        assert account.rows() == account.expected()

    def test_a_log_refused_in_an_odd_way_does_not_stop_the_others(self, account: Account) -> None:
        account.serve(1, 2, 3)
        account.repository.fail(name(2), Fault(status=410))
        assert list(account.run_some().open) == [name(2)]
        assert account.rows() == account.expected([name(1), name(3)])
        account.run()
        assert account.rows() == account.expected()

    def test_a_refused_key_stops_the_batch(self, account: Account) -> None:
        account.serve(1, 2)
        plan = account.plan()
        account.repository.fail("*", *[Fault(status=401)] * 9)
        with pytest.raises(AuthenticationError):
            account.fetch(plan)


def empty(account: Account) -> None:
    account.repository.index = b""


def missing(account: Account) -> None:
    account.repository.index_missing = True


def html(account: Account) -> None:
    account.repository.index = HTML


def put_right(account: Account) -> None:
    account.repository.index, account.repository.index_missing = None, False


class TestUselessIndex:
    """An index that tells nothing is never taken for one that says all logs are gone."""

    @pytest.mark.parametrize(("spoil", "error"), [(missing, IndexNotFoundError), (html, InvalidIndexError)])
    def test_planning_stops_and_nothing_is_written(
        self, account: Account, clock: Clock, spoil: Callable[[Account], None], error: type[ImpervaError]
    ) -> None:
        account.serve(1, 3)
        account.run()
        clock.ahead = 100 * HOUR
        spoil(account)
        with pytest.raises(error):
            account.plan_if_any()
        assert account.ledger.head().plan is None
        with pytest.raises(error):
            account.work()

    def test_an_empty_index_closes_nothing_and_is_no_look(self, account: Account, clock: Clock) -> None:
        account.serve(1, 3)
        account.run()
        clock.ahead = 40 * HOUR
        empty(account)
        assert account.work() is None
        assert account.run() is None
        clock.ahead = 60 * HOUR
        assert account.run() is None
        put_right(account)
        assert account.run_some().totals.logs == {State.UNOBSERVED: 1}, "nobody saw an index for longer than the window"

    def test_an_empty_index_still_lets_open_logs_be_fetched(self, account: Account) -> None:
        account.serve(1, 2)
        account.options = PlanOptions(max_logs=1)
        account.run()
        empty(account)
        account.run()
        assert account.rows() == account.expected()

    @pytest.mark.parametrize("spoil", [empty, missing, html])
    def test_a_log_that_is_not_found_stays_open_and_the_others_go_on(
        self, account: Account, spoil: Callable[[Account], None]
    ) -> None:
        account.serve(1, 2)
        plan = account.plan()
        account.repository.fail(name(2), Fault(status=404))
        spoil(account)
        commit = account.finish(plan)
        assert list(commit.open) == [name(2)]
        assert commit.lost == 0
        assert account.rows() == account.expected([name(1)])
        put_right(account)
        account.run()
        assert account.rows() == account.expected()

    def test_only_once_the_window_has_passed_over_it_a_log_is_gone_without_an_index(
        self, account: Account, clock: Clock
    ) -> None:
        account.serve(1)
        plan = account.plan()
        empty(account)
        account.repository.remove(name(1))
        clock.ahead = 47 * HOUR
        assert account.fetch(plan).not_yet == [name(1)]
        clock.ahead = 49 * HOUR
        assert account.fetch(plan).expired == [name(1)]

    def test_an_empty_repository_begins_no_ledger(self, account: Account) -> None:
        assert account.run() is None
        assert account.ledger.head().commit is None


class TestTime:
    def test_a_gap_older_than_the_window_is_skipped(self, account: Account, clock: Clock) -> None:
        account.serve(1, 4)
        account.run()
        for hours in (20, 40):
            clock.ahead = hours * HOUR
            account.run()
        clock.ahead = 49 * HOUR
        assert account.work() == Work(closed_gaps=2)
        commit = account.run_some()
        assert account.states()["8416_2..3"] == "skipped"
        assert commit.lost == 0
        assert commit.prefixes["8416"].contiguous == 4

    def test_a_skipped_number_that_is_listed_after_all_is_loaded_and_reported_as_late(
        self, account: Account, clock: Clock
    ) -> None:
        account.serve(1, 4)
        for hours in (0, 20, 40, 60):
            clock.ahead = hours * HOUR
            account.run()
        assert account.states()["8416_2..3"] == "skipped"
        account.serve(3)
        assert account.work() == Work(logs=1)
        commit = account.run_some()
        assert account.rows() == account.expected()
        assert account.record(name(3))["late"] is True
        assert commit.prefixes["8416"].contiguous == 4
        assert account.run() is None

    def test_a_log_below_the_first_ever_listed_is_loaded_too(self, account: Account) -> None:
        account.serve(5)
        account.run()
        account.serve(3)
        account.run()
        assert account.rows() == account.expected()
        assert account.record(name(3))["late"] is True

    def test_what_came_and_went_while_nobody_looked_is_unobserved(self, account: Account, clock: Clock) -> None:
        account.serve(1, 2)
        account.run()
        for number in (1, 2):
            account.repository.remove(name(number))
        account.serve(10, 11, 13)
        clock.ahead = 72 * HOUR
        commit = account.run_some()
        assert account.states()["8416_3..9"] == account.states()["8416_12..12"] == "unobserved"
        assert commit.lost == 8
        # After such an absence the logs that are still there may go at any moment: they are fetched, and loaded next.
        commit = account.run_some()
        assert commit.prefixes["8416"].contiguous == 13
        assert account.rows() == account.expected()

    def test_the_holes_of_a_prefix_that_first_appeared_meanwhile_are_unobserved_too(
        self, account: Account, clock: Clock
    ) -> None:
        account.serve(1)
        account.run()
        clock.ahead = 72 * HOUR
        account.serve(10, 12, prefix="9001")
        account.run()
        assert account.states()["9001_11..11"] == "unobserved"

    def test_a_quiet_account_that_was_watched_loses_nothing(self, account: Account, clock: Clock) -> None:
        """Nothing comes for longer than the window, but somebody looked: then a hole is a gap."""
        account.serve(1)
        account.run()
        looks = 0
        for hours in range(0, 120, 5):
            clock.ahead = hours * HOUR
            looks += account.run() is not None
        assert 5 < looks < 12, "a look is committed now and then, not every time"
        account.serve(4)
        commit = account.run_some()
        assert commit.lost == 0
        assert [(item.first, item.last, item.state) for item in commit.prefixes["8416"].open] == [(2, 3, "gap")]


class TestUrgency:
    """With little time left a plan only fetches; what it fetches is loaded by the next ones."""

    def after_an_outage(self, account: Account, clock: Clock, *, hours: float) -> None:
        account.serve(1, 2)
        account.run()
        clock.ahead = hours * HOUR
        account.serve(3, 4, 5)

    def plan_and_finish(self, account: Account) -> Plan:
        plan = account.plan()
        account.finish(plan)
        return plan

    def test_after_a_short_outage_all_goes_as_usual(self, account: Account, clock: Clock) -> None:
        self.after_an_outage(account, clock, hours=20)
        account.run()
        assert account.rows() == account.expected()

    def test_after_a_long_one_fetching_comes_first(self, account: Account, clock: Clock) -> None:
        self.after_an_outage(account, clock, hours=47)
        commit = account.run_some()
        assert set(account.requested()) >= {name(3), name(4), name(5)}
        assert set(commit.open) == {name(3), name(4), name(5)}
        assert account.rows() == account.expected([name(1), name(2)])
        account.run()
        assert account.rows() == account.expected()
        assert len(account.requested()) == 5, "what is in raw/ is not fetched again"

    def test_what_has_expired_is_told_at_once(self, account: Account, clock: Clock) -> None:
        account.options = PlanOptions(max_logs=1)
        account.serve(1, 2, 3)
        account.run()
        account.repository.remove(name(2))
        clock.ahead = 47 * HOUR
        commit = account.run_some()
        assert commit.lost == 1

    def test_a_log_that_never_comes_does_not_keep_the_others_from_being_loaded(
        self, account: Account, clock: Clock
    ) -> None:
        self.after_an_outage(account, clock, hours=47)
        account.repository.fail(name(4), *[Fault(status=500)] * 100)
        account.run()
        account.run()
        assert account.rows() == account.expected([name(1), name(2), name(3), name(5)])

    def test_a_window_as_short_as_the_critical_headroom_does_not_keep_logs_from_being_loaded(
        self, account: Account, clock: Clock
    ) -> None:
        """Every log is critical as soon as it is there, so each second plan loads what the first has fetched."""
        account.options = PlanOptions(window=6 * HOUR)
        for run in range(6):
            clock.ahead = run * HOUR / 6
            account.serve(2 * run, 2 * run + 1)
            account.run()
        assert account.rows() == account.expected([name(number) for number in range(10)])

    def test_while_an_urgent_plan_leaves_something_to_fetch_the_next_one_is_urgent_too(
        self, account: Account, clock: Clock
    ) -> None:
        account.options = PlanOptions(max_logs=2)
        self.after_an_outage(account, clock, hours=47)
        assert [self.plan_and_finish(account).urgent for _ in range(3)] == [True, True, False]

    def test_logs_of_a_prefix_that_first_appears_after_an_outage_are_as_urgent(
        self, account: Account, clock: Clock
    ) -> None:
        account.serve(1)
        account.run()
        clock.ahead = 45 * HOUR
        account.serve(7, prefix="9001")
        assert account.plan().urgent

    def overwrite_what_is_known(self, account: Account, clock: Clock) -> None:
        """Load what is there; five hours later 8416_1 and 8416_2 are gone, and 8416_7 and 8416_8 have come."""
        account.run()
        account.repository.remove(name(1))
        account.repository.remove(name(2))
        account.serve(7, 8)
        clock.ahead = 5 * HOUR

    def test_a_full_repository_that_lists_nothing_we_knew_has_lost_what_came_between(
        self, account: Account, clock: Clock
    ) -> None:
        """The byte cap ends the window sooner than the clock: a hole is then no gap that Imperva skipped."""
        account.options = PlanOptions(window_bytes=2000)
        account.serve(1, 2)
        self.overwrite_what_is_known(account, clock)
        account.run()
        assert account.states()["8416_3..6"] == "unobserved"

    def test_a_late_log_that_we_never_had_is_none_that_we_knew(self, account: Account, clock: Clock) -> None:
        account.options = PlanOptions(window_bytes=2000)
        account.serve(1, 3)
        account.run()
        for hours in (11, 22, 33, 44, 55):
            clock.ahead = hours * HOUR
            account.run()
        assert account.states()["8416_2..2"] == "skipped"
        for number in (1, 3):
            account.repository.remove(name(number))
        clock.ahead = 60 * HOUR
        account.serve(2, 7, 8)
        account.run()
        assert account.states()["8416_4..6"] == "unobserved"

    def test_as_long_as_one_log_we_knew_is_listed_nothing_has_come_and_gone(
        self, account: Account, clock: Clock
    ) -> None:
        """The oldest log is overwritten first, whichever its prefix: one that is still there vouches for all after."""
        account.options = PlanOptions(window_bytes=2000)
        account.serve(1, 2)
        account.serve(100, prefix="9001")
        self.overwrite_what_is_known(account, clock)
        commit = account.run_some()
        assert [(item.first, item.last, item.state) for item in commit.prefixes["8416"].open] == [(3, 6, "gap")]

    def test_a_commit_without_a_log_does_not_make_the_repository_look_full(
        self, account: Account, clock: Clock
    ) -> None:
        """What a log weighs is told by the last commit that fetched one."""
        account.options = PlanOptions(window_bytes=400_000)
        account.serve(1, 3)
        account.run()
        for hours in (40, 49):
            clock.ahead = hours * HOUR
            account.run()
        assert account.states()["8416_2..2"] == "skipped"
        for number in (1, 3):
            account.repository.remove(name(number))
        account.serve(5)
        clock.ahead = 51 * HOUR
        commit = account.run_some()
        assert [(item.first, item.last, item.state) for item in commit.prefixes["8416"].open] == [(4, 4, "gap")]

    def test_without_a_byte_cap_it_may_still_be_listed(self, account: Account, clock: Clock) -> None:
        account.options = PlanOptions(window_bytes=None)
        account.serve(1, 2)
        self.overwrite_what_is_known(account, clock)
        commit = account.run_some()
        assert [(item.first, item.last, item.state) for item in commit.prefixes["8416"].open] == [(3, 6, "gap")]


class TestStart:
    def test_now_leaves_out_what_is_there_on_record(self, account: Account) -> None:
        account.serve(1, 2)
        account.options = PlanOptions(start="now")
        commit = account.run_some()
        assert commit.prefixes["8416"].left_out == 2
        account.serve(3)
        account.run()
        account.options = PlanOptions()
        assert account.run() is None, "left out stays left out, whatever a later run is told"
        assert account.rows() == account.expected([name(3)])
        assert account.requested() == [name(3)]

    def test_now_begins_with_the_first_look_even_if_the_index_is_empty(self, account: Account) -> None:
        account.options = PlanOptions(start="now")
        account.run()
        account.serve(1, 2)
        account.run()
        assert account.rows() == account.expected()

    def test_a_number_begins_there(self, account: Account) -> None:
        account.serve(3, 4, 5)
        account.options = PlanOptions(start="4")
        account.run()
        assert account.rows() == account.expected([name(4), name(5)])

    def test_a_number_that_is_gone_already_leaves_the_rest_unobserved(self, account: Account) -> None:
        account.serve(3, 4)
        account.options = PlanOptions(start=1)
        assert account.run_some().lost == 2
        assert account.states() == {"8416_1..2": "unobserved", name(3): "committed", name(4): "committed"}

    def test_a_prefix_that_comes_later_is_loaded_from_its_oldest_log(self, account: Account) -> None:
        account.serve(1)
        account.options = PlanOptions(start="now")
        account.run()
        account.serve(7, prefix="9000")
        account.run()
        assert account.rows() == account.expected(["9000_7.log"])

    @pytest.mark.parametrize("options", [{"start": "newest"}, {"start": -1}, {"max_logs": 0}, {"logs_per_batch": 0}])
    def test_options_that_cannot_be_meant_are_refused(self, options: dict[str, object]) -> None:
        with pytest.raises(ConfigurationError):
            PlanOptions(**options)  # type: ignore[arg-type]


def flipped(content: bytes) -> bytes:
    middle = len(content) - 40
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


class TestBadLogs:
    def test_a_log_waits_for_its_key_and_is_loaded_by_itself_once_it_is_there(
        self, account: Account, key_pair: KeyPair
    ) -> None:
        account.serve(1)
        account.serve(2, keys=[key_pair])
        commit = account.run_some()
        assert account.states() == {name(1): "committed", name(2): "awaiting_key"}
        assert account.rows() == account.expected([name(1)])
        assert account.raw(name(2)).read_bytes() == account.forged[name(2)].content
        assert commit.prefixes["8416"].open[0].public_key_id == "1"
        assert account.run() is None, "without the key there is nothing to do"
        account.repository.remove(name(2))
        account.keys = KeyRing({"1": key_pair.private_key})
        assert account.work() == Work(logs=1)
        account.run()
        assert account.rows() == account.expected(), "though Imperva has it no more"
        assert account.states()[name(2)] == "committed"
        assert account.requested().count(name(2)) == 2, "a damaged header may name a key that never was"
        account.assert_balanced()

    @pytest.mark.parametrize("cut", [16, 32])
    def test_a_log_that_waits_for_its_key_is_kept_in_every_form_it_came_in(
        self, account: Account, clock: Clock, key_pair: KeyPair, cut: int
    ) -> None:
        """Only the key tells which of them is whole, and when it is there Imperva may have the log no more."""
        (log,) = account.serve(1, keys=[key_pair])
        plan = account.plan()
        account.repository.add(log.name, log.content[:-cut])
        fetched = account.fetch(plan)
        account.repository.add(log.name, log.content)
        account.normalize(plan, fetched)
        account.commit(plan)
        assert account.states() == {log.name: "awaiting_key"}
        account.repository.remove(log.name)
        account.serve(2)
        account.keys = KeyRing({"1": key_pair.private_key})
        account.run()
        assert account.rows() == account.expected()
        assert account.states()[log.name] == "committed"
        account.assert_balanced()

    def test_one_that_is_visibly_cut_waits_for_no_key(self, account: Account, key_pair: KeyPair) -> None:
        """It is asked for again while it is listed."""
        (log,) = account.serve(1, keys=[key_pair])
        account.repository.add(log.name, log.content[:-20])
        account.run()
        assert account.states() == {log.name: "damaged"}

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            ("truncated", "truncated"),
            ("truncated clear", "truncated"),
            ("flipped", ""),
            ("wrong checksum", "checksum"),
            ("garbage", "corrupt"),
            ("header only", "truncated"),
        ],
    )
    def test_what_does_not_decode_goes_to_quarantine_and_the_others_go_on(
        self, account: Account, key_pair: KeyPair, kind: str, reason: str
    ) -> None:
        account.keys = KeyRing({"1": key_pair.private_key})
        account.serve(1, 3, keys=[key_pair])
        body = "\n".join(forge_events(20, seed=kind)) + "\n"
        sound = forge_log(body, key=key_pair)
        content = {
            "truncated": sound[:-100],
            "truncated clear": forge_log(body)[:-100],
            "flipped": flipped(sound),
            "wrong checksum": forge_log(body, key=key_pair, checksum="0" * 32),
            "garbage": bytes(range(128, 256)) * 40,
            "header only": sound[:60],
        }[kind]
        account.repository.add(name(2), content)
        commit = account.run_some()
        assert account.states() == {name(1): "committed", name(2): "damaged", name(3): "committed"}
        assert account.quarantined() == [], "it is asked for again while it is listed"
        assert account.requested().count(name(2)) == 2, "it is fetched once more before it is left for later"
        assert commit.prefixes["8416"].contiguous == 1
        account.assert_balanced()
        account.repository.remove(name(1))
        account.repository.remove(name(2))
        commit = account.run_some()
        assert account.states() == {name(1): "committed", name(2): "quarantined", name(3): "committed"}
        assert account.rows() == account.expected([name(1), name(3)])
        ((file, line, why),) = account.quarantined()
        assert (file, line) == (name(2), None)
        assert why.startswith(reason)
        assert account.record(name(2))["reason"] == why
        assert account.requested().count(name(2)) == 3, "and once more before it is given up"
        assert account.raw(name(2)).read_bytes() == content
        assert commit.prefixes["8416"].contiguous == 3
        assert account.run() is None
        account.assert_balanced()

    @pytest.mark.parametrize("spoil", ["cut", "flipped"])
    def test_other_bytes_that_do_decode_are_kept_beside_the_first_and_loaded(
        self, account: Account, key_pair: KeyPair, spoil: str
    ) -> None:
        account.keys = KeyRing({"1": key_pair.private_key})
        log, *_ = account.serve(1, 2, keys=[key_pair])
        plan = account.plan()
        if spoil == "cut":
            bad = log.content[:-50]
            account.repository.fail(log.name, without_notice(log.content, len(bad)))
        else:
            bad = flipped(log.content)
            account.repository.add(log.name, bad)
        fetched = account.fetch(plan)
        assert account.raw(log.name).read_bytes() == bad
        account.repository.add(log.name, log.content)
        account.normalize(plan, fetched)
        account.commit(plan)
        record = account.record(log.name)
        assert record["state"] == "committed"
        assert record["replaced_sha256"] == hashlib.sha256(bad).hexdigest()
        assert record["raw_sha256"] == hashlib.sha256(log.content).hexdigest()
        assert record["raw_bytes"] == len(log.content)
        assert account.record(name(2))["replaced_sha256"] is None
        assert account.raw(log.name).read_bytes() == bad
        assert (account.lake / str(record["raw_key"])).read_bytes() == log.content
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_one_that_the_parser_fails_at_goes_to_quarantine_and_the_others_go_on(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody knows of such a log, but it must not stop all that come after it."""
        account.serve(1, 2, 3)
        names = {number: name(number) for number in (1, 2, 3)}
        sound = parse_body

        def parse(chunks: Iterable[bytes], source: LogSource, *, keep_raw: bool) -> Iterator[ParsedBlock]:
            yield from sound(chunks, source, keep_raw=keep_raw)
            if source.file == names[2]:
                raise ValueError("client_ip=203.0.113.9")

        with monkeypatch.context() as patch:
            patch.setattr(normalize_module, "parse", parse)
            account.run()
        assert account.rows() == account.expected([names[1], names[3]])
        record = account.record(names[2])
        assert record["state"] == "quarantined"
        assert str(record["reason"]).startswith("unforeseen_error: ValueError in test_load.py:")
        assert "203.0.113.9" not in str(record)
        assert [(log, line) for log, line, _ in account.quarantined()] == [(names[2], None)]
        account.assert_balanced()
        selection = Selection.of(names=[names[2]])
        plan = make_replay_plan(account.ledger, run=account.next_run(), selection=selection, take_over=True)
        assert plan is not None
        account.finish(plan)
        assert account.rows() == account.expected()

    def test_one_whose_columns_cannot_be_derived_holds_no_other_up(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = (log.name for log in account.serve(1, 2))

        def derive(rows: pa.Table, **options: object) -> pa.Table:
            if one in rows["src_file"].to_pylist():
                raise IndexError("unforeseen")
            return complete(rows, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(parts, "complete", derive)
        account.run_some()
        monkeypatch.undo()
        assert account.rows() == account.expected([other])
        assert [(log, line) for log, line, _ in account.quarantined()] == [(one, None)]

    @pytest.mark.parametrize("refused", [[2], [1, 3], [1, 2, 3]], ids=str)
    def test_one_whose_rows_cannot_be_written_goes_to_quarantine_and_the_others_go_on(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, refused: list[int]
    ) -> None:
        names = [log.name for log in account.serve(1, 2, 3)]
        written = pq.ParquetWriter.write_table

        def write(writer: pq.ParquetWriter, rows: pa.Table, **options: object) -> None:
            if "request_id" in rows.schema.names and not {names[number - 1] for number in refused}.isdisjoint(
                rows["src_file"].to_pylist()
            ):
                raise pa.ArrowInvalid("203.0.113.9 cannot be stored")
            written(writer, rows, **options)

        monkeypatch.setattr(pq.ParquetWriter, "write_table", write)
        account.run_some()
        monkeypatch.undo()
        gone = [names[number - 1] for number in refused]
        assert account.rows() == account.expected([name for name in names if name not in gone])
        assert [(log, line) for log, line, _ in account.quarantined()] == [(name, None) for name in gone]
        assert "Parquet refuses its rows" in str(account.record(gone[0])["reason"])
        assert "203.0.113.9" not in str(account.record(gone[0]))
        account.assert_balanced()
        plan = make_replay_plan(
            account.ledger, run=account.next_run(), selection=Selection.of(names=gone), take_over=True
        )
        assert plan is not None
        account.finish(plan)
        assert account.rows() == account.expected()

    def test_one_with_a_line_that_is_too_long_loses_that_line_only(self, account: Account) -> None:
        account.serve(1, 3)
        line = b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| start=1700000000001 src=192.0.2.1 deviceExternalId=7 "
        body = b"\n".join([line + b"act=REQ_PASSED", line + b"request=" + b"x" * (17 << 20), line + b"act=REQ_PASSED"])
        content = forge_log(body)
        account.repository.add(name(2), content)
        commit = account.run_some()
        assert account.record(name(2))["state"] == "committed"
        assert (commit.totals.lines, commit.totals.rows, commit.totals.quarantined_lines) == (13, 12, 1)
        ((log, number, _),) = account.quarantined()
        assert (log, number) == (name(2), 2)
        assert account.raw(name(2)).read_bytes() == content
        account.assert_balanced()

    def test_many_that_the_parser_fails_at_are_decoded_once_each(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What such a log has added by then is dropped: the batch does not begin again."""
        numbers = range(1, 13)
        account.serve(*numbers)
        failing = {name(number) for number in numbers if number % 4}
        decoded: list[str] = []

        def decode(content: bytes | BinaryIO, *, log: str, keys: KeyRing, policy: DecodePolicy) -> PlainLog:
            decoded.append(log)
            return decode_log(content, log=log, keys=keys, policy=policy)

        def parse(chunks: Iterable[bytes], source: LogSource, *, keep_raw: bool) -> Iterator[ParsedBlock]:
            yield from parse_body(chunks, source, keep_raw=keep_raw)
            if source.file in failing:
                raise ValueError

        with monkeypatch.context() as patch:
            patch.setattr(normalize_module, "decode", decode)
            patch.setattr(normalize_module, "parse", parse)
            account.run()
        assert sorted(decoded) == sorted(name(number) for number in numbers)
        assert account.rows() == account.expected([name(number) for number in numbers if number % 4 == 0])
        assert {log for log, _, _ in account.quarantined()} == failing
        account.assert_balanced()

    def test_bytes_that_a_zombie_puts_beside_the_first_change_nothing_and_are_loaded_by_the_next_run(
        self, account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It fetched whole bytes, and hung before it could write them; the others got damaged ones again."""
        (log,) = account.serve(1)
        bad = log.content[:-50]
        account.repository.add(log.name, bad)
        plan = account.plan()
        fetched = account.fetch(plan)

        sound = account.ledger.store.create

        def hang(path: str, content: bytes) -> None:
            monkeypatch.setattr(account.ledger.store, "create", sound)
            account.repository.add(log.name, bad)
            account.finish(plan)
            account.ledger.store.create(path, content)

        account.repository.add(log.name, log.content)
        monkeypatch.setattr(account.ledger.store, "create", hang)
        account.normalize(plan, fetched)
        record = account.record(log.name)
        assert record["state"] == "damaged"
        assert (account.lake / str(record["raw_key"])).read_bytes() == account.raw(log.name).read_bytes() == bad
        account.assert_balanced()
        clock.ahead = timedelta(minutes=11)
        account.run()
        assert account.states() == {log.name: "committed"}
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_other_bytes_that_do_not_decode_either_leave_the_first_in_raw(self, account: Account) -> None:
        (log,) = account.serve(1)
        bad = log.content[:-50]
        account.repository.add(log.name, bad)
        plan = account.plan()
        fetched = account.fetch(plan)
        account.repository.add(log.name, log.content[:-70])
        account.normalize(plan, fetched)
        account.commit(plan)
        assert account.states() == {log.name: "damaged"}
        assert account.raw(log.name).read_bytes() == bad

    @pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=418), Fault(html=True)])
    def test_a_damaged_log_that_cannot_be_asked_for_again_is_not_given_up(self, account: Account, fault: Fault) -> None:
        (log, _) = account.serve(1, 2)
        account.repository.add(log.name, log.content[:-50])
        plan = account.plan()
        fetched = account.fetch(plan)
        account.repository.add(log.name, log.content)
        account.repository.fail(log.name, fault, fault)
        account.normalize(plan, fetched)
        commit = account.commit(plan)
        assert list(commit.open) == [log.name]
        assert account.rows() == account.expected([name(2)])
        account.repository.fail(log.name)
        while account.rows() != account.expected():
            account.run_some()
        assert account.record(log.name)["state"] == "committed"
        account.assert_balanced()

    def test_a_damaged_log_that_is_gone_goes_to_quarantine(self, account: Account) -> None:
        (log,) = account.serve(1)
        account.repository.add(log.name, log.content[:-50])
        plan = account.plan()
        fetched = account.fetch(plan)
        account.repository.remove(log.name)
        account.normalize(plan, fetched)
        account.commit(plan)
        assert account.states() == {log.name: "damaged"}
        assert account.run() is None, "the index is empty, which proves nothing"
        account.serve(2)
        account.run()
        assert account.states() == {log.name: "quarantined", name(2): "committed"}
        account.assert_balanced()


PAGES = {
    "nothing": b"",
    "XML": b"<?xml version='1.0'?><error><code>503</code></error>",
    "a comment": b"<!-- gateway 7 --><html>Service unavailable</html>",
    "a head": b"<head><title>Sorry</title></head>",
    "text": b"upstream connect error or disconnect/reset before headers",
    "a line": b"Bad Gateway\n",
    "the begin of a header": b"accountI",
    "a header": b"accountId:1\nconfigId:8416\nformat:CEF\n|==|\n",
    "JSON": b'{"errorCode": 503, "message": "try again"}',
    "JSON in a list": b'[{"error": "unavailable"}]',
}


class TestAnswersThatAreNoLogs:
    """What a server says once in place of a log is never its last word while the log is listed."""

    @pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
    def test_the_log_is_asked_for_again_and_loaded_once_it_comes(
        self, account: Account, clock: Clock, page: bytes
    ) -> None:
        account.serve(1)
        account.run()
        (log,) = account.serve(2)
        account.repository.add(log.name, page)
        account.run()
        assert account.rows() == account.expected([name(1)])
        assert account.quarantined() == []
        account.assert_balanced()
        account.repository.add(log.name, log.content)
        clock.ahead = timedelta(minutes=11)
        assert account.work() == Work(logs=1)
        account.run()
        assert account.rows() == account.expected()
        assert account.states() == {name(1): "committed", name(2): "committed"}
        account.assert_balanced()

    @pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
    def test_no_other_log_of_the_prefix_is_needed_to_tell(self, account: Account, page: bytes) -> None:
        (log,) = account.serve(1)
        account.repository.add(log.name, page)
        account.run()
        # A page of HTML or XML is refused while it is fetched, so that the ledger has nothing of it yet.
        assert account.states() in ({}, {name(1): "damaged"})
        assert account.quarantined() == []

    def test_an_error_in_json_is_no_event_where_logs_have_no_headers_either(
        self, account: Account, clock: Clock
    ) -> None:
        body = b'{"event":{"id":"7"},"timestamp":1767225600000}\n'
        account.repository.add(name(1), PAGES["JSON"])
        account.run()
        assert account.states() == {name(1): "damaged"}
        account.repository.add(name(1), body)
        clock.ahead = timedelta(minutes=11)
        account.run()
        assert account.states() == {name(1): "committed"}
        assert account.record(name(1))["rows"] == 1

    @pytest.mark.parametrize("cut", [1, 2, 20, 25, 40])
    def test_json_that_ends_within_a_record_is_damaged_until_it_comes_whole(
        self, account: Account, clock: Clock, cut: int
    ) -> None:
        event = b'{"event":{"id":"%d"},"timestamp":1767225600000}\n'
        body = b"".join(event % number for number in range(20))
        account.repository.add(name(1), body[: len(event) * 10 + cut])
        account.serve(2, prefix="9000")
        account.run()
        assert account.states() == {name(1): "damaged", "9000_2.log": "committed"}
        assert account.rows() == account.expected(["9000_2.log"]), "none of its rows"
        account.assert_balanced()
        account.repository.add(name(1), body)
        clock.ahead = timedelta(minutes=11)
        account.run()
        assert account.states() == {name(1): "committed", "9000_2.log": "committed"}
        assert account.record(name(1))["rows"] == 20
        account.assert_balanced()

    def test_json_that_stays_cut_gives_its_whole_records_at_last(self, account: Account) -> None:
        account.repository.add(name(1), b'{"event":{"id":"1"},"timestamp":1767225600000}\n{"event":{"id"')
        account.run()
        account.repository.remove(name(1))
        account.serve(2)
        account.run()
        assert account.states() == {name(1): "committed", name(2): "committed"}
        assert (account.record(name(1))["rows"], account.record(name(1))["quarantined_lines"]) == (1, 1)
        assert [line[2] for line in account.quarantined()] == ["truncated"]
        account.assert_balanced()

    def test_the_pauses_grow_and_end_with_the_window(self, account: Account, clock: Clock) -> None:
        (log, _) = account.serve(1, 2)
        account.repository.add(log.name, log.content[:-50])
        asked = []
        for _ in range(49 * 6):
            before = account.requested().count(log.name)
            account.run()
            if account.requested().count(log.name) > before:
                asked.append(clock.ahead)
            clock.ahead += timedelta(minutes=10)
        pauses = [later - earlier for earlier, later in pairwise(asked)]
        assert pauses[0] < timedelta(minutes=25)
        assert all(earlier <= later for earlier, later in pairwise(pauses[:-1]))
        assert max(pauses) < timedelta(hours=6, minutes=30)
        assert 10 < len(asked) < 20
        assert account.states()[log.name] == "quarantined"
        assert account.quarantined()[0][:2] == (log.name, None)
        assert account.run() is None
        account.assert_balanced()

    def test_a_clear_log_with_a_wrong_checksum_is_fetched_once_more(self, account: Account) -> None:
        """What damaged it on its way is not in the second answer."""
        (log,) = account.serve(1, compress=False)
        account.repository.add(log.name, log.content[:-700])
        plan = account.plan()
        fetched = account.fetch(plan)
        account.repository.add(log.name, log.content)
        account.normalize(plan, fetched)
        account.commit(plan)
        assert account.rows() == account.expected()
        assert account.record(log.name)["checksum_ok"] is True
        account.assert_balanced()

    def test_a_clear_log_whose_checksum_stays_wrong_is_loaded_with_a_warning(self, account: Account) -> None:
        (log,) = account.serve(1)
        account.repository.add(log.name, forge_log("\n".join(log.events) + "\n", compress=False, checksum="0" * 32))
        account.run()
        assert account.rows() == account.expected()
        assert account.record(log.name)["checksum_ok"] is False
        assert account.requested().count(log.name) == 2

    def test_a_damaged_key_id_is_fetched_once_more(self, account: Account, key_pair: KeyPair) -> None:
        account.keys = KeyRing({"1": key_pair.private_key})
        (log,) = account.serve(1, keys=[key_pair])
        account.repository.add(log.name, log.content.replace(b"publicKeyId:1", b"publicKeyId:9"))
        plan = account.plan()
        fetched = account.fetch(plan)
        account.repository.add(log.name, log.content)
        account.normalize(plan, fetched)
        account.commit(plan)
        assert account.rows() == account.expected()
        assert account.record(log.name)["state"] == "committed"


class TestOneLogRefused:
    """A status for one log is that log's trouble, if the index is given."""

    @pytest.mark.parametrize("status", [400, 401, 403, 405, 416, 429, 451, 500, 503, 204, 206, 304])
    def test_the_others_load_and_it_expires_with_the_window(self, account: Account, clock: Clock, status: int) -> None:
        account.serve(*range(1, 6))
        account.repository.fail(name(3), *[Fault(status=status)] * 400)
        account.run()
        assert account.rows() == account.expected([name(number) for number in (1, 2, 4, 5)])
        assert account.states().get(name(3)) is None
        for number in (1, 2, 3):
            account.repository.remove(name(number))
        clock.ahead = timedelta(hours=20)
        account.serve(6)
        account.run()
        assert account.states().get(name(3)) is None, "it may still be had: the index can be wrong"
        clock.ahead = timedelta(hours=49)
        account.run()
        assert account.states()[name(3)] == "expired"
        assert account.run() is None
        account.assert_balanced()

    def test_who_is_refused_the_index_too_is_told_so(self, account: Account) -> None:
        account.serve(1, 2)
        plan = account.plan()
        account.repository.fail("*", *[Fault(status=401)] * 20)
        with pytest.raises(AuthenticationError):
            account.fetch(plan)

    def test_gone_is_not_found(self, account: Account) -> None:
        account.serve(1, 2)
        plan = account.plan()
        account.repository.remove(name(1))
        account.repository.fail(name(1), Fault(status=410))
        assert account.fetch(plan).expired == [name(1)]


class TestStoresThatKeepNoTimes:
    def test_a_replay_takes_the_time_of_the_fetch_from_the_ledger(self, account: Account) -> None:
        account.serve(1)
        account.run()
        before = account.event_times()
        os.utime(account.raw(name(1)), (0, 0))
        everything = Selection(state="all")
        replayed = make_replay_plan(account.ledger, run=account.next_run(), selection=everything, take_over=True)
        assert replayed is not None
        replay(account.ledger, account.keys, replayed, options=NormalizeOptions())
        assert account.event_times() == before
        assert None not in before

    @pytest.mark.parametrize("behind", [timedelta(hours=36), timedelta(days=20_000)])
    def test_a_store_whose_clock_is_behind_changes_no_event_time(self, account: Account, behind: timedelta) -> None:
        account.serve(1)
        plan = account.plan()
        fetched = account.fetch(plan)
        wrong = (datetime.now(UTC) - behind).timestamp()
        os.utime(account.raw(name(1)), (wrong, wrong))
        account.normalize(plan, fetched)
        account.commit(plan)
        assert None not in account.event_times()
        assert account.record(name(1))["fetched_at"] == plan.created_at.replace(
            microsecond=plan.created_at.microsecond // 1000 * 1000
        )


def normalize_one_of_two(account: Account, plan: Plan) -> None:
    account.normalize(plan, account.fetch(plan, 0))
    account.fetch(plan, 1)


def fetch_all(account: Account, plan: Plan) -> list[Fetched]:
    return [account.fetch(plan, batch) for batch in range(len(plan.batches))]


def normalize_all(account: Account, plan: Plan) -> None:
    for fetched in fetch_all(account, plan):
        account.normalize(plan, fetched)


def die_before(monkeypatch: pytest.MonkeyPatch, owner: object, step: str, what: Callable[[], object]) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            what()


class TestCrash:
    """A run dies after any step; the next one loads everything once, and does not fetch again what is in raw/."""

    @pytest.fixture
    def plan(self, account: Account) -> Plan:
        account.serve(*range(1, 9))
        account.options = PlanOptions(logs_per_batch=4)
        plan = account.plan()
        assert len(plan.batches) == 2
        return plan

    @pytest.fixture(autouse=True)
    def recovered(self, account: Account, plan: Plan) -> Iterator[None]:
        """After each test: a new run, with a new log, puts everything right."""
        yield
        fetched = set(account.requested())
        account.serve(9)
        account.run()
        account.run()
        assert account.rows() == account.expected()
        account.assert_balanced()
        assert all(account.requested().count(log) == 1 for log in fetched)
        commits = list(account.ledger.commits())
        assert commits[0].run == plan.run
        for before, after in pairwise(commits):
            content = account.ledger.store.read(account.ledger.layout.commit(before.commit))
            assert after.previous_sha256 == hashlib.sha256(content).hexdigest()

    def test_after_planning(self, account: Account) -> None:
        assert account.work() == Work(recover=1)

    def test_after_fetching(self, account: Account, plan: Plan) -> None:
        fetch_all(account, plan)

    def test_in_the_middle_of_fetching(self, account: Account, plan: Plan) -> None:
        account.fetch(plan, 0)

    def test_with_one_of_two_batches_done(self, account: Account, plan: Plan) -> None:
        normalize_one_of_two(account, plan)
        rows = account.rows()
        account.serve(10)
        account.run()
        first = account.ledger.commit(1)
        assert (first.batches, first.failed_batches) == ((0,), (1,))
        assert first.committed_by != first.run
        assert rows <= account.rows(), "what the finished batch did is kept"

    def test_before_a_part_is_written(self, account: Account, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        fetched = account.fetch(plan)
        die_before(monkeypatch, BatchParts, "write", lambda: account.normalize(plan, fetched))

    def test_with_parts_written_and_no_report(
        self, account: Account, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched = account.fetch(plan)
        die_before(monkeypatch, Ledger, "write_report", lambda: account.normalize(plan, fetched))
        assert account.rows(), "the parts are there, and nobody speaks for them"

    def test_with_a_batch_tried_again_after_that(
        self, account: Account, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched = account.fetch(plan)
        die_before(monkeypatch, Ledger, "write_report", lambda: account.normalize(plan, fetched))
        account.normalize(plan, fetched)
        account.normalize(plan, account.fetch(plan, 1))
        assert account.commit(plan).failed_batches == ()

    def test_with_everything_done_but_the_commit(self, account: Account, plan: Plan) -> None:
        normalize_all(account, plan)

    def test_with_the_logs_written_and_no_commit(
        self, account: Account, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        normalize_one_of_two(account, plan)
        die_before(monkeypatch, Ledger, "create_commit", lambda: account.commit(plan))

    def test_right_after_the_commit(self, account: Account, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        fetched = fetch_all(account, plan)
        account.normalize(plan, fetched[0])
        die_before(monkeypatch, Ledger, "write_report", lambda: account.normalize(plan, fetched[1]))
        die_before(monkeypatch, commit_module, "finish_commit", lambda: account.commit(plan))
        account.serve(10)
        account.plan()
        assert account.rows() == account.expected(map(name, range(1, 5))), "swept before their logs are loaded again"

    def test_while_recovering(self, account: Account, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        normalize_one_of_two(account, plan)
        die_before(monkeypatch, Ledger, "create_commit", account.run)
        die_before(monkeypatch, commit_module, "finish_commit", account.run)
        die_before(monkeypatch, Ledger, "create_plan", account.run)

    def test_the_same_run_planning_again_gets_its_plan(self, account: Account, plan: Plan) -> None:
        account.serve(11)
        assert account.plan(plan.run) == plan

    def test_fetching_again(self, account: Account, plan: Plan) -> None:
        account.fetch(plan)
        assert account.fetch(plan) == Fetched(1, 0, [], [], [])

    def test_normalizing_again_after_the_commit_changes_nothing(self, account: Account, plan: Plan) -> None:
        fetched = fetch_all(account, plan)
        reports = [account.normalize(plan, one) for one in fetched]
        account.commit(plan)
        before = {path: path.read_bytes() for path in account.lake.rglob("*") if path.is_file()}
        assert [account.normalize(plan, one) for one in fetched] == reports
        assert {path: path.read_bytes() for path in account.lake.rglob("*") if path.is_file()} == before


class TestZombies:
    """A task of a run that was given up for dead goes on: what it does is undone, or never done."""

    def test_one_that_wakes_up_after_the_recovery_writes_nothing(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1, 2)
        plan = account.plan()
        fetched = account.fetch(plan)
        account.run()
        parts = sorted(account.lake.glob("events/repository=*/**/*.parquet"))
        monkeypatch.setattr(BatchParts, "write", lambda _: pytest.fail("it wrote, if only for a moment"))
        with pytest.raises(LedgerConflictError, match="committed without batch 0"):
            account.normalize(plan, fetched)
        assert sorted(account.lake.glob("events/repository=*/**/*.parquet")) == parts
        assert account.commit(plan) == account.ledger.commit(1), "and its commit task finds the plan committed"
        assert account.rows() == account.expected()

    @pytest.mark.parametrize("commits", [1, SWEPT_COMMITS + 2])
    def test_one_that_hangs_between_its_last_look_and_its_write_cleans_up_after_itself(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, commits: int
    ) -> None:
        account.serve(1, 2)
        plan = account.plan()
        fetched = account.fetch(plan)
        write = BatchParts.write

        def others_go_first(parts: BatchParts) -> object:
            monkeypatch.setattr(BatchParts, "write", write)
            for number in range(commits):
                account.serve(10 + number)
                account.run()
            return write(parts)

        monkeypatch.setattr(BatchParts, "write", others_go_first)
        with pytest.raises(LedgerConflictError):
            account.normalize(plan, fetched)
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_one_that_dies_right_after_such_a_write_is_cleaned_up_by_the_next_commit(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1, 2)
        plan = account.plan()
        fetched = account.fetch(plan)
        write = BatchParts.write

        def others_go_first(parts: BatchParts) -> object:
            monkeypatch.setattr(BatchParts, "write", write)
            account.run()
            write(parts)
            raise KeyboardInterrupt

        monkeypatch.setattr(BatchParts, "write", others_go_first)
        with pytest.raises(KeyboardInterrupt):
            account.normalize(plan, fetched)
        assert account.rows() != account.expected(), "doubled for now"
        account.serve(3)
        account.run()
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_two_attempts_of_one_batch_at_once_leave_its_rows_once(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, key_pair: KeyPair
    ) -> None:
        """The slow attempt began before a key was there, so it would write less than the quick one reported."""
        account.serve(1)
        account.serve(2, keys=[key_pair])
        plan = account.plan()
        fetched = account.fetch(plan)
        intent = Ledger.create_intent

        def quick_attempt_first(ledger: Ledger, number: int, batch: int, paths: list[str], *, outcome: str) -> bool:
            monkeypatch.setattr(Ledger, "create_intent", intent)
            account.keys = KeyRing({"1": key_pair.private_key})
            account.normalize(plan, fetched)
            return intent(ledger, number, batch, paths, outcome=outcome)

        monkeypatch.setattr(Ledger, "create_intent", quick_attempt_first)
        account.normalize(plan, fetched)
        account.commit(plan)
        assert account.rows() == account.expected()
        account.assert_balanced()

    def test_an_expired_log_that_another_attempt_brought_is_loaded(self, account: Account) -> None:
        account.serve(1)
        plan = account.plan()
        account.fetch(plan)
        account.normalize(plan, Fetched(plan.commit, 0, expired=[name(1)], not_yet=[], unavailable=[]))
        account.commit(plan)
        assert account.rows() == account.expected()

    def test_of_two_runs_that_plan_at_once_one_is_told_and_the_other_loads(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.serve(1, 2, 3)
        both_have_looked = threading.Barrier(2)
        read_index = RepositoryClient.read_index

        def wait_for_the_other(client: RepositoryClient) -> object:
            index = read_index(client)
            both_have_looked.wait(20)
            return index

        monkeypatch.setattr(RepositoryClient, "read_index", wait_for_the_other)
        outcomes: list[Plan | LedgerConflictError] = []

        def plan() -> None:
            try:
                outcomes.append(account.plan())
            except LedgerConflictError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=plan) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        monkeypatch.undo()
        (won,) = [outcome for outcome in outcomes if isinstance(outcome, Plan)]
        assert len(outcomes) == 2
        account.finish(won)
        assert account.run() is None
        assert account.rows() == account.expected()
        assert len(account.requested()) == 3


class TestSecrecy:
    def test_no_key_and_no_text_of_a_log_gets_into_ledger_messages_or_errors(
        self, account: Account, key_pair: KeyPair, other_pair: KeyPair, caplog: pytest.LogCaptureFixture
    ) -> None:
        """P7, after a run with a bad log of every kind."""
        caplog.set_level(logging.DEBUG)
        password = account.repository.password = "an-api-key-that-must-not-show"
        account.keys = KeyRing({"1": key_pair.private_key})
        account.options = PlanOptions(logs_per_batch=3)
        events = forge_events(10, seed="secret")
        body = "\n".join(events) + "\nGET /a-line-that-is-no-event?card=4111111111111111\n"
        sound = forge_log(body, key=key_pair)
        missing_key = KeyPair("2", other_pair.private_key)
        contents = [
            sound,
            forge_log(body),
            forge_log(body, compress=False, checksum="0" * 32),
            forge_log(body, key=missing_key),
            forge_log(body, key=other_pair),
            sound[:-100],
            sound[:700],
            flipped(sound),
            forge_log(body, compress=False)[:-30],
            forge_log(body, key=key_pair, checksum="0" * 32),
            b"\xff\xfe" + body.encode(),
            body.encode(),
        ]
        for number, content in enumerate(contents, 1):
            account.repository.add(name(number), content)
        account.repository.index = b"".join(b"8416_%d.log\n" % n for n in range(1, 14)) + events[0].encode() + b"\n"
        account.repository.fail(name(2), Fault(html=True))
        plan = account.plan()
        commit = account.finish(plan)
        assert {State.COMMITTED, State.QUARANTINED, State.AWAITING_KEY} <= commit.totals.logs.keys()
        told = caplog.text + "".join(str(record.exc_info) for record in caplog.records)
        for path in account.lake.glob("ledger/**/*.json"):
            told += path.read_text()
        for number in range(1, account.ledger.head().next_commit):
            told += str(account.ledger.logs(number).to_pylist())
        account.repository.password = "another"
        with account.client() as client:
            account.repository.password = password
            with pytest.raises(AuthenticationError) as caught:
                client.read_index()
        told += str(caught.value)
        secrets = [password, "another", "4111111111111111", "a-line-that-is-no-event", "CEF:0", "BEGIN RSA"]
        secrets += [line for pair in (key_pair, other_pair) for line in pair.private_pem().splitlines()[1:-1]]
        secrets += [request_id(event) for event in events]
        secrets += [line[4:] for content in contents for line in wrapped_keys(content)]
        assert [secret for secret in secrets if secret in told] == []
        assert name(5) in told, "or there was nothing to be found in"


def wrapped_keys(content: bytes) -> list[str]:
    return [line for line in content[:2000].decode("latin-1").split("\n") if line.startswith("key:")]


def test_a_lake_on_an_object_store_is_loaded_the_same_way(account: Account) -> None:
    root = uuid.uuid4().hex
    account.ledger = Ledger(open_store(f"memory://{root}"), account.repository.name)
    account.serve(1, 2, 4)
    crashed = account.plan()
    account.fetch(crashed)
    account.serve(5)
    account.run()
    account.run()
    fs = fsspec.filesystem("memory")
    found = [
        row
        for path in fs.glob(f"/{root}/events/repository=*/**/*.parquet")
        for row in pq.read_table(path, filesystem=fs, columns=["src_file", "src_line", "request_id"]).to_pylist()
    ]
    assert sorted((row["src_file"], row["src_line"], row["request_id"]) for row in found) == sorted(
        account.expected().elements()
    )
