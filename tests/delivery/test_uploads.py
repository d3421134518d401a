"""A file that is delivered may be seen before it is whole: its rows are in the lake once, however it came."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.delivery.folder import SMALLEST_LOG
from airflow_provider_imperva.delivery.uploads import is_partial
from airflow_provider_imperva.load.delivered import STUCK
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing.forge import ForgedLog, forge_repository
from airflow_provider_imperva.testing.formats import Format, write_body
from tests.delivery.inbox import Deliveries
from tests.load.load_runs import Clock, request_id
from tests.long_form import LONG

PARTIAL = (
    "8416_1.log.filepart",
    "8416_1.log.part",
    "8416_1.log.PART",
    "8416_1.log.partial",
    "8416_1.log.tmp",
    "8416_1.log.tmp.4711",
    "8416_1.tmp.log",
    "8416_1.log.temp",
    "8416_1.log.crdownload",
    "8416_1.log.swp",
    "8416_1.log.uploading",
    "8416_1.log.gz.part",
    "8416_1.log.part2",
    "8416_1.log.incomplete",
    "8416_1.log~",
    "8416_1.log._COPYING_",
    ".8416_1.log",
    "._8416_1.log",
    ".8416_1.log.Xy12Ab",
    "~$8416_1.log",
    "#8416_1.log#",
    "day 1/.8416_1.log",
    ".~tmp~/8416_1.log",
    "_temporary/0/8416_1.log",
)
WHOLE = (
    "8416_1.log",
    "8416_1.log.gz",
    "part.log",
    "8416_1.parts.log",
    "temperature.log",
    "a~b.log",
    "dots..log",
    "a/../b",
)


@pytest.mark.parametrize("path", PARTIAL)
def test_usual_names_of_uploads_under_way_are_known(path: str) -> None:
    assert is_partial(path)


@pytest.mark.parametrize("path", WHOLE)
def test_other_names_are_not_taken_for_them(path: str) -> None:
    assert not is_partial(path)


def test_they_are_not_read_and_the_whole_file_is_loaded_once(deliveries: Deliveries) -> None:
    (log,) = forge_repository(1, events_per_log=10, compress=False)
    for path in PARTIAL[:4]:
        deliveries.inbox.put(path, log.content[: len(log.content) // 2])
    assert deliveries.run() is None
    for path in PARTIAL[:4]:
        deliveries.inbox.remove(path)
    deliveries.deliver("8416_1.log", 1, events=10, compress=False)
    deliveries.run_some()
    assert deliveries.rows() == deliveries.expected()


def test_one_that_stays_so_is_told_by_name_and_makes_the_run_red(account: Deliveries) -> None:
    """Once, and again only after something else has changed."""
    (log,) = forge_repository(1)
    account.inbox.put("late/8416_1.log.part", log.content)
    account.inbox.put("stub.log", b"x" * (SMALLEST_LOG - 1))
    account.inbox.put("young.log.part", log.content)
    for path in ("late/8416_1.log.part", "stub.log"):
        age(account, path, STUCK)
    commit = account.run_some()
    assert commit.unread == (
        "'late/8416_1.log.part': its name is that of an upload under way",
        "'stub.log': its 63 bytes are too few for a log",
    )
    assert commit.unread_count == 2
    assert account.run() is None, "it is known"
    account.deliver("whole.log", 2)
    assert account.run_some().unread_count == 2, "it is still there"
    account.inbox.remove("late/8416_1.log.part")
    account.inbox.remove("stub.log")
    assert account.run_some().unread == ()
    assert account.rows() == account.expected()


def age(account: Deliveries, path: str, by: timedelta) -> None:
    """Make a file on a disk look as if it had been changed earlier."""
    at = (datetime.now(UTC) - by).timestamp()
    os.utime(Path(account.inbox.root) / path, (at, at))


def body_of(log: ForgedLog, format: Format) -> bytes:
    return write_body(format, log.events).encode()


def forged(format: Format, *, number: int = 1) -> ForgedLog:
    (log,) = forge_repository(1, first=number, events_per_log=12, format=format, compress=False)
    return log


def ids(format: Format, *, number: int = 1) -> Counter[str]:
    """The requests of such a log. The same seed gives the same events in every format; in CEF they are easy to find."""
    return Counter(request_id(event) for event in forged("CEF", number=number).events)


def at_line_end(body: bytes, share: float) -> bytes:
    return body[: body.index(b"\n", int(len(body) * share)) + 1]


def versions(kind: str) -> tuple[Format, list[bytes]]:
    """A file as it is seen while it grows, and its format."""
    format: Format = "JSON" if "JSON" in kind else next((one for one in ("LEEF", "W3C") if one in kind), "CEF")
    log = forged(format)
    whole = body_of(log, format) if "without header" in kind else log.content
    if "gzip, streamed" in kind:
        return format, [gzip.compress(at_line_end(whole, 0.4), mtime=0), gzip.compress(whole, mtime=0)]
    if "gzip" in kind:
        whole = gzip.compress(whole, mtime=0)
    if "in a record" in kind or "gzip" in kind:
        return format, [whole[: int(len(whole) * share)] for share in (0.3, 0.6)] + [whole]
    return format, [at_line_end(whole, 0.4), at_line_end(whole, 0.7), whole]


GROWING = (
    "CEF",
    "CEF, in a record",
    "CEF without header",
    "CEF without header, in a record",
    "LEEF",
    "LEEF without header",
    "W3C",
    "W3C without header",
    "NDJSON",
    "NDJSON, in a record",
    "CEF, gzip",
    "NDJSON, gzip",
)


LOOKS = {"half": (0, 2), "in steps": (0, 1, 2), "nearly all": (1, 2)}
PAUSES = {"soon": timedelta(minutes=2), "later": timedelta(hours=3)}


# In the short form each kind is seen in two of these ways, after another of the pauses each time.
@pytest.mark.parametrize(
    ("kind", "seen", "pause"),
    [
        (kind, seen, pause)
        for (row, kind), (column, seen), (turn, pause) in product(*map(enumerate, (GROWING, LOOKS, PAUSES)))
        if LONG or (column - row) % len(LOOKS) == turn
    ],
)
def test_a_file_that_is_seen_while_it_grows_is_loaded_once(
    account: Deliveries, kind: str, seen: str, pause: str
) -> None:
    """Whether it was held, or what it began with was loaded."""
    account.clock = clock = Clock()
    account.deliver("before.log", 90)
    account.run_some()
    format, sizes = versions(kind)
    for look in LOOKS[seen]:
        account.inbox.put("8416_1.log", sizes[look])
        clock.ahead += PAUSES[pause]
        account.run()
    for _ in range(3):
        clock.ahead += timedelta(minutes=11)
        account.run()
    expected = ids(format) + Counter(request_id(event) for event in account.forged["before.log"].events)
    assert Counter(request for _, _, request in account.rows().elements()) == expected
    assert max(account.rows().values()) == 1
    assert account.quarantined() == []
    newest = f"0_{len(account.catalog.read())}.log"
    assert account.states()[newest] == "committed"
    assert {state for name, state in account.states().items() if name not in {newest, "0_1.log"}} <= {"duplicate"}
    assert account.run() is None
    assert verify_lake(account.ledger.store, at=clock()).ok


@pytest.mark.parametrize("kind", ["NDJSON, in a record", "CEF, gzip"])
@pytest.mark.parametrize("size", [None, 1], ids=["one batch", "a batch each"])
def test_a_file_that_is_seen_half_before_an_outage_and_whole_after_it_is_loaded_once(
    account: Deliveries, kind: str, size: int | None
) -> None:
    """What came first is tried a last time after the window, but not beside what it has grown into."""
    account.clock = clock = Clock()
    account.options = PlanOptions(window_bytes=None, logs_per_batch=size)
    format, sizes = versions(kind)
    account.inbox.put("8416_1.log", sizes[0])
    account.run()
    account.inbox.put("8416_1.log", sizes[-1])
    clock.ahead += timedelta(hours=60)
    for _ in range(4):
        account.run()
        clock.ahead += timedelta(minutes=11)
    assert Counter(request for _, _, request in account.rows().elements()) == ids(format)
    assert account.states() == {"0_1.log": "duplicate", "0_2.log": "committed"}
    assert account.run() is None


def test_what_a_file_has_grown_into_is_waited_for_until_it_is_lost(account: Deliveries) -> None:
    account.clock = clock = Clock()
    account.options = PlanOptions(window_bytes=None)
    _, sizes = versions("NDJSON, in a record")
    account.inbox.put("8416_1.log", sizes[0])
    account.run()
    account.inbox.put("8416_1.log", sizes[-1])
    clock.ahead += timedelta(hours=60)
    plan = account.plan()
    account.inbox.remove("8416_1.log")
    account.finish(plan)
    clock.ahead += timedelta(hours=60)
    for _ in range(3):
        account.run()
    assert account.states()["0_2.log"] == "expired"
    assert account.states()["0_1.log"] == "committed", "the half is what there is"
    assert account.run() is None


def test_one_that_stops_growing_within_a_record_takes_the_place_of_its_part(account: Deliveries) -> None:
    """A part of it was loaded; then it was damaged, until no more was to come; and then more came after all."""
    account.clock = clock = Clock()
    account.options = PlanOptions(window_bytes=None)
    body = body_of(forged("JSON"), "JSON")
    lines = body.splitlines(keepends=True)
    for content, rows in ((lines[0], 1), (b"".join(lines[:5])[:-9], 4), (body, 12)):
        account.inbox.put("events.log", content)
        for _ in range(4):
            clock.ahead += timedelta(hours=25)
            account.run()
        assert account.rows().total() == rows
        assert len({request for _, _, request in account.rows()}) == rows
    assert verify_lake(account.ledger.store, at=clock()).ok


def test_a_clear_log_whose_checksum_stays_wrong_is_loaded_with_a_warning_after_the_settle_time(
    account: Deliveries,
) -> None:
    account.clock = clock = Clock()
    log = forged("CEF")
    account.inbox.put("8416_1.log", at_line_end(log.content, 0.5))
    assert account.run_some().totals.logs == {"damaged": 1}
    assert account.rows() == Counter(), "held"
    clock.ahead = timedelta(minutes=11)
    assert account.run_some().totals.logs == {"committed": 1}
    assert account.record("0_1.log")["checksum_ok"] is False
    assert 0 < account.rows().total() < 12


def test_what_takes_the_place_of_a_held_log_is_loaded_beside_it(account: Deliveries) -> None:
    """They do not begin alike, so that the first was no part of the second."""
    account.clock = clock = Clock()
    account.inbox.put("same.log", at_line_end(forged("CEF").content, 0.5))
    account.run()
    account.inbox.put("same.log", forged("CEF", number=2).content)
    for _ in range(3):
        clock.ahead += timedelta(minutes=11)
        account.run()
    assert account.states() == {"0_1.log": "committed", "0_2.log": "committed"}
    requests = Counter(request for _, _, request in account.rows().elements())
    assert ids("CEF", number=2) < requests < ids("CEF") + ids("CEF", number=2)
    assert account.record("0_1.log")["checksum_ok"] is False


def test_a_larger_file_in_the_place_of_a_loaded_one_is_another_log_and_is_told(
    account: Deliveries, caplog: pytest.LogCaptureFixture
) -> None:
    account.deliver("same.log", 1, events=3)
    account.run_some()
    first = account.expected()
    account.deliver("same.log", 2, events=9)
    account.run_some()
    assert account.rows() == first + account.expected()
    assert "0_2.log came under the path of 0_1.log with other bytes" in caplog.text


def test_only_the_rows_of_the_part_are_taken_away(account: Deliveries) -> None:
    """The other logs of its batch keep theirs."""
    account.clock = clock = Clock()
    for number in (2, 3):
        account.deliver(f"other {number}.log", number)
    _, sizes = versions("NDJSON")
    account.inbox.put("8416_1.log", sizes[0])
    account.run_some()
    before = account.rows()
    account.inbox.put("8416_1.log", sizes[-1])
    for _ in range(3):
        clock.ahead += timedelta(minutes=11)
        account.run()
    assert (
        Counter({row: count for row, count in account.rows().items() if row[0].startswith("other")})
        == account.expected()
    )
    assert account.rows() > before, "and the lines of the part are where they were"
    assert account.rows().total() == account.expected().total() + 12
