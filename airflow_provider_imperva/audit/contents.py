"""The claims of contents, held against the ledger: a claim that somebody planted would pass a log off as a copy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.inventory import walk
from airflow_provider_imperva.audit.unnamed import is_open_log
from airflow_provider_imperva.lake.contents import FirstCopy
from airflow_provider_imperva.lake.layout import CONTENTS, content
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State

_CLAIM = re.compile(r"contents/group=([^/]+)/([0-9a-f]{3})/(\2[0-9a-f]{61})\.json")
_READERS = 32
_UNSETTLED = (State.QUARANTINED, State.DAMAGED, State.AWAITING_KEY, State.DUPLICATE)
"""States of a log that may have claimed a content and come with other bytes later, or grown into another log."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the ledger says of a log's content.

    :ivar group: the account group of the plan that loaded it.
    :ivar sha256: of the plain body; None if it was not looked at.
    :ivar claims: whether it claimed that content when it was loaded.
    :ivar came_again: whether other bytes took the place of the first.
    """

    group: str | None
    sha256: str | None
    state: str
    claims: bool
    came_again: bool


@dataclass(frozen=True, slots=True)
class Claims:
    """All claims of a lake, by path; None where one does not read."""

    by_path: Mapping[str, FirstCopy | None]

    @classmethod
    def read(cls, store: Store) -> Claims:
        """Read every claim of a lake."""

        def decode(path: str) -> tuple[str, FirstCopy | None]:
            try:
                return path, msgspec.json.decode(store.read(path), type=FirstCopy)
            except (FileNotFoundError, msgspec.DecodeError):
                return path, None

        with ThreadPoolExecutor(_READERS) as pool:
            return cls(dict(pool.map(decode, [item.path for item in walk(store, CONTENTS)])))

    def unknown_claims(self, repositories: list[str]) -> Iterator[Finding]:
        """Yield a finding for each claim that does not read, or is of a repository that is not in the lake."""
        for path, claim in self.by_path.items():
            if not _CLAIM.fullmatch(path):
                yield Finding(Kind.UNNAMED, path, "it does not have the name of a claim of a content")
            elif claim is None:
                yield Finding(Kind.UNREADABLE, path, "it does not say which log brought the content first")
            elif claim.repository not in repositories:
                problem = f"it names a log of repository {claim.repository}, which the lake has no ledger of"
                yield Finding(Kind.UNNAMED, path, problem)

    def check(self, history: History, contents: Mapping[str, Content]) -> Iterator[Finding]:
        """Hold the claims that name a log of one repository against its ledger, and its logs against the claims.

        :param contents: what the ledger says of each log, by name.
        """
        for path, claim in self.by_path.items():
            if claim is None or claim.repository != history.repository or not (named := _CLAIM.fullmatch(path)):
                continue
            if is_open_log(history, claim.log):
                continue
            known = contents.get(claim.log)
            if known is None:
                yield Finding(Kind.UNNAMED, path, f"it names {claim.log}, which no commit knows")
            elif known.sha256 != named[3] and not known.came_again and known.state not in _UNSETTLED:
                yield Finding(Kind.CONTRADICTION, path, f"it names {claim.log}, whose content is another")
        for name, known in contents.items():
            if known.claims and known.state == State.COMMITTED and known.sha256 and known.group:
                yield from self._check_own(history, name, known.sha256, known.group)

    def _check_own(self, history: History, name: str, sha256: str, group: str) -> Iterator[Finding]:
        path = content(group, sha256)
        if path not in self.by_path:
            yield Finding(Kind.MISSING, path, f"{name} was loaded with this content, and no claim says so")
        elif (claim := self.by_path[path]) and (claim.repository, claim.log) != (history.repository, name):
            yield Finding(Kind.CONTRADICTION, path, f"it names {claim}, and {name} was loaded with this content")
