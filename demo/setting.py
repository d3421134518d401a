"""Where a demo plays: a folder with a fake repository's logs, their private keys, a lake, and Airflow's home."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import KeyPair, forge_repository

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "airflow_provider_imperva" / "examples" / "dags"


class Gain(NamedTuple):
    """What a repository has gained.

    :ivar skipped: the numbers that no log has.
    """

    logs: int
    lines: int
    skipped: list[int]


@dataclass(frozen=True, slots=True)
class Setting:
    """A folder that holds all a demo makes."""

    folder: Path

    @property
    def lake(self) -> Path:
        """The lake."""
        return self.folder / "lake"

    @property
    def home(self) -> Path:
        """Airflow's home."""
        return self.folder / "airflow"

    @property
    def keys(self) -> Path:
        """The folder of the private keys."""
        return self.folder / "keys"

    def repository(self) -> FakeRepository:
        """Make the fake repository, with the logs it had before; use it as a context manager."""
        (self.folder / "repository").mkdir(parents=True, exist_ok=True)
        return FakeRepository(self.folder / "repository", request_log=self.folder / "requests.jsonl")

    def new_key(self) -> KeyPair:
        """Make the next key, and give its private half to Airflow."""
        key = KeyPair.generate(str(len(list(self.keys.glob("*"))) + 1))
        key.write(self.keys)
        return key

    def add_logs(self, repository: FakeRepository, *, count: int, key: KeyPair, age_hours: float = 0) -> Gain:
        """Let the repository gain logs, encrypted for a key, with a few numbers skipped if they are many.

        :param age_hours: how long ago the first of their events was.
        """
        names = repository.names()
        first = names[-1].sequence + 1 if names else 101
        skip = {first + 3, first + 7, first + 8} if count > 9 else set()
        start = int((time.time() - age_hours * 3600) * 1000)
        forged = forge_repository(
            count, first=first, skip=skip, seed=first, start=start, events_per_log=400, keys=[key]
        )
        lines = 0
        for log in forged:
            repository.add(log.name, log.content)
            lines += len(log.events)
        with (self.folder / "forged.jsonl").open("a") as file:
            file.write(json.dumps({"logs": count, "lines": lines}) + "\n")
        return Gain(count, lines, sorted(skip))

    def forged(self) -> Gain:
        """Sum up all that the repository has gained so far."""
        gains = [json.loads(line) for line in (self.folder / "forged.jsonl").read_text().splitlines()]
        return Gain(sum(gain["logs"] for gain in gains), sum(gain["lines"] for gain in gains), [])

    def environment(self, repository: FakeRepository) -> dict[str, str]:
        """Return the environment of an Airflow that has nothing but the demo's connection, DAGs and lake."""
        connection = {
            "conn_type": "imperva",
            "host": repository.url,
            "login": repository.login,
            "password": repository.password,
            "extra": {"keys_dir": str(self.keys)},
        }
        return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")} | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(connection),
            "IMPERVA_LAKE_URI": self.lake.as_uri(),
        }
