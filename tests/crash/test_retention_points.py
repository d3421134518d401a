"""Expiry and erasure die at each durable operation in turn, for real; what comes next completes or drops them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.maintenance import GRACE
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.retention.erase import erase
from airflow_provider_imperva.retention.expire import expire
from airflow_provider_imperva.retention.policy import RetentionPolicy
from airflow_provider_imperva.retention.subject import Subject
from airflow_provider_imperva.table.settle import settle
from airflow_provider_imperva.testing import FakeRepository
from tests.crash.crash_runs import CrashAccount, LakeAddress, Servers, Step, age_scratch, die, rows_shown
from tests.crash.stopping_store import Moment, StopAt
from tests.crash.test_crash_points import STRIDE
from tests.load.load_runs import Row
from tests.long_form import LONG
from tests.retention.kept_account import serve_day, texts_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PERSON = "203.0.113.77"


def expire_old(account: CrashAccount, run: Run) -> None:
    with account.counted():
        expire(account.ledger, RetentionPolicy(events={"access": 5, "security": 5}, quarantine=5), run=run)


def erase_person(account: CrashAccount, run: Run) -> None:
    with account.counted():
        erase(
            account.ledger,
            Subject(client_ip=PERSON),
            keys=account.keys,
            run=run,
            by="dpo",
            why="article 17",
            reference="DSR-12",
        )


def delete_what_was_erased(account: CrashAccount, run: Run) -> None:
    """What the first run after the grace does: the table's history goes, then the parts and the bytes."""
    with account.counted():
        commit = account.ledger.head().commit
        assert commit
        assert settle(account.ledger, commit, run=run, clock=after_the_grace) is None


def after_the_grace() -> datetime:
    return wall_clock() + GRACE + timedelta(minutes=1)


def clock_of(step: Step) -> Clock:
    return after_the_grace if step is delete_what_was_erased else wall_clock


def prepared(repository: FakeRepository, address: LakeAddress, step: Step, table: TableKind | None) -> CrashAccount:
    """A lake with an old log and a new one, both of which name the person."""
    account = CrashAccount(repository, address.folder, address=address, table=table or False)
    serve_day(account, 1, 10, people=(PERSON,))
    serve_day(account, 2, 0, people=(PERSON,), broken=1)
    account.run()
    if step is delete_what_was_erased:
        erase_person(account, account.next_run())
        for path in account.lake.rglob("*"):
            os.utime(path, ((wall_clock() - GRACE).timestamp(),) * 2)
    account.store.let(lambda number, done: None)
    account.table_operations.clear()
    return account


def rows_before(account: CrashAccount) -> Counter[Row]:
    # The new log begins with a line that is no event.
    return Counter({(log, line + (log == "8416_2.log"), request): 1 for log, line, request in account.expected()})


def left_after(step: Step, account: CrashAccount) -> Counter[Row]:
    """The rows that are left once a step is done: log, line and request id."""
    if step is expire_old:
        return Counter({row: 1 for row in rows_before(account) if row[0] == "8416_2.log"})
    return Counter({row: 1 for row in rows_before(account) if row[1] != (2 if row[0] == "8416_2.log" else 1)})


LONG_ONLY = pytest.mark.skipif(not LONG, reason="LONG=1 tries it")


@pytest.mark.parametrize(
    ("place", "table", "step"),
    [
        ("disk", "delta", expire_old),
        ("disk", "delta", erase_person),
        ("disk", "delta", delete_what_was_erased),
        ("disk", "iceberg", expire_old),
        pytest.param("disk", "iceberg", erase_person, marks=LONG_ONLY),
        ("disk", "iceberg", delete_what_was_erased),
        # Where objects are deleted at once.
        ("S3", None, expire_old),
        ("S3", None, erase_person),
        *(
            pytest.param("S3", table, step, marks=LONG_ONLY)
            for table in ("delta", "iceberg")
            for step in (expire_old, erase_person)
        ),
    ],
)
def test_killed_at_any_operation(
    servers: Servers,
    tmp_path: Path,
    place: str,
    table: TableKind | None,
    step: Step,
    record_property: Callable[[str, object], None],
) -> None:
    """What comes next completes or drops it, and readers of the table never see half of it."""
    urls = servers(place, table)
    with FakeRepository() as repository:
        account = prepared(repository, LakeAddress(tmp_path / "whole", *urls), step, table)
        step(account, account.next_run())
    tried = points(account, step, table)
    record_property("crash points", len(tried))
    for turn, (number, moment) in enumerate(tried):
        with FakeRepository() as repository:
            account = prepared(repository, LakeAddress(tmp_path / str(turn), *urls), step, table)
            die(account, step, keys=(), hook=StopAt(number, moment))
            if table:
                shown = rows_shown(account)
                assert shown == left_after(step, account) or (
                    shown == rows_before(account) and step is not delete_what_was_erased
                ), (number, moment)
            age_scratch(account.lake)
            account.clock = clock_of(step)
            account.run()
            step(account, account.next_run())
            assert_done(account, step, table, at=(number, moment))


def points(account: CrashAccount, step: Step, table: TableKind | None) -> list[tuple[int, Moment]]:
    """Choose the operations to try, and whether before or after each: all in the long form, else some."""
    moments = (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)
    if table == "iceberg":
        # What is no operation of the table is tried with the other one.
        if STRIDE == 1:
            return [(number, moment) for number in account.table_operations for moment in moments]
        return [(account.table_operations[-1], Moment.KILLED_AFTER)]
    operations = range(1, account.store.operations + 1)
    if STRIDE == 1:
        return [(number, moment) for number in operations for moment in moments]
    # Fewer of them on S3, where each takes longer.
    stride = STRIDE // 2 if table else STRIDE
    tried = operations[step is erase_person :: stride]
    return [(number, moments[number // stride % 2]) for number in tried]


def assert_done(account: CrashAccount, step: Step, table: TableKind | None, *, at: tuple[int, Moment]) -> None:
    lake = account.address.look()
    verification = verify_lake(account.address.open_to_read(), at=clock_of(step)())
    assert verification.ok, (
        at,
        [str(item) for one in verification.repositories for item in one.findings],
        verification.findings,
    )
    paths = [lake / part.path for part, _ in live_set(account.ledger).parts.values() if part.event_class]
    assert _rows(paths) == left_after(step, account), at
    if table:
        assert rows_shown(account) == left_after(step, account), at
    assert not list(lake.glob(".tmp/*"))
    if step is delete_what_was_erased:
        files = [path for path in lake.rglob("*") if path.is_file()]
        assert [path for path in files if any(PERSON.encode() in text for text in texts_of(path, account.keys))] == []


def _rows(paths: list[Path]) -> Counter[Row]:
    import duckdb

    names = [str(path) for path in paths]
    return Counter(duckdb.execute(f"SELECT src_file, src_line, request_id FROM read_parquet({names})").fetchall())
