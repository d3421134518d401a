"""An insider: can write to every object of a lake, knows its format and this code, and may have the signing key.

Whatever the insider changes, all that follows from it is made again by the code that wrote it first: reports, commits,
logs, totals, watermarks, hashes and the chain. So nothing but what the change itself says is left to be found. The
timestamp authority serves everybody: the insider has each commit that has become another timestamped again.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.certificate import issue
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.digest import RowsDigest, digests_of
from airflow_provider_imperva.lake.layout import Layout, content
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit, LogRecord, Report
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.seal.anchors import Anchor, open_anchors
from airflow_provider_imperva.seal.signature import SigningKey
from airflow_provider_imperva.seal.timestamps import TrustedAuthorities
from airflow_provider_imperva.testing import FakeRepository, VirtualClock
from airflow_provider_imperva.testing.forge import forge_events, forge_log
from tests.audit.eventful_lake import BEGIN, HOUR, TimedAccount
from tests.seal.openssl_authority import Authority
from tests.seal.openssl_keys import KeyFiles, make_keys

REPOSITORY, OTHER = "8416_1745073", "9001_1745073"
MONTH = "2026-03"
GROUP = "group"


@dataclass(frozen=True)
class Sealed:
    """A lake that is signed, anchored and timestamped, and what a person outside of it keeps.

    :ivar authority: its clock stands a day after the lake's last commit.
    :ivar certificate: of its month, signed.
    """

    lake: Path
    keys: KeyFiles
    anchors: Path
    authority: Authority
    certificate: Path


def make_sealed_lake(folder: Path) -> Sealed:
    """Load two repositories, hours between the runs, all of it in March 2026."""
    lake, keys, anchors = folder / "lake", make_keys(folder / "keys"), folder / "anchors"
    signer = SigningKey.of_file(str(keys.private))
    clock = VirtualClock(BEGIN)
    authority = Authority(folder / "authority", clock).make()
    with FakeRepository(name=REPOSITORY, clock=clock) as one, FakeRepository(name=OTHER, clock=clock) as other:
        options = PlanOptions(window_bytes=None, account_group=GROUP)
        accounts = [
            TimedAccount(repository, lake, clock=clock, options=options, next_number=1) for repository in (one, other)
        ]
        for account in accounts:
            account.ledger = Ledger(account.ledger.store, account.repository.name, signer=signer, stamp=authority.stamp)
        for count in (3, 2, 2):
            clock.advance(5 * HOUR)
            for account in accounts:
                account.write_logs(count, key=None, events=8)
                anchor(anchors, account.ledger, account.run_some())
    certificate = folder / "certificate.json"
    certificate.write_bytes(
        issue(open_store(str(lake)), REPOSITORY, Period.parse(MONTH), at=clock() + HOUR, signer=signer)
    )
    clock.advance(24 * HOUR)
    return Sealed(lake, keys, anchors, authority, certificate)


def anchor(anchors: Path, ledger: Ledger, commit: Commit) -> None:
    noted = Anchor(
        commit.commit, ledger.sha256(commit.commit), commit.repository, (REPOSITORY, OTHER), datetime.now(UTC)
    )
    open_anchors(str(anchors)).note(noted)


class Insider:
    """Works on one repository of a lake.

    :param signer: the signing key, if the insider has it.
    """

    def __init__(self, lake: Path, repository: str = REPOSITORY, *, signer: SigningKey | None = None) -> None:
        self.lake = lake
        self.ledger = Ledger(open_store(str(lake)), repository, signer=signer)
        self.layout = Layout(repository)
        self.last = self.ledger.head().next_commit - 1

    def path(self, path: str) -> Path:
        return self.lake / path

    def edit(self, path: str, change: Callable[[Any], None]) -> None:
        value = json.loads(self.path(path).read_bytes())
        change(value)
        self.path(path).write_text(json.dumps(value))

    def edit_rows(self, number: int, path: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Write other rows to a part, and say in the report of its batch what is in its parts now."""
        file = self.path(path)
        before = pq.ParquetFile(file)
        table = change(before.read())
        buffer = io.BytesIO()
        kept = {key: value for key, value in before.metadata.metadata.items() if key != b"ARROW:schema"}
        pq.write_table(table.replace_schema_metadata(kept), buffer, compression="zstd")
        file.write_bytes(buffer.getvalue())
        self.settle(number)

    def settle(self, number: int, batch: int = 0) -> None:
        """Have the report of a batch say what is in its parts."""
        report = self.report(number, batch)
        digests: dict[tuple[str, int], RowsDigest] = {}
        parts = []
        for part in report.parts:
            content = self.path(part.path).read_bytes()
            table = pq.read_table(io.BytesIO(content), columns=["src_file", "src_seq", "src_line"])
            sha256 = hashlib.sha256(content).hexdigest()
            parts.append(msgspec.structs.replace(part, rows=len(table), size=len(content), sha256=sha256))
            if part.event_class:
                for key, digest in digests_of(table).items():
                    digests[key] = digests.get(key, RowsDigest()) + digest
        logs = []
        for log in report.logs:
            found = digests.get((log.delivered_as or str(log.name), log.sequence), RowsDigest())
            lines = found.rows + log.quarantined_lines
            told = {"rows": found.rows, "lines": lines, "rows_digest": str(found) if found.rows else None}
            logs.append(msgspec.structs.replace(log, **told))
        self.write_report(msgspec.structs.replace(report, parts=tuple(parts), logs=tuple(logs)))

    def report(self, number: int, batch: int = 0) -> Report:
        report = self.ledger.report(number, batch)
        assert report is not None
        return report

    def write_report(self, report: Report) -> None:
        self.ledger.write_report(report)

    def commit_anew(self, *, times: Callable[[datetime], datetime] = lambda time: time) -> None:
        """Remake every commit from its plan and reports.

        :param times: what becomes of the times at which they were committed.
        """
        befores = [self.ledger.commit(number) for number in range(1, self.last + 1)]
        for before in befores:
            self.path(self.layout.commit(before.commit)).unlink()
            self.path(self.layout.logs(before.commit)).unlink()
        for before in befores:
            commit_plan(
                self.ledger,
                self.ledger.plan(before.commit),
                by=before.committed_by,
                provider_version=before.provider_version,
                at=times(before.committed_at),
            )

    def stamp_anew(self, authority: Authority) -> None:
        """Have each commit timestamped whose timestamp is that of another one now."""
        trusted = TrustedAuthorities.of_files([authority.root])
        for commit in self.lake.glob(f"{self.layout.ledger}/*/*.commit.json"):
            timestamp, content = commit.with_suffix(".tsr"), commit.read_bytes()
            if trusted.time_of(timestamp.read_bytes(), hashlib.sha256(content).hexdigest()) is None:
                timestamp.write_bytes(authority.stamp(content))

    def part_of(self, number: int) -> str:
        """A part with events of a commit."""
        return next(part.path for part in self.report(number).parts if part.event_class == "access")


def edit_a_row(insider: Insider) -> None:
    """An event's client address is another"""

    def change(table: pa.Table) -> pa.Table:
        values = ["203.0.113.77", *table["client_ip"].to_pylist()[1:]]
        return table.set_column(table.column_names.index("client_ip"), "client_ip", pa.array(values, pa.string()))

    insider.edit_rows(2, insider.part_of(2), change)
    insider.commit_anew()


def remove_an_event(insider: Insider) -> None:
    """An event is removed from its part, and its log has a line less"""
    insider.edit_rows(2, insider.part_of(2), lambda table: table.slice(1))
    insider.commit_anew()


def call_a_log_skipped(insider: Insider) -> None:
    """A log is removed, and its number called skipped by Imperva"""
    layout, gone = insider.layout, LogName("8416", 4)
    for part in insider.report(2).parts:
        insider.edit_rows(2, part.path, lambda table: table.filter(pc.not_equal(table["src_seq"], 4)))
    report = insider.report(2)
    record = next(log for log in report.logs if log.sequence == 4)
    insider.write_report(msgspec.structs.replace(report, logs=tuple(log for log in report.logs if log is not record)))
    insider.path(layout.raw(gone)).unlink()
    insider.path(content(GROUP, str(record.content_sha256))).unlink()

    def change(plan: dict[str, Any]) -> None:
        plan["batches"] = [[log for log in batch if log["name"] != str(gone)] for batch in plan["batches"]]
        since = insider.ledger.plan(1).created_at.isoformat()
        plan["closed"] = [{"prefix": "8416", "from": 4, "to": 4, "state": "skipped", "since": since}]
        opened = plan["prefixes"]["8416"]["open"]
        plan["prefixes"]["8416"]["open"] = [item | {"from": max(item["from"], 5)} for item in opened]
        plan["prefixes"]["8416"]["contiguous"] = 4

    insider.edit(layout.plan(2), change)
    insider.commit_anew()


def cut_the_end_off(insider: Insider) -> None:
    """The last commit is removed, with all that it brought"""
    report = insider.report(insider.last)
    for log in report.logs:
        insider.path(str(log.raw_key)).unlink()
        insider.path(content(GROUP, str(log.content_sha256))).unlink()
    for part in report.parts:
        insider.path(part.path).unlink()
    for path in insider.lake.glob(f"{insider.layout.ledger}/*/{insider.last:012d}.*"):
        path.unlink()


def backdate(insider: Insider) -> None:
    """All that was done last is said to have been done four hours earlier"""
    earlier = timedelta(hours=4)
    number = insider.last
    report = insider.report(number)

    def moved(log: LogRecord) -> LogRecord:
        assert log.first_listed_at is not None
        assert log.fetched_at is not None
        return msgspec.structs.replace(
            log, first_listed_at=log.first_listed_at - earlier, fetched_at=log.fetched_at - earlier
        )

    insider.write_report(msgspec.structs.replace(report, logs=tuple(map(moved, report.logs))))

    def change(plan: dict[str, Any]) -> None:
        for name in ("created_at", "observed_at"):
            plan[name] = (datetime.fromisoformat(plan[name]) - earlier).isoformat()
        for log in (log for batch in plan["batches"] for log in batch):
            log["first_listed_at"] = (datetime.fromisoformat(log["first_listed_at"]) - earlier).isoformat()

    insider.edit(insider.layout.plan(number), change)
    committed = insider.ledger.commit(number).committed_at
    insider.commit_anew(times=lambda time: time - earlier if time == committed else time)


def date_ahead(insider: Insider) -> None:
    """The last commit is said to be made a year from now"""
    committed = insider.ledger.commit(insider.last).committed_at
    later = datetime.now(UTC) + timedelta(days=365)
    insider.commit_anew(times=lambda time: later if time == committed else time)


def put_other_bytes_into_raw(insider: Insider) -> None:
    """A log in raw/ is exchanged for another one, with as many events"""
    report = insider.report(2)
    record = report.logs[0]
    assert record.start_time is not None
    assert record.end_time is not None
    lines = forge_events(record.rows, seed=4711, start=record.start_time, span_ms=3_600_000, security_share=0.2)
    body = "".join(f"{line}\n" for line in lines).encode()
    forged = forge_log(body, start=record.start_time, end=record.end_time)
    insider.path(str(record.raw_key)).write_bytes(forged)
    claim, sha256 = insider.path(content(GROUP, str(record.content_sha256))), hashlib.sha256(body).hexdigest()
    other = insider.path(content(GROUP, sha256))
    other.parent.mkdir(parents=True, exist_ok=True)
    claim.rename(other)
    other_bytes = {"raw_bytes": len(forged), "raw_sha256": hashlib.sha256(forged).hexdigest()}
    changed = msgspec.structs.replace(record, content_sha256=sha256, **other_bytes)
    insider.write_report(msgspec.structs.replace(report, logs=(changed, *report.logs[1:])))
    insider.commit_anew()


def move_a_part(insider: Insider) -> None:
    """A part is moved to the folder of another date"""
    path = insider.part_of(2)
    day = path.split("event_date=")[1][:10]
    moved = path.replace(day, "2026-02-01")
    insider.path(moved).parent.mkdir(parents=True)
    insider.path(path).rename(insider.path(moved))
    for name in (insider.layout.report(2, 0), insider.layout.intent(2, 0)):
        file = insider.path(name)
        file.write_text(file.read_text().replace(path, moved))
    report = insider.report(2)
    parts = [
        msgspec.structs.replace(part, event_date="2026-02-01") if part.path == moved else part for part in report.parts
    ]
    insider.write_report(msgspec.structs.replace(report, parts=tuple(parts)))
    insider.commit_anew()


def delete_claim_and_intents(insider: Insider) -> None:
    """claim.json and the intents of all batches are deleted"""
    for path in [insider.path(insider.layout.claim), *insider.lake.glob(f"{insider.layout.ledger}/**/*.parts.json")]:
        path.unlink()


def plant_claims_and_arrivals(insider: Insider) -> None:
    """A claim of a content and an arrival are planted, so that logs to come pass for loaded ones"""
    claim = {"v": 2, "repository": REPOSITORY, "log": "8416_1.log", "claimed_at": "2026-03-02T04:00:00Z"}
    arrival = ["2026/03/03/8416_99.log", 1, "x"]
    page = {"v": 2, "first": 1, "arrivals": [arrival]}
    for name, value in ((content(GROUP, "ab" * 32), claim), (insider.layout.arrivals(1), page)):
        path = insider.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


def remove_the_repository(insider: Insider) -> None:
    """A repository is removed whole, from the register and the claims of contents too"""
    folders = [path for path in insider.lake.glob(f"*/repository={REPOSITORY}") if path.is_dir()]
    for path in folders:
        shutil.rmtree(path)
    insider.path(f"register/repository={REPOSITORY}.json").unlink()
    for path in insider.lake.glob("contents/**/*.json"):
        if json.loads(path.read_bytes())["repository"] == REPOSITORY:
            path.unlink()


def edit_a_certificate(certificate: Path) -> None:
    """A certificate is said to be issued a day later, by another version"""
    value = json.loads(certificate.read_bytes())
    value["issued_at"] = (datetime.fromisoformat(value["issued_at"]) + timedelta(days=1)).isoformat()
    value["provider_version"] = "9.9.9"
    certificate.write_text(json.dumps(value))


Attack: TypeAlias = Callable[[Insider], None]

ATTACKS: tuple[Attack, ...] = (
    edit_a_row,
    remove_an_event,
    call_a_log_skipped,
    cut_the_end_off,
    backdate,
    date_ahead,
    put_other_bytes_into_raw,
    move_a_part,
    delete_claim_and_intents,
    plant_claims_and_arrivals,
    remove_the_repository,
)
"""Attacks on a lake; each says in its docstring what it does."""


def told(attack: Callable[..., None]) -> str:
    return (attack.__doc__ or "").strip()


def kinds(findings: Iterable[Any]) -> str:
    """Say what was found, in a cell of a table."""
    found = sorted({str(finding.kind) for finding in findings})
    return f"**{', '.join(found)}**" if found else "passes"
