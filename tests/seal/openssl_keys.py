"""Ed25519 keys as a person makes them: with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class KeyFiles(NamedTuple):
    """The files of a key pair."""

    private: Path
    public: Path


def make_keys(folder: Path, name: str = "signing", algorithm: str = "ed25519") -> KeyFiles:
    files = KeyFiles(folder / f"{name}.key", folder / f"{name}.pub")
    folder.mkdir(parents=True, exist_ok=True)
    _openssl("genpkey", "-algorithm", algorithm, "-out", files.private)
    _openssl("pkey", "-in", files.private, "-pubout", "-out", files.public)
    return files


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
