"""The linter of the project's language finds what it is for, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def style() -> ModuleType:
    spec = importlib.util.spec_from_file_location("style", ROOT / ".ci" / "style.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_project_is_written_in_its_style(style: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = style.main()
    assert (code, capsys.readouterr().out) == (0, "")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("the value is no number", "is no number"),
        ("bytes that are no text", "are no text"),
        ("the parser passes it over", "passes it over"),
        ("Odd lines are read with care", "Odd"),
        ("the run is told of it", "told"),
        ("what strangers send", "strangers"),
        ("the part is written anew", "anew"),
        ("a key that nobody knows", "nobody"),
        ("the text after a row and behind a bar", "behind"),
        ("the checksum tells it", "tells"),
    ],
)
def test_a_word_that_has_a_plainer_one_is_found(style: ModuleType, line: str, word: str) -> None:
    assert [place[1] for place in style._check("a file", enumerate([line], 1))] == [word]


@pytest.mark.parametrize(
    "line",
    [
        "there is no index",
        "it is no longer listed",
        "There are no logs",
        "an oddment",
        "a run leaves it open, and nothing is left behind",
        "the table is behind the ledger",
        "nobody has looked at the repository for a day",
        "nobody looks any more",
        "two that cannot be told apart",
    ],
)
def test_plain_english_is_left_alone(style: ModuleType, line: str) -> None:
    assert [*style._check("a file", enumerate([line], 1))] == []


def test_what_is_quoted_in_a_page_is_left_alone(style: ModuleType) -> None:
    text = 'Run `told`.\n```\nodd\n```\nSee [this](told.md), not "is no number".'
    assert [*style._check("a page", enumerate(style._prose(text), 1))] == []


@pytest.mark.parametrize("source", ['"""What is told."""\n', "x = 1  # odd\n", 'raise ValueError(f"{x} is no key")\n'])
def test_docstrings_comments_and_messages_are_read(style: ModuleType, source: str) -> None:
    assert len([*style._check("a module", style._words_of(source))]) == 1


def test_a_word_in_quotes_is_left_alone(style: ModuleType) -> None:
    """It may be a field of stored data, whose spelling stays."""
    assert [*style._check("a module", style._words_of('text: str = field(name="told")\n'))] == []


def test_names_that_explain_nothing_are_found(style: ModuleType) -> None:
    places = style._check_names("a module", "_told = odd(text)  # a comment\n")
    assert [word for _, word, _ in places] == ["_told", "odd"]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def look():\n    found = []\n", 1),
        ("def look(found):\n    return found\n", 1),
        ("look(lambda found: found[0])\n", 1),
        ("class Finding:\n    found: str\n", 0),
        ("def show(error):\n    return error.found\n", 0),
    ],
)
def test_a_variable_says_what_was_found(style: ModuleType, source: str, count: int) -> None:
    """A field may have the name: its docstring says what it is."""
    assert len([*style._check_variables("a module", source)]) == count
