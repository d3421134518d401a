"""The optional dependencies of this package, for messages about one that is not installed."""

from __future__ import annotations

import shlex
from importlib.metadata import PackageNotFoundError, requires

_PACKAGE = "airflow-provider-imperva"


def install_command(extra: str) -> str:
    """Return the command that installs what an extra of this package stands for.

    It names the packages themselves: the name of this one means nothing to pip where it was installed from a checkout
    or a file, since no index has it.
    """
    try:
        requirements = requires(_PACKAGE) or []
    except PackageNotFoundError:
        # The package's folder without what its installation says of it.
        return f"pip install '{_PACKAGE}[{extra}]'"
    needed = [
        text.partition(";")[0].strip() for text in requirements if f"extra == '{extra}'" in text.replace('"', "'")
    ]
    return shlex.join(["pip", "install", *needed])
