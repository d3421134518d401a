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
        "        if found.rejected and not layout.bare:\n",
        "        if False:\n",
        ("events/test_w3c_rows.py::TestSpreadRows",),
    ),
    Mutation(
        "any word with # and a colon is a W3C directive",
        "events/grammar/directives.py",
        "(Version|Fields|Software|Start-Date|End-Date|Date|Remark)",
        "([A-Za-z-]+)",
        ("events/test_w3c_lines.py::TestDirectives",),
    ),
    Mutation(
        "a directive inside a W3C row is taken for one",
        "events/bodies/layouts.py",
        "        if not block.is_finished(index, self._layout):\n",
        "        if False:\n",
        ("events/test_w3c_lines.py::TestTextOfClients",),
    ),
    Mutation(
        "a row in the line of a W3C directive is dropped",
        "events/grammar/directives.py",
        "        end = min(ends, default=len(line))\n",
        "        end = len(line)\n",
        ("events/test_w3c_lines.py::TestDirectives",),
    ),
    Mutation(
        "columns of W3C rows change places unseen",
        "events/bodies/layouts.py",
        "        marks = (CHANGED,) if is_other else ()\n",
        "        marks = ()\n",
        ("events/test_w3c_lines.py::TestOtherNames",),
    ),
    Mutation(
        "a line of a client's text is a W3C row without quotes",
        "events/grammar/w3c.py",
        "    if not layout.bare and not line.startswith('\"'):\n",
        "    if False:\n",
        ("events/test_w3c_lines.py::TestTextOfClients",),
    ),
    Mutation(
        "the count does not look into W3C directives",
        "events/bodies/rows.py",
        "        self._not_counted -= sum(hides_row(text) for text, _ in stretch.directives)\n",
        "",
        ("events/test_w3c_lines.py::TestCount",),
    ),
    Mutation(
        "the count takes W3C lines that were joined for none, whatever begins in them",
        "events/bodies/rows.py",
        "last - place - rows_inside(whole.text(0))",
        "last - place",
        ("events/test_w3c_lines.py::TestCount",),
    ),
    Mutation(
        "one line of a request changes the format of a body",
        "events/grammar/formats.py",
        "    if first is not None and hint in (first, None):\n        return first\n",
        "    if False:\n        return first\n",
        ("events/test_find_format.py",),
    ),
]
