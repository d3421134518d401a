"""Checks the language of the project: words that the style in CONTRIBUTING.md has a plainer one for.

``python .ci/style.py`` names each place with its word and what to write; it exits with 1 if there is any. It checks the
documentation and, in the program texts of ``CODE``, docstrings, comments, messages and names.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = ("airflow_provider_imperva", "demo", "benchmarks", "pages", "analysis")
"""Folders whose Python files are checked."""

WORDS = {
    # Not "there is no index", nor "is no longer".
    r"(?<!there )(?<!There )\b(?:is|are|was|were) no (?!longer\b|more\b|later\b|larger\b|less\b)\w+": "is not a ...",
    r"\bstrangers?\b": "clients, attackers, others",
    r"\bpass(?:es|ed)? (?:\w+ )?over\b": "skip, leave out",
    r"\b[Oo]dd(?:ly|ities)?\b": "unusual, unexpected",
    r"\b[Tt]old\b(?! apart)": "reported, said",
    r"\b[Tt]ells\b(?! apart)": "shows, says, returns, decides",
    r"(?<=\"\"\")Tell\b": "Return, Describe",
    r"\b[Aa]new\b": "again, re-",
    r"\b(?:anybody|[Nn]obody(?![ -](?:has |had )?look(?:s|ed)?\b))\b": "who or what it is; not at all",
    # Not "left behind", "the table is behind", nor what is behind a login, a name or another line.
    r"(?<!left[ -])(?<!leaves )(?<!leave )(?<!thing )(?<!stay )(?<!lag )(?<!lags )(?<!is )(?<!are )"
    r"[Bb]ehind\b(?! (?:the ledger|it\.|one name|the same name|an|another|a proxy|Airflow)\b)": "after",
    r"\bheed(?:s|ed)?\b": "use, follow",
    r"\b[Uu]tili[sz]e": "use",
    r"\bin order to\b": "to",
    r"\bplease\b": "(leave it out)",
}
"""What is not written, as a regular expression, and what is written in its place."""

TEXTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md")
NOT_TEXTS = ("docs/adr/", "docs/reference/schema.md")
"""Decisions stay as they were written; the schema's page is made from its table."""

NAMES = {
    "told": "what it holds, such as text, entries, reported",
    "odd": "irregular",
    "strangers": "unknown_...",
    "brought": "arrived",
    "Home": "BatchId",
    "outlook": "discovery",
    "Outlook": "Discovery",
    "patience": "max_wait, retry_policy",
    "hear": "add",
    "behind": "after",
}
"""Names that do not explain themselves, without underscores at their ends, and the ones to use."""

VARIABLES = {"found": "what was found, such as matches, problems, coverage"}
"""Names that no variable or parameter has. A field may: ``found`` of an error has a docstring that says what it is."""


def main() -> int:
    """Check, and return the exit code."""
    places = [*_check_texts(), *_check_code()]
    for place, word, instead in places:
        print(f"{place}: {word!r}: write {instead}")
    return 1 if places else 0


def _check_texts() -> Iterator[tuple[str, str, str]]:
    for pattern in TEXTS:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(NOT_TEXTS):
                yield from _check(name, enumerate(_prose(path.read_text()), 1))


def _prose(text: str) -> Iterator[str]:
    """Yield the lines of Markdown without what is quoted from elsewhere: code, and the targets of links."""
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        yield "" if fenced else re.sub(r"`[^`]*`|\"[^\"]*\"|\]\([^)]*\)", "", line)


def _check_code() -> Iterator[tuple[str, str, str]]:
    for path in sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        name, source = path.relative_to(ROOT).as_posix(), path.read_text()
        yield from _check(name, _words_of(source))
        yield from _check_names(name, source)
        if path.name != "errors.py":
            yield from _check_variables(name, source)


def _check_names(name: str, source: str) -> Iterator[tuple[str, str, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string.strip("_") in NAMES:
            yield f"{name}:{token.start[0]}", token.string, NAMES[token.string.strip("_")]


def _check_variables(name: str, source: str) -> Iterator[tuple[str, str, str]]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = (node for each in ast.walk(ast.parse(source)) if isinstance(each, functions) for node in ast.walk(each))
    places = {place for node in inside if (place := _variable(node)) and place[1] in VARIABLES}
    yield from ((f"{name}:{line}", variable, VARIABLES[variable]) for line, variable in sorted(places))


def _variable(node: ast.AST) -> tuple[int, str] | None:
    """Return the line and name of a variable that is assigned to, or of a parameter."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.lineno, node.id
    return (node.lineno, node.arg) if isinstance(node, ast.arg) else None


def _words_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments and strings, with the line that each begins in."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        # A single word in quotes is a key or a field, which may stand in stored data.
        if token.type in kinds and not re.fullmatch(r'"\w+"', token.string):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, re.sub(r"``[^`]*``|`[^`]*`|\{[^{}]*\}", "", line)


def _check(name: str, lines: Iterator[tuple[int, str]] | enumerate[str]) -> Iterator[tuple[str, str, str]]:
    for number, line in lines:
        for pattern, instead in WORDS.items():
            for match in re.finditer(pattern, line):
                yield f"{name}:{number}", match[0], instead


if __name__ == "__main__":
    sys.exit(main())
