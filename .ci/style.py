"""Checks the language of the project: words that the style in CONTRIBUTING.md has a plainer one for.

``python .ci/style.py`` names each place with its word and what to write; it exits with 1 if there is any. It checks the
documentation and, in the folders below, docstrings, comments and messages. A folder joins the list once it is clean.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "airflow_provider_imperva"

WORDS = {
    # Not "there is no index", nor "is no longer".
    r"(?<!there )(?<!There )\b(?:is|are|was|were) no (?!longer\b|more\b|later\b|larger\b|less\b)\w+": "is not a ...",
    r"\bstrangers?\b": "clients, attackers, others",
    r"\bpass(?:es|ed)? (?:\w+ )?over\b": "skip, leave out",
    r"\b[Oo]dd(?:ly|ities)?\b": "unusual, unexpected",
    r"\b[Tt]old\b(?! apart)": "reported, said",
    r"\bheed(?:s|ed)?\b": "use, follow",
    r"\b[Uu]tili[sz]e": "use",
    r"\bin order to\b": "to",
    r"\bplease\b": "(leave it out)",
}
"""What is not written, as a regular expression, and what is written in its place."""

TEXTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md")
NOT_TEXTS = ("docs/adr/", "docs/reference/schema.md")
"""Decisions stay as they were written; the schema's page is made from its table."""

CODE = (
    *("cli", "operators", "sensors", "triggers", "hooks", "plugins", "container", "repository", "delivery", "forward"),
    *("retention", "testing", "seal"),
    *("accounts.py", "assets.py", "beginnings.py", "clock.py", "compact_dag.py", "dag.py", "deadline.py"),
    *("documentation.py", "errors.py", "extras.py", "fleet.py", "forward_dag.py", "get_provider_info.py", "lineage.py"),
    *("links.py", "metrics.py", "retention_dag.py", "retries.py", "tasks.py", "uri.py", "xcoms.py"),
    *("audit/accepted.py", "audit/assessment.py", "audit/badge.py", "audit/coverage.py", "audit/figures.py"),
    *("audit/findings.py", "audit/page.py", "audit/quarantined.py", "audit/reports.py", "audit/states.py"),
    *("audit/strip.py", "audit/summary.py", "audit/svg.py", "audit/traffic.py", "audit/verdict.py", "audit/words.py"),
)
"""Folders and files of the package that are checked."""


def main() -> int:
    """Check, and return the exit code."""
    found = [*_check_texts(), *_check_code()]
    for place, word, instead in found:
        print(f"{place}: {word!r}: write {instead}")
    return 1 if found else 0


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
    for name in CODE:
        for path in sorted((PACKAGE / name).rglob("*.py")) if (PACKAGE / name).is_dir() else [PACKAGE / name]:
            yield from _check(path.relative_to(ROOT).as_posix(), _words_of(path.read_text()))


def _words_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments and strings, with the line that each begins in."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, re.sub(r"``[^`]*``|`[^`]*`|\{[^{}]*\}", "", line)


def _check(name: str, lines: Iterator[tuple[int, str]] | enumerate[str]) -> Iterator[tuple[str, str, str]]:
    for number, line in lines:
        for pattern, instead in WORDS.items():
            for match in re.finditer(pattern, line):
                yield f"{name}:{number}", match[0], instead


if __name__ == "__main__":
    sys.exit(main())
