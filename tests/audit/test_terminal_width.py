"""Whatever the commands show of a lake fits a terminal of 80 columns; other programs get whole lines."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.cli.terminal import print_report

REPOSITORY = "8416_1745073"

_STYLE = re.compile(r"\x1b\[[0-9;]*m")

COMMANDS = {
    "verify": ("--sample", "0"),
    "coverage": (),
    "explain": ("8416_126",),
    "oldest": (),
    "forwards": ("--repository", REPOSITORY),
    "hold": ("list",),
    "compact": ("--dry-run",),
    "replay": ("--repository", REPOSITORY, "--all", "--dry-run"),
    "certificate": ("--repository", REPOSITORY, "--day", "2026-03-03", "--ledger-only"),
    "erase": (
        "--repository",
        REPOSITORY,
        "--client-ip",
        "192.0.2.1",
        "--by",
        "me",
        "--reference",
        "R-1",
        "--why",
        "asked",
        "--dry-run",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_line_fits_80_columns(
    command: str, eventful_lake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([command, str(eventful_lake), *COMMANDS[command]]) in (0, 1)
    shown = _STYLE.sub("", capsys.readouterr().out)
    assert shown
    assert [line for line in shown.splitlines() if len(line) > 80 and " " in line.strip()] == []


def test_a_text_is_wrapped_beside_its_label(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    lines = ["  ok  all figures of the ledger add up", "", "no label: " + "path/" * 10]
    print_report(lines)
    assert capsys.readouterr().out.splitlines() == lines, "not a terminal"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_report(lines)
    wrapped = ["  ok  all figures of the", "      ledger add up", "", "no label:", "path/" * 10]
    assert capsys.readouterr().out.splitlines() == wrapped
