"""What verify, the coverage page and the command line say of what was forwarded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.audit.verify import Verification, verify
from airflow_provider_imperva.audit.words import describe_repository
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.lake.forwards import Forwards
from airflow_provider_imperva.privacy.redact import Redactor
from airflow_provider_imperva.testing.syslog import SyslogReceiver
from tests.forward.sending import Collector, forwarding, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]


@pytest.fixture
def forwarded(account: Account, load: Load) -> Forwards:
    """Two commits at one destination, and a third that is pending; another destination begins with the second."""
    address = Address(host="siem.example", port=6514)
    load(1)
    load(2)
    options = DestinationOptions(classes=("security",))
    sending = forwarding(account, options, address=address, connect=Collector)
    send_all(sending)
    load(3)
    send_all(forwarding(account, DestinationOptions(), address=address, name="backup", connect=Collector), start=2)
    return sending.forwards


def checked(account: Account) -> Verification:
    return verify(account.ledger.store, account.repository.name)


def change(forwards: Forwards, **fields: Any) -> None:
    outcome = forwards.read(1)
    assert outcome is not None
    forwards.record(msgspec.structs.replace(outcome, **fields), again=True)


def test_a_lake_that_forwards_is_whole_and_its_sums_are_told(account: Account, forwarded: Forwards) -> None:
    verification = checked(account)
    assert verification.ok, verification.findings
    text = "\n".join(describe_repository(verification))
    assert "Forwarded to siem: 3 commits = 2 acknowledged + 1 pending + 0 left out" in text
    assert "Forwarded to backup: 3 commits = 2 acknowledged + 0 pending + 1 left out" in text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sent": 3}, "its lines do not add up"),
        ({"lines": 49, "held_back": -1}, "lines were read to be forwarded, the ledger has 50"),
        ({"ledger_lines": 49}, "49 lines were to be forwarded, the commit has 50"),
        ({"commit_sha256": "0" * 64}, "is not the one that was forwarded"),
    ],
)
def test_what_contradicts_the_ledger_is_found(
    account: Account, forwarded: Forwards, fields: dict[str, Any], message: str
) -> None:
    change(forwarded, **fields)
    verification = checked(account)
    assert any(message in finding.found for finding in verification.findings), verification.findings


def test_a_forward_of_a_commit_that_is_not_there_is_found(account: Account, forwarded: Forwards) -> None:
    outcome = forwarded.read(1)
    assert outcome is not None
    forwarded.record(msgspec.structs.replace(outcome, commit=9))
    assert "the ledger does not have it" in str(checked(account).findings)


def test_an_object_that_does_not_read_is_found(account: Account, forwarded: Forwards) -> None:
    account.ledger.store.write(forwarded.path(1), b"{")
    assert "it does not read; delete it" in str(checked(account).findings)


def test_the_coverage_page_shows_backlog_and_lag(account: Account, forwarded: Forwards) -> None:
    store = account.ledger.store
    history = History.read(store, account.repository.name)
    coverage = measure_coverage(store, history, window=timedelta(hours=48), days=30)
    assert {(one.destination, one.sent, one.pending, one.left_out) for one in coverage.forwards} == {
        ("siem", 2, 1, 0),
        ("backup", 2, 0, 1),
    }
    page = render([coverage], lake="lake")
    assert "<h3>Forwarded</h3>" in page
    assert '<th scope="row">siem</th><td>2</td><td>1</td><td>0</td>' in page


class TestCommandLine:
    @pytest.fixture
    def receiver(self) -> Iterator[SyslogReceiver]:
        with SyslogReceiver() as started:
            yield started

    def command(self, account: Account, receiver: SyslogReceiver, *more: str) -> int:
        to = ["--to", "syslog", "--host", "127.0.0.1", "--port", str(receiver.port), "--option", "transport=tcp"]
        return main(["forward", str(account.lake), *to, *more])

    def test_forward_sends_and_forwards_tells(
        self, account: Account, load: Load, receiver: SyslogReceiver, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load(1)
        assert self.command(account, receiver) == 0
        assert "Sent to syslog: 1 commit, 50 lines. Left: 0 pending." in capsys.readouterr().out
        sent, redactor = [message.split(b'"] ', 1)[1] for message in receiver.messages], Redactor()
        assert sent == [redactor.redact_text(line.decode()).encode() for line in lines_of(account)]
        assert sent != lines_of(account)
        assert self.command(account, receiver, "--commit", "1", "--redaction", "off") == 0
        assert [message.split(b'"] ', 1)[1] for message in receiver.messages[50:]] == lines_of(account)
        capsys.readouterr()
        load(2)
        assert main(["forwards", str(account.lake), "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["destination"], row["sent"], row["pending"], row["lines_sent"]) == ("syslog", 1, 1, 50)
        assert main(["forwards", str(account.lake)]) == 0
        head, _, row, *_ = filter(str.strip, capsys.readouterr().out.splitlines())
        columns = ["destination", "commits", "pending", "behind", "lines", "left", "out", "rejected", "again"]
        assert head.split() == columns, "nothing is cut off in 80 columns"
        assert row.split()[:3] == ["syslog", "1", "1"]
        assert self.command(account, receiver) == 0
        assert self.command(account, receiver) == 0
        assert "Nothing to send to syslog: 2 commits sent before, 0 pending." in capsys.readouterr().out

    def test_a_commit_can_be_sent_again(self, account: Account, load: Load, receiver: SyslogReceiver) -> None:
        load(1)
        self.command(account, receiver)
        assert self.command(account, receiver, "--commit", "1") == 0
        assert len(receiver.messages) == 100

    def test_a_commit_that_is_not_there_is_refused_before_anything_is_noted(
        self, account: Account, load: Load, receiver: SyslogReceiver, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load(1)
        assert self.command(account, receiver, "--commit", "42") == 2
        assert "the ledger has no commit 42; its last one is 1" in capsys.readouterr().err
        assert not (account.lake / "forwards").exists()

    def test_nothing_was_forwarded_yet(self, account: Account, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
        load(1)
        assert main(["forwards", str(account.lake)]) == 0
        assert capsys.readouterr().out == "Nothing was forwarded yet.\n"

    def test_kafka_is_refused_before_anything_is_noted(
        self, account: Account, load: Load, capsys: pytest.CaptureFixture[str]
    ) -> None:
        load(1)
        assert main(["forward", str(account.lake), "--to", "kafka", "--host", "kafka.example"]) == 2
        assert "Use imperva_forward_dag" in capsys.readouterr().err
        assert not (account.lake / "forwards").exists()

    def test_a_destination_that_is_down_is_told(
        self,
        account: Account,
        load: Load,
        receiver: SyslogReceiver,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        load(1)
        receiver.stop()
        monkeypatch.setattr(RetryPolicy, "pause", lambda *_: None)
        assert self.command(account, receiver) == 1
        captured = capsys.readouterr()
        assert "the connection was refused" in captured.err
        assert "Sent to syslog: 0 commits, 0 lines. Left: 1 pending." in captured.out
