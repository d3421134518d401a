"""Verifying a lake: that its ledger is whole, and that the lake is what the ledger says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.entry import check_entry
from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.forwarding import check_forwards, standings, tell
from airflow_provider_imperva.audit.history import (
    Entry,
    History,
    Progress,
    last_number,
    number_of,
    read_entries,
    repositories,
    silent,
)
from airflow_provider_imperva.audit.inventory import QUARANTINE, Inventory, strangers, take_inventory
from airflow_provider_imperva.audit.numbers import UNACCOUNTED, Numbers, all_numbers, last_rows
from airflow_provider_imperva.audit.objects import Checked, LogKey, Named, check_bytes, check_presence, draw
from airflow_provider_imperva.lake.claim import is_claim
from airflow_provider_imperva.lake.digest import RowsDigest
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.live import LiveSet, batch_of_part
from airflow_provider_imperva.lake.maintenance import has_table
from airflow_provider_imperva.lake.records import Commit, Home, Report
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.table.check import check_files, check_versions

_SHA256_BEGIN = re.compile(r"[0-9a-f]{16}")
_IN_PARTS = (State.COMMITTED, State.QUARANTINED)


class Anchor(msgspec.Struct, frozen=True):
    """A commit somebody has noted elsewhere: a chain that was rewritten as a whole does not have it.

    :ivar sha256: of the commit's object.
    """

    commit: int
    sha256: str


class Verification(msgspec.Struct, frozen=True):
    """What verifying one repository of a lake found.

    :ivar head: the last commit; None if there is none that can be read.
    :ivar numbers: how many numbers are in each state, by prefix; they add up to ``highest`` less what was left out.
    :ivar lines, rows, quarantined_lines: of the logs as they are now, replays taken into account.
    :ivar objects: how many the ledger names in ``raw/``, ``events/`` and ``quarantine/``.
    :ivar hashed: how many of them were read and hashed; ``hashed_bytes`` how much that was.
    :ivar not_hashed: how many were only looked for, with their size: the sample left them out, or they are just being
        replaced.
    :ivar seed: what the sample was drawn with; None if everything was hashed.
    :ivar notes: what is no fault, but has to be known to read the rest.
    """

    repository: str
    head: Anchor | None
    numbers: dict[str, dict[str, int]]
    lines: int
    rows: int
    quarantined_lines: int
    objects: int
    hashed: int
    hashed_bytes: int
    not_hashed: int
    seed: int | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class LakeVerification(msgspec.Struct, frozen=True):
    """What verifying a lake found.

    :ivar findings: what lies in the lake and belongs to none of its repositories.
    """

    v: int
    lake: str
    ok: bool
    repositories: tuple[Verification, ...]
    findings: tuple[Finding, ...]


def verify_lake(
    store: Store,
    *,
    repository: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    anchors: Iterable[Anchor] = (),
    progress: Progress = silent,
) -> LakeVerification:
    """Verify a lake, or one repository of it.

    :param sample: how many objects of each repository to hash, drawn at random; all by default. The ledger is read,
        and every object looked for, in any case.
    :param anchors: commits noted before, of the repository, which must be given then.
    :raises ConfigurationError: if it is no lake.
    """
    found = repositories(store, only=repository)
    verified = tuple(
        verify(store, name, sample=sample, seed=seed, anchors=anchors, progress=progress) for name in found
    )
    foreign = () if repository else (*_foreign(store, found), *_check_versions(store))
    ok = not foreign and all(item.ok for item in verified)
    return LakeVerification(1, store.uri(), ok, verified, foreign)


def _foreign(store: Store, found: list[str]) -> Iterator[Finding]:
    for path in strangers(store, found):
        yield Finding(Kind.UNNAMED, path, "it is no part of a lake")


def _check_versions(store: Store) -> Iterator[Finding]:
    if has_table(store):
        yield from (Finding(Kind.UNNAMED, item.about, item.found) for item in check_versions(store))


def _check_table(store: Store, history: History) -> Iterator[Finding]:
    if has_table(store):
        for item in check_files(store, history.repository, history.live, last=history.last):
            yield Finding(Kind.MISSING if item.missing else Kind.CONTRADICTION, item.about, item.found)


def verify(
    store: Store,
    repository: str,
    *,
    sample: int | None = None,
    seed: int = 0,
    anchors: Iterable[Anchor] = (),
    progress: Progress = silent,
) -> Verification:
    """Verify one repository of a lake; a run may be loading it meanwhile."""
    layout = Layout(repository)
    # Listed before the ledger is read: so all that is there has been planned, at least, when the ledger is.
    inventory = take_inventory(store, repository)
    proof = _read_ledger(store, layout, anchors=anchors, progress=progress)
    history, findings = proof.history, proof.findings
    rows = last_rows(history.logs)
    named = list(_named(layout, history, rows))
    named += _beside(layout, history, inventory, {item.path for item in named})
    removed = list(_removed(history))
    in_flux = _in_flux(history)
    settled = [item for item in named if batch_of_part(item.path) not in in_flux or not item.is_part]
    there = inventory.raw | inventory.parts
    findings += check_presence([*settled, *removed], there)
    findings += _unnamed(layout, history, inventory, {item.path for item in [*named, *removed]})
    present = [item for item in settled if item.path in there and item.size in (None, there[item.path])]
    drawn = draw(present, sample=sample, seed=seed)
    checked = list(_hashed(store, drawn, progress))
    findings += [finding for item in checked for finding in item.findings]
    findings += _check_lines(rows, proof, named, checked)
    numbers = all_numbers(history)
    findings += _check_numbers(numbers)
    findings += _check_claim(store, layout, inventory)
    findings += check_forwards(store, history)
    if findings:
        findings = list(_still_so(store, layout, history, findings))
    findings += _check_table(store, history)
    sums = {column: pc.sum(rows[column]).as_py() or 0 for column in ("lines", "rows", "quarantined_lines")}
    return Verification(
        repository=repository,
        head=_head(history),
        numbers={item.prefix: item.states for item in numbers},
        **sums,
        objects=len(named),
        hashed=len(checked),
        hashed_bytes=sum(there[item.named.path] for item in checked),
        not_hashed=len(named) - len(checked),
        seed=seed if len(drawn) < len(present) else None,
        findings=tuple(sorted(set(findings), key=lambda finding: (finding.kind, finding.about))),
        notes=(
            *_notes(history, inventory, in_flux),
            *map(tell, standings(store, history, at=datetime.now(UTC))),
        ),
    )


@dataclass(slots=True)
class _Ledger:
    """What reading the ledger gave.

    :ivar homes: the batch that loaded a log last, by the log's name.
    :ivar written: the parts that each of these wrote, by path.
    """

    history: History
    findings: list[Finding] = field(default_factory=list)
    homes: dict[str, Home] = field(default_factory=dict)
    written: dict[Home, tuple[str, ...]] = field(default_factory=dict)

    def add(self, layout: Layout, entry: Entry, *, before: str | None, last: bool) -> None:
        if entry.commit:
            self.findings += _check_live(layout, self.history.live, entry.commit)
        self.history.add(entry)
        self.findings += entry.damages
        self.findings += check_entry(layout, entry, before=before, last=last)
        if entry.commit:
            for batch, report in entry.reports.items():
                self._settle(entry.commit, batch, report)

    def _settle(self, commit: Commit, batch: int, report: Report) -> None:
        """Note where the rows of a batch's logs are now."""
        replaced = commit.replaced.get(batch)
        home = replaced if replaced and commit.v == 1 else Home(commit.commit, batch)
        self.written[home] = tuple(part.path for part in report.parts)
        for log in report.logs:
            if log.name and log.state in _IN_PARTS:
                before = self.homes.get(log.name)
                if before not in (None, replaced):
                    found = f"batch {batch} of commit {commit.commit} loads it, and batch {before.batch} of commit"
                    found += f" {before.commit}, whose parts it does not replace, did before"
                    self.findings.append(Finding(Kind.CONTRADICTION, log.name, found))
                self.homes[log.name] = home


def _check_live(layout: Layout, live: LiveSet, commit: Commit) -> Iterator[Finding]:
    """Tell which of the parts that a commit removed were no part of the lake."""
    path = layout.commit(commit.commit)
    for part in commit.removed:
        if live.parts.get(part.path, (None,))[0] != part:
            yield Finding(Kind.CONTRADICTION, path, f"it removed {part.path}, which was no part of the lake")


def _read_ledger(store: Store, layout: Layout, *, anchors: Iterable[Anchor], progress: Progress) -> _Ledger:
    ledger = _Ledger(History(layout.repository))
    last = last_number(store, layout)
    before: str | None = None
    for entry in read_entries(store, layout, last=last, whole=True, progress=progress):
        ledger.add(layout, entry, before=before, last=entry.number == last)
        before = entry.sha256
    for anchor in anchors:
        there = ledger.history.sha256.get(anchor.commit)
        if there != anchor.sha256:
            found = f"its SHA-256 is {there}" if there else "it is not there"
            noted = f"{found}; it was noted as {anchor.sha256}"
            ledger.findings.append(Finding(Kind.CHAIN, layout.commit(anchor.commit), noted))
    return ledger


def _head(history: History) -> Anchor | None:
    head = history.head
    return Anchor(head.commit, history.sha256[max(history.commits)]) if head else None


def _named(layout: Layout, history: History, rows: pa.Table) -> Iterator[Named]:
    """Yield every object that the commits name, as the last one does."""
    columns = ["name", "raw_key", "raw_bytes", "raw_sha256", "replaced_sha256", "commit"]
    for row in rows.filter(pc.is_valid(rows["raw_key"])).select(columns).to_pylist():
        by = f"commit {row['commit']}"
        yield Named(row["raw_key"], row["raw_bytes"], row["raw_sha256"], by, is_part=False)
        first = layout.raw(LogName.parse(row["name"]))
        if first != row["raw_key"]:
            yield Named(first, None, row["replaced_sha256"], by, is_part=False)
    for path, (part, commit) in history.live.parts.items():
        yield Named(path, part.size, part.sha256, f"commit {commit}", is_part=True)


def _removed(history: History) -> Iterator[Named]:
    """Yield the objects of parts that are no longer part of the lake, and are not retired yet."""
    for path, (part, commit) in history.live.removed.items():
        yield Named(path, part.size, part.sha256, f"until it is retired commit {commit}", is_part=True)


def _beside(layout: Layout, history: History, inventory: Inventory, named: set[str]) -> Iterator[Named]:
    """Yield what lies beside the first bytes of a log and no commit names: other bytes of it, named by their hash."""
    for path in inventory.raw.keys() - named:
        first, _, sha256 = path.rpartition(".")
        if _SHA256_BEGIN.fullmatch(sha256) and (first in named or _is_open(layout, history, first)):
            yield Named(path, None, sha256, "its name", is_part=False)


def _in_flux(history: History) -> frozenset[Home]:
    """Return the homes that a replay of an older release is at, or has broken off: it writes over their parts."""
    unfinished = {item.home for item in history.head.replaying} if history.head else set()
    if history.open_plan and history.open_plan.v == 1:
        unfinished |= set(history.open_plan.homes.values())
    return frozenset(home for home in unfinished if (by := history.commits.get(home.commit)) is None or by.v == 1)


def _unnamed(layout: Layout, history: History, inventory: Inventory, named: set[str]) -> Iterator[Finding]:
    """Tell what lies in the lake although nothing names it; what an open plan may have written is no finding."""
    in_flux = _in_flux(history)
    for path in inventory.raw.keys() - named:
        if not _is_open(layout, history, path):
            yield Finding(Kind.UNNAMED, path, "no commit names it, and no log of that name waits to be loaded")
    for path in inventory.parts.keys() - named:
        home = batch_of_part(path)
        if home is None:
            yield Finding(Kind.UNNAMED, path, "it does not have the name of a part")
        elif by := history.live.retired.get(path):
            yield Finding(Kind.UNNAMED, path, f"commit {by} retired it, and it is still there; the next run deletes it")
        elif not _is_planned(history, home) and home not in in_flux:
            commit = history.commits.get(home.commit)
            unfinished = commit is not None and home.batch in commit.failed_batches
            found = (
                "it is of a batch that did not finish; the next commits sweep it"
                if unfinished
                else "no commit names it"
            )
            yield Finding(Kind.UNNAMED, path, found)
    for path in inventory.ledger:
        if not _is_of_ledger(layout, history, path):
            yield Finding(Kind.UNNAMED, path, "it is no object of this ledger")


def _is_planned(history: History, home: Home) -> bool:
    """Tell whether a part is of the plan that has no commit yet."""
    plan = history.open_plan
    return plan is not None and plan.commit == home.commit and home.batch < len(plan.batches)


def _is_open(layout: Layout, history: History, path: str) -> bool:
    """Tell whether an object in ``raw/`` is of a log that is listed and not loaded yet."""
    try:
        log = LogName.parse(path.rsplit("/", 1)[-1])
    except ValueError:
        return False
    last = history.open_plan or history.head
    prefix = last.prefixes.get(log.prefix) if last else None
    return (
        prefix is not None
        and path == layout.raw(log)
        and any(item.first <= log.sequence <= item.last and item.state is not State.GAP for item in prefix.open)
    )


def _is_of_ledger(layout: Layout, history: History, path: str) -> bool:
    if path == layout.claim:
        return True
    number = number_of(path)
    if number is None or not 1 <= number <= history.last:
        return False
    if path in (layout.plan(number), layout.logs(number), layout.commit(number)):
        return True
    if commit := history.commits.get(number):
        batches = len(commit.batches) + len(commit.failed_batches)
    elif plan := history.plans.get(number):
        batches = len(plan.batches)
    else:
        return True  # what is missing or does not read is told, and cannot tell how many batches there were
    return any(path in (layout.report(number, batch), layout.intent(number, batch)) for batch in range(batches))


def _hashed(store: Store, drawn: list[Named], progress: Progress) -> Iterator[Checked]:
    done = count(1)
    progress("Hashing objects", 0, len(drawn))
    for checked in check_bytes(store, drawn):
        yield checked
        progress("Hashing objects", next(done), len(drawn))


def _check_lines(
    rows: pa.Table, proof: _Ledger, named: Iterable[Named], checked: Iterable[Checked]
) -> Iterator[Finding]:
    """Look which rows of each log are in the parts themselves, and hold them against what the commits say."""
    events: defaultdict[LogKey, RowsDigest] = defaultdict(RowsDigest)
    quarantine: defaultdict[LogKey, RowsDigest] = defaultdict(RowsDigest)
    read = set()
    for item in checked:
        if item.lines is not None:
            read.add(item.named.path)
            found_in = quarantine if item.named.path.startswith(f"{QUARANTINE}/") else events
            for key, lines in item.lines.items():
                found_in[key] += lines
    # Of a log whose parts were not all read, nothing can be said.
    unread = {item.path for item in named if item.is_part and item.path not in read}
    live = proof.history.live
    unsure = {home for home, paths in proof.written.items() if not unread.isdisjoint(live.successors(paths))}
    told = rows.filter(pc.is_in(rows["state"], pa.array([state.value for state in _IN_PARTS])))
    columns = ["name", "sequence", "delivered_as", "state", "rows", "quarantined_lines", "rows_digest"]
    for row in told.select(columns).to_pylist():
        name = row["name"]
        key = (row["delivered_as"] or name, row["sequence"])
        if proof.homes.get(name) in unsure:
            continue
        # A log that is in quarantine as a whole has one row there.
        whole = row["state"] == State.QUARANTINED
        expected = (row["rows"], row["quarantined_lines"] + whole)
        there = (events[key].rows, quarantine[key].rows)
        if expected != there:
            found = f"events/ has {there[0]} rows of it and quarantine/ {there[1]}"
            yield Finding(Kind.CONTRADICTION, name, f"{found}; the commits say {expected[0]} and {expected[1]}")
        elif row["rows_digest"] not in (None, str(events[key])):
            yield Finding(Kind.CONTRADICTION, name, f"its {there[0]} rows in events/ are not those that were loaded")


def _check_claim(store: Store, layout: Layout, inventory: Inventory) -> Iterator[Finding]:
    if layout.claim in inventory.ledger and not is_claim(store.read(layout.claim)):
        yield Finding(Kind.UNREADABLE, layout.claim, "it does not say whose ledger this is")


def _check_numbers(numbers: Iterable[Numbers]) -> Iterator[Finding]:
    for item in numbers:
        for stretch in item.stretches:
            if stretch.state == UNACCOUNTED:
                name = f"{item.prefix}_{stretch.first}" + (f" to {stretch.last}" if stretch.count > 1 else "")
                yield Finding(Kind.UNACCOUNTED, name, f"nothing says what became of {stretch.count} numbers")


def _still_so(store: Store, layout: Layout, history: History, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Pass on the findings that are not due to a run that went on while the lake was looked at."""
    last = last_number(store, layout)
    logs: set[str] = set()
    gone: set[str] = set()
    homes: set[Home] = set()
    # From the plan on that had no commit.
    for entry in read_entries(store, layout, first=history.last + (history.open_plan is None), last=last, whole=True):
        if entry.plan and (entry.commit or entry.number > history.last):
            logs |= {log.name for batch in entry.plan.batches for log in batch}
            homes |= set(entry.plan.homes.values()) if entry.plan.v == 1 else set()
        if entry.commit and entry.number > history.last - (history.open_plan is not None):
            gone |= {part.path for part in entry.commit.removed} | set(entry.commit.retired)
    for finding in findings:
        if finding.kind is Kind.UNNAMED and not store.exists(finding.about):
            continue
        # Written between the listing and the reading of the ledger that names it.
        if finding.kind is Kind.MISSING and store.exists(finding.about):
            continue
        if finding.about in gone or batch_of_part(finding.about) in homes or finding.about.rsplit("/", 1)[-1] in logs:
            continue
        yield finding


def _notes(history: History, inventory: Inventory, in_flux: frozenset[Home]) -> Iterator[str]:
    plan = history.open_plan
    if plan:
        parts = sum(
            (home := batch_of_part(path)) is not None and _is_planned(history, home) for path in inventory.parts
        )
        yield (
            f"Plan {plan.commit} of run {plan.run.run_id} has no commit: the run is under way, or has died. "
            f"{counted(parts, 'part')} of it {'is' if parts == 1 else 'are'} there."
        )
    if in_flux:
        batches = ", ".join(f"{home.commit}-{home.batch}" for home in sorted(in_flux))
        yield f"A replay of these batches is not finished, so that their parts were not judged: {batches}."
