"""A known bug, as a change to the text of the code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug, and the tests that have to notice it.

    :ivar bug: what it is.
    :ivar file: below the package.
    :ivar old: text that stands there exactly once; ``new`` takes its place.
    :ivar tests: what pytest is to run, below ``tests``.
    """

    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, checkout: Path) -> None:
        path = checkout / "airflow_provider_imperva" / self.file
        text = path.read_text()
        path.write_text(text.replace(self.old, self.new))

    @property
    def places(self) -> int:
        """How often the text to be replaced is there."""
        return (ROOT / "airflow_provider_imperva" / self.file).read_text().count(self.old)
