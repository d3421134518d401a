"""A Delta log whose checkpoint, or what names it, is missing, old or damaged: readers and publishers go on.

A publisher that is killed leaves the first group of states: the table's library writes a checkpoint, and then
``_last_checkpoint``. A disk that loses power leaves the second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import TableError
from airflow_provider_imperva.lake.layout import DELTA_LOG
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.table import delta
from airflow_provider_imperva.table.delta import application
from airflow_provider_imperva.table.publish import create_table, open_table, publish
from tests.crash.object_server import BUCKET, object_filesystem
from tests.lake.ledger_records import commit_of, finish_batch, plan_of
from tests.table.table_reader import files_of

pytestmark = pytest.mark.slow

_numbers = count(1)
HINT = f"{DELTA_LOG}/_last_checkpoint"
OLD, NEW = (f"{DELTA_LOG}/{version:020d}.checkpoint.parquet" for version in (1, 3))


@dataclass
class Lake:
    """A lake whose table has version 3, with checkpoints of versions 1 and 3.

    :ivar log: the objects of the table's log, to begin each test with.
    :ivar hints: what ``_last_checkpoint`` had in it, of either checkpoint.
    """

    ledger: Ledger
    log: dict[str, bytes]
    hints: list[bytes]

    @property
    def store(self) -> Store:
        return self.ledger.store

    def read_log(self) -> dict[str, bytes]:
        return {item.path: self.store.read(item.path) for item in self.store.objects(DELTA_LOG)}

    def restore(self) -> None:
        self.store.delete(set(self.read_log()) - self.log.keys())
        for path, content in self.log.items():
            self.store.write(path, content)

    def opened(self) -> DeltaTable:
        address = self.store.address("events")
        return DeltaTable(address.url, storage_options=address.options)

    def halve(self, *paths: str) -> None:
        for path in paths:
            self.store.write(path, self.store.read(path)[:200])

    def name(self, hint: bytes | None) -> None:
        """Let ``_last_checkpoint`` have this in it."""
        self.store.delete([HINT])
        if hint is not None:
            self.store.write(HINT, hint)


def load(ledger: Ledger) -> None:
    number = ledger.head().next_commit
    plan = ledger.create_plan(plan_of([number], commit=number))
    finish_batch(ledger, plan)
    commit_of(ledger, plan)


def a_store(place: str, request: pytest.FixtureRequest, name: str) -> Store:
    if place == "disk":
        folder: Path = request.getfixturevalue("tmp_path_factory").mktemp(name)
        return open_store(folder.as_uri())
    fs = object_filesystem(request.getfixturevalue("s3_url"))
    return open_store(f"s3://{BUCKET}/{name}", fs=fs)


@pytest.fixture(scope="module", params=["disk", "S3"])
def made(request: pytest.FixtureRequest) -> Lake:
    lake = Lake(Ledger(a_store(request.param, request, f"checkpoints-{next(_numbers)}"), "8416_1745073"), {}, [])
    create_table(lake.store)
    for number in (1, 2, 3):
        load(lake.ledger)
        publish(lake.ledger)
        if number != 2:
            lake.opened().create_checkpoint()
            lake.hints.append(lake.store.read(HINT))
    lake.log |= lake.read_log()
    assert lake.log.keys() >= {HINT, OLD, NEW}
    return lake


@pytest.fixture
def lake(made: Lake) -> Iterator[Lake]:
    made.restore()
    yield made
    made.restore()


def assert_published(lake: Lake) -> None:
    head = lake.ledger.head().next_commit - 1
    table = lake.opened()
    assert table.transaction_version(application(lake.ledger.layout.repository)) == head
    assert files_of(lake.store) == sorted(path for path in live_set(lake.ledger).parts if path.startswith("events/"))


def half_of_one(lake: Lake, *, hint: bytes | None) -> None:
    lake.halve(NEW)
    lake.name(hint)


KILLED: dict[str, Callable[[Lake], object]] = {
    "none is named": lambda lake: lake.name(None),
    "the old one is named": lambda lake: lake.name(lake.hints[0]),
    "half of a name": lambda lake: lake.name(lake.hints[1][:12]),
    "an empty name": lambda lake: lake.name(b""),
    "half an object that has no name yet": lambda lake: lake.store.write(f"{NEW}#1", lake.log[NEW][:200]),
}

LOST_POWER: dict[str, Callable[[Lake], object]] = {
    "the named one is not there": lambda lake: lake.store.delete([NEW]),
    "the named one is half there": lambda lake: lake.halve(NEW),
    "the named one is empty": lambda lake: lake.store.write(NEW, b""),
    "half of one, and the old one is named": lambda lake: half_of_one(lake, hint=lake.hints[0]),
    "half of one, and none is named": lambda lake: half_of_one(lake, hint=None),
    "half of both": lambda lake: lake.halve(OLD, NEW),
}


@pytest.mark.parametrize(
    ("made", "state"),
    [*(("disk", state) for state in KILLED), ("S3", "none is named"), ("S3", "the old one is named")],
    indirect=["made"],
)
def test_killed_beside_a_checkpoint_readers_and_publishers_go_on(lake: Lake, state: str) -> None:
    KILLED[state](lake)
    assert lake.opened().version() == 3
    load(lake.ledger)
    publish(lake.ledger)
    assert_published(lake)


@pytest.mark.parametrize(
    ("made", "state"),
    [*(("disk", state) for state in LOST_POWER), ("S3", "the named one is half there")],
    indirect=["made"],
)
def test_a_damaged_checkpoint_is_deleted_since_the_versions_are_there(
    lake: Lake, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    LOST_POWER[state](lake)
    with pytest.raises(DeltaError):
        lake.opened()
    load(lake.ledger)
    with caplog.at_level(logging.WARNING):
        publish(lake.ledger)
    assert "its versions say the same" in caplog.text
    assert_published(lake)
    # What stood in the way is gone; what is sound is not.
    left = lake.read_log()
    assert NEW not in left
    assert (OLD in left) == (state != "half of both")


@pytest.mark.parametrize("made", ["disk"], indirect=True)
def test_where_versions_are_gone_that_it_stood_for_it_stays(lake: Lake) -> None:
    lake.halve(NEW)
    lake.store.delete([f"{DELTA_LOG}/{2:020d}.json"])
    before = lake.read_log()
    load(lake.ledger)
    with pytest.raises(TableError, match="does not read"):
        publish(lake.ledger)
    assert lake.read_log() == before


@pytest.mark.parametrize("made", ["disk"], indirect=True)
def test_the_command_that_makes_a_table_goes_on_too(lake: Lake) -> None:
    lake.halve(NEW)
    assert main(["table", lake.store.uri(), "--create"]) == 0
    assert_published(lake)


def test_old_versions_are_cleared_away_on_s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "_CLEANED_EVERY", 4)
    short = {"delta.checkpointInterval": "2", "delta.logRetentionDuration": "interval 0 seconds"}
    monkeypatch.setattr(delta, "_PROPERTIES", delta._PROPERTIES | short)
    cleared = Lake(Ledger(a_store("S3", request, "cleared"), "8416_1745073"), {}, [])
    create_table(cleared.store)
    there = []
    for _ in range(6):
        load(cleared.ledger)
        publish(cleared.ledger)
        there.append(sum(path.endswith(".json") for path in cleared.read_log()))
    # All before the checkpoints that came with versions 1 and 5 went with these.
    assert there == [1, 2, 3, 4, 1, 2]
    assert_published(cleared)
    open_table(cleared.store).forget_history()
    assert sum(path.endswith(".json") for path in cleared.read_log()) == 1
    load(cleared.ledger)
    publish(cleared.ledger)
    assert_published(cleared)
