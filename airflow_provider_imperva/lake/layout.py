"""Where everything is in a lake: one repository's paths below the lake's root.

::

    raw/repository=<r>/<prefix>/<sequence // 1000>/<log name>, .<SHA-256>
    events/repository=<r>/event_class=<c>/event_date=<date>/part-<commit>-<batch>[-<piece>].parquet
    events/_delta_log/                                              the log of the lake's Delta table
    events/_iceberg/                                                what the lake's Iceberg table consists of
    quarantine/repository=<r>/part-<commit>-<batch>.parquet
    ledger/repository=<r>/claim.json
    ledger/repository=<r>/<commit // 1000>/<commit>.plan.json, .batch-<batch>.json, .logs.parquet, .commit.json,
                                                .commit.tsr
    arrivals/repository=<r>/pages/<number // 1000>/<number>.json, gathered/<number>.parquet, whole-listing.json
    contents/group=<g>/<first 3 digits>/<SHA-256>.json
    register/repository=<r>.json                                    which repositories there are
    keys/repository=<r>/<YYYY-MM>.json                              data keys of raw/, each wrapped by another key
    reports/repository=<r>/coverage.html, coverage.json, badge.svg
    reports/coverage.html                                           all repositories at a glance
    reports/traffic.html                                            answers to questions about the traffic
    forwards/<destination>/repository=<r>/<commit>.json, progress.json, start.json
    exports/<name>/repository=<r>/<commit>.json, settings.json      what was written elsewhere in another form

The thousands keep listings short after years. Commits have 12 digits, thousands 9 and batches 4, so that the order of
the names is the order of the numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from airflow_provider_imperva.repository.names import LogName

TIMESTAMP = ".tsr"
"""How the name of a timestamp ends, which the names of other objects of the ledger do not."""

COMMITS_A_FOLDER = 1000
"""How many commits a folder of the ledger has."""

OVERVIEW_PAGE = "reports/coverage.html"
"""The page that shows how all repositories of a lake stand."""

TRAFFIC_PAGE = "reports/traffic.html"
"""The page that ``imperva-logs report`` writes: what the traffic was. It names clients."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one repository.

    :ivar repository: the repository's id, safe as one segment of a path.
    """

    repository: str

    @property
    def ledger(self) -> str:
        """Folder of the ledger."""
        return f"ledger/repository={self.repository}"

    @property
    def claim(self) -> str:
        """Which source the ledger is of."""
        return f"{self.ledger}/claim.json"

    @property
    def coverage_page(self) -> str:
        """The page that shows how completely the repository is in the lake."""
        return f"reports/repository={self.repository}/coverage.html"

    @property
    def coverage_summary(self) -> str:
        """The same in a few figures, as JSON."""
        return f"reports/repository={self.repository}/coverage.json"

    @property
    def badge(self) -> str:
        """A picture of one line that says how the repository stands, to be shown elsewhere."""
        return f"reports/repository={self.repository}/badge.svg"

    @property
    def detections_folder(self) -> str:
        """Folder of what detections found, by day."""
        return f"reports/detections/repository={self.repository}"

    def findings(self, day: str) -> str:
        """What detections found on a day, with the clients that it is about."""
        return f"{self.detections_folder}/event_date={day}/findings.parquet"

    def forwards(self, destination: str) -> str:
        """Folder of what was sent to a destination."""
        return f"{FORWARDS}/{destination}/repository={self.repository}"

    def exports(self, name: str) -> str:
        """Folder of what was exported under a name."""
        return f"{EXPORTS}/{name}/repository={self.repository}"

    @property
    def raw_root(self) -> str:
        """Folder of all bytes as received, with a folder for each prefix."""
        return f"raw/repository={self.repository}"

    def raw_folder(self, log: LogName) -> str:
        """Folder of a log's bytes as received."""
        return f"{self.raw_root}/{log.prefix}/{log.sequence // 1000:09d}"

    def raw(self, log: LogName) -> str:
        """Object with a log's bytes as received."""
        return f"{self.raw_folder(log)}/{log}"

    def raw_beside(self, log: LogName, sha256: str) -> str:
        """Object with other bytes received for a log, after the first ones had not decoded."""
        return f"{self.raw(log)}.{sha256[:16]}"

    def is_beside(self, path: str, log: LogName) -> bool:
        """Return whether an object holds other bytes received for a log."""
        return path.startswith(f"{self.raw(log)}.")

    @property
    def keys_folder(self) -> str:
        """Folder of the data keys that ``raw/`` is encrypted with."""
        return f"{KEYS}/repository={self.repository}"

    def data_key(self, month: str) -> str:
        """Data key of a month, ``YYYY-MM``."""
        return f"{self.keys_folder}/{month}.json"

    @property
    def events_folder(self) -> str:
        """Folder of all partitions."""
        return f"events/repository={self.repository}"

    @property
    def quarantine_folder(self) -> str:
        """Folder of what could not be decoded."""
        return f"quarantine/repository={self.repository}"

    def part(
        self, *, commit: int, batch: int, event_class: str, event_date: date | str, piece: int | None = None
    ) -> str:
        """Parquet part with a batch's events of one class and date.

        :param piece: tells apart several of one batch, as where a merged part is taken apart.
        """
        partition = f"event_class={event_class}/event_date={event_date}"
        of_batch = "" if piece is None else f"-{piece:04d}"
        return f"{self.events_folder}/{partition}/part-{commit:012d}-{batch:04d}{of_batch}.parquet"

    def quarantine(self, *, commit: int, batch: int, piece: int | None = None) -> str:
        """Parquet part with what a batch could not decode; ``piece`` as in :meth:`part`."""
        of_batch = "" if piece is None else f"-{piece:04d}"
        return f"{self.quarantine_folder}/part-{commit:012d}-{batch:04d}{of_batch}.parquet"

    @property
    def gathered_logs_folder(self) -> str:
        """Folder of what the commits say of logs, gathered."""
        return f"reports/repository={self.repository}/logs"

    def gathered_logs(self, thousand: int) -> str:
        """What the commits of one folder of the ledger say of logs."""
        return f"{self.gathered_logs_folder}/{thousand:09d}.parquet"

    def thousand(self, commit: int) -> str:
        """Folder of the ledger that holds a commit."""
        return f"{self.ledger}/{commit // COMMITS_A_FOLDER:09d}"

    def _entry(self, commit: int, kind: str) -> str:
        return f"{self.thousand(commit)}/{commit:012d}.{kind}"

    def plan(self, commit: int) -> str:
        """What a run set out to load."""
        return self._entry(commit, "plan.json")

    def intent(self, commit: int, batch: int) -> str:
        """The parts a batch is about to write."""
        return self._entry(commit, f"batch-{batch:04d}.parts.json")

    def report(self, commit: int, batch: int) -> str:
        """What a batch did."""
        return self._entry(commit, f"batch-{batch:04d}.json")

    def logs(self, commit: int) -> str:
        """One row a log decided in this commit."""
        return self._entry(commit, "logs.parquet")

    def commit(self, commit: int) -> str:
        """The write that makes a plan's outcome true."""
        return self._entry(commit, "commit.json")

    def timestamp(self, commit: int) -> str:
        """An authority's timestamp of the commit's object."""
        return self._entry(commit, f"commit{TIMESTAMP}")

    @property
    def arrivals_folder(self) -> str:
        """Folder of the catalog's pages."""
        return f"arrivals/repository={self.repository}/pages"

    def arrivals(self, first: int) -> str:
        """Page of the catalog of arrivals, by its first number."""
        return f"{self.arrivals_folder}/{first // 1000:09d}/{first:012d}.json"

    @property
    def gathered_arrivals(self) -> str:
        """Folder with the arrivals up to a number in one object."""
        return f"arrivals/repository={self.repository}/gathered"

    @property
    def whole_listing(self) -> str:
        """When all of a delivery folder was listed last."""
        return f"arrivals/repository={self.repository}/whole-listing.json"

    def gathered(self, last: int) -> str:
        """All arrivals up to a number."""
        return f"{self.gathered_arrivals}/{last:012d}.parquet"


DELTA_LOG = "events/_delta_log"
"""Folder of a Delta table's log."""

ICEBERG = "events/_iceberg"
"""Folder of what an Iceberg table consists of, besides the parts."""

CONTENTS = "contents"
"""The folder of claims of contents."""

REGISTER = "register"
"""The folder that says which repositories the lake has."""

ARRIVALS = "arrivals"
"""The folder of what was delivered, with a folder for each repository."""

KEYS = "keys"
"""The folder of data keys, with a folder for each repository."""

FORWARDS = "forwards"
"""The folder of what was sent to SIEMs, with a folder for each destination."""

EXPORTS = "exports"
"""The folder of what was written elsewhere in another form, with a folder for each export."""

_PART = re.compile(r"part-(\d{12})-\d{4,}(?:-\d{4,})?\.parquet")
_PARTITION = re.compile(r"events/repository=[^/]+/event_class=([^/]+)/event_date=([^/]+)/")


def partition_of(path: str) -> tuple[str, str] | None:
    """Return the event class and date of a part by its path; None for one in ``quarantine/``."""
    match = _PARTITION.match(path)
    return (match[1], match[2]) if match else None


def commit_of_part(path: str) -> int | None:
    """Return which commit a part is of, by its name; None if it does not have the name of a part."""
    match = _PART.fullmatch(path.rsplit("/", 1)[-1])
    return int(match[1]) if match else None


def content(group: str, sha256: str) -> str:
    """Object that says which log of a group brought a content first."""
    return f"{CONTENTS}/group={group}/{sha256[:3]}/{sha256}.json"
