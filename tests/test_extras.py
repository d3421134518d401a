"""A message about a library that is not installed names a command that works wherever the package came from."""

from __future__ import annotations

import importlib.metadata
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from airflow_provider_imperva.extras import install_command

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_what_the_extra_stands_for(extra: str) -> None:
    """As a shell takes it apart; this package itself, which no index has, is not in it."""
    program, verb, *requirements = shlex.split(install_command(extra))
    assert (program, verb) == ("pip", "install")
    assert [Requirement(text) for text in requirements] == [Requirement(text) for text in EXTRAS[extra]]


def test_without_the_packages_metadata_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("airflow_provider_imperva.extras.requires", nothing)
    assert install_command("aws") == "pip install 'airflow-provider-imperva[aws]'"


def test_no_other_place_spells_such_a_command() -> None:
    package = ROOT / "airflow_provider_imperva"
    others = [path for path in package.rglob("*.py") if path.name != "extras.py"]
    assert [path for path in others if "pip install" in path.read_text()] == []
