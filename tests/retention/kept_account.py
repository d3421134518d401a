"""An account whose logs are of several days, and of people who may ask to be forgotten."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.detections import FINDINGS
from airflow_provider_imperva.audit.verify import LakeVerification, verify_lake
from airflow_provider_imperva.clock import wall_clock
from airflow_provider_imperva.container.decode import decode
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ContainerError
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.records import Part, Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.retention.expire import Expiry, expire
from airflow_provider_imperva.retention.policy import RetentionPolicy
from airflow_provider_imperva.testing.forge import ForgedLog, forge_events, forge_log
from tests.load.load_runs import Account

_SOURCE = re.compile(r" src=\S+ ")


def day_of(days_ago: int) -> datetime:
    """Noon of a day."""
    return wall_clock().astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


def serve_day(
    account: Account,
    number: int,
    days_ago: int,
    *,
    events: int = 4,
    broken: int = 0,
    people: tuple[str, ...] = (),
    hour: float = 12,
) -> ForgedLog:
    """Serve a log.

    :param broken: how many lines are no events.
    :param people: addresses of the first events; of them alone.
    :param hour: of the first event.
    """
    start = int((day_of(days_ago) + timedelta(hours=hour - 12)).timestamp() * 1000)
    lines = forge_events(events, seed=f"{number}", start=start, security_share=0.5)
    for position, address in enumerate(people):
        lines[position] = re.sub(r" xff=[^=]* cpt=", f" xff=10.0.0.1, {address} cpt=", lines[position])
        lines[position] = _SOURCE.sub(f" src={address} ", lines[position])
    body = "".join(f"no event at all {one}\n" for one in range(broken)) + "".join(f"{line}\n" for line in lines)
    log = ForgedLog(f"8416_{number}.log", forge_log(body, start=start, end=start + 240_000), tuple(lines))
    account.forged[log.name] = log
    account.repository.add(log.name, log.content)
    return log


def write_findings(account: Account, day: str, client: str) -> None:
    """Put into the lake what a detection would have found about a client."""
    row = {
        "detection": "scanner",
        "account_id": 1745073,
        "site_name": "shop.example.com",
        "subject": client,
        "events": 9,
    }
    found = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], schema=FINDINGS), found)
    account.ledger.store.write(account.ledger.layout.findings(day), found.getvalue())


class KeptAccount(Account):
    """Serves logs of days gone by; what is odd in them stands in the first lines."""

    def serve_day(self, number: int, days_ago: int, **more: Any) -> ForgedLog:
        return serve_day(self, number, days_ago, **more)

    def maintenance_run(self) -> Run:
        return Run("imperva_retention", self.next_run().run_id)

    def expire(self, **policy: Any) -> Expiry:
        return expire(self.ledger, RetentionPolicy(**policy), run=self.maintenance_run(), clock=self.clock)

    def verify(self) -> LakeVerification:
        return verify_lake(open_store(str(self.lake)), at=self.clock())

    def assert_sound(self) -> None:
        """Hold ledger, lake and table against each other."""
        verification = self.verify()
        every = [
            *verification.findings,
            *(item for repository in verification.repositories for item in repository.findings),
        ]
        assert not every, [str(item) for item in every]
        for item in verification.repositories:
            assert item.lines == item.rows + item.quarantined_lines + item.expired_lines + item.erased_lines
        assert not list(self.lake.glob(".tmp/*"))

    def sums(self) -> tuple[int, int, int, int, int]:
        """Lines, rows, lines in quarantine, expired and erased ones."""
        (item,) = self.verify().repositories
        return item.lines, item.rows, item.quarantined_lines, item.expired_lines, item.erased_lines

    def live(self) -> dict[str, Part]:
        return {path: part for path, (part, _) in live_set(self.ledger).parts.items()}

    def live_rows(self) -> Counter[tuple[str, int]]:
        """The rows of all live parts of events: log and line."""
        counts: Counter[tuple[str, int]] = Counter()
        for path, part in self.live().items():
            if part.event_class:
                rows = pq.read_table(self.lake / path, columns=["src_file", "src_line"]).to_pylist()
                counts.update((row["src_file"], row["src_line"]) for row in rows)
        return counts

    def raw_names(self) -> list[str]:
        return sorted(path.name for path in (self.lake / "raw").rglob("*") if path.is_file())

    def where(self, value: str, *, keys: KeyRing | None = None) -> list[str]:
        """The objects of the lake that hold a value, whatever they are packed in."""
        return sorted(
            str(path.relative_to(self.lake))
            for path in self.lake.rglob("*")
            if path.is_file() and any(value.encode() in text for text in texts_of(path, keys or self.keys))
        )


def texts_of(path: Path, keys: KeyRing) -> Iterator[bytes]:
    """Yield what is in an object of a lake, packed and unpacked."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        table = pq.read_table(path, partitioning=None)
        yield from (repr(table[name].to_pylist()).encode() for name in table.column_names)
    elif "raw" in path.parts:
        try:
            yield decode(content, log=path.name, keys=keys).body
        except ContainerError:
            return


def files_of(lake: Path) -> set[str]:
    return {str(path.relative_to(lake)) for path in lake.rglob("*") if path.is_file()}


def again(account: KeptAccount, **selection: str) -> int | None:
    """Replay, and return how many rows were loaded."""
    plan = make_replay_plan(
        account.ledger,
        run=account.next_run(),
        selection=Selection.of(**selection),
        take_over=False,
        clock=account.clock,
    )
    if plan is None:
        return None
    return replay(account.ledger, account.keys, plan, options=NormalizeOptions(), clock=account.clock).totals.rows
