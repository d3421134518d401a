"""Redaction as part of loading: what the ledger, the parts and a replay say of it, and that it can be off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.records import Commit, Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.rules import Rules
from airflow_provider_imperva.testing import forge_log
from airflow_provider_imperva.testing.forge import forge_events
from tests.load.load_runs import Account

OFF = NormalizeOptions(protection=Protection(None))
EVENT = (
    "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=77 sourceServiceName=www.example.com start=1700000000000"
    " request=www.example.com/a qstr={query} src=198.51.100.7 act=REQ_PASSED deviceExternalId=1 {more}"
)


def event(query: str, more: str = "") -> str:
    return EVENT.format(query=query.replace("=", "\\="), more=more)


def serve(account: Account, *lines: str) -> None:
    account.repository.add("8416_1.log", forge_log("".join(f"{line}\n" for line in lines)))


def json_event(query: str) -> str:
    """An event of another product."""
    event = json.loads(forge_events(1, format="JSON")[0])
    return json.dumps(event | {"url": {"query": query}})


def rows(account: Account) -> list[dict[str, Any]]:
    tables = [pq.ParquetFile(path).read() for path in sorted(account.lake.glob("events/**/*.parquet"))]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["src_line"])


def metadata(account: Account) -> list[bytes | None]:
    return [
        pq.ParquetFile(path).schema_arrow.metadata.get(b"imperva.redaction")
        for folder in ("events", "quarantine")
        for path in account.lake.glob(f"{folder}/**/*.parquet")
    ]


def replay_all(account: Account, options: NormalizeOptions) -> Commit:
    run, selection = Run("replay", "1"), Selection(state="all")
    plan = make_replay_plan(account.ledger, run=run, selection=selection, take_over=True)
    assert plan
    return replay(account.ledger, KeyRing(), plan, options=options)


class TestOnByDefault:
    def test_the_row_says_in_which_column(self, account: Account) -> None:
        serve(account, event("a=1&token=abc", "ref=https://example.com/?sid=77"), event("a=1"))
        account.run()
        first, second = rows(account)
        assert first["query_string"] == "a=1&token=REDACTED"
        assert first["referrer"] == "https://example.com/?sid=REDACTED"
        assert first["parse_warnings"] == ["redacted:query_string", "redacted:referrer"]
        assert (second["query_string"], second["parse_warnings"]) == ("a=1", [])

    def test_commit_and_parts_have_counts_and_version(self, account: Account) -> None:
        serve(account, "no event, token=abc", event("token=a&token=b&pin=1"), event("token=c"), event("a=1"))
        commit = account.run_some()
        assert commit.redacted == {"password": 1, "token": 3}, "values, not places in them"
        assert commit.protections == ({"imperva.redaction": Rules().version},)
        assert metadata(account) == [Rules().version.encode()] * 2
        account.assert_balanced()

    def test_host_and_path_follow_the_redacted_url(self, account: Account) -> None:
        line = event("a=1").replace("request=www.example.com/a", "request=www.example.com/a;jsessionid\\=77?x")
        serve(account, line)
        account.run()
        (row,) = rows(account)
        assert row["url"] == "www.example.com/a;jsessionid=REDACTED?x"
        assert row["url_path"] == "/a;jsessionid=REDACTED"
        assert row["parse_warnings"] == ["redacted:url", "redacted:url_path"]

    def test_what_a_name_in_extra_makes_secret(self, account: Account) -> None:
        serve(account, event("a=1", "sessionToken=abc newKey=abc cookie=XXX"))
        account.run()
        (row,) = rows(account)
        assert dict(row["extra"]) == {"sessionToken": "REDACTED", "newKey": "abc", "cookie": "XXX"}

    def test_a_log_whose_rows_are_dropped_counts_for_nothing(self, account: Account) -> None:
        """It ends within a record, and is asked for again."""
        serve(account, event("token=abc"))
        account.repository.add(
            "8416_2.log", forge_log(f"{forge_events(1, format='JSON')[0]}\n{json_event('token=abc')}\n{{", header=False)
        )
        commit = account.run_some()
        assert commit.totals.logs == {"committed": 1, "damaged": 1}
        assert commit.redacted == {"token": 1}

    def test_raw_stays_as_it_came(self, account: Account) -> None:
        content = forge_log(f"{event('token=abc')}\n")
        account.repository.add("8416_1.log", content)
        account.run()
        assert account.raw("8416_1.log").read_bytes() == content
        assert verify_lake(open_store(str(account.lake))).findings == ()


class TestOff:
    def test_rows_are_as_the_log_has_them(self, account: Account) -> None:
        account.normalize_options = OFF
        serve(account, "no event, token=abc", event("token=abc"))
        commit = account.run_some()
        (row,) = rows(account)
        assert (row["query_string"], row["parse_warnings"]) == ("token=abc", [])
        assert (commit.redacted, commit.protections) == ({}, ())
        assert metadata(account) == [None, None]

    def test_a_log_without_secrets_has_the_same_rows(self, account: Account, tmp_path: Path) -> None:
        lines = [event(f"page={number}&q=monkey") for number in range(50)]
        serve(account, *lines)
        account.run()
        other = Account(account.repository, tmp_path / "other", normalize_options=OFF)
        other.run()
        assert rows(account) == rows(other)


class TestReplay:
    def test_other_rules_give_other_rows_and_the_sums_hold(self, account: Account) -> None:
        account.normalize_options = OFF
        serve(account, "no event, token=abc", event("token=abc"), event("a=1"))
        account.run()
        plan = make_replay_plan(
            account.ledger, run=Run("replay", "1"), selection=Selection(state="all"), take_over=True
        )
        assert plan
        commit = replay(account.ledger, KeyRing(), plan, options=NormalizeOptions())
        assert [row["query_string"] for row in rows(account)] == ["token=REDACTED", "a=1"]
        assert commit.redacted == {"token": 2}
        assert commit.protections == ({"imperva.redaction": Rules().version},)
        account.assert_balanced()
        assert verify_lake(open_store(str(account.lake))).findings == ()

    def test_back_to_clear_rows(self, account: Account) -> None:
        serve(account, event("token=abc"))
        account.run()
        plan = make_replay_plan(
            account.ledger, run=Run("replay", "1"), selection=Selection(state="all"), take_over=True
        )
        assert plan
        replay(account.ledger, KeyRing(), plan, options=OFF)
        assert [row["query_string"] for row in rows(account)] == ["token=abc"]


def test_an_attempt_with_other_rules_may_not_take_the_place_of_the_first(account: Account) -> None:
    """The intent binds all attempts at a batch to the same rows, and those follow from the rules, too."""
    serve(account, event("token=abc"))
    plan = account.plan()
    fetched = account.fetch(plan)
    account.normalize(plan, fetched)
    account.ledger.store.delete([account.ledger.layout.report(plan.commit, 0)])
    account.normalize_options = OFF
    with pytest.raises(LedgerConflictError, match="came to another outcome"):
        account.normalize(plan, fetched)
    account.normalize_options = NormalizeOptions()
    assert account.normalize(plan, fetched).redacted == {"token": 1}
