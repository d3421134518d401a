"""A run dies at each of its durable operations in turn, for real; the runs after it bring every event in once."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.options import PlanOptions, TableKind
from airflow_provider_imperva.testing import FakeRepository, KeyPair
from tests.crash.crash_runs import (
    LOG,
    CrashAccount,
    LakeAddress,
    Servers,
    Step,
    assert_all_is_well,
    assert_nothing_twice,
    die,
    load,
    raw_names,
    replay_all,
)
from tests.crash.stopping_store import Moment, StopAt, nothing_happens
from tests.load.load_runs import without_notice
from tests.long_form import LONG

# Hundreds of runs each, on a machine that may have better things to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STRIDE = int(os.environ.get("IMPERVA_CRASH_STRIDE", "48"))
"""Of so many operations one is tried, another by each test of the same play; in the long form, all of them."""

DAMAGED = LOG.format(3)
MOST_REQUESTS = 3


@dataclass
class Scene:
    """A place for lakes, and the keys of the account."""

    folder: Path
    server: str | None
    catalog: str | None
    key_pair: KeyPair
    other_pair: KeyPair

    def account(self, repository: FakeRepository, label: str) -> CrashAccount:
        address = LakeAddress(self.folder / label, self.server, self.catalog)
        return CrashAccount(repository, address.folder, options=PlanOptions(logs_per_batch=3), address=address)

    @property
    def ring(self) -> KeyRing:
        return KeyRing({"1": self.key_pair.private_key})


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, key_pair: KeyPair, other_pair: KeyPair
) -> Scene:
    """A scene of one of the places ``disk``, ``S3``, and ``catalog``, which is S3 with one."""
    urls = servers("S3", "iceberg") if request.param == "catalog" else servers(request.param, None)
    return Scene(tmp_path, *urls, key_pair, other_pair)


@dataclass(frozen=True)
class Play:
    """What is there when a step begins, and what the step is.

    :ivar prepare: serves logs, and brings the lake to where the step begins.
    :ivar keys: whether the step has the account's key; whoever comes after it has.
    """

    step: Step
    prepare: Callable[[CrashAccount, Scene], None]
    keys: bool = False
    table: bool | TableKind = False


def serve_all_kinds(account: CrashAccount, scene: Scene) -> None:
    """Two batches: sound logs, a line for quarantine, a body that is cut at first, a key that is not there, a gap."""
    account.serve(1, events=6, security_share=0.5)
    account.serve_spoiled(2)
    (cut,) = account.serve(3, events=20)
    account.repository.fail(DAMAGED, without_notice(cut.content, len(cut.content) - 50))
    account.serve(4, keys=[scene.key_pair])
    account.serve(6)


def leave_a_dead_run(account: CrashAccount, scene: Scene) -> None:
    """One batch is done, the other has written its parts and not reported."""
    serve_all_kinds(account, scene)
    plan = account.plan()
    account.normalize(plan, account.fetch(plan, 0))
    fetched = account.fetch(plan, 1)
    account.normalize(plan, fetched)
    account.store.delete([account.ledger.layout.report(plan.commit, 1)])
    account.serve(7)


def load_with_the_wrong_key(account: CrashAccount, scene: Scene) -> None:
    """Two commits, and a log in quarantine as a whole that a replay with the right key takes out of it."""
    account.keys = KeyRing({"1": scene.other_pair.private_key})
    serve_all_kinds(account, scene)
    account.run()
    account.serve(7)
    account.run()


PLAYS = {
    "load": Play(load, serve_all_kinds),
    "recovery": Play(load, leave_a_dead_run),
    "replay": Play(replay_all, load_with_the_wrong_key, keys=True),
    "load into a table": Play(load, serve_all_kinds, table=True),
    "replay in a table": Play(replay_all, load_with_the_wrong_key, keys=True, table=True),
}


def begin(scene: Scene, play: Play, repository: FakeRepository, label: str) -> CrashAccount:
    account = scene.account(repository, label)
    account.table = play.table
    play.prepare(account, scene)
    account.keys = scene.ring if play.keys else KeyRing()
    return account


_COUNTED: dict[tuple[str, str], int] = {}


def operations(scene: Scene, play: str) -> int:
    """Count what the step of a play does when nothing goes wrong; the same in each scene of a place."""
    place = str(scene.server)
    if (place, play) not in _COUNTED:
        with FakeRepository() as repository:
            account = begin(scene, PLAYS[play], repository, "count")
            account.store.let(nothing_happens)
            PLAYS[play].step(account, account.next_run())
            _COUNTED[place, play] = account.store.operations
    return _COUNTED[place, play]


def numbered(points: Iterable[int]) -> Iterator[tuple[int, FakeRepository]]:
    """Give each point a repository of its own."""
    for number in points:
        with FakeRepository() as repository:
            yield number, repository


def some_of(points: int, turn: int, *, stride: int = STRIDE) -> range:
    """Choose points to try; what one turn leaves out is what others try."""
    return range(1 + turn % min(stride, points), points + 1, stride)


def settle(account: CrashAccount, scene: Scene, play: Play) -> None:
    account.keys = scene.ring
    account.settle()
    if play.step is replay_all:
        account.replay_all(account.next_run())
    assert_all_is_well(account)


def stop(account: CrashAccount, scene: Scene, play: Play, *, at: StopAt) -> None:
    """Let a step go wrong. If it was not killed, it is tried again, as Airflow does with a task that failed."""
    if at.moment.kills:
        die(account, play.step, keys=[scene.key_pair] if play.keys else [], hook=at)
        return
    account.store.let(at)
    run = account.next_run()
    # A replay does its other batches first.
    with contextlib.suppress(ConnectionResetError, LakeError):
        play.step(account, run)
    assert account.store.operations >= at.number
    assert_nothing_twice(account, in_files=play.step is load)
    play.step(account, run)


def survive(scene: Scene, play: Play, repository: FakeRepository, *, at: StopAt) -> None:
    account = begin(scene, play, repository, str(at.number))
    asked = len(account.requested())
    stop(account, scene, play, at=at)
    assert_nothing_twice(account, in_files=play.step is load)
    received, told = raw_names(account.address.look()), len(account.requested())
    settle(account, scene, play)
    again = [name for name in account.requested()[told:] if name in received]
    assert again in ([], [DAMAGED]), "what is in raw/ is not fetched again, unless it is damaged, and then once"
    assert max(Counter(account.requested()[asked:]).values()) <= MOST_REQUESTS


INTO_ICEBERG = {
    "load": Play(load, serve_all_kinds, table="iceberg"),
    "replay": Play(replay_all, load_with_the_wrong_key, keys=True, table="iceberg"),
}
"""Whose operations are those of the lake, of the table's objects, and of its catalog."""


@pytest.mark.parametrize("name", INTO_ICEBERG)
@pytest.mark.parametrize(
    "scene",
    ["disk", pytest.param("catalog", marks=pytest.mark.skipif(not LONG, reason="LONG=1 tries it"))],
    indirect=True,
)
@pytest.mark.parametrize("moment", [Moment.KILLED_AFTER, Moment.ANSWER_LOST])
def test_neither_does_one_that_publishes_to_an_iceberg_table(
    scene: Scene, name: str, moment: Moment, record_property: Callable[[str, object], None]
) -> None:
    play = INTO_ICEBERG[name]
    with FakeRepository() as repository:
        account = begin(scene, play, repository, "count")
        account.store.let(nothing_happens)
        play.step(account, account.next_run())
    # What is no operation of the table is tried without one.
    points = account.table_operations
    tried = points[list(Moment).index(moment) % STRIDE :: STRIDE]
    assert tried
    for number, repository in numbered(tried):
        try:
            survive(scene, play, repository, at=StopAt(number, moment))
        except BaseException as error:
            error.add_note(f"{moment} operation {number} of {points}")
            raise
    record_property("crash points", len(tried))


# An object server puts an object as a whole, so there being killed before a put is being killed after the one before.
@pytest.mark.parametrize(
    ("scene", "moment"),
    [*(("disk", moment) for moment in Moment), ("S3", Moment.KILLED_AFTER), ("S3", Moment.ANSWER_LOST)],
    indirect=["scene"],
)
@pytest.mark.parametrize("name", PLAYS)
def test_a_run_that_stops_at_any_operation_loses_nothing_and_doubles_nothing(
    scene: Scene, name: str, moment: Moment, record_property: Callable[[str, object], None]
) -> None:
    points, play = operations(scene, name), PLAYS[name]
    # On a server, where each takes three times as long, half of them.
    stride = min(STRIDE, 2) * STRIDE if scene.server else STRIDE
    tried = some_of(points, list(Moment).index(moment) * stride // len(Moment), stride=stride)
    for number, repository in numbered(tried):
        try:
            survive(scene, play, repository, at=StopAt(number, moment))
        except BaseException as error:
            error.add_note(f"{moment} operation {number} of {points}")
            raise
    record_property("crash points", len(tried))
