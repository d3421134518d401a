"""What make says where it cannot work: one line that names what is missing, and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.long_form import LONG

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = Path("/usr/bin")
PYTHON = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
PROGRAMS = ("make", "sh", "dirname", "grep", "awk", "df", "rm", "touch", "mkdir")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make demo` reads before it has a Python."""
    folder = tmp_path / "checkout"
    for name in (
        "Makefile",
        "pyproject.toml",
        "setup.py",
        ".ci/install",
        "requirements/run.txt",
        "requirements/pins.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder with the programs of every machine, as the only one on the PATH. It has no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(SYSTEM / name)
    return folder


def run(checkout: Path, path: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    # Whatever the machine says of package indexes does not count here.
    environment = {"HOME": str(home), "PATH": str(path), "LANG": "C", "PIP_CONFIG_FILE": os.devnull, **variables}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that says what is wrong; make adds which of its rules failed."""
    assert done.returncode != 0, done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: *** ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def give_python(path: Path, script: str = "") -> None:
    """Put a Python on the PATH."""
    python = path / "python3"
    python.write_text(f'#!/bin/sh\n{script}\nexec {PYTHON} "$@"\n')
    python.chmod(0o755)


def test_what_python_compiled_is_kept_whatever_the_environment_says(checkout: Path, path: Path) -> None:
    rule = "shown:;@echo kept=$${PYTHONDONTWRITEBYTECODE-yes}"
    done = run(checkout, path, "make", "--eval", rule, "shown", PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == "kept=yes\n", done.stderr


def test_no_python(checkout: Path, path: Path) -> None:
    line = told(run(checkout, path, "make", "demo"))
    assert line.startswith(
        "No Python 3.11 to 3.14 found (tried: python3.13 python3.12 python3.11 python3): install one"
    )
    assert "apt-get install python3 python3-venv" in line


def test_a_python_that_is_named_and_is_none(checkout: Path, path: Path) -> None:
    give_python(path)
    line = told(run(checkout, path, "make", "demo", "PYTHON=/opt/nothing/python3"))
    assert line.startswith("No Python 3.11 to 3.14 found (tried: /opt/nothing/python3)")


def test_no_venv_module(checkout: Path, path: Path, tmp_path: Path) -> None:
    """As on Debian and Ubuntu, where the package python3 has none."""
    (tmp_path / "ensurepip.py").write_text("raise ImportError")
    give_python(path, f"export PYTHONPATH={tmp_path}")
    line = told(run(checkout, path, "make", "demo"))
    assert line.startswith("Python 3.")
    assert "has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)" in line


@pytest.mark.slow
def test_a_venv_that_is_half_made_is_made_anew_and_stays_when_there_is_no_network(
    checkout: Path, path: Path, tmp_path: Path
) -> None:
    """What is installed already stays as it is, and what is in it afterwards is whole."""
    give_python(path)
    venv = checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    nothing = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    first = run(checkout, path, "make", "demo", **nothing)
    assert "The .venv that is here is incomplete, so it is made again" in first.stdout
    line = told(first)
    assert line.startswith("pip cannot reach its package index: check the network")
    again = run(checkout, path, "make", "demo", **nothing)
    assert told(again) == line
    assert "Making" not in again.stdout

    index = packages(checkout, tmp_path, size=10)
    done = run(checkout, path, ".ci/install", "pins", **index)
    assert done.returncode == 0, done.stderr
    assert run(checkout, path, str(venv / "bin/python"), "-c", "import large").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "megabytes",
    [
        pytest.param(4, id="while .venv is made", marks=pytest.mark.skipif(not LONG, reason="LONG=1 tries it, too")),
        pytest.param(40, id="while pip installs"),
    ],
)
def test_a_full_disk(checkout: Path, path: Path, tmp_path: Path, megabytes: int) -> None:
    """Once there is room, the next try succeeds: pip by itself would take what is half there for installed."""
    give_python(path)
    index = packages(checkout, tmp_path, size=40_000_000)
    (checkout / ".venv").mkdir()
    program = f"""
        /usr/bin/mount -t tmpfs -o size={megabytes}m none .venv
        .ci/install pins
        code=$?
        /usr/bin/mount -o remount,size=200m .venv
        .ci/install pins >&2 && .venv/bin/python -c 'import large' || exit 99
        exit $code
    """
    unshare = ["/usr/bin/unshare", "--mount", "--map-root-user", "/bin/sh"]
    if run(checkout, path, *unshare, "-c", "true").returncode:
        pytest.skip("needs user namespaces, to mount a small file system")
    done = run(checkout, path, *unshare, "-c", program, **index)
    first, *rest = done.stderr.splitlines()
    assert done.returncode == 1, done.stderr
    assert first.startswith("The disk is full. .venv needs ")
    assert first.endswith("then run make again.")
    assert rest[0] == "The .venv that is here is incomplete, so it is made again"


def packages(checkout: Path, folder: Path, *, size: int) -> dict[str, str]:
    """Let pip find one package of that many bytes, and nothing else; the variables that say so."""
    wheel = folder / "large-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("large/__init__.py", "")
        # Not Python, which pip would compile.
        archive.writestr("large/content", bytes(size))
        archive.writestr("large-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: large\nVersion: 1.0\n")
        archive.writestr("large-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("large-1.0.dist-info/RECORD", "")
    (checkout / "requirements/pins.txt").write_text("large==1.0\n")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
