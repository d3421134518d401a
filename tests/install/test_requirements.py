"""requirements/ has exact versions that fit pyproject.toml and one another, on each Python that people have.

Not all of these Pythons are on one machine, so they are simulated: markers are evaluated, and wheels chosen, for the
version that each is said to have. What really installs is shown by `.ci/run`, which sets up the system's own Python,
the highest one, and those of `make test-matrix`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.long_form import LONG

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = sorted(REQUIREMENTS.glob("*.txt"))
APART = {"engines"}
"""What has an environment of its own, without the project."""

PURPOSES = sorted(file.stem for file in FILES if not file.stem.startswith("airflow-") and file.stem not in APART)
AIRFLOWS = [file for file in FILES if file.stem.startswith("airflow-")]
LOWEST_PYTHONS = {"3.11.2": "Debian 12", "3.12.3": "Ubuntu 24.04", "3.13.0": "Fedora 41", "3.14.0": "Ubuntu 26.04"}
pythons = pytest.mark.parametrize("python", LOWEST_PYTHONS)

Pins = dict[str, str]


def environment(python: str) -> dict[str, str]:
    """Return what markers see on a Python of that version on this machine."""
    values = {key: str(value) for key, value in default_environment().items()}
    return values | {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "implementation_version": python,
    }


def lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if not line.startswith("#")]


def pins(file: Path, python: str) -> list[tuple[str, str]]:
    """Return the names and versions that a file installs on a Python."""
    found = [Requirement(line) for line in lines(file)]
    return [
        (requirement.name, next(iter(requirement.specifier)).version)
        for requirement in found
        if requirement.marker is None or requirement.marker.evaluate(environment(python))
    ]


def installed(*purposes: str, python: str) -> Pins:
    """Return what purposes install together.

    :raises AssertionError: if they contradict each other.
    """
    together: Pins = {}
    for purpose in purposes:
        for name, version in pins(REQUIREMENTS / f"{purpose}.txt", python):
            assert together.setdefault(name, version) == version, f"{name} in {purpose}.txt"
    return together


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group, with those of the groups that it includes."""
    found: list[str] = []
    for item in PROJECT["dependency-groups"].get(name, []):
        found += [item] if isinstance(item, str) else group(item["include-group"])
    return found


def unmet(wanted: list[str], available: Pins, python: str) -> list[str]:
    """Return the requirements that pins do not meet."""
    values = environment(python) | {"extra": ""}
    requirements = [Requirement(text) for text in wanted]
    return [
        f"{requirement}, but {available.get(canonicalize_name(requirement.name))}"
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(values)
        if not requirement.specifier.contains(available.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_pin_is_a_name_one_version_and_perhaps_a_marker(file: Path) -> None:
    """No range, option, URL or path, and so no package index."""
    pin = re.compile(r"[a-z0-9-]+==[A-Za-z0-9.!+]+( ; .+)?")
    assert [line for line in lines(file) if not pin.fullmatch(line)] == []
    assert len(lines(file)) > 0


@pythons
def test_all_purposes_fit_into_one_environment(python: str) -> None:
    """Each is installed into the same .venv, in any order."""
    assert len(installed(*PURPOSES, python=python)) > 200


@pythons
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_purpose_has_what_it_asks_for(python: str, purpose: str) -> None:
    wanted = group({"run": "demo"}.get(purpose, purpose))
    wanted += PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]
    assert unmet(wanted, installed("run", purpose, python=python), python) == [], "run make pins"


@pythons
@pytest.mark.parametrize("name", sorted(APART))
def test_what_is_apart_has_what_it_asks_for(python: str, name: str) -> None:
    assert unmet(group(name), installed(name, python=python), python) == [], "run make pins"


@pythons
@pytest.mark.parametrize("file", AIRFLOWS, ids=lambda file: file.name)
def test_an_older_airflow_has_all_that_the_tests_need(python: str, file: Path) -> None:
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], *group("demo"), *group("test")]
    wanted.append(f"apache-airflow=={file.stem.removeprefix('airflow-')}.*")
    assert unmet(wanted, installed(file.stem, python=python), python) == [], "run make pins"


def test_what_only_tests_need_is_not_in_the_way_of_the_demo() -> None:
    """The demo is what people try first."""
    demo = installed("run", python="3.11.2")
    others = installed(*(purpose for purpose in PURPOSES if purpose != "run"), python="3.11.2")
    assert set(demo) & set(others) <= {"packaging"}, "make pins works without the rest"
    assert len(demo) < 160


EACH_AIRFLOW = list(product(("3.1", "3.2", "3.3"), ("3.11.2", "3.12.3", "3.13.0")))
OTHERWISE = {"3.1": "3.13.0", "3.2": "3.12.3", "3.3": "3.11.2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("airflow", "python"),
    # In the short form each once, and the oldest with the newest.
    [(airflow, python) for airflow, python in EACH_AIRFLOW if LONG or python == OTHERWISE[airflow]],
)
def test_it_can_be_installed_beside_each_airflow(python: str, airflow: str, tmp_path: Path) -> None:
    """With all of its extras; `make test-matrix` really installs three of these and runs tests."""
    (tmp_path / "airflow.txt").write_text(f"apache-airflow=={airflow}.*")
    pinned = resolve(python, "--all-extras", "pyproject.toml", str(tmp_path / "airflow.txt"))
    assert any(pin.startswith(f"apache-airflow-core=={airflow}.") for pin in pinned)


@pytest.mark.slow
@pytest.mark.parametrize("python", list(LOWEST_PYTHONS) if LONG else ["3.11.2", "3.14.0"])
def test_the_pins_are_what_that_python_resolves_to(python: str, tmp_path: Path) -> None:
    """Nothing asks for a later Python, nothing has to be compiled, and nothing is left out: only wheels, only these."""
    available = installed(*PURPOSES, python=python)
    (tmp_path / "pins.txt").write_text("".join(f"{name}=={version}\n" for name, version in available.items()))
    (tmp_path / "to-build.txt").write_text("\n".join(PROJECT["build-system"]["requires"]))
    groups = [f"--group={name}" for name in PROJECT["dependency-groups"] if name not in APART]
    constraint = f"--constraint={tmp_path / 'pins.txt'}"
    pinned = resolve(python, *groups, constraint, "pyproject.toml", str(tmp_path / "to-build.txt"))
    assert sorted(pinned) == sorted(f"{name}=={version}" for name, version in available.items())


def resolve(python: str, *arguments: str) -> list[str]:
    """Return what a Python of that version would install, of wheels alone."""
    command = [sys.executable, "-m", "uv", "--quiet", "--system-certs", "pip", "compile", "--python-version", python]
    command += ["--no-build", "--no-header", "--no-annotate", *arguments]
    env = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    if "error sending request" in done.stderr:
        pytest.skip("needs the package index")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
