"""What the client believes of a server."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a body shorter than announced is taken as complete",
        "repository/client.py",
        "        body = BytesIO()\n",
        "        body = BytesIO()\n        response.raw.enforce_content_length = False\n",
        ("repository/test_client.py::TestAttempts",),
    ),
    Mutation(
        "an HTML page is kept as a log",
        "repository/client.py",
        "if name != INDEX_NAME and is_html(body):",
        "if False:",
        ("repository/test_client.py::TestAttempts",),
    ),
]
