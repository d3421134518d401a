"""How lines become events."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "text split at other separators than LF",
        "events/scan/lines.py",
        "line_ends = _line_ends(text)",
        "line_ends = np.flatnonzero(np.isin(text, [10, 11, 12, 28, 29, 30]))",
        ("events/test_parse_body.py",),
    ),
    Mutation(
        "JSON event with an empty list taken for an envelope without events",
        "events/bodies/objects.py",
        "is_envelope and (items or not beside)",
        "is_envelope",
        ("events/test_json_objects.py::TestShapes",),
    ),
    Mutation(
        "what stands beside the list of a JSON envelope copied without bounds",
        "events/bodies/objects.py",
        " and copied <= _MOST_COPIED * len(text)",
        "",
        ("events/test_json_objects.py::TestBombs",),
    ),
    Mutation(
        "unfinished JSON value at the end of what was read taken for a wrong one",
        "events/bodies/values.py",
        "if ahead >= _LONGEST_TOKEN or ",
        "if ahead >= 0 or ",
        ("events/test_json_objects.py",),
    ),
    Mutation(
        "a W3C row over several lines is lost to quarantine",
        "events/bodies/rows.py",
        "            if rejected:\n",
        "            if False:\n",
        ("events/test_w3c_rows.py::TestSpreadRows",),
    ),
]
