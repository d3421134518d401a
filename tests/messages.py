"""The messages that the package's source can give: what was found, and what to do, with … for what a run fills in."""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "airflow_provider_imperva"
ANY = "…"


@dataclass(frozen=True, slots=True)
class Call:
    """A call in the source.

    :ivar file: path below the package.
    :ivar name: last part of what is called, such as ``LakeError``.
    """

    file: str
    name: str
    node: ast.Call

    def argument(self, name: str) -> ast.expr | None:
        """Return a keyword argument."""
        return next((keyword.value for keyword in self.node.keywords if keyword.arg == name), None)

    def __str__(self) -> str:
        return f"{self.file}:{self.node.lineno}"


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Parse all modules of the package, by their path below it."""
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def calls() -> tuple[Call, ...]:
    """Return all calls by name in the package."""
    return tuple(
        Call(file, ast.unparse(node.func).rpartition(".")[2], node)
        for file, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
    )


def texts(node: ast.expr | None, file: str, *, within: frozenset[str] = frozenset()) -> list[str]:
    """Return each text that an expression can give; what only a run knows is ``…``.

    :param within: names whose values are being looked up, which may stand for each other in a circle.
    """
    look = functools.partial(texts, file=file, within=within)
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return _joined(map(look, values))
        case ast.FormattedValue(value=ast.IfExp() as choice):
            return look(choice)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined(map(look, (left, right)))
        case ast.IfExp(body=body, orelse=orelse):
            return [*look(body), *look(orelse)]
        case ast.Dict(values=values):
            return [text for value in values for text in look(value)]
        case ast.Subscript(value=ast.Name() as name):
            return look(name)
        case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr="get")):
            return look(name)
        case ast.Name(id=name) if name not in within:
            found = _assigned(name, file)
            return [text for value in found for text in texts(value, file, within=within | {name})] or [ANY]
    return [ANY]


def _joined(parts: Iterable[list[str]]) -> list[str]:
    return ["".join(choice) for choice in itertools.product(*parts)]


def _assigned(name: str, file: str) -> Iterator[ast.expr]:
    """Yield what is assigned to a name anywhere in a module, to it alone or in a tuple."""
    for node in ast.walk(modules()[file]):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=False)
                yield from (value for one, value in pairs if isinstance(one, ast.Name) and one.id == name)
