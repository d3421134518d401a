"""``python -m tests.engines.write_page``: asks all engines, and writes docs/reference/engines.md."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pages.engines import NAMES, engines_page
from tests.engines.ask import ROOT, ask, make_lakes
from tests.engines.verdict import judge

PAGE = ROOT / "docs" / "reference" / "engines.md"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        lake, spoilt = make_lakes(Path(folder))
        PAGE.write_text(engines_page({name: judge(ask(name, lake, spoilt), lake) for name in NAMES}))


if __name__ == "__main__":
    main()
