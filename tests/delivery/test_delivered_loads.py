"""What is delivered to a bucket or folder is loaded once, whatever it is called and whatever becomes of it there."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import fsspec
import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import (
    AuthenticationError,
    ConfigurationError,
    LogNotFoundError,
    RepositoryUnavailableError,
)
from airflow_provider_imperva.testing import KeyPair
from airflow_provider_imperva.testing.forge import forge_repository
from tests.delivery.inbox import NO_REPOSITORY, Deliveries, Inbox

ODD_NAMES = ("a b.log", "Grüße/8416_1.log", "deep/er/and deeper/x", "no-ending", "[glob]*?.log", "dots..log", "%2e%2e")


def test_every_object_is_loaded_once_under_its_own_name(deliveries: Deliveries) -> None:
    """Rows say what the object is called and, in src_seq, which arrival it is."""
    for number, path in enumerate(ODD_NAMES, 1):
        deliveries.deliver(path, number)
    commit = deliveries.run_some()
    assert commit.totals.logs == {"committed": len(ODD_NAMES)}
    assert deliveries.rows() == deliveries.expected()
    assert deliveries.run() is None, "nothing is new"
    deliveries.deliver("late/one.log", 90)
    deliveries.run_some()
    assert deliveries.rows() == deliveries.expected()
    assert deliveries.record("0_8.log")["delivered_as"] == "late/one.log"
    sequences = Counter(deliveries._read("events", "src_file, src_seq"))
    assert len({seq for _, seq in sequences}) == len({file for file, _ in sequences}) == 8


def test_a_name_that_points_elsewhere_is_only_a_name(tmp_path: Path) -> None:
    """``..`` in a key, which some object stores allow; the lake knows the log by its number."""
    fs = fsspec.filesystem("memory")
    inbox = Inbox(lambda: fs, f"/inbox-{uuid.uuid4().hex}", in_bucket=True, own=fs)
    account = Deliveries(NO_REPOSITORY, tmp_path / "lake", inbox=inbox)
    account.deliver("a/../../../evil.log", 1)
    account.run_some()
    assert account.rows() == account.expected()
    assert account.raw("0_1.log").parent == tmp_path / "lake/raw/repository=pushed/0/000000000"


def test_an_object_written_anew_is_another_log(deliveries: Deliveries) -> None:
    """Under one name, two contents: both are loaded, and told apart by their number."""
    deliveries.deliver("same.log", 1, events=3)
    deliveries.run_some()
    first = deliveries.expected()
    deliveries.deliver("same.log", 2, events=5)
    deliveries.run_some()
    assert deliveries.rows() == first + deliveries.expected()
    assert [seq for (seq,) in sorted(set(deliveries._read("events", "src_seq")))] == [1, 2]
    assert main(["verify", str(deliveries.lake)]) == 0


def test_an_object_written_anew_before_it_is_fetched_is_not_taken_for_what_was_listed(deliveries: Deliveries) -> None:
    """Else its lines would be there twice: under the old number and under the new one."""
    deliveries.deliver("same.log", 1, events=3)
    plan = deliveries.plan()
    deliveries.deliver("same.log", 2, events=5)
    commit = deliveries.finish(plan)
    assert commit.totals.logs == {"expired": 1}
    deliveries.run_some()
    assert deliveries.rows() == deliveries.expected()


def test_an_object_delivered_again_under_another_name_is_a_duplicate(deliveries: Deliveries) -> None:
    deliveries.deliver("first.log", 1)
    deliveries.run_some()
    deliveries.inbox.put("again.log", deliveries.forged["first.log"].content)
    commit = deliveries.run_some()
    assert commit.totals.logs == {"duplicate": 1}
    assert deliveries.rows() == deliveries.expected()
    assert "0_1.log of repository pushed" in str(deliveries.record("0_2.log")["reason"])


def test_placeholders_and_the_test_of_the_console_are_passed_over(deliveries: Deliveries) -> None:
    """An empty object, a folder, a few bytes, and what lies there for less than a minute."""
    inbox = deliveries.inbox
    inbox.put("empty.log", b"")
    inbox.put("imperva-test", b"This is a test of the connection")
    inbox.put("sub/", b"") if inbox.in_bucket else inbox.fs.makedirs(f"{inbox.root}/sub", exist_ok=True)
    assert deliveries.run() is None
    deliveries.deliver("young.log", 1)
    with inbox.open(settled=timedelta(minutes=1)) as folder:
        assert folder.objects() == []
    with inbox.open(ignore=["you*"]) as folder:
        assert folder.objects() == []
    with inbox.open() as folder:
        assert [item.path for item in folder.objects()] == ["young.log"]


def test_an_object_that_vanishes_before_it_is_fetched_is_reported_by_name(
    deliveries: Deliveries, caplog: pytest.LogCaptureFixture
) -> None:
    deliveries.deliver("gone/for good.log", 1)
    deliveries.deliver("stays.log", 2)
    plan = deliveries.plan()
    deliveries.inbox.remove("gone/for good.log")
    del deliveries.forged["gone/for good.log"]
    commit = deliveries.finish(plan)
    assert commit.totals.logs == {"committed": 1, "expired": 1}
    assert "gone/for good.log" in caplog.text
    assert deliveries.rows() == deliveries.expected()


def test_what_vanishes_after_it_was_cataloged_and_before_it_was_planned_is_missed(account: Deliveries) -> None:
    """The plan that was to name it was never made; its number is not taken for one that Imperva skipped."""
    account.deliver("gone.log", 1)
    account.deliver("stays.log", 2)
    with account.client() as origin:
        origin.read_index()
    account.inbox.remove("gone.log")
    del account.forged["gone.log"]
    commit = account.run_some()
    assert commit.totals.logs == {"committed": 1, "expired": 1}
    assert {row["delivered_as"]: row["state"] for row in account.ledger.logs(1).to_pylist()} == {
        "gone.log": "expired",
        "stays.log": "committed",
    }


def test_an_empty_listing_does_not_mean_that_all_is_gone(account: Deliveries) -> None:
    """A disk that is not mounted looks like this."""
    account.deliver("a.log", 1)
    plan = account.plan()
    account.inbox.remove("a.log")
    commit = account.finish(plan)
    assert commit.totals.logs == {}
    assert list(commit.open) == ["0_1.log"]
    account.inbox.put("a.log", account.forged["a.log"].content)
    account.run_some()
    account.run()
    assert {row[2] for row in account.rows()} == account.expected_events()
    assert max(account.rows().values()) == 1


@pytest.mark.parametrize("after_commit", ["delete", "move"])
def test_what_is_loaded_is_cleared_away(deliveries: Deliveries, after_commit: str) -> None:
    """Only what a commit has decided; doing it again, after a crash, changes nothing."""
    inbox = deliveries.inbox
    target = inbox.beside("loaded")
    deliveries.after_commit = "delete" if after_commit == "delete" else f"move:{target}"
    deliveries.deliver("day 1/a.log", 1)
    deliveries.deliver("day 1/b.log", 2, events=4)
    plan = deliveries.plan()
    deliveries.deliver("day 2/c.log", 3)
    deliveries.finish(plan)
    assert deliveries.dispose() == 2
    assert deliveries.dispose() == 0
    assert inbox.paths() == {"day 2/c.log"}
    if after_commit == "move":
        folder = f"{inbox.root.partition('/')[0]}/{target}" if inbox.in_bucket else target
        assert inbox.paths(folder) == {"day 1/a.log", "day 1/b.log"}
    deliveries.run_some()
    deliveries.dispose()
    assert deliveries.rows() == deliveries.expected()
    assert deliveries.run() is None


@pytest.mark.parametrize("after_commit", ["delete", "move"])
def test_an_object_written_anew_before_it_is_cleared_away_stays(deliveries: Deliveries, after_commit: str) -> None:
    """It is another log, which nobody has read yet."""
    inbox = deliveries.inbox
    deliveries.deliver("same.log", 1, events=3)
    how = "delete" if after_commit == "delete" else f"move:{inbox.beside('loaded')}"
    with inbox.open(after_commit=how) as folder:
        [item] = folder.objects()
        deliveries.deliver("same.log", 2, events=5)
        with pytest.raises(LogNotFoundError, match="rewritten"):
            folder.dispose(item)
        inbox.remove("same.log")
        with pytest.raises(LogNotFoundError, match="it is gone"):
            folder.dispose(item)
        deliveries.deliver("same.log", 2, events=5)
    assert inbox.paths() == {"same.log"}


def test_many_are_moved_at_once_into_folders_that_are_not_there_yet(deliveries: Deliveries) -> None:
    inbox = deliveries.inbox
    deliveries.after_commit = f"move:{inbox.beside('loaded')}"
    for number in range(12):
        deliveries.deliver(f"{number // 6}/deep/{number}", 1 + number, events=1)
    deliveries.run_some()
    assert deliveries.dispose() == 12
    with inbox.open() as folder:
        assert folder.objects() == []


def test_a_version_that_was_moved_before_is_not_written_over(deliveries: Deliveries) -> None:
    inbox = deliveries.inbox
    target = inbox.beside("loaded")
    deliveries.after_commit = f"move:{target}"
    for number in (1, 2):
        deliveries.deliver("same.log", number, events=2 + number)
        deliveries.run_some()
        deliveries.dispose()
    folder = f"{inbox.root.partition('/')[0]}/{target}" if inbox.in_bucket else target
    assert len(inbox.paths(folder)) == 2


def test_what_waits_for_its_key_is_not_cleared_away(account: Deliveries) -> None:
    pair = KeyPair.generate("7")
    account.after_commit = "delete"
    account.deliver("locked.log", 1, keys=[pair])
    account.run_some()
    assert account.dispose() == 0
    account.keys = KeyRing({"7": pair.private_key})
    account.run_some()
    assert account.rows() == account.expected()
    assert account.dispose() == 1


def test_logs_are_never_moved_to_where_they_are_listed(inbox: Inbox) -> None:
    within = f"{inbox.root.partition('/')[2]}/loaded" if inbox.in_bucket else f"{inbox.root}/loaded"
    with pytest.raises(ConfigurationError, match="where new ones are listed"):
        inbox.open(after_commit=f"move:{within}")
    for nonsense in ("move:", "remove", "delete:x"):
        with pytest.raises(ConfigurationError, match="none of keep, delete and move"):
            inbox.open(after_commit=nonsense)


def test_a_folder_that_is_not_there_is_an_error(inbox: Inbox) -> None:
    missing = replace(inbox, root=f"no-such-bucket/{inbox.root}")
    with missing.open() as folder, pytest.raises(ConfigurationError, match="no such bucket or folder"):
        folder.objects()


def test_a_listing_that_breaks_off_is_an_error_and_no_short_listing(account: Deliveries) -> None:
    """fsspec's own way to walk would leave out what it cannot list."""
    account.deliver("open/a.log", 1)
    account.deliver("shut/b.log", 2)

    class Refusing:
        def __init__(self, fs: object, error: type[Exception]) -> None:
            self._fs, self._error = fs, error

        def ls(self, path: str, detail: bool) -> object:
            if path.endswith("shut"):
                raise self._error("what the server said")
            return self._fs.ls(path, detail=detail)  # type: ignore[attr-defined]

        def __getattr__(self, name: str) -> object:
            return getattr(self._fs, name)

    for error, expected in ((PermissionError, AuthenticationError), (OSError, RepositoryUnavailableError)):
        broken = replace(account.inbox, connect=partial(Refusing, account.inbox.fs, error))
        with broken.open() as folder, pytest.raises(expected) as caught:
            folder.objects()
        assert "what the server said" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("inbox", ["disk", "S3"], indirect=True)
def test_more_objects_than_a_page_lists_are_cataloged_at_once(deliveries: Deliveries) -> None:
    """More than a page of S3's listing. SFTP lists a folder as a whole, and so many uploads take their time."""
    content = next(iter(forge_repository(1, events_per_log=1))).content
    inbox = deliveries.inbox
    if not inbox.in_bucket:
        for folder in range(3):
            inbox.fs.makedirs(f"{inbox.root}/{folder}")
    inbox.fs.pipe({f"{inbox.root}/{number % 3}/log {number}": content for number in range(1200)})
    with deliveries.client() as origin:
        names = origin.read_index().names
    assert [name.sequence for name in names] == list(range(1, 1201))
    assert len(deliveries.catalog.read()) == 1200
    assert len(deliveries.ledger.store.folders(deliveries.ledger.layout.arrivals_folder)) == 1


HOSTILE = [
    b"bad-\xff\xfe.log",
    b"half-\xed\xa0\x80.log",
    b"cut-\xe2\x82.log",
    b"%FF.log",
    b"bell\x07-esc\x1b[31m-tab\t-line\nend\r.log",
    b"\xe2\x80\xae\xe2\x80\xa8.log",
    b"long-" + b"x" * 240 + b".log",
    b"/".join([b"d" * 200] * 4) + b"/" + b"y" * 195 + b".log",
]


def test_a_name_of_any_bytes_is_loaded_and_stops_no_other(account: Deliveries) -> None:
    """On a disk a name is bytes; what is no UTF-8 among them is shown as %FF."""
    for number, name in enumerate(HOSTILE, 1):
        (log,) = forge_repository(1, first=number, events_per_log=3)
        path = Path(account.inbox.root) / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(log.content)
        shown = name.decode(errors="surrogateescape")
        shown = "".join(f"%{ord(one) - 0xDC00:02X}" if "\udc80" <= one <= "\udcff" else one for one in shown)
        account.forged[shown] = replace(log, name=shown)
    account.deliver("sound.log", 99)
    # Another object with the name that one of the others is shown under; both are known by it.
    account.forged["the other"] = account.forged["bad-%FF%FE.log"]
    account.deliver("bad-%FF%FE.log", 98)
    commit = account.run_some()
    assert commit.totals.logs == {"committed": len(HOSTILE) + 2}
    assert account.rows() == account.expected()
    account.after_commit = "delete"
    assert account.dispose() == len(HOSTILE) + 2
    assert account.inbox.paths() == set()


@pytest.mark.parametrize(
    "name",
    [
        "bell\x07\x1b[31m\t.log",
        "line\nend\r.log",
        "\u202e\u2028.log",
        "/".join(["n" * 230] * 4) + ".log",
        "%FF.log",
    ],
    ids=["control", "line-ends", "bidi", "long", "percent"],
)
def test_a_hostile_key_is_loaded_and_stops_no_other(deliveries: Deliveries, name: str) -> None:
    deliveries.deliver(name, 1)
    deliveries.deliver("sound.log", 2)
    commit = deliveries.run_some()
    assert commit.totals.logs == {"committed": 2}
    assert deliveries.rows() == deliveries.expected()
