"""Where a fake repository keeps its logs: in memory, or in a folder that several processes share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_imperva.repository.names import LogName


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log at hand: its name, when it was added (seconds since the epoch), its size in bytes."""

    name: LogName
    added: float
    bytes: int


def newest(stored: Iterable[StoredLog], *, total: int) -> Iterable[StoredLog]:
    """Give the newest logs that together are no larger than ``total`` bytes."""
    for log in sorted(stored, key=lambda log: (log.added, log.name), reverse=True):
        total -= log.bytes
        if total < 0:
            return
        yield log


class MemoryStorage:
    """Logs in this process."""

    def __init__(self) -> None:
        self._logs: dict[LogName, tuple[float, bytes]] = {}

    def stored(self) -> list[StoredLog]:
        """List the logs, in no order."""
        return [StoredLog(name, added, len(content)) for name, (added, content) in self._logs.items()]

    def read(self, name: LogName) -> bytes | None:
        """Give a log's content, or None if there is no such log."""
        return self._logs.get(name, (0.0, None))[1]

    def write(self, name: LogName, content: bytes, *, added: float) -> None:
        """Keep a log, in place of the one of that name."""
        self._logs[name] = (added, content)

    def remove(self, name: LogName) -> None:
        """Keep a log no more; KeyError if there is none."""
        del self._logs[name]


class FolderStorage:
    """Logs in a folder, which other processes may fill and serve too; files of other names are left alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def stored(self) -> list[StoredLog]:
        """List the logs, in no order."""
        logs = []
        for path in self._directory.iterdir():
            try:
                name, state = LogName.parse(path.name), path.stat()
            except (ValueError, FileNotFoundError):  # another file, or one just removed
                continue
            logs.append(StoredLog(name, state.st_mtime, state.st_size))
        return logs

    def read(self, name: LogName) -> bytes | None:
        """Give a log's content, or None if there is no such log."""
        try:
            return (self._directory / str(name)).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: LogName, content: bytes, *, added: float) -> None:
        """Keep a log, in place of the one of that name."""
        # Beside it and renamed, so that a repository of another process serves it whole or not at all.
        unfinished = self._directory / f".{name}.unfinished"
        unfinished.write_bytes(content)
        os.utime(unfinished, (added, added))
        unfinished.replace(self._directory / str(name))

    def remove(self, name: LogName) -> None:
        """Keep a log no more; KeyError if there is none."""
        try:
            (self._directory / str(name)).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None
