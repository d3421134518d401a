"""Expiry and erasure die at each durable operation in turn, for real; what comes next completes or drops them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.retention.erase import erase
from airflow_provider_imperva.retention.expire import expire
from airflow_provider_imperva.retention.policy import RetentionPolicy
from airflow_provider_imperva.retention.subject import Subject
from airflow_provider_imperva.testing import FakeRepository
from tests.crash.crash_runs import CrashAccount, LakeAddress, Step, die
from tests.crash.stopping_store import Moment, StopAt
from tests.crash.test_crash_points import STRIDE
from tests.load.load_runs import Row
from tests.retention.kept_account import serve_day
from tests.table.table_reader import rows_of_table

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


def prepared(repository: FakeRepository, folder: Path, server: str | None, *, table: bool) -> CrashAccount:
    """A lake with an old log and a new one, both of which name the person."""
    account = CrashAccount(repository, folder, address=LakeAddress(folder, server), table=table)
    serve_day(account, 1, 10, people=(PERSON,))
    serve_day(account, 2, 0, people=(PERSON,), broken=1)
    account.run()
    return account


def left_after(step: Step, account: CrashAccount) -> Counter[Row]:
    """The rows that are left once a step is done: log, line and request id."""
    if step is expire_old:
        rows = account.expected(["8416_2.log"])
    else:
        rows = account.expected() - account.expected()
        for name in account.forged:
            first = min(line for log, line, _ in account.expected([name]))
            rows += Counter({row: 1 for row in account.expected([name]) if row[1] != first})
    # The new log begins with a line that is no event.
    return Counter({(log, line + (log == "8416_2.log"), request): 1 for log, line, request in rows})


def assert_readers_see_the_ledger(account: CrashAccount, lake: Path) -> None:
    """What the table shows is what some commit says, and never half of one."""
    ledger = Ledger(open_store(str(lake)), account.repository.name)
    live = live_set(ledger).parts.values()
    if account.table:
        shown = rows_of_table(ledger.store, lake)
        counts = {sum(part.rows for part, _ in live if part.event_class), sum(account.expected().values())}
        assert sum(shown.values()) in counts


@pytest.mark.parametrize("step", [expire_old, erase_person])
@pytest.mark.parametrize("place", ["disk", "S3"])
def test_killed_at_any_operation(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    place: str,
    step: Step,
    record_property: Callable[[str, object], None],
) -> None:
    """On a disk with a table, on S3 without one, where objects are deleted at once."""
    server = request.getfixturevalue("s3_url") if place == "S3" else None
    table = server is None
    with FakeRepository() as repository:
        account = prepared(repository, tmp_path / "whole", server, table=table)
        account.store.let(lambda number, done: None)
        step(account, account.next_run())
        operations = account.store.operations
    # In the short form fewer of them on S3, where each takes longer.
    stride = max(STRIDE // 2, 1) if table else STRIDE
    tried = range(1 + (step is erase_person), operations + 1, stride)
    record_property("points", len(tried))
    for number in tried:
        moments = (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)
        for moment in moments if STRIDE == 1 else [moments[number // stride % 2]]:
            with FakeRepository() as repository:
                account = prepared(repository, tmp_path / f"{number}-{moment[7:]}", server, table=table)
                die(account, step, keys=(), hook=StopAt(number, moment))
                assert_readers_see_the_ledger(account, account.address.look())
                account.run()
                step(account, account.next_run())
                lake = account.address.look()
                found = verify_lake(open_store(str(lake)))
                assert found.ok, (number, moment, found)
                paths = [lake / part.path for part, _ in live_set(account.ledger).parts.values() if part.event_class]
                assert _rows(paths) == left_after(step, account), (number, moment)
                if account.table:
                    assert rows_of_table(open_store(str(lake)), lake) == left_after(step, account)
                assert not list(lake.glob(".tmp/*"))


def _rows(paths: list[Path]) -> Counter[Row]:
    import duckdb

    names = [str(path) for path in paths]
    return Counter(duckdb.execute(f"SELECT src_file, src_line, request_id FROM read_parquet({names})").fetchall())
