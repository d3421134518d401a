"""Sending commits: in order, each once, and the lake never ahead of what was acknowledged."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.lake.forwards import Forwards
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from tests.forward.sending import Collector, forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]
ADDRESS = Address(host="siem.example", port=6514)


def to(account: Account, collector: Collector, *, name: str = "siem", **options: object) -> Forwarding:
    return forwarding(
        account,
        DestinationOptions(**options),  # type: ignore[arg-type]
        address=ADDRESS,
        name=name,
        connect=lambda: collector,
    )


@contextmanager
def recorded(opened: list[str]) -> Iterator[None]:
    """Note the paths of all that is opened or listed."""
    is_on = True

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if is_on and event in ("open", "os.listdir", "os.scandir"):
            opened.append(str(arguments[0]))

    sys.addaudithook(note)
    try:
        yield
    finally:
        is_on = False


def test_every_line_is_sent_once_with_its_id_and_accounted_for(account: Account, load: Load) -> None:
    load(1, 2)
    load(3)
    collector = Collector()
    first, second = send_all(to(account, collector))
    assert [event.body for event in collector.events] == lines_of(account)
    assert [event.id for event in collector.events] == ids_of(account)
    assert (first.commit, first.lines, first.ledger_lines, first.sent) == (1, 100, 100, 100)
    content = b"".join(line + b"\n" for line in lines_of(account)[:100])
    assert first.sha256 == hashlib.sha256(content).hexdigest()
    assert first.size == len(content) - 100
    assert first.commit_sha256 == account.ledger.sha256(1)
    assert first.imbalance() is None
    assert second.commit == 2
    assert send_all(to(account, collector)) == []
    assert collector.closed


def test_after_a_long_outage_all_of_it_comes_in_order(account: Account, load: Load) -> None:
    """What was committed meanwhile waits in the lake; loading reads and writes nothing of what is forwarded."""
    opened: list[str] = []
    for number in range(1, 13):
        with recorded(opened):
            load(number, events=5)
        down = Collector()
        down.fail_after = 0
        with pytest.raises(ConnectionResetError):
            send_all(to(account, down))
    assert any("/ledger/" in path for path in opened)
    assert not [path for path in opened if "/forwards" in path]
    collector = Collector()
    assert [outcome.commit for outcome in send_all(to(account, collector))] == list(range(1, 13))
    assert [event.id for event in collector.events] == ids_of(account)


def test_lost_state_is_sent_again_and_never_skipped(account: Account, load: Load) -> None:
    for number in (1, 2, 3):
        load(number)
    send_all(to(account, Collector()))
    forwards = Forwards(account.ledger.store, account.repository.name, "siem")
    account.ledger.store.delete([forwards.path(2)])
    (account.lake / forwards.path(3)).write_bytes(b"")
    again = Collector()
    assert [outcome.commit for outcome in send_all(to(account, again))] == [2, 3]
    assert [event.id for event in again.events] == ids_of(account)[50:]


def test_a_lost_beginning_leaves_nothing_out(account: Account, load: Load) -> None:
    load(1)
    send_all(to(account, Collector()), start="now")
    load(2)
    send_all(to(account, Collector()))
    load(3)
    account.ledger.store.delete([f"forwards/siem/repository={account.repository.name}/start.json"])
    collector = Collector()
    assert [outcome.commit for outcome in send_all(to(account, collector), start="now")] == [1, 3]


@pytest.mark.parametrize(("start", "commits"), [("oldest", [1, 2]), ("now", []), (2, [2]), ("2", [2])])
def test_where_a_destination_begins(account: Account, load: Load, start: str | int, commits: list[int]) -> None:
    load(1)
    load(2)
    sending = to(account, Collector())
    sending.begin(start=start)
    assert sending.pending() == commits


def test_a_start_that_is_none_is_refused(account: Account, load: Load) -> None:
    load(1)
    with pytest.raises(ConfigurationError, match="oldest, now, or the number of a commit"):
        to(account, Collector()).begin(start="yesterday")


def test_a_renamed_destination_is_asked_about(account: Account, load: Load) -> None:
    """Else everything would go to the same place once more."""
    load(1)
    send_all(to(account, Collector()))
    with pytest.raises(ConfigurationError, match="the destination siem has the same address") as told:
        to(account, Collector(), name="splunk").begin()
    assert "start=now" in str(told.value)
    sending = to(account, Collector(), name="splunk")
    sending.begin(start="now")
    assert sending.pending() == []


def test_after_a_crash_it_goes_on_behind_what_was_acknowledged(account: Account, load: Load) -> None:
    load(1, 2, 3)
    collector = Collector(at_once=True)
    collector.fail_after = 120
    with pytest.raises(ConnectionResetError):
        send_all(to(account, collector, window=20))
    again = Collector()
    (outcome,) = send_all(to(account, again, window=20))
    sent = [event.id for event in collector.events]
    assert set(sent) | {event.id for event in again.events} == set(ids_of(account))
    assert len(sent) + len(again.events) <= 150 + 20
    assert len(again.events) < 60, "it began again"
    # The whole commit, not only what the second try sent.
    assert (outcome.sent, outcome.messages, outcome.imbalance()) == (150, 150, None)
    whole = b"".join(line + b"\n" for line in lines_of(account))
    assert outcome.sha256 == hashlib.sha256(whole).hexdigest()


def test_no_more_than_a_window_is_sent_ahead_of_what_the_lake_knows(account: Account, load: Load) -> None:
    load(1, 2, 3)
    collector = Collector()
    send_all(to(account, collector, window=30))
    assert collector.largest_lead <= 30


def test_progress_of_other_lines_is_not_believed(account: Account, load: Load) -> None:
    """Other options make other lines: then what was acknowledged says nothing of them."""
    load(1, 2, 3)
    collector = Collector(at_once=True)
    collector.fail_after = 120
    with pytest.raises(ConnectionResetError):
        send_all(to(account, collector, window=20))
    again = Collector()
    send_all(to(account, again, window=20, format="json"))
    assert [event.id for event in again.events] == ids_of(account)


def test_a_log_that_is_gone_from_raw_is_named_and_the_rest_is_sent(account: Account, load: Load) -> None:
    load(1, 2, 3)
    account.raw("8416_2.log").unlink()
    account.raw("8416_3.log").write_bytes(b"other bytes")
    collector = Collector()
    (outcome,) = send_all(to(account, collector))
    assert {event.id.split("/")[1].split(":")[0] for event in collector.events} == {"8416_1.log"}
    assert (outcome.unread_logs, outcome.unread) == (("8416_2.log", "8416_3.log"), 100)
    assert outcome.imbalance() is None


class TestReplays:
    def do(self, account: Account, **selection: object) -> None:
        run = account.next_run()
        plan = make_replay_plan(account.ledger, run=run, selection=Selection(**selection), take_over=False)  # type: ignore[arg-type]
        assert plan is not None
        replay(account.ledger, account.keys, plan, options=NormalizeOptions())

    @pytest.mark.parametrize(("replays", "again"), [("changed", 0), ("none", 0), ("all", 50)])
    def test_one_that_changes_nothing_sends_nothing_again(
        self, account: Account, load: Load, replays: str, again: int
    ) -> None:
        load(1)
        send_all(to(account, Collector()))
        self.do(account, state="all")
        collector = Collector()
        outcomes = send_all(to(account, collector, replays=replays))
        assert [outcome.commit for outcome in outcomes] == list(range(2, account.ledger.head().next_commit))
        assert len(collector.events) == again

    @pytest.mark.parametrize(("replays", "again"), [("changed", 50), ("none", 0)])
    def test_one_that_loads_what_was_in_quarantine_sends_it(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, replays: str, again: int
    ) -> None:
        from airflow_provider_imperva.load import normalize

        def unforeseen(*_: object, **__: object) -> Iterator[None]:
            raise RuntimeError
            yield

        with monkeypatch.context() as patched:
            patched.setattr(normalize, "parse", unforeseen)
            account.serve(1, events=50)
            account.run_some()
        assert account.states() == {"8416_1.log": "quarantined"}
        send_all(to(account, Collector()))
        self.do(account, state="quarantined")
        collector = Collector()
        send_all(to(account, collector, replays=replays))
        assert len(collector.events) == again


def test_memory_does_not_grow_with_the_commit(account: Account, load: Load, tmp_path: Path) -> None:
    """What is kept is a slice, not a commit: a transport that acknowledges sees slices of one size."""
    load(1, 2, 3, 4)
    sizes: list[int] = []

    class Slices(Collector):
        def send(self, events: object) -> None:
            sizes.append(len(events))  # type: ignore[arg-type]
            super().send(events)

    send_all(to(account, Slices(at_once=True), window=64))
    assert max(sizes) <= 64
