"""What the provider registry shows is what the package has."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_imperva.get_provider_info import get_provider_info
from airflow_provider_imperva.operators.imperva import ImpervaOperator

METADATA = yaml.safe_load((Path(__file__).resolve().parents[1] / ".airflow-registry.yaml").read_text())
BASES = {ImpervaOperator}
"""What is only there to be inherited from."""


def module_members(kind: str) -> set[str]:
    """Return the public classes of the modules that the provider names."""
    [entry] = get_provider_info()[kind]
    found = set()
    for name in entry["python-modules"]:
        module = importlib.import_module(name)
        for member in vars(module).values():
            if inspect.isclass(member) and member.__module__ == name and member.__name__.startswith("Imperva"):
                found |= {f"{name}.{member.__name__}"} if member not in BASES else set()
    return found


def listed(kind: str) -> set[str]:
    return {item["module"] for item in METADATA[kind]}


def test_every_class_of_the_provider_is_listed_and_no_other() -> None:
    for kind in ("operators", "hooks", "sensors", "triggers"):
        assert listed(kind) == module_members(kind), kind


def test_whatever_else_is_listed_is_there() -> None:
    for item in METADATA["other"]:
        module, name = item["module"].rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), name))


def test_the_package_is_named_as_it_is_installed() -> None:
    info: dict[str, Any] = get_provider_info()
    assert (METADATA["package-name"], METADATA["display-name"]) == (info["package-name"], info["name"])
