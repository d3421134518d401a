"""What a proof is given besides the lake, and what it can rule out with that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from airflow_provider_imperva.lake.data_keys import MasterKeys
from airflow_provider_imperva.seal.anchors import Anchor, of_repository
from airflow_provider_imperva.seal.signature import PublicKeys
from airflow_provider_imperva.seal.timestamps import TrustedAuthorities


@dataclass(frozen=True, slots=True)
class TrustedInputs:
    """What does not come from the lake.

    :ivar anchors: commits that were noted elsewhere.
    :ivar public_keys: by one of which commits have to be signed.
    :ivar authorities: by one of which commits have to be timestamped.
    :ivar expected: repositories that the lake has to have.
    :ivar master: opens what is encrypted in ``raw/``; without it, that is hashed as it is stored.
    """

    anchors: tuple[Anchor, ...] = ()
    public_keys: PublicKeys = field(default_factory=PublicKeys)
    authorities: TrustedAuthorities = field(default_factory=TrustedAuthorities)
    expected: tuple[str, ...] = ()
    master: MasterKeys | None = None

    def anchors_of(self, repository: str) -> list[Anchor]:
        """Return the anchors of one repository."""
        return of_repository(self.anchors, repository)

    @property
    def repositories(self) -> dict[str, str]:
        """The repositories that the lake has to have, each with what says so."""
        reasons = dict.fromkeys(self.expected, "it is expected")
        for anchor in self.anchors:
            named = (*anchor.repositories, *([anchor.repository] if anchor.repository else []))
            reasons |= {name: "an anchor names it" for name in named if name not in reasons}
        return reasons


class Assurance(msgspec.Struct, frozen=True):
    """Whether one way to forge a lake is ruled out.

    :ivar attack: what somebody who can write to the whole lake may do, every hash recomputed.
    :ivar ruled_out: whether it would have been found.
    :ivar by: by what; or else what it would take.
    """

    attack: str
    ruled_out: bool
    by: str


def assurances(
    trusted: TrustedInputs,
    repository: str,
    *,
    last: int,
    stamped_from: int | None,
    hashed_all: bool,
    redone: str | None,
) -> Iterator[Assurance]:
    """Return which attacks of an insider a proof of one repository would have found.

    :param last: its last commit.
    :param stamped_from: the first commit with a timestamp of a trusted authority; None if there is none.
    :param hashed_all: whether every object was hashed.
    :param redone: which logs were decoded again, in words; None unless all were.
    """
    highest = max((anchor.commit for anchor in trusted.anchors_of(repository)), default=0)
    anchored, anchor = _only(highest >= last, f"the anchor of commit {highest}"), f"an anchor of commit {last}"
    signed = f"signatures by {', '.join(trusted.public_keys.ids)}" if trusted.public_keys else None
    rewritten, both = signed or anchored, f"a public key, or {anchor}"
    stamped = _only(stamped_from == 1, f"timestamps by {trusted.authorities.names}, if by more than an hour")
    stamps = "timestamps from the first commit on"
    stamps += f" (they begin with commit {stamped_from})" if stamped_from not in (None, 1) else ""
    yield _assurance("the last commits cut off", anchored, anchor)
    yield _assurance("the ledger rewritten from some commit on", rewritten, both)
    yield _assurance("the ledger rewritten by somebody who has the signing key", anchored, anchor)
    yield _assurance("a commit backdated", rewritten or stamped, f"{both}, or {stamps}")
    yield _assurance(
        "a commit backdated by somebody who has the signing key", anchored or stamped, f"{anchor}, or {stamps}"
    )
    edited = _only(hashed_all, rewritten or "")
    yield _assurance(
        "a part edited, and every hash recomputed", edited, both if hashed_all else f"no --sample, and {both}"
    )
    differ = edited or redone
    yield _assurance("other bytes in raw/ than in events/", differ, f"{both}; or --redo with all logs and keys")
    named = [name for name in trusted.repositories if name == repository]
    yield _assurance(
        "this repository removed as a whole", _only(bool(named), "the list it is on"), "--expect, or an anchor"
    )


def _only(condition: bool, by: str) -> str | None:
    return by if condition and by else None


def _assurance(attack: str, by: str | None, needs: str) -> Assurance:
    return Assurance(attack, by is not None, by or needs)


def describe_assurances(checks: Iterable[Assurance]) -> Iterator[str]:
    """Yield them in words, one a line."""
    for item in checks:
        yield f"{'ruled out by' if item.ruled_out else 'NOT ruled out; needs'} {item.by}: {item.attack}"
