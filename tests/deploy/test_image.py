"""The Dockerfile takes only what it is given, in pinned versions, and runs as nobody special."""

from __future__ import annotations

import re
import tomllib

from tests.deploy.compose_file import ROOT, Compose

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)


def test_base_images_are_pinned_to_one_release() -> None:
    assert len(set(STAGES)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", STAGES[0])


def test_its_python_is_one_that_is_tested() -> None:
    version = re.match(r"python:(3\.\d+)", STAGES[0])
    assert version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


def test_what_it_copies_is_there_and_reaches_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in ignore
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert len(sources) >= 5
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignore


def test_all_that_pip_installs_is_pinned() -> None:
    constraints = re.search(r'^ENV PIP_CONSTRAINT="(.+)"$', DOCKERFILE, re.MULTILINE)
    assert constraints
    assert all((ROOT / file).is_file() for file in constraints[1].split())
    first_install = re.search(r"pip install", DOCKERFILE)
    assert first_install
    assert constraints.end() < first_install.start()


def test_pip_compiles_what_it_installs() -> None:
    """Whoever runs the image cannot write beside the modules: see tests/test_package.py."""
    assert "--no-compile" not in DOCKERFILE
    assert "PYTHONDONTWRITEBYTECODE" not in DOCKERFILE


def test_it_does_not_run_as_root() -> None:
    assert re.search(r"^USER airflow$", DOCKERFILE.partition("COPY --from=build")[2], re.MULTILINE)


def test_every_folder_that_is_written_to_belongs_to_its_user(demo: Compose) -> None:
    """A new volume takes its owner from the image's folder."""
    made = re.search(r"install --directory --owner airflow --group 0 \\\n(.+)", DOCKERFILE)
    assert made
    mounted = {
        mount.split(":")[1]
        for service in demo.services.values()
        if "build" in service
        for mount in service["volumes"]
        if mount.split(":")[0] in demo.volumes
    }
    assert mounted <= set(made[1].split())
