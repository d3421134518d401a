"""How much an installation of the package brings: its files and those of all that it requires, extras left out."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "airflow-provider-imperva"


def installed() -> dict[str, float]:
    """Return the MB of each distribution, by name: what pip lists as its files, bytecode left out.

    The package itself is left out where it is installed in place.
    """
    sizes: dict[str, float] = {}
    wanted = [PACKAGE]
    while wanted:
        name = wanted.pop()
        if name in sizes:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        sizes[name] = _megabytes(package)
        required = map(Requirement, package.requires or ())
        wanted += [
            canonicalize_name(one.name) for one in required if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return sizes


def _megabytes(package: Distribution) -> float:
    paths = [package.locate_file(file) for file in package.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6  # type: ignore[attr-defined]
