"""A file that is delivered may be seen before it is whole: its rows are in the lake once, however it came."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.delivery.folder import SMALLEST_LOG
from airflow_provider_imperva.delivery.uploads import is_partial
from airflow_provider_imperva.load.delivered import STUCK
from airflow_provider_imperva.testing.forge import forge_repository
from tests.delivery.inbox import Deliveries

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
