"""``python -m tests.engines.readers ENGINE LAKE SPOILT``: what an engine finds in a lake, as JSON.

Runs in the environment ``.engines``. The statements are those of the engine's how-to page.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

from tests.engines.readers.blocks import blocks, by_time_alone, of_first_day
from tests.engines.readers.cells import cell

Found = tuple[dict[str, str], list[dict[str, Any]]]
"""What the engine calls the type of each column, and the rows."""


def main() -> None:
    """Run every statement of the page, and those of a day on a lake in which all other days are spoilt."""
    name, lake, spoilt = sys.argv[1:]
    engine = importlib.import_module(f"tests.engines.readers.{name}_reader")
    whole = blocks(name, lake)
    one_day = {
        block: of_first_day(code)
        for block, code in blocks(name, spoilt).items()
        if block in ("table", "hours", "period")
    }
    if "hours" in one_day:
        one_day["time"] = by_time_alone(one_day["hours"])
    found = {block: _tried(engine.run, code) for block, code in whole.items() if block != "extension"}
    found |= {f"{block} of a spoilt lake": _tried(engine.run, code) for block, code in one_day.items()}
    json.dump({"version": engine.version(), "found": found}, sys.stdout)


def _tried(run: Callable[[str], Found], code: str) -> dict[str, Any]:
    # Whatever an engine raises is a finding.
    try:
        types, rows = run(code)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:1000]}
    return {"types": types, "rows": [{name: cell(value) for name, value in row.items()} for row in rows]}


if __name__ == "__main__":
    main()
