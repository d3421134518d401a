"""Lines of the index that are no name we know: a safe one is a log all the same, no other is passed over in green."""

from __future__ import annotations

from hashlib import sha256

import duckdb
import pytest

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.index import parse_index
from airflow_provider_imperva.testing.forge import ForgedLog, forge_repository
from tests.load.load_runs import Account, request_id

NAMES = [
    "8416_12",
    "8416_13.log.gz2",
    "8416_14.LOG",
    "8416_007.log",
    "8416-2_5.log",
    "0_3.log",
    "incapsula-8416.20261130.log",
    "8416_1745073_99.log",
]


def name(number: int) -> str:
    return f"8416_{number}.log"


def forge(seed: int) -> ForgedLog:
    (log,) = forge_repository(1, events_per_log=5, seed=seed)
    return log


def rows_of(account: Account) -> dict[str, set[str]]:
    glob = f"{account.lake}/events/repository=*/**/*.parquet"
    read = f"SELECT src_file, request_id FROM read_parquet('{glob}', hive_partitioning=true)"
    found = duckdb.execute(read).fetchall()
    rows: dict[str, set[str]] = {}
    for file, request in found:
        rows.setdefault(file, set()).add(request)
    assert len(found) == sum(map(len, rows.values())), "no row twice"
    return rows


class TestSafeNames:
    @pytest.mark.parametrize("unknown", NAMES)
    def test_it_is_fetched_and_loaded_under_its_own_name(self, account: Account, unknown: str) -> None:
        account.serve(1, 2)
        log = forge(50)
        account.repository.files[unknown] = log.content
        assert account.work() is not None
        commit = account.run_some()
        assert (commit.unread_count, commit.stuck) == (0, [])
        assert rows_of(account)[unknown] == {request_id(event) for event in log.events}
        assert account.record("0_1.log")["delivered_as"] == unknown
        assert account.run() is None, "each is loaded once"
        account.serve(3)
        account.run_some()
        assert len(rows_of(account)) == 4
        assert verify_lake(account.ledger.store).ok

    def test_an_index_of_such_names_alone_is_an_index(self, account: Account) -> None:
        """The vendor has changed the form of all names overnight."""
        account.serve(1)
        account.run_some()
        account.repository.remove(name(1))
        for number in (1, 2, 3):
            account.repository.files[f"waf-8416-{number}.json.log"] = forge(60 + number).content
        account.run_some()
        assert len(rows_of(account)) == 4
        assert verify_lake(account.ledger.store).ok

    def test_one_that_is_gone_before_it_is_fetched_has_expired_by_name(self, account: Account) -> None:
        account.repository.files = {
            "8416_12": forge(1).content,
            "8416_13": forge(2).content,
            "8416_14": forge(3).content,
        }
        account.options = PlanOptions(max_logs=1)
        account.run_some()
        del account.repository.files["8416_13"]
        account.options = PlanOptions()
        commit = account.run_some()
        assert commit.lost == 1
        assert account.record("0_2.log")["delivered_as"] == "8416_13"

    def test_a_name_cut_off_at_the_end_of_the_index_is_no_name(self, account: Account) -> None:
        account.serve(1, 2)
        account.run_some()
        for end in ("8416", "8416_", "8416_1", "8416_17.", "8416_17.lo"):
            index = parse_index(f"{name(1)}\n{end}".encode(), about="index")
            assert (index.unknown, index.unfinished) == ((), end)

    def test_one_that_stands_there_each_time_is(self, account: Account) -> None:
        account.serve(1)
        account.repository.index_final_newline = False
        account.repository.files["8416_12"] = forge(70).content
        account.run_some()
        assert set(rows_of(account)) == {name(1), "8416_12"}


class TestUnsafeLines:
    @pytest.mark.parametrize(
        ("line", "escaped"),
        [
            (b"../../etc/passwd", "../../etc/passwd"),
            (b"8416_3.log?x=1", "8416_3.log?x=1"),
            (b"\x1b[31m8416_3.log", r"\x1b[31m8416_3.log"),
            (b"http://elsewhere.example/8416_3.log", "http://elsewhere.example/8416_3.log"),
            (b"8416_3.log 12345", "8416_3.log (and 6 more bytes)"),
            (
                b"CEF:0|Incapsula|secret",
                "(22 bytes, SHA-256 " + sha256(b"CEF:0|Incapsula|secret").hexdigest()[:16] + ")",
            ),
            (b".8416_3", ".8416_3"),
        ],
        ids=str,
    )
    def test_it_is_kept_and_never_asked_for(self, account: Account, line: bytes, escaped: str) -> None:
        account.serve(1, 2)
        account.repository.index = f"{name(1)}\n{name(2)}\n".encode() + line + b"\n"
        commit = account.run_some()
        assert (commit.unread, commit.unread_count) == ((escaped,), 1)
        assert set(account.requested("")) == {"logs.index", name(1), name(2)}
        page = measure_coverage(
            account.ledger.store,
            History.read(account.ledger.store, account.repository.name),
            window=account.options.window,
            days=1,
        )
        assert [finding.found for finding in page.unread] == [f"this entry is not read: {escaped}"]
        assert account.run() is None, "it is said once, and again with each commit while it is there"

    def test_it_is_told_even_when_nothing_else_is_new_and_when_it_has_gone(self, account: Account) -> None:
        account.serve(1)
        account.run_some()
        account.repository.index = f"{name(1)}\n<what?>\n".encode()
        assert account.work() is not None
        assert account.run_some().unread == ("<what?>",)
        account.repository.index = None
        assert account.run_some().unread == ()
