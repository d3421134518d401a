"""Commits whose bytes retention removed from raw/ before a destination got them: told once, never called sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from airflow_provider_imperva.audit.verify import verify
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.removals import Removals
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.syslog import SyslogReceiver
from tests.forward.sending import Collector, forwarding, send_all
from tests.load.load_runs import Clock
from tests.retention.kept_account import KeptAccount

ADDRESS = Address(host="siem.example", port=6514)
EXPIRED = 3
"""The commit that removes the bytes of the first log."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[KeptAccount]:
    """Two logs, of which one is expired while a destination is down."""
    with FakeRepository() as repository:
        account = KeptAccount(repository, tmp_path / "lake", clock=clock)
        account.serve_day(1, 10)
        account.run()
        clock.ahead = timedelta(days=9)
        account.serve_day(2, 0)
        account.run()
        assert account.expire(raw=5).commits[0].commit == EXPIRED
        clock.ahead = timedelta(days=18)
        account.run()
        assert account.raw_names() == ["8416_2.log"], "the bytes of the first are deleted"
        yield account


def to(account: KeptAccount, collector: Collector) -> Forwarding:
    return forwarding(account, DestinationOptions(), address=ADDRESS, connect=lambda: collector)


def ids(collector: Collector) -> set[str]:
    return {event.id.split("/")[1].split(":")[0] for event in collector.events}


def test_they_are_counted_with_the_commit_that_removed_them_and_the_rest_is_sent(account: KeptAccount) -> None:
    collector = Collector()
    sending = to(account, collector)
    first, *_, last = send_all(sending)
    assert (first.lines, first.sent, first.removed, first.removed_logs) == (4, 0, 4, {"8416_1.log": EXPIRED})
    assert (first.unread, first.imbalance()) == (0, None)
    assert (last.sent, last.removed) == (4, 0)
    assert ids(collector) == {"8416_2.log"}
    assert sending.pending() == []
    account.assert_sound()


def test_bytes_that_no_commit_removed_are_still_missing(account: KeptAccount) -> None:
    account.raw("8416_2.log").unlink()
    first, *_, last = send_all(to(account, Collector()))
    assert (first.unread, first.removed) == (0, 4)
    assert (last.unread, last.removed, last.unread_logs) == (4, 0, ("8416_2.log",))


def test_what_was_acknowledged_before_they_were_removed_is_no_reason_to_fail(
    account: KeptAccount, clock: Clock
) -> None:
    """The lines that progress.json tells of do not read any more: the rest of the commit is sent again."""
    account.serve_day(4, 10)
    account.serve_day(5, 10)
    account.run()
    (number,) = [one for one in to(account, Collector()).pending() if account.ledger.commit(one).totals.lines == 8]
    broken = Collector(at_once=True)
    broken.fail_after = 6
    sending = forwarding(account, DestinationOptions(window=2), address=ADDRESS, connect=lambda: broken)
    with pytest.raises(ConnectionResetError):
        list(sending.send([number]))
    assert sending.forwards.progress(number)
    clock.ahead += timedelta(days=9)
    account.expire(raw=5)
    clock.ahead += timedelta(days=9)
    account.run()
    (outcome,) = to(account, Collector()).send([number])
    assert (outcome.sent, outcome.removed, set(outcome.removed_logs)) == (0, 8, {"8416_4.log", "8416_5.log"})
    account.assert_sound()


@pytest.mark.parametrize("by", [1, EXPIRED - 1])
def test_verify_finds_a_commit_that_removed_nothing(account: KeptAccount, by: int) -> None:
    sending = to(account, Collector())
    first = send_all(sending)[0]
    sending.forwards.record(msgspec.structs.replace(first, removed_logs={"8416_1.log": by}), again=True)
    verification = verify(account.ledger.store, account.repository.name)
    assert f"commit {by} removed its bytes from raw/, and that commit did not" in str(verification.findings)


def test_commits_are_looked_through_once_and_again_for_an_earlier_one(account: KeptAccount) -> None:
    ledger, read = account.ledger, []

    class Counting:
        store, layout, head = ledger.store, ledger.layout, ledger.head

        def commit(self, number: int) -> object:
            read.append(number)
            return ledger.commit(number)

    removals = Removals(Counting())  # type: ignore[arg-type]
    path = ledger.commit(EXPIRED).removed_raw[0].path
    last = ledger.head(with_plan=False).next_commit - 1
    assert removals.commit_of("raw/none", after=EXPIRED) is None
    assert removals.commit_of(path, after=EXPIRED) is None
    assert sorted(read) == list(range(EXPIRED + 1, last + 1))
    assert removals.commit_of(path, after=1) == EXPIRED
    assert removals.commit_of(path, after=2) == EXPIRED


def test_the_command_says_so_once(account: KeptAccount, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["forward", str(account.lake), "--to", "syslog", "--host", "127.0.0.1", "--option", "transport=tcp"]
    with SyslogReceiver() as receiver:
        command += ["--port", str(receiver.port)]
        assert main(command) == 1
        output = capsys.readouterr().err
        assert "1 log with 4 lines could not be sent, since retention had removed their bytes from raw/" in output
        assert f"(commit {EXPIRED}): 8416_1.log" in output
        assert main(command) == 0
    capsys.readouterr()
    assert main(["forwards", str(account.lake), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["lines_sent"], row["removed"], row["unread"]) == (4, 4, 0)
    assert main(["forwards", str(account.lake)]) == 0
    assert "syslog: raw/ lacked the bytes of further lines: retention had removed 4, and 0" in capsys.readouterr().out
