"""How the container of a log is read."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a body that ends before its stream is taken as complete",
        "container/inflate.py",
        '                raise TruncatedError("the compressed body ends before its end", do=_DO, about=log)\n',
        "                return b''\n",
        ("container/test_decode.py::TestDamaged",),
    ),
    Mutation(
        "checksum not compared",
        "container/decode.py",
        "checksum_ok = None if expected is None else digest.hexdigest() == expected",
        "checksum_ok = None if expected is None else True",
        ("container/test_decode.py::TestPolicy",),
    ),
    Mutation(
        "log split at every separator",
        "container/header.py",
        "separator = _SEPARATOR.search(top, 0, HEADER_LIMIT)",
        "separator = next(reversed([*_SEPARATOR.finditer(top, 0, HEADER_LIMIT)]), None)",
        ("container/test_header.py", "container/test_decode.py::TestWhole"),
    ),
]
