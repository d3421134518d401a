"""Shows the roles of docstrings (``:class:`~a.b.C```), which the site's Markdown does not know, as code."""

from __future__ import annotations

import re

_ROLE = re.compile(r":[a-z]+:<code>(?:~[\w.]*\.)?([\w.]+)</code>")


def on_page_content(html: str, **_: object) -> str:
    """Replace the roles of a page; a name after a tilde is its last part only. Called by mkdocs."""
    return _ROLE.sub(r"<code>\1</code>", html)
