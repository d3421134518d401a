"""Reads docker-compose.yaml and the variables it takes, as far as this project uses either."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"
TEXT = FILE.read_text()
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rule>:[-?])(?P<word>[^}]*)\}")
REQUIRED = frozenset(found["name"] for found in _VARIABLE.finditer(TEXT) if found["rule"] == ":?")
OPTIONAL = frozenset(found["name"] for found in _VARIABLE.finditer(TEXT) if found["rule"] == ":-")


def demo_variables() -> dict[str, str]:
    """Return what the demo sets."""
    return {name: value or "" for name, value in dotenv_values(ROOT / "deploy/demo.env").items()}


class Compose:
    """The file with its variables filled in.

    :ivar text: as YAML.
    :ivar services: each service by name, merge keys and all resolved.
    :ivar volumes: the named volumes.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        def value(found: re.Match[str]) -> str:
            default = found["word"] if found["rule"] == ":-" else None
            got = variables.get(found["name"]) or default
            assert got, f"{found['name']} is not set"
            return got

        # A value may have quotes in it, so it goes in after the YAML is read.
        document = _fill(yaml.safe_load(TEXT), value)
        self.text = yaml.safe_dump({name: part for name, part in document.items() if not name.startswith("x-")})
        self.services: dict[str, dict[str, Any]] = document["services"]
        self.volumes: dict[str, Any] = document["volumes"]

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's environment."""
        environment: dict[str, str] = self.services[service].get("environment", {})
        return environment

    def command(self, service: str) -> tuple[str, ...]:
        """Return a service's command."""
        return tuple(self.services[service]["command"])


def _fill(part: Any, value: Callable[[re.Match[str]], str]) -> Any:
    if isinstance(part, dict):
        return {name: _fill(item, value) for name, item in part.items()}
    if isinstance(part, list):
        return [_fill(item, value) for item in part]
    return _VARIABLE.sub(value, part) if isinstance(part, str) else part
