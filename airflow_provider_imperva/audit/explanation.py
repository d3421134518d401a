"""The story of one number: when its log was listed and fetched, what each commit said of it, where its rows are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.audit.history import Entry, History, Progress, last_number, read_entries, silent
from airflow_provider_imperva.audit.trail import Trails
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import TAKES_OUT
from airflow_provider_imperva.lake.records import Commit, Kind, Plan, Report
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import Prefix, Range, State
from airflow_provider_imperva.repository.names import prefix_order

_ASKED = re.compile(r"(?:(?P<prefix>\d{1,19}(?:-\d{1,6})?)[_:])?(?P<number>\d{1,19})(?:\.log)?")
_IN_PARTS = (State.COMMITTED, State.QUARANTINED)


class Step(msgspec.Struct, frozen=True):
    """One thing that happened.

    :ivar at: when, UTC; None if it is not known.
    :ivar commit: in which commit or plan.
    :ivar text: what happened, a sentence without its full stop.
    """

    at: datetime | None
    commit: int | None
    text: str = msgspec.field(name="told")


class PartRows(msgspec.Struct, frozen=True):
    """A part that has rows of the log: how many, or None if it could not be read."""

    path: str
    rows: int | None


class Explanation(msgspec.Struct, frozen=True):
    """What became of one number of one prefix.

    :ivar state: where it stands now; None if the ledger knows nothing of it.
    :ivar steps: what happened, in order.
    :ivar record: the last row about it in a ``logs.parquet``; None if there is none.
    :ivar parts: where its rows are.
    :ivar unread: objects of the ledger that could not be read, and might have said more.
    """

    repository: str
    prefix: str
    number: int
    state: str | None
    steps: tuple[Step, ...]
    record: dict[str, Any] | None
    parts: tuple[PartRows, ...]
    unread: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name that the log has, or would have."""
        return f"{self.prefix}_{self.number}.log"


def explain_log(
    store: Store, repository: str, asked: str, *, thorough: bool = False, progress: Progress = silent
) -> list[Explanation]:
    """Return what became of a log.

    Of a ledger that reads, only the entries are read that tell of the log.

    :param asked: its name, ``PREFIX_NUMBER``, or a number alone: then of every prefix.
    :param thorough: whether every entry is read.
    :raises ConfigurationError: if it is none of them.
    """
    match = _ASKED.fullmatch(asked)
    if match is None or int(match["number"]) >= 2**63:
        raise ConfigurationError("no name and no number of a log", do="Write it as 8416_545.log, or 545", about=asked)
    ledger, number = Ledger(store, repository), int(match["number"])
    if not thorough:
        try:
            return _follow(ledger, match["prefix"], number, progress=progress)
        except LakeError:
            pass  # Something is missing or damaged: then every entry is asked, and what does not read is named.
    history = History(repository)
    explainers: dict[str, _LogExplainer] = {}
    numbers = range(1, last_number(store, ledger.layout) + 1)
    for entry in read_entries(store, ledger.layout, numbers=numbers, whole=True, progress=progress):
        history.add(entry)
        known = {*_prefixes(entry.plan), *_prefixes(entry.commit)}
        for prefix in _asked_for(known, match["prefix"]):
            explainers.setdefault(prefix, _LogExplainer(ledger, prefix, number)).add(entry)
    unread = [history.layout.commit(one) for one in history.missing]
    return [
        explainer.explanation(history, unread)
        for explainer in _at_least_one(explainers, ledger, match["prefix"], number)
    ]


def _follow(ledger: Ledger, prefix: str | None, number: int, *, progress: Progress) -> list[Explanation]:
    """Return what became of a number from the entries that tell of it.

    :raises LakeError: if one that is needed is missing or does not read.
    """
    trails = Trails(ledger)
    explanations = []
    for one in _asked_for(trails.prefixes, prefix) or ([prefix] if prefix else []):
        trail = trails.of(one, number)
        numbers = sorted(trail.entries)
        read = read_entries(ledger.store, ledger.layout, numbers=numbers, whole=True, progress=progress)
        entries = {entry.number: entry for entry in read}
        explainer, history = _LogExplainer(ledger, one, number), History(ledger.layout.repository)
        for place in sorted(trail.entries | trail.revisions):
            if place not in entries and not explainer.is_concerned(trails.commit(place)):
                continue
            (entry,) = (
                [entries[place]]
                if place in entries
                else read_entries(ledger.store, ledger.layout, numbers=[place], whole=True)
            )
            history.add(entry)
            explainer.add(entry)
        explanations.append(explainer.explanation(history, []))
    return explanations


def _asked_for(known: Iterable[str], prefix: str | None) -> list[str]:
    """Return the prefixes to tell of; of one without a generation, every generation."""
    return sorted((name for name in known if prefix in (None, name, name.partition("-")[0])), key=prefix_order)


def _at_least_one(
    explainers: dict[str, _LogExplainer], ledger: Ledger, prefix: str | None, number: int
) -> Iterable[_LogExplainer]:
    return explainers.values() if explainers or prefix is None else [_LogExplainer(ledger, prefix, number)]


def _prefixes(record: Plan | Commit | None) -> dict[str, Prefix]:
    return record.prefixes if record else {}


@dataclass(slots=True)
class _LogExplainer:
    """Hears the ledger entry by entry, and remembers what is said of one number.

    :ivar written: the parts of the batch that loaded it last; ``places`` all parts that had its rows at any time.
    """

    ledger: Ledger
    prefix: str
    number: int
    steps: list[Step] = field(default_factory=list)
    open: Range | None = None
    record: dict[str, Any] | None = None
    written: tuple[str, ...] = ()
    places: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return f"{self.prefix}_{self.number}.log"

    def is_concerned(self, commit: Commit) -> bool:
        """Return whether a commit that revised earlier ones may have changed anything of the log."""
        if commit.kind is Kind.LOAD and commit.revised is None:
            # Of an earlier release, which noted nothing: only its plan shows whether it asked for the log again.
            return self.name.encode() in self.ledger.store.read(self.ledger.layout.plan(commit.commit))
        if commit.kind in (Kind.LOAD, Kind.REPLAY):
            return True
        gone = {part.path for part in commit.removed} | set(commit.retired)
        raw = (item.path.rsplit("/", 1)[-1] for item in commit.removed_raw)
        return not self.places.isdisjoint(gone) or any(name.startswith(self.name) for name in raw)

    def add(self, entry: Entry) -> None:
        if entry.plan:
            self._add_look(entry.plan)
            self._add_plan(entry.plan, committed=entry.commit is not None)
        if entry.logs is not None and pc.any(self._mine(entry.logs)).as_py():
            self._add_logs(entry)
        if entry.commit:
            self._add_commit(entry, entry.commit)

    def _add_look(self, plan: Plan) -> None:
        """Hear how the number stands after a look at the index."""
        opened = self._find(plan.prefixes)
        if opened and (self.open is None or opened.state is not self.open.state):
            if opened.state is State.LISTED:
                self._add_step(opened.since, plan.commit, "the index lists it")
            elif opened.state is State.GAP:
                self._add_step(
                    opened.since,
                    plan.commit,
                    "the index lists higher numbers and not this one: a gap, which may still be filled",
                )
        self.open = opened

    def _add_plan(self, plan: Plan, *, committed: bool) -> None:
        for batch, logs in enumerate(plan.batches):
            if any(log.name == self.name for log in logs):
                what = "replays" if batch in plan.originals else "fetches" if plan.urgent else "loads"
                running = "" if committed else "; it has no commit yet"
                text = f"run {plan.run.run_id} of {plan.run.dag_id} {what} it, in batch {batch} of plan {plan.commit}"
                self._add_step(plan.created_at, plan.commit, f"{text}{running}")

    def _mine(self, logs: pa.Table) -> pa.ChunkedArray:
        """Return which rows are about the number."""
        mine = pc.and_(pc.equal(logs["prefix"], self.prefix), pc.less_equal(logs["sequence"], self.number))
        return pc.and_(mine, pc.greater_equal(logs["sequence_to"], self.number))

    def _add_logs(self, entry: Entry) -> None:
        # Once more, since an entry does not hold everything that is reported here.
        logs = self.ledger.logs(entry.number)
        for row in logs.filter(self._mine(logs)).to_pylist():
            first = self.record is None or self.record["fetched_at"] != row["fetched_at"]
            if row["fetched_at"] and first:
                text = f"fetched: {row['raw_bytes']:,} bytes, SHA-256 {row['raw_sha256']}"
                replaced = row["replaced_sha256"]
                text += f"; the first ones had not decoded, SHA-256 {replaced}" if replaced else ""
                month = row.get("data_key")
                text += f"; encrypted with the data key of {month}" if month else ""
                self._add_step(row["fetched_at"], entry.number, text)
            at = entry.commit.committed_at if entry.commit else None
            text = _outcome(row)
            if entry.commit and entry.commit.kind in TAKES_OUT:
                text += f"; its bytes are taken out of raw/: {row['raw_removed']}" if row["raw_removed"] else ""
                text += f", by {entry.commit.kind}: {entry.commit.purpose}"
            self._add_step(at, entry.number, f"commit {entry.number}: {text}")
            self.record = row

    def _add_commit(self, entry: Entry, commit: Commit) -> None:
        month = self.record.get("data_key") if self.record else None
        if month in commit.destroys:
            text = f"commit {commit.commit}: the data key of {month} was destroyed: its bytes can never be read again"
            self._add_step(commit.committed_at, commit.commit, f"{text}. {commit.purpose}")
        if reason := commit.open.get(self.name):
            self._add_step(commit.committed_at, commit.commit, f"commit {commit.commit}: it stays as it is: {reason}")
        for report in entry.reports.values():
            if any(log.name == self.name and log.state in _IN_PARTS for log in report.logs):
                self.written = tuple(part.path for part in report.parts)
                self.places |= set(self.written)
            elif not self.places.isdisjoint(part.path for part in report.removed):
                self.places |= {part.path for part in report.parts}
                if commit.kind is Kind.COMPACT:
                    self._add_compaction(commit, report)
        if not self.places.isdisjoint(commit.retired):
            text = f"commit {commit.commit}: parts that others took the place of were deleted"
            self._add_step(commit.committed_at, commit.commit, text)
        self.open = self._find(commit.prefixes)

    def _add_compaction(self, commit: Commit, report: Report) -> None:
        """Hear where parts of its batch went."""
        if len(report.removed) > 1:
            done = f"were merged into {report.parts[0].path}"
        else:
            done = f"was taken apart for a replay, into {counted(len(report.parts), 'part')}"
        text = f"commit {commit.commit}: {counted(len(report.removed), 'part')}, its batch's among them, {done}"
        self._add_step(commit.committed_at, commit.commit, text)

    def _find(self, prefixes: dict[str, Prefix]) -> Range | None:
        opened = prefixes[self.prefix].open if self.prefix in prefixes else ()
        return next((item for item in opened if item.first <= self.number <= item.last), None)

    def _add_step(self, at: datetime | None, commit: int, text: str) -> None:
        self.steps.append(Step(at, commit, text))

    def explanation(self, history: History, missing: Iterable[str]) -> Explanation:
        state = self.open.state.value if self.open else self.record["state"] if self.record else None
        steps = self.steps or [Step(None, None, self._unknown(history))]
        parts = tuple(self._rows(history))
        unread = [*(finding.about for finding in history.damages), *missing]
        return Explanation(
            history.repository, self.prefix, self.number, state, tuple(steps), self.record, parts, tuple(unread)
        )

    def _unknown(self, history: History) -> str:
        last = history.open_plan or history.head
        prefix = last.prefixes.get(self.prefix) if last else None
        if prefix is None:
            return f"no log of prefix {self.prefix} was ever listed"
        if self.number <= prefix.left_out:
            return f"left out on purpose: this lake begins after {self.prefix}_{prefix.left_out}"
        if self.number > prefix.highest:
            return f"not yet listed: the highest number ever listed is {prefix.highest}"
        return "never listed: it lies below the first number that this lake knows of"

    def _rows(self, history: History) -> Iterator[PartRows]:
        for path in sorted(history.live.successors(self.written)):
            delivered_as = self.record["delivered_as"] if self.record else None
            rows = _count(self.ledger.store, path, delivered_as or self.name, self.number)
            if rows != 0:
                yield PartRows(path, rows)


def _outcome(row: dict[str, Any]) -> str:
    text = f"{row['state']}" + (", late: it had been given up" if row["late"] else "")
    if row["state"] in _IN_PARTS:
        text += f", {row['lines']:,} lines = {row['rows']:,} rows + {row['quarantined_lines']:,} in quarantine"
        text += "".join(
            f" + {row[f'{what}_lines']:,} {what}" for what in ("expired", "erased") if row.get(f"{what}_lines")
        )
    return text + (f": {row['reason']}" if row["reason"] else "")


def _count(store: Store, path: str, file_name: str, number: int) -> int | None:
    try:
        with store.reader(path) as file:
            rows = pq.read_table(file, columns=["src_file", "src_seq"])
    except (OSError, LakeError, pa.ArrowException):
        return None
    mine = pc.and_(pc.equal(rows["src_file"], file_name), pc.equal(rows["src_seq"], number))
    return int(pc.sum(mine).as_py() or 0)
