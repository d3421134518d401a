"""Generations: a counter of Imperva that begins again gives names that were there before to other logs.

A name is identity only together with its bytes. At each plan the beginnings of a few logs that are listed and loaded
are held against ``raw/``, or against what the ledger says of them if their bytes were taken out of it. Where one
differs, the counter of its prefix has begun again: from then on the logs of that prefix are those of its next
generation, with their own names in ``raw/``, watermark and rows. All that is listed then is fetched under the new
generation; what has the bytes that the generation before has is a duplicate of it and loads nothing.
"""

from __future__ import annotations

import hashlib
import io
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_imperva.beginnings import format_at_begin
from airflow_provider_imperva.container.header import LogHeader, split_container
from airflow_provider_imperva.errors import CLOSED, ContainerError, LogNotFoundError, RepositoryError
from airflow_provider_imperva.events.grammar.answers import Answer, classify
from airflow_provider_imperva.lake.arrivals import PREFIX
from airflow_provider_imperva.lake.ledger import Head, Ledger
from airflow_provider_imperva.lake.records import Restart
from airflow_provider_imperva.lake.store import StoredObject
from airflow_provider_imperva.lake.watermark import Prefix, State, decided
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.repository.names import LogName, generation_prefix, prefix_order

logger = logging.getLogger(__name__)

SLACK = timedelta(hours=6)
"""How much longer than the window a log may be listed before its name is taken for that of another."""

_BEGINNING = 64 * 1024
_MOST_ASKED = 5
"""Logs that are asked for until one can be compared, where names hint at a restart."""
_A_RUN = timedelta(minutes=5)
"""What lies further apart did not come to ``raw/`` in one batch, whose logs come in any order."""
_MOST_NEXT = 4
"""Since counters leave out numbers, more than one log may be the next to be overwritten."""
_OF_RECORD = frozenset(
    {"name", "state", "reason_code", "raw_key", "raw_sha256", "replaced_sha256", "raw_removed", "fetched_at"}
    | {"checksum", "checksum_ok"}
)
_LOADED = (State.COMMITTED.value, State.DUPLICATE.value)


def current_prefixes(prefixes: Iterable[str]) -> dict[str, str]:
    """Return for each prefix that a repository lists the one of its newest generation."""
    current: dict[str, str] = {}
    for prefix in sorted(prefixes, key=prefix_order):
        current[prefix.partition("-")[0]] = prefix
    return current


def find_restarts(
    ledger: Ledger,
    client: LogOrigin,
    head: Head,
    listed: Mapping[str, Sequence[int]],
    *,
    at: datetime,
    window: timedelta,
    thorough: bool,
) -> tuple[tuple[Restart, ...], tuple[str, ...]]:
    """Find the prefixes whose counter began again; say of which names it cannot be decided.

    :param listed: the numbers in the index, ascending, by prefix of the newest generation.
    :param at: when the index was read, UTC.
    :param window: how long Imperva keeps a log.
    :param thorough: whether logs are asked for where nothing hints at a restart, too: the lowest and the highest number
        that is loaded, and one drawn at random.
    """
    restarts: list[Restart] = []
    doubts: list[str] = []
    for name, numbers in listed.items():
        prefix = head.prefixes.get(name)
        if prefix is None or name == PREFIX or not numbers:
            continue
        comparison = _PrefixComparison(ledger, client, head, name, prefix, numbers, at - window - SLACK)
        if reason := comparison.reason(thorough=thorough):
            base, generation = prefix_order(name)
            restart = Restart(name, generation_prefix(str(base), generation + 1), at, reason)
            logger.error("The counter of prefix %s began again: %s. %s", base, reason, restart)
            restarts.append(restart)
        elif comparison.doubt:
            doubts.append(comparison.doubt)
    return tuple(restarts), tuple(doubts)


class _PrefixComparison:
    """A look at one prefix."""

    def __init__(
        self,
        ledger: Ledger,
        client: LogOrigin,
        head: Head,
        name: str,
        prefix: Prefix,
        numbers: Sequence[int],
        oldest: datetime,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._head = head
        self._name = name
        self._prefix = prefix
        self._numbers = numbers
        self._oldest = oldest
        self._unanswered = 0
        self._without_bytes: dict[int, dict[str, Any]] = {}
        self.doubt: str | None = None
        """What names may be those of other logs, where nothing could be compared."""

    def reason(self, *, thorough: bool) -> str | None:
        """Say by what a restart is known; None if there was none."""
        if self._lists_what_was_left_out():
            return f"numbers up to {self._prefix.left_out} were left out when the lake began, and are listed again"
        again = decided(self._prefix, self._numbers)
        goes_back = self._numbers[-1] < self._prefix.highest
        there = self._in_raw(again) if again else {}
        self._without_bytes = self._bytes_removed(set(again) - there.keys())
        stale = sorted(
            {number for number, item in there.items() if item.modified < self._oldest}
            | {number for number, row in self._without_bytes.items() if row["fetched_at"] < self._oldest}
        )
        asked = {min(stale), max(stale)} if stale else set()
        if there and (goes_back or thorough):
            # The lowest, which a counter that begins again comes to first; and one by chance, so that whatever was
            # replaced is found in time.
            drawn = random.Random(f"{self._head.next_commit}/{self._name}")  # noqa: S311
            asked |= {min(there), max(there), drawn.choice(sorted(there))}
        asked |= set(self._next_to_be_overwritten(there))
        answers = {number: self._differs(number) for number in sorted(asked)}
        for number in stale[:_MOST_ASKED]:
            if any(answers.get(one) is not None for one in stale):
                break
            answers[number] = self._differs(number)
        for number, differs in answers.items():
            if differs:
                return f"{LogName(self._name, number).as_listed} has other bytes than the log of that name"
        unanswered = len(answers) > 1 and self._unanswered == len(answers)
        if unanswered or (stale and all(answers.get(number) is None for number in stale)):
            stale = stale or sorted(there)
            first, last = (LogName(self._name, number).as_listed for number in (stale[0], stale[-1]))
            self.doubt = (
                f"{first} to {last} ({len(stale)} names): listed, and nothing shows whether these are the logs that"
                " were loaded under their names: none came to be compared"
            )
        return None

    def _lists_what_was_left_out(self) -> bool:
        if not self._numbers or self._numbers[0] > self._prefix.left_out:
            return False
        # Not before all that was listed when the lake began has left the window.
        return self._ledger.commit(1).observed_at < self._oldest

    def _in_raw(self, numbers: Iterable[int], *, name: str | None = None) -> dict[int, StoredObject]:
        layout = self._ledger.layout
        paths = {layout.raw(log): log for log in (LogName(name or self._name, number) for number in numbers)}
        folders = {layout.raw_folder(log) for log in paths.values()}
        objects = [item for folder in folders for item in self._ledger.store.objects(folder)]
        return {paths[item.path].sequence: item for item in objects if item.path in paths}

    def _bytes_removed(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return what the ledger says of loaded logs whose bytes a retention policy or an erasure took out of raw/."""
        records = last_records(self._ledger, [LogName(self._name, number) for number in numbers])
        return {
            log.sequence: row
            for log, row in records.items()
            if row.get("raw_removed") and row["state"] in _LOADED and row["fetched_at"]
        }

    def _next_to_be_overwritten(self, there: Mapping[int, StoredObject]) -> list[int]:
        """Return the old logs that a counter which began again comes to next, while they are still listed.

        They have higher numbers than what came last, and came before it.
        """
        came = {number: item.modified for number, item in there.items()}
        base, generation = prefix_order(self._name)
        for earlier in range(1, generation if there else 1):
            for number, item in self._in_raw(there, name=generation_prefix(str(base), earlier)).items():
                if item.size == there[number].size:
                    came[number] = min(came[number], item.modified)
        if not came:
            return []
        last = max(came, key=lambda number: came[number])
        return [number for number in sorted(came) if number > last and came[number] < came[last] - _A_RUN][:_MOST_NEXT]

    def _differs(self, number: int) -> bool | None:
        """Return whether a log differs from the one that was loaded under its name; None if nothing is known."""
        log = LogName(self._name, number)
        try:
            came = self._client.read_beginning(log, _BEGINNING)
            if number in self._without_bytes:
                same = compare_with_record(self._without_bytes[number], came)
                if same is False and self._client.read_beginning(log, _BEGINNING) != came:
                    return None
                return None if same is None else not same
            if self._is_same(self._ledger.layout.raw(log), came):
                return False
            record = last_record(self._ledger, log)
            if record is None or record["state"] not in _LOADED or record["checksum_ok"] is False:
                return None  # what is in raw/ was damaged, so it proves nothing
            if record["raw_key"] != self._ledger.layout.raw(log) and self._is_same(record["raw_key"], came):
                return False
            is_other = compare(self._beginning(record["raw_key"]), came) is False
            return True if is_other and self._client.read_beginning(log, _BEGINNING) == came else None
        except LogNotFoundError as error:
            logger.info("%s", error)
        except RepositoryError as error:
            logger.info("%s", error)
            self._unanswered += 1
        except (FileNotFoundError, *CLOSED):
            pass
        return None

    def _is_same(self, path: str, came: bytes) -> bool:
        """Return whether one begins with the other, as where the first answer was cut."""
        there = self._beginning(path, len(came))
        return bool(came) and bool(there) and came.startswith(there)

    def _beginning(self, path: str, size: int = _BEGINNING) -> bytes:
        with self._ledger.raw.open(path) as file:
            return file.read(size)


def last_record(ledger: Ledger, log: LogName) -> dict[str, Any] | None:
    """Return what the ledger said last of a log; None if it has said nothing yet."""
    return last_records(ledger, [log]).get(log)


def last_records(ledger: Ledger, logs: Iterable[LogName]) -> dict[LogName, dict[str, Any]]:
    """Return what the ledger said last of each log of which it has said anything, from the newest commit back."""
    wanted = {str(log): log for log in logs}
    records: dict[LogName, dict[str, Any]] = {}
    if not wanted:
        return records
    for commit in ledger.commits(newest_first=True):
        table = ledger.logs(commit.commit)
        columns = [name for name in _OF_RECORD if name in table.schema.names]
        for row in table.select(columns).to_pylist():
            if row["name"] in wanted:
                records[wanted.pop(row["name"])] = row
        if not wanted:
            break
    return records


def compare_with_record(record: Mapping[str, Any], came: bytes) -> bool | None:
    """Return whether this begins a log whose bytes are gone, by what the ledger says; None if it says too little."""
    header = _header(came)
    if header and header.checksum and record["checksum"]:
        return bool(header.checksum == record["checksum"])
    if len(came) < _BEGINNING and (header or _is_log(came)):
        return bool(hashlib.sha256(came).hexdigest() == record["raw_sha256"])
    return None


def compare(before: bytes, came: bytes) -> bool | None:
    """Return whether two logs are one by their beginnings: what their headers say, else their events.

    :returns: None if that is unknown, as where one of them is a page that a server sent in place of a log.
    """
    one, other = _header(before), _header(came)
    if one and other:
        # Without a checksum, two logs of one minute may say the same of themselves.
        same = _identity(one) == _identity(other)
        return None if same and one.checksum is None and before != came else same
    if one or other or not (_is_log(before) and _is_log(came)):
        return None
    shorter, longer = sorted((before, came), key=len)
    # What ends within its first record may be the beginning of any log.
    return longer.startswith(shorter) and (b"\n" in shorter or None)


def _is_log(content: bytes) -> bool:
    """Return whether this is the begin of a log without a header, and of nothing else that a server may send."""
    format_name = format_at_begin(content)
    return classify(content) is Answer.EVENTS if format_name == "JSON" else format_name in ("CEF", "LEEF")


def _header(content: bytes) -> LogHeader | None:
    try:
        return split_container(io.BytesIO(content), log="")[0]
    except ContainerError:
        return None


def _identity(header: LogHeader) -> tuple[object, ...]:
    return header.account_id, header.config_id, header.checksum, header.start_time, header.end_time
