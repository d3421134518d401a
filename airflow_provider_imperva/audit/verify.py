"""Verifying a lake: that its ledger is whole, and that the lake is what the ledger says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count

import msgspec
import pyarrow.compute as pc

from airflow_provider_imperva.audit.accepted import accepted_states
from airflow_provider_imperva.audit.arrivals import check_arrivals
from airflow_provider_imperva.audit.assessment import missing_numbers
from airflow_provider_imperva.audit.contents import Claims
from airflow_provider_imperva.audit.encryption import check_data_keys, unopened
from airflow_provider_imperva.audit.estimate import estimate
from airflow_provider_imperva.audit.figures import counted
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.forwarding import check_forwards, describe, forward_statuses
from airflow_provider_imperva.audit.history import (
    History,
    Progress,
    last_number,
    read_entries,
    repositories,
    silent,
)
from airflow_provider_imperva.audit.inventory import Inventory, take_inventory, unknown_objects
from airflow_provider_imperva.audit.lines import check_lines
from airflow_provider_imperva.audit.named import named_beside, named_objects, removed_parts
from airflow_provider_imperva.audit.numbers import LINES_SUM, UNACCOUNTED, Numbers, all_numbers, last_rows
from airflow_provider_imperva.audit.objects import Checked, NamedObject, check_bytes, check_presence, draw_sample
from airflow_provider_imperva.audit.reading import read_ledger
from airflow_provider_imperva.audit.redo import RedoSelection
from airflow_provider_imperva.audit.redo import redo as redo_logs
from airflow_provider_imperva.audit.timestamps import check_timestamps
from airflow_provider_imperva.audit.trusted import Assurance, TrustedInputs, assurances
from airflow_provider_imperva.audit.unnamed import batches_in_flux, check_unnamed, is_planned
from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.arrivals import Catalog, Cataloged
from airflow_provider_imperva.lake.claim import read_claim
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.live import batch_of_part
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.records import BatchId
from airflow_provider_imperva.lake.register import registered
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.seal.anchors import Anchor
from airflow_provider_imperva.table.check import check_files, check_versions
from airflow_provider_imperva.table.publish import table_kind

NOTHING = TrustedInputs()
_NEVER_ACCEPTED = (Kind.CHAIN, Kind.SIGNATURE)


class Verification(msgspec.Struct, frozen=True):
    """What verifying one repository of a lake found.

    :ivar head: the last commit; None if there is none that can be read.
    :ivar numbers: how many numbers are in each state, by prefix; they add up to ``highest`` less what was left out.
    :ivar lines, rows, quarantined_lines: of the logs as they are now, replays taken into account; ``expired_lines`` and
        ``erased_lines`` those that retention and erasure took out.
    :ivar objects: how many the ledger names in ``raw/``, ``events/`` and ``quarantine/``.
    :ivar hashed: how many of them were read and hashed; ``hashed_bytes`` how much that was.
    :ivar not_hashed: how many were only looked for, with their size: the sample left them out, or they are just being
        replaced.
    :ivar seed: what the sample was drawn with; None if everything was hashed.
    :ivar notes: what is not a fault, and helps to read the rest.
    :ivar accepted: findings that somebody accepted, by a commit of the ledger.
    :ivar observed_at: when the repository was last looked at by a run that committed, UTC.
    :ivar missing: how many numbers are lost or wait for longer than is normal, by state, without those accepted.
    :ivar assurances: what an insider may have done, and whether this would have found it.
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
    expired_lines: int = 0
    erased_lines: int = 0
    assurances: tuple[Assurance, ...] = ()
    accepted: tuple[Finding, ...] = ()
    observed_at: datetime | None = None
    missing: dict[str, int] = {}

    @property
    def ok(self) -> bool:
        """Whether the lake is what its ledger says; logs may be missing all the same, which the ledger says too."""
        return not self.findings

    @property
    def is_complete(self) -> bool:
        """Whether nothing is lost, and nothing waits for longer than is normal."""
        return not self.missing


class LakeVerification(msgspec.Struct, frozen=True):
    """What verifying a lake found.

    :ivar findings: what lies in the lake and belongs to none of its repositories, and repositories that are missing.
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
    trusted: TrustedInputs = NOTHING,
    redo: RedoSelection | None = None,
    at: datetime | None = None,
    processes: int = 1,
    progress: Progress = silent,
    announce: Callable[[str], object] = lambda _: None,
) -> LakeVerification:
    """Verify a lake, or one repository of it.

    :param sample: how many objects of each repository to hash, drawn at random; all by default. The ledger is read,
        and every object looked for, in any case.
    :param trusted: what does not come from the lake.
    :param redo: which logs of each repository are decoded again; none by default.
    :param at: now, UTC.
    :param processes: how many read a long ledger on a disk, side by side.
    :param announce: takes the estimate for a repository before it is verified, if its ledger is long.
    :raises ConfigurationError: if it is not a lake.
    """
    names = repositories(store, only=repository)
    # Before any ledger is read: so whatever claims them has been planned, at least, when its ledger is.
    claims = Claims.read(store)
    verified = tuple(
        verify(
            store,
            name,
            sample=sample,
            seed=seed,
            trusted=trusted,
            redo=redo,
            claims=claims,
            at=at,
            processes=processes,
            progress=progress,
            announce=announce,
        )
        for name in names
    )
    foreign = () if repository else (*_foreign(store, names), *claims.unknown_claims(names), *_check_versions(store))
    foreign += (*_check_repositories(store, trusted, repositories(store)),)
    ok = not foreign and all(item.ok for item in verified)
    return LakeVerification(1, store.uri(), ok, verified, foreign)


def _foreign(store: Store, names: list[str]) -> Iterator[Finding]:
    for path in unknown_objects(store, names):
        yield Finding(Kind.UNNAMED, path, "it does not belong to a lake")


def _check_repositories(store: Store, trusted: TrustedInputs, there: list[str]) -> Iterator[Finding]:
    """Return which repositories have to be in the lake and are not."""
    wanted = dict.fromkeys(registered(store), "the lake's register names it") | trusted.repositories
    for name, why in wanted.items():
        if name not in there:
            yield Finding(Kind.MISSING, Layout(name).ledger, f"{why}, and there is no ledger of it")


def _check_versions(store: Store) -> Iterator[Finding]:
    if table_kind(store):
        yield from (Finding(Kind.UNNAMED, item.about, item.found) for item in check_versions(store))


def _check_table(store: Store, history: History) -> Iterator[Finding]:
    if table_kind(store):
        for item in check_files(store, history.repository, history.live, last=history.last):
            yield Finding(Kind.MISSING if item.missing else Kind.CONTRADICTION, item.about, item.found)


def verify(
    store: Store,
    repository: str,
    *,
    sample: int | None = None,
    seed: int = 0,
    trusted: TrustedInputs = NOTHING,
    redo: RedoSelection | None = None,
    claims: Claims | None = None,
    at: datetime | None = None,
    processes: int = 1,
    progress: Progress = silent,
    announce: Callable[[str], object] = lambda _: None,
) -> Verification:
    """Verify one repository of a lake; a run may be loading it meanwhile.

    :param claims: the claims of contents of the lake, where they have been read.
    """
    layout = Layout(repository)
    at = at or datetime.now(UTC)
    claims = claims or Claims.read(store)
    cataloged = _read_catalog(store, layout)
    # Listed before the ledger is read: so all that is there has been planned, at least, when the ledger is.
    inventory = take_inventory(store, repository)
    last = last_number(store, layout)
    expected = estimate(store, layout, inventory, last=last, sample=sample, processes=processes)
    if expected:
        announce(str(expected))
    proof = read_ledger(
        store,
        layout,
        anchors=trusted.anchors_of(repository),
        keys=trusted.public_keys,
        at=at,
        # Of a short one, it takes longer to start them.
        processes=processes if expected else 1,
        progress=progress,
    )
    history, findings = proof.history, proof.findings
    if isinstance(cataloged, Cataloged | None) and _ends_before(cataloged, proof.delivered):
        # A run went on while the ledger was read.
        cataloged = _read_catalog(store, layout)
    rows = last_rows(history.logs)
    named = list(named_objects(layout, history, rows))
    named += named_beside(layout, history, inventory, {item.path for item in named})
    removed = list(removed_parts(history))
    in_flux = batches_in_flux(history)
    settled = [item for item in named if batch_of_part(item.path) not in in_flux or not item.is_part]
    there = inventory.raw | inventory.parts
    findings += check_presence([*settled, *removed], there)
    findings += check_unnamed(layout, history, inventory, {item.path for item in [*named, *removed]})
    present = [item for item in settled if item.path in there and item.size in (None, there[item.path])]
    drawn = draw_sample(present, sample=sample, seed=seed)
    raw = RawBytes(store, layout, master=trusted.master)
    checked = list(_hashed(store, raw, drawn, progress))
    findings += [finding for item in checked for finding in item.findings]
    findings += check_lines(rows, proof, named, checked)
    numbers = all_numbers(history)
    findings += _check_numbers(numbers)
    findings += _check_claim(store, layout, inventory, history)
    findings += claims.check(history, proof.contents)
    findings += check_arrivals(layout, history, cataloged, proof.delivered)
    findings += check_forwards(store, history)
    findings += check_data_keys(store, raw.keys, history, rows)
    timestamps = check_timestamps(store, history, trusted.authorities, at=at)
    findings += timestamps.findings
    redone = redo_logs(store, raw, proof, rows, redo, seed=seed, progress=progress) if redo else None
    findings += redone.findings if redone else []
    if findings:
        findings = list(_still_so(store, layout, history, findings))
    findings += _check_table(store, history)
    in_order = sorted(set(findings), key=lambda finding: (finding.kind, finding.about))
    abouts = history.accepted_abouts
    accepted = [item for item in in_order if item.kind not in _NEVER_ACCEPTED and item.about in abouts]
    sums = {column: pc.sum(rows[column]).as_py() or 0 for column in LINES_SUM}
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
        findings=tuple(item for item in in_order if item not in accepted),
        accepted=tuple(accepted),
        observed_at=history.head.observed_at if history.head else None,
        missing=missing_numbers(
            sum((Counter(item.states) for item in numbers), Counter()), accepted_states(history, numbers)
        ),
        notes=(
            *_notes(history, inventory, in_flux),
            *unopened(checked),
            *map(describe, forward_statuses(store, history, at=at)),
            *((str(redone),) if redone else ()),
        ),
        assurances=tuple(
            assurances(
                trusted,
                repository,
                last=history.last,
                stamped_from=timestamps.first,
                hashed_all=len(checked) == len(named),
                redone=str(redone) if redone and redone.is_all else None,
            )
        ),
    )


def _head(history: History) -> Anchor | None:
    head = history.head
    return Anchor(head.commit, history.sha256[max(history.commits)]) if head else None


def _hashed(store: Store, raw: RawBytes, drawn: list[NamedObject], progress: Progress) -> Iterator[Checked]:
    done = count(1)
    progress("Hashing objects", 0, len(drawn))
    for checked in check_bytes(store, raw, drawn):
        yield checked
        progress("Hashing objects", next(done), len(drawn))


def _read_catalog(store: Store, layout: Layout) -> Cataloged | LedgerCorruptError | None:
    try:
        return Catalog(store, layout).audit()
    except LedgerCorruptError as error:
        return error


def _ends_before(cataloged: Cataloged | None, delivered: Collection[int]) -> bool:
    return max(delivered, default=0) > (len(cataloged.arrivals) if cataloged else 0)


def _check_claim(store: Store, layout: Layout, inventory: Inventory, history: History) -> Iterator[Finding]:
    path = layout.claim
    if path not in inventory.ledger:
        if history.head and history.head.v > 1:
            yield Finding(Kind.MISSING, path, "nothing says whose ledger this is; the next plan rewrites it")
        return
    claim = read_claim(store.read(path))
    if claim is None:
        yield Finding(Kind.UNREADABLE, path, "it does not say whose ledger this is")
    elif claim.repository != layout.repository:
        yield Finding(Kind.CONTRADICTION, path, f"it is the claim of repository {claim.repository!a}")


def _check_numbers(numbers: Iterable[Numbers]) -> Iterator[Finding]:
    for item in numbers:
        for part in item.ranges:
            if part.state == UNACCOUNTED:
                name = f"{item.prefix}_{part.first}" + (f" to {part.last}" if part.count > 1 else "")
                yield Finding(Kind.UNACCOUNTED, name, f"nothing says what became of {part.count} numbers")


def _still_so(store: Store, layout: Layout, history: History, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Pass on the findings that are not due to a run that went on while the lake was looked at."""
    last = last_number(store, layout)
    logs: set[str] = set()
    gone: set[str] = set()
    batch_ids: set[BatchId] = set()
    # From the plan on that had no commit.
    since = range(history.last + (history.open_plan is None), last + 1)
    for entry in read_entries(store, layout, numbers=since, whole=True):
        if entry.plan and (entry.commit or entry.number > history.last):
            logs |= {log.name for batch in entry.plan.batches for log in batch}
            batch_ids |= set(entry.plan.originals.values()) if entry.plan.v == 1 else set()
        if entry.commit and entry.number > history.last - (history.open_plan is not None):
            gone |= {part.path for part in entry.commit.removed} | set(entry.commit.retired)
            gone |= {item.path for item in entry.commit.removed_raw}
    for finding in findings:
        if finding.kind is Kind.UNNAMED and not store.exists(finding.about):
            continue
        # Written between the listing and the reading of the ledger that names it.
        if finding.kind is Kind.MISSING and store.exists(finding.about):
            continue
        if (
            finding.about in gone
            or batch_of_part(finding.about) in batch_ids
            or finding.about.rsplit("/", 1)[-1] in logs
        ):
            continue
        yield finding


def _notes(history: History, inventory: Inventory, in_flux: frozenset[BatchId]) -> Iterator[str]:
    plan = history.open_plan
    if plan:
        parts = sum(
            (batch_id := batch_of_part(path)) is not None and is_planned(history, batch_id) for path in inventory.parts
        )
        yield (
            f"Plan {plan.commit} of run {plan.run.run_id} has no commit: the run is under way, or has died. "
            f"{counted(parts, 'part')} of it {'is' if parts == 1 else 'are'} there."
        )
    if history.head:
        for hold in history.head.holds:
            yield f"Hold {hold.reference} of {hold.by} is in force for {hold.scope}: {hold.why}"
    if in_flux:
        batches = ", ".join(f"{batch_id.commit}-{batch_id.batch}" for batch_id in sorted(in_flux))
        yield f"A replay of these batches is not finished, so that their parts were not judged: {batches}."
