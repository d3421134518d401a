"""A known bug, as a change to the text of the code."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug, and the tests that have to notice it.

    :ivar bug: what it is.
    :ivar file: below the package, or one of ``kernel/``, which is compiled again then.
    :ivar old: text that stands there exactly once; ``new`` takes its place.
    :ivar tests: what pytest is to run, below ``tests``.
    """

    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, checkout: Path) -> None:
        """Put the bug into a copy of the checkout.

        :raises subprocess.CalledProcessError: it does not compile.
        """
        path = self._path(checkout)
        path.write_text(path.read_text().replace(self.old, self.new))
        if self.is_compiled:
            subprocess.run(
                [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
                cwd=checkout,
                check=True,
                capture_output=True,
            )

    @property
    def is_compiled(self) -> bool:
        """Whether it is in the extension."""
        return self.file.startswith("kernel/")

    @property
    def places(self) -> int:
        """How often the text to be replaced is there."""
        return self._path(ROOT).read_text().count(self.old)

    def _path(self, checkout: Path) -> Path:
        return checkout / self.file if self.is_compiled else checkout / "airflow_provider_imperva" / self.file
