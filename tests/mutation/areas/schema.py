"""Derived columns: what they must not give away, and what they must keep."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "rows of version 1 are merged without the columns of version 2",
        "lake/inputs.py",
        "            if version >= DERIVED_SINCE:\n",
        "            if True:\n",
        ("load/test_schema_versions.py",),
    ),
    Mutation(
        "what was edited in rows of version 1 is derived again before it is compared",
        "events/derived/complete.py",
        '    if pc.any(pc.equal(outcome.dictionary, "other"), min_count=0).as_py():\n'
        '        is_other = pc.equal(outcome.cast(TEXT), "other")\n',
        "    if True:\n        is_other = outcome.is_valid()\n",
        ("load/test_schema_versions.py::TestRedo",),
    ),
    Mutation(
        "nobody is looked for in structures",
        "retention/search.py",
        "    if pa.types.is_struct(kind):\n",
        "    if False:\n",
        ("retention/test_erase.py::TestRows",),
    ),
    Mutation(
        "an empty slot of a list becomes a text",
        "events/derived/violations.py",
        'return pc.if_else(pc.equal(elements, ""), pa.scalar(None, TEXT), elements)',
        'return pc.if_else(pc.equal(elements, ""), "none", elements)',
        ("events/test_derived.py::TestViolations",),
    ),
]
