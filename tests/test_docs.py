"""The documentation builds without a warning, its links hold, and what it quotes is what the code says."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_imperva import __version__, cli
from airflow_provider_imperva.container.keys import KeyRing

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PYTHON = [
    code
    for page in sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]
COMMANDS = [
    line.strip()
    for page in sorted(DOCS.rglob("*.md"))
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    for line in block.splitlines()
    if line.strip().startswith("imperva-logs ")
]
HELP = re.compile(r"^## imperva-logs ([\w-]+)\n\n```\n(.*?)```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strict: a link, an anchor, a quoted file or a docstring that is not there ends the build."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    operators = (tmp_path / "reference" / "operators" / "index.html").read_text()
    assert "<code>PlanOptions</code>" in operators
    assert ":class:" not in operators
    assert f"Version {__version__}" in operators
    assert 'rel="next"' in operators


def test_the_command_lines_help_is_quoted_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal as wide as that of the documentation."""
    monkeypatch.setenv("COLUMNS", "110")
    quoted = dict(HELP.findall((DOCS / "reference" / "cli.md").read_text()))
    assert set(re.findall(r"^    ([\w-]+)(?: |$)", help_of(capsys), re.MULTILINE)) == quoted.keys()
    for name, text in quoted.items():
        assert help_of(capsys, name) == text, f"docs/reference/cli.md: the help of {name} has changed"


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("code", PYTHON)
def test_python_in_it_can_be_parsed(code: str) -> None:
    compile(code, "documentation", "exec")


def test_commands_in_it_are_understood() -> None:
    assert len(COMMANDS) >= 4
    for command_line in COMMANDS:
        try:
            cli._parser().parse_args(shlex.split(command_line)[1:])
        except SystemExit:
            pytest.fail(f"imperva-logs does not understand: {command_line}")


def test_the_commands_for_a_key_pair_make_one_that_is_read(tmp_path: Path) -> None:
    page = (DOCS / "how-to" / "connect.md").read_text()
    commands = next(block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "openssl" in block)
    folder = tmp_path / "7"
    folder.mkdir()
    subprocess.run(["sh", "-e", "-c", commands], cwd=folder, check=True, capture_output=True)
    assert "BEGIN PUBLIC KEY" in (folder / "Public.key").read_text()
    assert KeyRing.from_folder(tmp_path).ids == {"7"}


def test_compatibility_is_what_the_matrix_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "reference" / "compatibility.md").read_text()
    rows = set(re.findall(r"^\| (3\.\d+)\.\d+ \| (3\.\d+) \|", page, re.MULTILINE))
    spec = importlib.util.spec_from_file_location("matrix", ROOT / ".ci" / "matrix.py")
    assert spec
    assert spec.loader
    matrix = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, matrix)
    spec.loader.exec_module(matrix)
    assert rows == {(one.airflow, one.python) for one in matrix.MATRIX}
    for one in matrix.MATRIX:
        pins = "".join((ROOT / "requirements" / f"{name}.txt").read_text() for name in one.requirements)
        pinned = re.search(r"^apache-airflow==(\S+)", pins, re.MULTILINE)
        assert pinned
        assert f"| {pinned[1]} | {one.python} |" in page


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_outside_the_site_lead_to_files_and_headings_that_exist(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / name).read_text())
    assert [link for link in links if not leads_somewhere(link, name)] == []


def leads_somewhere(link: str, page: str) -> bool:
    file, _, anchor = link.partition("#")
    target = ROOT / (file or page)
    return target.exists() and (not anchor or anchor in anchors_of(target.read_text()))


def anchors_of(text: str) -> list[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("link", ["docs/no-such-page.md", "docs/guarantees.md#no-such-heading"])
def test_a_link_that_leads_nowhere_is_noticed(link: str) -> None:
    assert not leads_somewhere(link, "README.md")
