"""A person who asks to be forgotten is in no byte of the lake, and every audit accounts for what left."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ConfigurationError, HoldError, LakeError, LedgerConflictError
from airflow_provider_imperva.lake.layout import TRAFFIC_PAGE
from airflow_provider_imperva.lake.records import Kind
from airflow_provider_imperva.load.compact import compact
from airflow_provider_imperva.options import CompactionOptions
from airflow_provider_imperva.retention.erase import Erasure, erase
from airflow_provider_imperva.retention.holds import lift_hold, set_hold
from airflow_provider_imperva.retention.subject import Subject
from airflow_provider_imperva.testing.forge import KeyPair, forge_log
from tests.load.load_runs import Clock
from tests.retention.kept_account import KeptAccount, files_of, write_findings
from tests.table.table_reader import files_of as files_of_table

ADDRESS = "203.0.113.77"
ANOTHER = "203.0.113.7"
REQUEST: dict[str, Any] = {"by": "dpo@example.com", "why": "article 17", "reference": "DSR-12"}


def forget(account: KeptAccount, *, dry_run: bool = False, keys: KeyRing | None = None, **whom: str) -> Erasure:
    return erase(
        account.ledger,
        Subject(**(whom or {"client_ip": ADDRESS})),
        keys=keys or account.keys,
        run=account.maintenance_run(),
        clock=account.clock,
        dry_run=dry_run,
        **REQUEST,
    )


def merge(account: KeptAccount) -> None:
    """Put the parts of each class and date together."""
    list(
        compact(
            account.ledger,
            run=account.maintenance_run(),
            options=CompactionOptions(quiet=timedelta()),
            clock=account.clock,
        )
    )


@pytest.fixture
def loaded(account: KeptAccount) -> KeptAccount:
    """Three logs; two have an event of the person, one of them a broken line that names them as well."""
    return load(account)


def load(account: KeptAccount) -> KeptAccount:
    account.serve_day(1, 3, people=(ADDRESS, ANOTHER))
    account.serve_day(2, 3)
    account.run()
    account.serve_day(3, 1, people=(ADDRESS,), broken=1)
    account.run()
    assert account.where(ADDRESS)
    return account


class TestRows:
    def test_no_byte_of_the_lake_holds_the_value(self, loaded: KeptAccount) -> None:
        done = forget(loaded)
        assert done.commit is not None
        assert loaded.where(ADDRESS) == []
        assert loaded.where(ANOTHER), "an address of which it is a part stays"
        loaded.assert_sound()

    def test_the_ledger_says_how_much_left_who_asked_and_why(self, loaded: KeptAccount) -> None:
        lines = loaded.sums()[0]
        commit = forget(loaded).commit
        assert commit is not None
        assert (commit.kind, commit.taken_rows, commit.taken_quarantined) == (Kind.ERASE, 2, 0)
        purpose = commit.purpose
        assert purpose is not None
        assert (purpose.by, purpose.why, purpose.reference) == ("dpo@example.com", "article 17", "DSR-12")
        assert loaded.sums() == (lines, lines - 3, 1, 0, 2)
        assert loaded.record("8416_1.log")["erased_lines"] == 1
        assert loaded.record("8416_2.log")["erased_lines"] == 0

    def test_bytes_of_their_logs_leave_and_those_of_others_stay(self, loaded: KeptAccount) -> None:
        done = forget(loaded)
        assert loaded.raw_names() == ["8416_2.log"]
        assert done.trace.counts["raw_objects"] == 2
        assert loaded.record("8416_3.log")["raw_removed"] == "erased"

    def test_what_is_left_keeps_its_order_types_and_metadata(self, loaded: KeptAccount) -> None:
        before = {part.event_date: path for path, part in loaded.live().items() if part.event_class}
        schemas = {path: pq.read_schema(loaded.lake / path) for path in before.values()}
        done = forget(loaded)
        assert done.commit is not None
        for part in done.commit.parts:
            schema = pq.read_schema(loaded.lake / part.path)
            assert schema.equals(next(iter(schemas.values())), check_metadata=True)
            times = pq.read_table(loaded.lake / part.path)["event_time"].to_pylist()
            assert times == sorted(times)

    def test_others_rows_that_mention_the_person_stay_and_are_blanked(self, account: KeptAccount) -> None:
        log = account.serve_day(1, 1, events=2)
        first = log.events[0].replace(" ref=", " reff=") + f" ref=https://x.example/?ip={ADDRESS}&a=1"
        body = f"{first}\n{log.events[1]}\n"
        account.repository.add(log.name, forge_log(body))
        account.run()
        done = forget(account)
        assert (done.trace.rows, done.trace.mentions) == (0, 1)
        assert account.where(ADDRESS) == []
        rows = [row for path in account.live() for row in pq.read_table(account.lake / path).to_pylist()]
        (row,) = [row for row in rows if "erased:referrer" in (row["parse_warnings"] or [])]
        assert row["referrer"] == "https://x.example/?ip=ERASED&a=1"
        account.assert_sound()

    def test_mentions_in_headers_and_violations_are_blanked(self, account: KeptAccount) -> None:
        log = account.serve_day(1, 1, events=1)
        (event,) = log.events
        event = event.replace("|Normal|0|", "|SQL Injection|0|").replace(
            '{"Accept":"*/*"}', f'{{"X-Real-Ip":"{ADDRESS}"}}'
        )
        event = f'{event} cs11=,,[{{"ip":"{ADDRESS}"}}] cs11Label=Rule Additional Info'
        account.repository.add(log.name, forge_log(f"{event}\n"))
        account.run()
        done = forget(account)
        assert done.trace.mentions == 1
        assert account.where(ADDRESS) == []
        (row,) = [row for path in account.live() for row in pq.read_table(account.lake / path).to_pylist()]
        assert dict(row["request_headers"])["x-real-ip"] == ["ERASED"]
        assert row["violations"][2]["rule_info"] == '[{"ip":"ERASED"}]'
        account.assert_sound()

    def test_a_broken_line_leaves_quarantine(self, account: KeptAccount) -> None:
        log = account.serve_day(1, 1)
        body = f"no event of {ADDRESS}\nno event\n" + "".join(f"{event}\n" for event in log.events)
        account.repository.add(log.name, forge_log(body))
        account.run()
        done = forget(account)
        assert done.trace.counts["quarantined_rows"] == 1
        assert account.where(ADDRESS) == []
        assert account.sums() == (6, 4, 1, 0, 1)
        account.assert_sound()

    @pytest.mark.parametrize("column", ["visitor_id", "session_id"])
    def test_visitors_and_sessions(self, loaded: KeptAccount, column: str) -> None:
        path = next(path for path, part in loaded.live().items() if part.event_class)
        value = pq.read_table(loaded.lake / path)[column][0].as_py()
        done = forget(loaded, **{column.removesuffix("_id"): value.upper()})
        assert done.trace.rows >= 1
        assert loaded.where(value) == []
        loaded.assert_sound()

    def test_an_account_name(self, loaded: KeptAccount) -> None:
        done = forget(loaded, account_name="Example Trading Ltd")
        assert done.trace.rows == 12
        assert loaded.where("Example Trading") == []
        assert loaded.live_rows() == {}
        loaded.assert_sound()

    def test_an_ipv6_address_however_it_is_written(self, account: KeptAccount) -> None:
        account.serve_day(1, 1, people=("2001:db8:0:0:0:0:0:5", "2001:DB8::5", "2001:db8::50"))
        account.run()
        done = forget(account, client_ip="2001:0db8:0000::0005")
        assert done.trace.rows == 2
        assert account.where("2001:db8::50")
        account.assert_sound()

    def test_a_part_with_rows_of_many_batches(self, account: KeptAccount) -> None:
        for number in (1, 2, 3):
            account.serve_day(number, 3, people=(ADDRESS,) if number == 2 else ())
            account.run()
        merge(account)
        assert len(account.live()) == 2
        assert forget(account).trace.rows == 1
        assert account.where(ADDRESS) == []
        for path in account.live():
            declared = pq.ParquetFile(account.lake / path).metadata.row_group(0).sorting_columns
            assert declared, "it is still sorted, and says so"
        account.assert_sound()
        account.expire(events={"access": 2})
        account.assert_sound()

    def test_a_replayed_one(self, loaded: KeptAccount) -> None:
        from airflow_provider_imperva.load.normalize import NormalizeOptions
        from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay

        plan = make_replay_plan(loaded.ledger, run=loaded.next_run(), selection=Selection(state="all"), take_over=False)
        assert plan is not None
        replay(loaded.ledger, loaded.keys, plan, options=NormalizeOptions(keep_raw=True))
        assert forget(loaded).trace.rows == 2
        assert loaded.where(ADDRESS) == []
        loaded.assert_sound()

    def test_reports_that_name_the_person_leave_too(self, loaded: KeptAccount) -> None:
        store, layout = loaded.ledger.store, loaded.ledger.layout
        about = {"2026-11-20": ADDRESS, "2026-11-21": ANOTHER}
        for day, client in about.items():
            write_findings(loaded, day, client)
        store.write(TRAFFIC_PAGE, ADDRESS.encode())
        assert forget(loaded, dry_run=True).trace.counts["findings"] == 1
        assert store.exists(TRAFFIC_PAGE)
        forget(loaded)
        assert [day for day in about if store.exists(layout.findings(day))] == ["2026-11-21"]
        assert not store.exists(TRAFFIC_PAGE)
        write_findings(loaded, "2026-11-20", ADDRESS)
        assert forget(loaded).commit is None, "nothing else is left of the person"
        assert not store.exists(layout.findings("2026-11-20"))


class TestRaw:
    def test_bytes_whose_rows_expired_are_looked_into(self, loaded: KeptAccount) -> None:
        loaded.expire(events={"access": 2, "security": 2})
        forget(loaded)
        assert loaded.where(ADDRESS) == []
        assert loaded.record("8416_1.log")["raw_removed"] == "erased"
        loaded.assert_sound()

    def test_a_damaged_log_is_looked_into_as_far_as_it_inflates(self, account: KeptAccount, clock: Clock) -> None:
        log = account.serve_day(1, 0, people=(ADDRESS,), events=40)
        account.repository.add(log.name, log.content[:-200])
        account.run()
        waiting = forget(account).trace
        assert (waiting.open_logs, waiting.raw) == (["8416_1.log"], {}), "it may still come whole"
        clock.ahead = timedelta(days=3)
        account.run()
        assert account.states()["8416_1.log"] == "quarantined"
        forget(account)
        assert account.raw_names() == []
        account.assert_sound()

    def test_an_encrypted_log_is_looked_into_with_its_key(self, account: KeptAccount) -> None:
        pair = KeyPair.generate("1", bits=1024)
        log = account.serve_day(1, 1, people=(ADDRESS,))
        body = "".join(f"{event}\n" for event in log.events)
        account.repository.add(log.name, forge_log(body, key=pair))
        account.run()
        blind = forget(account, dry_run=True).trace
        assert (blind.open_logs, blind.unread) == ([], ["8416_1.log"])
        ring = KeyRing({"1": pair.private_key})
        assert forget(account, dry_run=True, keys=ring).trace.open_logs == ["8416_1.log"]
        account.keys = ring
        account.run()
        forget(account)
        assert account.raw_names() == []
        account.assert_sound()

    def test_a_copy_of_a_log_leaves_too(self, account: KeptAccount) -> None:
        log = account.serve_day(1, 1, people=(ADDRESS,))
        account.run()
        path = account.raw("8416_1.log")
        beside = path.with_name(f"{path.name}.{'0' * 16}")
        beside.write_bytes(log.content)
        forget(account)
        assert account.raw_names() == []

    def test_logs_are_not_loaded_again_while_they_are_listed(self, loaded: KeptAccount) -> None:
        forget(loaded)
        loaded.serve_day(4, 0)
        loaded.run()
        assert loaded.where(ADDRESS) == []
        assert loaded.states()["8416_1.log"] == "committed"


class TestTable:
    def test_rows_leave_it_at_once_and_its_history_and_files_after_the_grace(
        self, tabled: KeptAccount, clock: Clock
    ) -> None:
        load(tabled)
        before = tabled.where(ADDRESS)
        assert any("_delta_log" in path for path in before), "statistics of the table name addresses"
        forget(tabled)
        assert files_of_table(tabled.ledger.store) == sorted(path for path in tabled.live() if path[0] == "e")
        assert ADDRESS not in {
            row["client_ip"]
            for path in tabled.live()
            if path[0] == "e"
            for row in pq.read_table(tabled.lake / path).to_pylist()
        }
        assert tabled.where(ADDRESS) == before
        tabled.assert_sound()
        clock.ahead = timedelta(days=7, minutes=1)
        tabled.serve_day(4, 0)
        tabled.run()
        assert tabled.where(ADDRESS) == []
        assert files_of_table(tabled.ledger.store) == sorted(path for path in tabled.live() if path[0] == "e")
        tabled.assert_sound()

    def test_neither_parts_that_were_merged_before_nor_their_statistics_outlive_the_grace(
        self, tabled: KeptAccount, clock: Clock
    ) -> None:
        """Compaction has left small parts with the person's rows; an erasure only rewrites the merged one."""
        load(tabled)
        merge(tabled)
        clock.ahead = timedelta(days=6)
        forget(tabled)
        merge(tabled)
        clock.ahead = timedelta(days=13, minutes=1)
        tabled.serve_day(4, 0)
        tabled.run()
        assert tabled.where(ADDRESS) == []
        tabled.assert_sound()

    def test_parts_that_expired_before_are_looked_into_and_do_not_outlive_their_grace(
        self, tabled: KeptAccount, clock: Clock
    ) -> None:
        """Nothing of the person is live any more, so that the erasure itself has nothing to commit."""
        tabled.serve_day(1, 9, people=(ADDRESS,))
        tabled.serve_day(2, 1)
        tabled.run()
        clock.ahead = timedelta(days=5)
        tabled.expire(events={"access": 9, "security": 9}, raw=3)
        done = forget(tabled)
        assert done.commit is None
        assert done.trace.counts["waiting_parts"] == 1
        assert any("_delta_log" in path for path in tabled.where(ADDRESS))
        clock.ahead = timedelta(days=12, minutes=1)
        tabled.serve_day(3, 0)
        tabled.run()
        assert tabled.where(ADDRESS) == []
        tabled.assert_sound()

    def test_a_hold_on_what_expired_is_in_the_way(self, tabled: KeptAccount, clock: Clock) -> None:
        tabled.serve_day(1, 9, people=(ADDRESS,))
        tabled.run()
        clock.ahead = timedelta(days=5)
        tabled.expire(events={"access": 9, "security": 9}, raw=3)
        who = {"by": "legal", "why": "case", "run": tabled.maintenance_run(), "clock": clock}
        set_hold(tabled.ledger, reference="CASE-1", **who)  # type: ignore[arg-type]
        with pytest.raises(HoldError, match="CASE-1"):
            forget(tabled)


class TestRefused:
    def test_a_hold_in_the_way_is_told_with_its_reference(self, loaded: KeptAccount) -> None:
        set_hold(loaded.ledger, reference="CASE-7", by="legal", why="litigation", run=loaded.maintenance_run())
        before = files_of(loaded.lake)
        with pytest.raises(HoldError, match="CASE-7"):
            forget(loaded)
        assert files_of(loaded.lake) == before
        lift_hold(loaded.ledger, reference="CASE-7", by="legal", why="settled", run=loaded.maintenance_run())
        assert forget(loaded).commit

    def test_a_part_that_was_edited_is_not_vouched_for(self, loaded: KeptAccount) -> None:
        path = loaded.lake / next(path for path, part in loaded.live().items() if part.event_class)
        pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
        before = files_of(loaded.lake)
        with pytest.raises(LakeError, match="is not as its commit says"):
            forget(loaded)
        assert files_of(loaded.lake) == before

    def test_a_run_that_takes_over_leaves_all_as_it_was(
        self, loaded: KeptAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = sys.modules[erase.__module__]
        write = module.write_batch

        def write_late(*arguments: Any, **more: Any) -> Any:
            loaded.serve_day(9, 0)
            loaded.run()
            return write(*arguments, **more)

        monkeypatch.setattr(module, "write_batch", write_late)
        with pytest.raises(LedgerConflictError):
            forget(loaded)
        monkeypatch.undo()
        loaded.assert_sound()
        assert forget(loaded).trace.rows == 2
        assert loaded.where(ADDRESS) == []

    @pytest.mark.parametrize(
        ("whom", "found"),
        [
            ({}, "nothing says whom"),
            ({"client_ip": "203.0.113"}, "not an IP address"),
            ({"session": "12"}, "fewer than 4"),
        ],
    )
    def test_what_cannot_be_looked_for(self, whom: dict[str, str], found: str) -> None:
        with pytest.raises(ConfigurationError, match=found) as caught:
            Subject(**whom)
        assert not any(value in str(caught.value) for value in whom.values())

    def test_a_text_that_holds_the_value(self, loaded: KeptAccount) -> None:
        request = REQUEST | {"why": f"asked for by {ADDRESS}"}
        with pytest.raises(ConfigurationError, match="why holds the value") as caught:
            erase(
                loaded.ledger,
                Subject(client_ip=ADDRESS),
                keys=loaded.keys,
                run=loaded.maintenance_run(),
                **request,
            )
        assert ADDRESS not in str(caught.value)


class TestSecret:
    def test_the_value_is_in_no_log_error_or_representation(
        self, loaded: KeptAccount, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            done = forget(loaded)
        subject = Subject(client_ip=ADDRESS)
        told = [caplog.text, repr(subject), repr(subject.needles), repr(done), str(done.trace.counts)]
        assert not any(ADDRESS in text for text in told)
        assert ADDRESS.encode() not in msgspec.json.encode(done.commit)

    def test_a_dry_run_counts_and_writes_nothing(self, loaded: KeptAccount) -> None:
        before = files_of(loaded.lake)
        done = forget(loaded, dry_run=True)
        assert done.trace.counts == {
            "rows": 2,
            "blanked_rows": 0,
            "quarantined_rows": 0,
            "parts": len(done.trace.parts),
            "logs": 2,
            "raw_objects": 2,
            "findings": 0,
            "waiting_parts": 0,
            "open_logs": 0,
            "unread_logs": 0,
        }
        assert (done.commit, files_of(loaded.lake)) == (None, before)

    def test_who_is_not_there_leaves_no_trace(self, loaded: KeptAccount) -> None:
        before = files_of(loaded.lake)
        assert forget(loaded, client_ip="192.0.2.200").commit is None
        assert files_of(loaded.lake) == before
