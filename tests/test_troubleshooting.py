"""The page of messages that make a run red has all that the code can give, and none that it cannot."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.lake.records import EXPECTED, OpenCode
from tests.messages import ANY, Call, calls, modules, texts

PAGE = (Path(__file__).resolve().parent.parent / "docs/how-to/troubleshooting.md").read_text()
SECTIONS = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
QUOTES = [line for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
NAMED = re.findall(r"`(\w+Error)`, reason `(\w+)`", PAGE)

ON_THE_COMMAND_LINE = ("cli/", "testing/", "audit/")
"""What no task calls, or what only reads a lake to answer a person."""

_BASES = {"ContainerError", "DestinationError"}
"""Classes that only others derive from."""

_SETTINGS = {"ConfigurationError", "_refused", "_problem", "_NotPrivateError"}
"""What makes an error about a setting or a key file. Each names the setting and its value; one section has all."""

_FOUND = {("lake/failure.py", "_Meaning"): 0, ("delivery/folder.py", "_gone"): 0, ("lake/arrivals.py", "_corrupt"): 1}
"""Which argument says what was found, where another function makes the error."""

_AIRFLOW = {"AirflowException", "AirflowFailException", "AirflowSensorTimeout"}

_COMPLAIN = {
    "plugins/pools.py": ("find_problems",),
    "lake/complaints.py": ("left_behind",),
    "lake/quarantine.py": ("too_much",),
    "lake/ledger.py": ("seal",),
    "operators/imperva.py": ("_commit", "_report"),
    "operators/replay.py": ("_left",),
    "retention/erase.py": ("warnings",),
    "audit/forwarding.py": ("describe_missing",),
}
"""Functions that say what is wrong with a commit that is made, or sent."""

_PASSED_ON = {"missing", "str(error)", "describe_error(error)", "event['error']", "self._trouble"}
"""What tasks fail with that is said elsewhere: by an error of ours, or by one of the functions above."""


def own_errors() -> dict[str, type[ImpervaError]]:
    """Every class of errors, wherever it is defined; not those that only one module knows."""
    for file, module in modules().items():
        if not file.startswith(ON_THE_COMMAND_LINE) and any(map(_is_error, module.body)):
            importlib.import_module(f"airflow_provider_imperva.{file.removesuffix('.py').replace('/', '.')}")
    return {kind.__name__: kind for kind in _subclasses(ImpervaError) if not kind.__name__.startswith("_")}


def _is_error(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Error") for base in node.bases)


def _subclasses(kind: type[ImpervaError]) -> Iterator[type[ImpervaError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def calls_in_tasks() -> Iterator[Call]:
    return (call for call in calls() if not call.file.startswith(ON_THE_COMMAND_LINE))


def found_by_errors() -> Iterator[tuple[str, str]]:
    """Yield where an error in a task is made, and what it says that it found; not those about settings."""
    for call in calls_in_tasks():
        place = _FOUND.get((call.file, call.name), 0)
        is_error = call.argument("do") is not None or call.name in _AIRFLOW or (call.file, call.name) in _FOUND
        if is_error and call.name not in _SETTINGS and len(call.node.args) > place:
            yield from ((str(call), text) for text in texts(call.node.args[place], call.file))


def complaints() -> Iterator[tuple[str, str]]:
    """Yield where something is said of a commit that is made, and what."""
    for file, names in _COMPLAIN.items():
        for function in ast.walk(modules()[file]):
            if isinstance(function, ast.FunctionDef) and function.name in names:
                yield from ((f"{file}:{function.lineno}", text) for text in _said(function, file))


def _said(function: ast.FunctionDef, file: str) -> Iterator[str]:
    """Yield the sentences in a function: what is joined, and constants but for its docstring and what is logged."""
    joined = [node for node in ast.walk(function) if isinstance(node, ast.JoinedStr)]
    pieces = {id(piece) for whole in joined for piece in ast.walk(whole)}
    yield from (text for whole in joined for text in texts(whole, file))
    for statement in function.body[1:]:
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and id(node) not in pieces:
                text = node.value if isinstance(node.value, str) else ""
                if " " in text and "%" not in text:
                    yield text


MESSAGES = [
    (where, text)
    for where, text in (*found_by_errors(), *complaints())
    if sum(letter.isalpha() for letter in text.replace(ANY, "")) >= 8
]
"""All of them that have words of their own."""


def is_quoted(text: str, quote: str) -> bool:
    """Whether a message may be the quoted one: its pieces between … are in it, in this order."""
    pieces = [re.escape(piece.strip()) for piece in quote.split(ANY) if piece.strip()]
    return re.search(".*".join(pieces), text, re.DOTALL) is not None


def codes_below(heading: str) -> list[str]:
    """The codes in the first column of the table in a section."""
    section = next(section for section in SECTIONS if section.startswith(heading))
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_each_class_of_errors_has_its_section_and_each_section_a_class_that_exists() -> None:
    assert _BASES & {call.name for call in calls()} == set()
    expected = {(name, kind.reason) for name, kind in own_errors().items() if name not in _BASES}
    assert set(NAMED) == expected


def test_each_code_can_be_linked_to() -> None:
    anchors = re.findall(r'<a id="(\w+)"></a>', PAGE)
    assert len(anchors) == len(set(anchors))
    assert set(anchors) == {reason for _, reason in NAMED}


def test_each_function_that_says_what_is_wrong_is_there() -> None:
    there = {
        (file, node.name)
        for file in _COMPLAIN
        for node in ast.walk(modules()[file])
        if isinstance(node, ast.FunctionDef)
    }
    assert {(file, name) for file, names in _COMPLAIN.items() for name in names} <= there


def test_no_task_fails_with_words_from_elsewhere_that_this_test_does_not_read() -> None:
    given = {ast.unparse(call.node.args[0]) for call in calls_in_tasks() if call.name in _AIRFLOW}
    spoken = {ast.unparse(call.node.args[0]) for call in calls_in_tasks() if call.name in _AIRFLOW and _has_words(call)}
    assert given - spoken == _PASSED_ON


def _has_words(call: Call) -> bool:
    # An f-string that only joins what a function of _COMPLAIN yields has none of its own.
    return isinstance(call.node.args[0], ast.JoinedStr) or any(
        text != ANY for text in texts(call.node.args[0], call.file)
    )


def test_each_message_that_a_task_can_fail_with_is_quoted() -> None:
    assert len(MESSAGES) > 150
    assert [message for message in MESSAGES if not any(is_quoted(message[1], quote) for quote in QUOTES)] == []


def test_each_quoted_message_is_one_that_a_task_can_fail_with() -> None:
    short = [quote for quote in QUOTES if len(quote.replace(ANY, "").strip()) < 10]
    assert short == []
    assert [quote for quote in QUOTES if not any(is_quoted(text, quote) for _, text in MESSAGES)] == []


def test_each_reason_of_a_log_or_line_that_makes_a_run_red_is_explained() -> None:
    assert set(codes_below("Logs could not be loaded")) == {str(why) for why in set(OpenCode) - EXPECTED}
    assert set(codes_below("Whole logs, or too many lines")) == {str(reason) for reason in RejectionReason}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0].replace(" ", "-"))
def test_each_section_says_what_is_lost_and_what_to_do(section: str) -> None:
    assert section.count("**Lost:** ") == section.count("**Do:** ") == 1


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("the lake is there", "the lake is gone"),
        ("… lines of 8416_1.log", "8416_1.log … lines"),
        ("the lake", "the lake …s"),
    ],
)
def test_another_message_is_not_taken_for_the_quoted_one(text: str, quote: str) -> None:
    assert not is_quoted(text, quote)
