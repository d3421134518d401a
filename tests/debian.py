"""The Debian packages whose programs some tests use, and what is skipped without them.

A test says what it needs with ``@pytest.mark.needs("qpdf")``. This table is where the marker, the tests that run such a
program, and the two tables that ``make test`` prints have their knowledge from. As a program, which any Python runs
without a package of its own, it prints what is missing for all that continuous integration runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_LACKS = "lacks the Debian package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A Debian package.

    :ivar command: the program of it that tests run, or a module that another program loads.
    :ivar others: programs that do as well.
    :ivar folders: where the program is if not on the PATH, as a pattern below ``/``.
    :ivar is_unpacked: whether it is unpacked into ``.debian/``, since it cannot be installed beside another of these.
    :ivar shows: what the tests with it show.
    """

    name: str
    command: str
    others: tuple[str, ...] = ()
    folders: str = ""
    is_unpacked: bool = False
    shows: str

    def program(self) -> str | None:
        """Find the program, the newest one first; None if the package is not installed."""
        # PostgreSQL's folders are named by its major version.
        root = self.unpacked if self.is_unpacked else Path("/")
        versions = sorted(root.glob(self.folders), key=_numbers) if self.folders else []
        for command in (self.command, *self.others):
            for folder in reversed(versions):
                if (folder / command).is_file():
                    return str(folder / command)
            if found := shutil.which(command):
                return found
        return None

    @property
    def unpacked(self) -> Path:
        """Where it is unpacked, if it is."""
        return Path(__file__).resolve().parents[1] / ".debian" / self.name


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


PACKAGES = {
    package.name: package
    for package in (
        Package(name="openssl", command="openssl", shows="logs and keys made with the vendor's tools; own authorities"),
        Package(name="faketime", command="faketime", shows="timestamps of an authority in the time of a virtual clock"),
        Package(name="qpdf", command="zlib-flate", shows="logs opened as the vendor's manual opens them"),
        Package(name="docker-compose", command="docker-compose", shows="the Compose file, read by its own program"),
        Package(
            name="chromium",
            command="chromium",
            others=("google-chrome",),
            shows="the coverage page and Airflow's pages in a browser",
        ),
        Package(name="chromium-driver", command="chromedriver", shows="the same"),
        Package(
            name="postgresql",
            command="initdb",
            folders="usr/lib/postgresql/*/bin",
            shows="Airflow's services, started by events",
        ),
        Package(name="default-jre-headless", command="java", shows="the lake read by Spark (make test-engines)"),
        Package(
            name="rsyslog",
            command="rsyslogd",
            folders="usr/sbin",
            shows="events forwarded by syslog, against a real receiver",
        ),
        Package(
            name="rsyslog-relp",
            command="imrelp.so",
            folders="usr/lib/*/rsyslog",
            shows="events forwarded by RELP, with nothing that was acknowledged lost",
        ),
        Package(
            name="rsyslog-openssl",
            command="lmnsd_ossl.so",
            folders="usr/lib/*/rsyslog",
            shows="events forwarded by syslog in TLS",
        ),
        Package(
            name="syslog-ng-core",
            command="syslog-ng",
            folders="usr/sbin",
            is_unpacked=True,
            shows="the same, against another receiver",
        ),
    )
}

BESIDES = (
    Package(name="gcc", command="gcc", shows="the compiled kernel, under sanitizers too (make sanitize)"),
    Package(name="redis-server", command="redis-server", shows="a cluster of workers (make test-cluster)"),
)
"""What other commands than ``make test`` need."""


def program(package: str) -> str:
    """Find the program of a package that is known to be there.

    :raises FileNotFoundError: if it is not.
    """
    if found := PACKAGES[package].program():
        return found
    raise FileNotFoundError(f"{PACKAGES[package].command} is not installed (Debian package {package})")


def missing() -> list[Package]:
    """Return the packages that are not installed."""
    return [package for package in PACKAGES.values() if not package.program()]


def skip_what_lacks_its_packages(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that need a package that is not there.

    :raises pytest.UsageError: if a test needs a package that is not in the table.
    """
    import pytest

    absent = {package.name for package in missing()}
    for item in items:
        needed = [str(name) for marker in item.iter_markers("needs") for name in marker.args]
        if unknown := [name for name in needed if name not in PACKAGES]:
            raise pytest.UsageError(f"{item.nodeid} needs {unknown}, which tests/debian.py does not know")
        if lacking := sorted(absent.intersection(needed)):
            item.add_marker(pytest.mark.skip(reason=f"needs Debian packages: {', '.join(lacking)}"))
            item.user_properties += [(_LACKS, name) for name in lacking]


def lines_before() -> Iterator[str]:
    """Yield the lines of the table that comes before the tests."""
    absent = missing()
    if not absent:
        yield "Debian packages that tests use: all are installed"
        return
    yield "Tests will be skipped for want of Debian packages:"
    yield from _table([(package.name, package.command, package.shows) for package in absent])
    yield f"To run them: {install(absent)}"


def lines_after(skipped: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield the lines of the table that comes after the tests, of those that were skipped."""
    wants = Counter(str(name) for report in skipped for key, name in report.user_properties if key == _LACKS)
    if not wants:
        return
    absent = [package for package in PACKAGES.values() if package.name in wants]
    yield "Tests were skipped for want of Debian packages:"
    rows = [(package.name, package.command, f"{wants[package.name]} tests: {package.shows}") for package in absent]
    yield from _table(rows)
    yield f"To run them: {install(absent)}"


def install(packages: Iterable[Package]) -> str:
    """Return the one command line that installs these packages, or unpacks them."""
    packages = list(packages)
    sudo = "" if os.geteuid() == 0 else "sudo "
    installed = " ".join(package.name for package in packages if not package.is_unpacked)
    unpacked = " ".join(package.name for package in packages if package.is_unpacked)
    commands = [f"{sudo}apt-get install --no-install-recommends {installed}"] if installed else []
    return " && ".join([*commands, *([f"{sudo}.ci/unpack {unpacked}"] if unpacked else [])])


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:2]
    for *cells, last in rows:
        yield "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last])


def main() -> None:
    """Print the names of the packages that are missing, if asked for them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--missing", action="store_true", required=True, help="print what is not installed")
    parser.add_argument("--unpacked", action="store_true", help="print what is not unpacked instead")
    options = parser.parse_args()
    absent = [package for package in (*PACKAGES.values(), *BESIDES) if not package.program()]
    print(*(package.name for package in absent if package.is_unpacked == options.unpacked))


if __name__ == "__main__":
    main()
