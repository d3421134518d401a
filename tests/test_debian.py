"""What is skipped for want of a Debian package is said before the tests and after them, with the command that helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.debian import BESIDES, PACKAGES

ROOT = Path(__file__).resolve().parent.parent


def run_tests(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run these tests with the hooks of the project's own, on a machine without any program."""
    (folder / "test_them.py").write_text(f"import pytest\n{tests}")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "tests.conftest", "-p", "no:cacheprovider"]
    environment = os.environ | {"PATH": str(folder), "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [*command, *options, str(folder)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_both_tables_name_package_command_and_what_installs_them(tmp_path: Path, options: tuple[str, ...]) -> None:
    tests = """
@pytest.mark.needs("qpdf")
@pytest.mark.parametrize("number", range(3))
def test_one(number): raise AssertionError("it ran")

@pytest.mark.needs("chromium", "qpdf")
def test_another(): raise AssertionError("it ran")

def test_needs_nothing(): pass
"""
    done = run_tests(tmp_path, tests, *options)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 4 skipped" in done.stdout
    before, after = done.stdout.split("Tests were skipped for want of Debian packages:")
    for package in ("qpdf", "chromium", "chromium-driver", "docker-compose", "openssl"):
        assert [line.split()[:2] for line in before.splitlines() if f"  {package} " in line] == [
            [package, PACKAGES[package].command]
        ]
    rows = [line.split()[:4] for line in after.splitlines() if line.startswith("  ")]
    assert rows == [["qpdf", "zlib-flate", "4", "tests:"], ["chromium", "chromium", "1", "tests:"]]
    assert "apt-get install --no-install-recommends qpdf chromium\n" in after


def test_a_package_that_the_table_does_not_have_is_an_error(tmp_path: Path) -> None:
    done = run_tests(tmp_path, "@pytest.mark.needs('telnet')\ndef test_one(): pass")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "needs ['telnet'], which tests/debian.py does not know" in done.stderr


def test_each_package_of_the_table_is_needed_by_a_test() -> None:
    named = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    assert [name for name in PACKAGES if f'"{name}"' not in named] == []


def test_a_bare_python_prints_what_continuous_integration_lacks(tmp_path: Path) -> None:
    """Before there is an environment: nothing but the standard library is imported."""
    command = [sys.executable, "-I", "-S", str(ROOT / "tests" / "debian.py"), "--missing"]

    def printed(path: str) -> set[str]:
        done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    (tmp_path / "gcc").touch(mode=0o755)
    elsewhere = {package.name for package in PACKAGES.values() if package.folders}
    assert printed(str(tmp_path)) | elsewhere == {*PACKAGES, *(package.name for package in BESIDES)} - {"gcc"}
