"""The oracle: it knows every event, and holds what the lake and its ledger say against that."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.repository.names import LogName
from tests.simulation.simulated_airflow import CalmRun, was_at_hand
from tests.simulation.simulated_imperva import MINUTE, WINDOW, Event, Imperva, WrittenLog

_WITHOUT_BYTES = {State.SKIPPED, State.UNOBSERVED, State.EXPIRED}


@dataclass
class Oracle:
    """Reads the lake as any other program would: Parquet and JSON, and none of the package's own readers."""

    lake: Path
    imperva: Imperva
    calm_runs: list[CalmRun]
    cut_indexes: list[tuple[datetime, datetime]]

    @cached_property
    def commits(self) -> list[dict[str, Any]]:
        paths = sorted(self.lake.glob("ledger/**/*.commit.json"))
        return [json.loads(path.read_bytes()) | {"path": path} for path in paths]

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Every row of every ``logs.parquet``, oldest first."""
        rows = []
        for commit in self.commits:
            for row in pq.ParquetFile(_logs_path(commit)).read().to_pylist():
                rows.append(row | {"commit": commit})
        return rows

    @cached_property
    def last(self) -> dict[LogName, dict[str, Any]]:
        """What was last said of each number."""
        return {
            LogName(row["prefix"], number): row
            for row in self.records
            for number in range(row["sequence"], row["sequence_to"] + 1)
        }

    def _read(self, folder: str, columns: str) -> list[tuple[Any, ...]]:
        glob = f"{self.lake}/{folder}/**/*.parquet"
        return duckdb.execute(f"SELECT {columns} FROM read_parquet('{glob}', hive_partitioning=true)").fetchall()

    def check(self) -> None:
        """Hold everything against everything."""
        self.check_chain()
        self.check_objects()
        self.check_states()
        self.check_events()
        self.check_losses()
        self.check_watermark()

    def check_events(self) -> None:
        """Lake plus quarantine plus declared losses is what was written, as multisets, log by log."""
        rows: dict[str, Counter[Event]] = {}
        for file, line, request in self._read("events", "src_file, src_line, request_id"):
            rows.setdefault(file, Counter())[file, line, request] += 1
        lines: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        for file, line in self._read("quarantine", "src_file, src_line"):
            (whole if line is None else lines)[file] += 1
        for name, log in self.imperva.logs.items():
            state = self.last[name]["state"] if name in self.last else None
            found = rows.pop(str(name), Counter())
            if state == State.COMMITTED:
                assert found == log.events, f"{name}: {found - log.events} too many, {log.events - found} missing"
                assert (lines[str(name)], whole[str(name)]) == (log.junk, 0), f"{name}: other lines in quarantine"
                assert not log.damaged, f"{name} was damaged, and is committed"
            elif state is None:
                assert name.sequence > self._highest(name.prefix), f"{name} has no state"
                assert not was_at_hand(name, self.imperva, self.calm_runs), f"{name} is unknown, and could be had"
            else:
                # One that was written damaged is asked for again as long as it is listed.
                assert state in _WITHOUT_BYTES | {State.QUARANTINED} or (
                    state == State.DAMAGED and (log.damaged or not log.events)
                ), f"{name} is {state} in the end"
                assert not found, f"{name} is {state}, and has rows"
                assert whole[str(name)] == (state == State.QUARANTINED)
            if state == State.QUARANTINED:
                # A body without a single event is of no known format, or nothing at all, and quarantined as a whole.
                eventless = not log.events
                assert log.damaged or eventless or self._came_cut(name), f"{name} was sound, and is in quarantine"
        assert not rows, f"rows of logs that nobody wrote: {list(rows)}"

    def _highest(self, prefix: str) -> int:
        """The highest number ever listed to us: of what came and went above it, nobody can know."""
        mark = self.commits[-1]["prefixes"].get(prefix)
        return mark["highest"] if mark else -1

    def _came_cut(self, name: LogName) -> bool:
        """Whether a log came shorter than it is and said that it was whole, and could not be had whole after that."""
        ending, size = f"/{name}", self.imperva.logs[name].size
        answers = [item for item in self.imperva.repository.requests if item.path.endswith(ending)]
        cut = sum(item.status == 200 and item.bytes < size for item in answers)
        return cut >= 2 or (cut == 1 and any(item.status == 404 for item in answers))

    def check_losses(self) -> None:
        """What is declared lost was never at hand; what is declared skipped had not been written."""
        for name, row in self.last.items():
            if row["state"] not in _WITHOUT_BYTES:
                continue
            log = self.imperva.logs.get(name)
            if log is None:
                assert name in self.imperva.skipped or row["state"] == State.UNOBSERVED
                assert row["state"] != State.EXPIRED, f"{name} has expired, and was never written"
                continue
            assert not was_at_hand(name, self.imperva, self.calm_runs), f"{name} is {row['state']}, and could be had"
            if row["state"] == State.SKIPPED:
                said = datetime.fromisoformat(row["commit"]["observed_at"])
                assert log.written_at > said or self._left_out(log, row), (
                    f"{name} is skipped as of {said} ({row['reason']}), and was there from {log.written_at}"
                    f" to {log.left_at}"
                )
        for row in self.records:
            if row["state"] == State.UNOBSERVED:
                self._check_unobserved(row)
            if row["state"] == State.EXPIRED:
                self._check_expired(row)

    def _check_expired(self, row: dict[str, Any]) -> None:
        """It was gone when that was said, unless the index left it out for being cut, which nobody can tell."""
        commit = row["commit"]
        planned, said = datetime.fromisoformat(commit["observed_at"]), datetime.fromisoformat(commit["committed_at"])
        cut = any(began <= said and planned <= ended for began, ended in self.cut_indexes)
        left = self.imperva.logs[LogName.parse(row["name"])].left_at
        assert cut or (left and left <= said), f"{row['name']} has expired as of {said}, and was there until {left}"

    def _left_out(self, log: WrittenLog, row: dict[str, Any]) -> bool:
        """Whether an index was cut between its being written and its being missed, which nobody can tell.

        It may have left out this log, or the first look after an absence was at one that left out the whole prefix.
        """
        missed = datetime.strptime(row["reason"], "missing since %Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
        return any(began <= missed + MINUTE and log.written_at <= ended for began, ended in self.cut_indexes)

    def _check_unobserved(self, row: dict[str, Any]) -> None:
        """Nobody had looked for longer than the window, or logs had left it before their time."""
        number = row["commit"]["commit"]
        before, at = (datetime.fromisoformat(self.commits[index]["observed_at"]) for index in (number - 2, number - 1))
        early = any(
            log.left_at and log.left_at - log.written_at < WINDOW - 30 * MINUTE and before <= log.left_at <= at
            for log in self.imperva.logs.values()
        )
        assert at - before > WINDOW or early, f"{row['prefix']}_{row['sequence']} was watched, and is unobserved"

    def check_states(self) -> None:
        """Every number between the first and the highest seen has a state, and only what is open is undecided."""
        for prefix, mark in self.commits[-1]["prefixes"].items():
            undecided = {
                number: item["state"] for item in mark.get("open", ()) for number in range(item["from"], item["to"] + 1)
            }
            seen = [name.sequence for name in self.last if name.prefix == prefix]
            for number in range(min(seen), mark["highest"] + 1):
                row = self.last.get(LogName(prefix, number))
                decided = row is not None and row["state"] not in (State.AWAITING_KEY, State.DAMAGED)
                reopened = decided and row["state"] in _WITHOUT_BYTES and number in undecided  # type: ignore[index]
                assert decided != (number in undecided) or reopened, f"{prefix}_{number}: {undecided.get(number)}"

    def check_watermark(self) -> None:
        """``contiguous`` ends where the first open range begins; ``highest`` is the highest ever decided or open."""
        for prefix, mark in self.commits[-1]["prefixes"].items():
            opened = mark.get("open", ())
            first = min((item["from"] for item in opened), default=mark["highest"] + 1)
            assert mark["contiguous"] == first - 1
            numbers = [name.sequence for name in self.last if name.prefix == prefix]
            assert max([*numbers, *(item["to"] for item in opened)]) == mark["highest"]

    def check_chain(self) -> None:
        """Commits follow each other without a hole, each names the one before and its own logs, and adds up."""
        previous = None
        for number, commit in enumerate(self.commits, 1):
            assert commit["commit"] == number
            assert commit["previous_sha256"] == previous
            assert commit["logs_sha256"] == _sha256(_logs_path(commit))
            totals = commit["totals"]
            assert totals["lines"] == totals["rows"] + totals["quarantined_lines"]
            previous = _sha256(commit["path"])
        for row in self.records:
            assert row["lines"] == row["rows"] + row["quarantined_lines"], row["name"]
        plans = sorted(self.lake.glob("ledger/**/*.plan.json"))
        assert len(plans) == len(self.commits), "a plan without a commit"

    def check_objects(self) -> None:
        """Each part is there as its commit has it, and no other is; ``raw/`` is what the ledger says it is."""
        named = {self.lake / part["path"]: part for commit in self.commits for part in commit["parts"]}
        found = {path for folder in ("events", "quarantine") for path in self.lake.glob(f"{folder}/**/*.parquet")}
        assert found == named.keys(), "a part that no commit names, or one that is named and not there"
        for path, part in named.items():
            assert part["sha256"] == _sha256(path), part["path"]
        for name, row in self.last.items():
            if row["raw_sha256"]:
                assert _sha256(self.lake / row["raw_key"]) == row["raw_sha256"], f"{name}: other bytes in raw/"
        assert not list(self.lake.glob(".tmp/*")), "scratch files"

    def summary(self) -> Iterator[str]:
        """Tell what was checked."""
        states = Counter(row["state"] for row in self.last.values())
        yield f"{len(self.imperva.logs)} logs, {sum(log.events.total() for log in self.imperva.logs.values())} events"
        yield f"{len(self.commits)} commits; " + ", ".join(
            f"{count} {state}" for state, count in sorted(states.items())
        )
        lost = [name for name, row in self.last.items() if row["state"] in _WITHOUT_BYTES and name in self.imperva.logs]
        yield f"{len(lost)} logs lost, each of them out of reach; {sum(row['late'] for row in self.records)} came late"


def _logs_path(commit: dict[str, Any]) -> Path:
    path: Path = commit["path"]
    return path.with_name(path.name.replace(".commit.json", ".logs.parquet"))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
