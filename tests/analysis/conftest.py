from __future__ import annotations

import sys
from pathlib import Path

# The runs that fill a lake are those of the tests of `load`.
sys.path.append(str(Path(__file__).parents[1] / "load"))
