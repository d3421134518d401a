"""The oracle: it knows every event, and holds what the lake and its ledger say against that."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.lake.data_keys import MasterKeys
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.repository.names import LogName
from tests.simulation.simulated_airflow import CalmRun, as_listed, was_at_hand
from tests.simulation.simulated_imperva import HOUR, MINUTE, WINDOW, Event, Imperva, WrittenLog
from tests.simulation.simulated_keeper import Keeper
from tests.simulation.simulated_sender import REPOSITORY, Sender

_WITHOUT_BYTES = {State.SKIPPED, State.UNOBSERVED, State.EXPIRED}


@dataclass
class Oracle:
    """Reads the lake as any other program would: Parquet and JSON, and none of the package's own readers."""

    lake: Path
    imperva: Imperva
    sender: Sender
    calm_runs: list[CalmRun] = field(default_factory=list)
    cut_indexes: list[tuple[datetime, datetime]] = field(default_factory=list)
    lags: list[tuple[datetime, datetime]] = field(default_factory=list)

    keeper: Keeper | None = None
    master: MasterKeys | None = None
    """Opens raw/, if that is encrypted."""

    def __post_init__(self) -> None:
        self.commits: list[dict[str, Any]] = []
        """Of logs that are fetched."""
        self.pushed: list[dict[str, Any]] = []
        """Of logs that are delivered."""
        self.records: list[dict[str, Any]] = []
        """Every row of every ``logs.parquet``, oldest first; of logs that are fetched."""
        self.deliveries: list[dict[str, Any]] = []
        self._loaded: set[str] = set()
        self._at_hand: set[str] = set()
        self._told: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._told_files: dict[str, list[dict[str, Any]]] = {}

    def read_ledger(self) -> None:
        """Read what has been committed since."""
        for repository, commits, records in (
            (self.imperva.repository.name, self.commits, self.records),
            (REPOSITORY, self.pushed, self.deliveries),
        ):
            folder = self.lake / f"ledger/repository={repository}"
            while True:
                number = len(commits) + 1
                path = folder / f"{number // 1000:09d}/{number:012d}.commit.json"
                if not path.exists():
                    break
                commits.append(json.loads(path.read_bytes()) | {"path": path})
                for restart in commits[-1].get("restarts", ()):
                    assert self._begun_again(restart["prefix"]), f"no counter began again: {restart}"
                for row in pq.ParquetFile(_logs_path(commits[-1])).read().to_pylist():
                    records.append(row | {"commit": commits[-1]})
                    self._note(records[-1])

    def _note(self, row: dict[str, Any]) -> None:
        if row["state"] == State.COMMITTED:
            self._loaded.add(row["raw_sha256"])
        if row["raw_sha256"]:
            self._at_hand.add(row["raw_sha256"])
        if row["delivered_as"]:
            self._told_files.setdefault(row["delivered_as"], []).append(row)
        for number in range(row["sequence"], min(row["sequence_to"], row["sequence"] + 10_000) + 1):
            self._told.setdefault((row["prefix"].partition("-")[0], number), []).append(row)

    @cached_property
    def last(self) -> dict[LogName, dict[str, Any]]:
        """What was last said of each number."""
        return {
            LogName(row["prefix"], number): row
            for row in self.records
            for number in range(row["sequence"], row["sequence_to"] + 1)
        }

    def _read(self, folder: str, columns: str) -> list[tuple[Any, ...]]:
        # All that was in quarantine may have expired.
        if not any(Path(self.lake, folder).rglob("*.parquet")):
            return []
        glob = f"{self.lake}/{folder}/**/*.parquet"
        return duckdb.execute(f"SELECT {columns} FROM read_parquet('{glob}', hive_partitioning=true)").fetchall()

    def check_green(self, planned_at: datetime, pushed: bool) -> None:
        """Hold a green run against the truth: what was listed to us and has left is loaded, or was told as lost."""
        self.read_ledger()
        if pushed:
            for file in self.sender.due(planned_at):
                if file.sha256 not in self._loaded and not self._is_in_raw(REPOSITORY, file.size, file.sha256):
                    told = self._told_files.get(file.path)
                    raise AssertionError(f"green as of {planned_at}, and {file} is missing; told: {told}")
            return
        for log in self.imperva.logs:
            gone = log.left_at is not None and log.left_at <= planned_at
            due = gone and log.listed_at is not None and log.listed_at < planned_at
            if due and log.events and not log.damaged and not self._is_accounted_for(log):
                raise AssertionError(f"green as of {planned_at}, and lost: {log}; told: {self.told(log)}")

    def _is_accounted_for(self, log: WrittenLog) -> bool:
        return (
            log.sha256 in self._loaded
            or log.sha256 in self._at_hand
            or self._was_doubted(log)
            # Of what waits for its key nobody can tell whether it came whole.
            # What came damaged, and is gone, is tried a last time by the next run.
            or (
                (said := [row["state"] for row in self._said_of(log)])
                and said[-1] in (State.AWAITING_KEY, State.DAMAGED)
            )
            or any(row["state"] in _TOLD and log.written_at <= _committed_at(row) for row in self._said_of(log))
            or self._is_in_raw(self.imperva.repository.name, log.size, log.sha256)
        )

    def _was_doubted(self, log: WrittenLog) -> bool:
        """Whether a red run has told that names of its prefix, it among them, may be those of other logs."""
        return any(
            f"{log.listed_as.partition('_')[0]}_" in line
            and log.written_at <= datetime.fromisoformat(commit["observed_at"])
            and (not log.left_at or datetime.fromisoformat(commit["observed_at"]) <= log.left_at)
            for commit in self.commits
            for line in commit.get("unread", ())
        )

    def told(self, log: WrittenLog) -> list[str]:
        """Say what the ledger has of a log's name."""
        self.read_ledger()
        return [
            f"commit {row['commit']['commit']} as of {row['commit']['observed_at']}: {row['prefix']} {row['state']}"
            f" ({row['reason_code']}), {row['raw_bytes']} bytes, first listed {row['first_listed_at']}"
            for row in self._said_of(log)
        ]

    def _said_of(self, log: WrittenLog) -> list[dict[str, Any]]:
        if log.name is None:
            return self._told_files.get(log.listed_as, [])
        return self._told.get((log.name.prefix, log.name.sequence), [])

    def _is_in_raw(self, repository: str, size: int, sha256: str) -> bool:
        """Whether some bytes are in ``raw/`` and wait for their turn, of which nothing has to be said yet."""
        found = self.lake.glob(f"raw/repository={repository}/*/*/*")
        if self.master:
            raw = RawBytes(open_store(str(self.lake)), Layout(repository), master=self.master)
            return any(_sha256_of(raw, str(path.relative_to(self.lake))) == sha256 for path in found)
        return any(path.stat().st_size == size and _sha256(path) == sha256 for path in found)

    def check(self) -> None:
        """Hold everything against everything."""
        self.read_ledger()
        for commits, records in ((self.commits, self.records), (self.pushed, self.deliveries)):
            self.check_chain(commits, records)
        self.check_objects()
        self.check_states()
        self.check_events()
        self.check_losses()
        self.check_watermark()
        self.sender.check_events(self._rows(REPOSITORY))

    def _rows(self, repository: str) -> dict[tuple[str, int], Counter[Event]]:
        rows: dict[tuple[str, int], Counter[Event]] = {}
        columns = "src_file, src_seq, src_line, request_id"
        for file, sequence, line, request in self._read(f"events/repository={repository}", columns):
            rows.setdefault((file, sequence), Counter())[line, request] += 1
        for (of, file, sequence), gone in (self.keeper.gone if self.keeper else {}).items():
            if of == repository:
                rows.setdefault((file, sequence), Counter()).update(gone)
        return rows

    def check_events(self) -> None:
        """Lake plus quarantine plus declared losses is what was written, as multisets, log by log."""
        repository = self.imperva.repository.name
        lines: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        for file, line in self._read(f"quarantine/repository={repository}", "src_file, src_line"):
            (whole if line is None else lines)[file] += 1
        for (of, file, is_whole), count in (self.keeper.gone_lines if self.keeper else {}).items():
            if of == repository:
                (whole if is_whole else lines)[file] += count
        written = {request: log for log in self.imperva.logs for _, request in log.events}
        found: dict[WrittenLog, str] = {}
        for (file, _), rows in self._rows(repository).items():
            log = written[next(iter(rows))[1]]
            assert log not in found, f"{log} is in the lake twice, as {found[log]} and {file}"
            found[log] = file
            assert rows == log.events, f"{file}: {rows - log.events} too many, {log.events - rows} missing"
            assert as_listed(file) == log.listed_as, f"{file} has the events of {log}"
            assert (lines[file], whole[file]) == (log.junk, 0), f"{file}: other lines in quarantine"
            assert not log.damaged, f"{log} was damaged, and is committed"
            # Of an answer that is cut in the padding at its end the whole body verifies: it is loaded as it came.
            known = log.sha256 in self._loaded or self._came_cut(log)
            assert known, f"{log} is in the lake, and no commit says so"
        for log in self.imperva.logs:
            if log in found or not log.events:
                continue
            assert log.sha256 not in self._loaded, f"{log} is committed, and not in the lake"
            assert not self._was_at_hand(log) or self._came_cut(log) or log.damaged, (
                f"{log} could be had, and is not there"
            )
            if log.listed_at:
                told = [row["state"] for row in self._said_of(log)]
                assert _TOLD & set(told) or self._was_doubted(log) or (log.damaged and State.DAMAGED in told), (
                    f"{log} is missing, and told as {told}"
                )
        for row in self.last.values():
            if row["state"] == State.QUARANTINED:
                self._check_quarantined(row)

    def _check_quarantined(self, row: dict[str, Any]) -> None:
        """Not one that came as it was written, and has events."""
        same = [log for log in self.imperva.logs if log.sha256 == row["raw_sha256"]]
        assert not any(log.events and not log.damaged for log in same), f"{same} was sound, and is in quarantine"

    def _was_at_hand(self, log: WrittenLog) -> bool:
        return was_at_hand(log, self.calm_runs)

    def _came_cut(self, log: WrittenLog) -> bool:
        """Whether another answer came in its place, and it could not be had whole after that."""
        ending = f"/{log.listed_as}"
        answers = [
            item
            for item in self.imperva.repository.requests
            if item.path.endswith(ending)
            and log.written_at <= item.time
            and (not log.left_at or item.time <= log.left_at)
        ]
        return sum(item.status == 200 and item.bytes != log.size for item in answers) >= 1

    def check_losses(self) -> None:
        """What is declared lost was never at hand; what is declared skipped had not been written."""
        for row in self.records:
            if row["state"] == State.EXPIRED and row["prefix"] != "0":
                self._check_expired(row)
            if row["state"] == State.UNOBSERVED and not self._has_begun_again(row):
                self._check_unobserved(row)  # else a name may be that of several logs
        for name, row in self.last.items():
            if row["state"] not in _WITHOUT_BYTES or name.prefix == "0" or self._has_begun_again(row):
                continue
            log = self._first_named(name)
            if log is None:
                assert name in self.imperva.skipped or row["state"] == State.UNOBSERVED
                assert row["state"] != State.EXPIRED, f"{name} has expired, and was never written"
                continue
            assert not self._was_at_hand(log), f"{name} is {row['state']}, and could be had"
            if row["state"] == State.SKIPPED:
                said = datetime.fromisoformat(row["commit"]["observed_at"])
                assert log.written_at > said or self._left_out(log, row), (
                    f"{name} is skipped as of {said} ({row['reason']}), and was there from {log.written_at}"
                    f" to {log.left_at}"
                )

    def _has_begun_again(self, row: dict[str, Any]) -> bool:
        return self._begun_again(row["prefix"])

    def _begun_again(self, prefix: str) -> bool:
        return any(again == prefix.partition("-")[0] for _, again in self.imperva.restarts)

    def _first_named(self, name: LogName) -> WrittenLog | None:
        return next((log for log in self.imperva.logs if log.listed_as == str(name)), None)

    def _check_expired(self, row: dict[str, Any]) -> None:
        """One of that name was gone when that was said, unless an index left it out, and nobody could tell."""
        if row["reason_code"] == "counter_began_again":
            return  # what is listed under its name may be that log, and nobody can tell
        commit = row["commit"]
        planned, said = datetime.fromisoformat(commit["observed_at"]), datetime.fromisoformat(commit["committed_at"])
        name = as_listed(row["name"])
        logs = [log for log in self.imperva.logs if log.listed_as == name and log.written_at <= said]
        assert logs, f"{row['name']} has expired, and was never written"
        cut = any(began <= said and planned <= ended for began, ended in self.cut_indexes)
        # Of a log that was listed for longer, a server that lags says the same as one that has no more of it.
        cut |= planned - row["first_listed_at"] > HOUR - 10 * MINUTE and any(
            began <= said and planned <= ended for began, ended in self.lags
        )
        left = [log.left_at for log in logs]
        assert cut or any(at and at <= said for at in left), (
            f"{row['name']} has expired as of {said}, and was there until {left}"
        )

    def _left_out(self, log: WrittenLog, row: dict[str, Any]) -> bool:
        """Whether an index was cut between its being written and its being missed, which nobody can tell.

        It may have left out this log, or the first look after an absence was at one that left out the whole prefix.
        """
        missed = datetime.strptime(row["reason"], "missing since %Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
        return any(
            began <= missed + MINUTE and log.written_at <= ended for began, ended in [*self.cut_indexes, *self.lags]
        )

    def _check_unobserved(self, row: dict[str, Any]) -> None:
        """Nobody had looked for longer than the window, or logs had left it before their time."""
        number = row["commit"]["commit"]
        before, at = (datetime.fromisoformat(self.commits[index]["observed_at"]) for index in (number - 2, number - 1))
        early = any(
            log.left_at and log.left_at - log.written_at < WINDOW - 30 * MINUTE and before <= log.left_at <= at
            for log in self.imperva.logs
        )
        assert at - before > WINDOW or early, f"{row['prefix']}_{row['sequence']} was watched, and is unobserved"

    def check_states(self) -> None:
        """Every number from the first looked for to the highest has a state, and only what is open is undecided."""
        for prefix, mark in self.commits[-1]["prefixes"].items():
            undecided = {
                number: item["state"] for item in mark.get("open", ()) for number in range(item["from"], item["to"] + 1)
            }
            for number in range(self._first_looked_for(prefix), mark["highest"] + 1):
                row = self.last.get(LogName(prefix, number))
                decided = row is not None and row["state"] not in (State.AWAITING_KEY, State.DAMAGED)
                reopened = decided and row["state"] in _WITHOUT_BYTES and number in undecided  # type: ignore[index]
                assert decided != (number in undecided) or reopened, f"{prefix}_{number}: {undecided.get(number)}"

    def _first_looked_for(self, prefix: str) -> int:
        """Below it, where a counter that began again comes to, a log is loaded if it is listed, and none is missed."""
        first = next(commit for commit in self.commits if prefix in commit["prefixes"])
        known = [row["sequence"] for row in self.records if row["prefix"] == prefix and row["commit"] is first]
        return int(min([*known, *(item["from"] for item in first["prefixes"][prefix].get("open", ()))]))

    def check_watermark(self) -> None:
        """``contiguous`` ends where the first open range begins; ``highest`` is the highest ever decided or open."""
        for prefix, mark in self.commits[-1]["prefixes"].items():
            opened = mark.get("open", ())
            first = min((item["from"] for item in opened), default=mark["highest"] + 1)
            assert mark["contiguous"] == first - 1
            numbers = [name.sequence for name in self.last if name.prefix == prefix]
            assert max([*numbers, *(item["to"] for item in opened)]) == mark["highest"]

    def check_chain(self, commits: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
        """Commits follow each other without a hole, each names the one before and its own logs, and adds up."""
        previous = None
        for number, commit in enumerate(commits, 1):
            assert commit["commit"] == number
            assert commit["previous_sha256"] == previous
            assert commit["logs_sha256"] == _sha256(_logs_path(commit))
            totals = commit["totals"]
            assert self.keeper or totals["lines"] == totals["rows"] + totals["quarantined_lines"]
            previous = _sha256(commit["path"])
        for row in records:
            gone = row["expired_lines"] + row["erased_lines"]
            assert row["lines"] == row["rows"] + row["quarantined_lines"] + gone, row["name"]
        plans = sorted(commits[0]["path"].parents[1].glob("*/*.plan.json"))
        assert len(plans) == len(commits), "a plan without a commit"

    def check_objects(self) -> None:
        """Each part is there as its commit has it, and no other is; ``raw/`` is what the ledger says it is."""
        trusted = TrustedInputs(master=self.master)
        verified = verify_lake(open_store(str(self.lake)), trusted=trusted, at=self.imperva.clock()).repositories
        findings = [finding for one in verified for finding in one.findings if not self._came_too_late(finding)]
        assert not findings, findings
        for name, row in self.last.items():
            if row["raw_sha256"] and not row["raw_removed"]:
                expected = row["stored_sha256"] or row["raw_sha256"]
                assert _sha256(self.lake / row["raw_key"]) == expected, f"{name}: other bytes in raw/"
        assert not list(self.lake.glob(".tmp/*")), "scratch files"

    def _came_too_late(self, finding: Finding) -> bool:
        """Whether a worker slept for longer than tasks may live, and brought a log that had expired meanwhile."""
        if finding.kind is not Kind.UNNAMED or not finding.about.startswith("raw/"):
            return False
        pushed = f"/repository={REPOSITORY}/" in finding.about
        name = finding.about.rsplit("/", 1)[-1]
        told = [row for row in (self.deliveries if pushed else self.records) if row["name"] == name]
        return bool(told) and told[-1]["state"] == State.EXPIRED

    def summary(self) -> Iterator[str]:
        """Tell what was checked."""
        self.read_ledger()
        logs = self.imperva.logs
        states = Counter(row["state"] for row in self.last.values())
        yield f"{len(logs)} logs, {sum(log.events.total() for log in logs)} events"
        yield f"{len(self.commits)} commits; " + ", ".join(
            f"{count} {state}" for state, count in sorted(states.items())
        )
        restarts = sum(len(commit.get("restarts", ())) for commit in self.commits)
        other = sum(log.name is None for log in logs)
        yield (
            f"{len(self.imperva.restarts)} counters began again, {restarts} generations told;"
            f" {other} names of another form; {self.imperva.overwritten} logs overwritten"
        )
        lost = [log for log in logs if log.events and log.sha256 not in self._loaded]
        yield f"{len(lost)} logs lost, each of them out of reach; {sum(row['late'] for row in self.records)} came late"
        yield self.sender.summary(len(self.pushed))


_TOLD = {State.EXPIRED, State.UNOBSERVED, State.QUARANTINED}
"""States that make a run red."""


def _committed_at(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["commit"]["committed_at"])


def _logs_path(commit: dict[str, Any]) -> Path:
    path: Path = commit["path"]
    return path.with_name(path.name.replace(".commit.json", ".logs.parquet"))


def _sha256_of(raw: RawBytes, path: str) -> str | None:
    """The SHA-256 of what was received; None if the object has gone meanwhile."""
    try:
        with raw.open(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
