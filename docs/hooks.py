"""What the site does beside its pages: the footer, and roles of docstrings (``:class:`~a.b.C```) as code."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_imperva import __version__

_ROLE = re.compile(r":[a-z]+:<code>(?:~[\w.]*\.)?([\w.]+)</code>")


def on_config(config: Any) -> Any:
    """Write version and repository into the footer. Called by mkdocs.

    Not by ``repo_url``, for which the theme asks the network when a page is opened.
    """
    source = f'<a href="{config.extra["repository"]}">Source</a>'
    config.copyright = f"Version {__version__} · {source} · Not affiliated with Imperva or the ASF"
    return config


def on_page_content(html: str, **_: object) -> str:
    """Replace the roles of a page; a name after a tilde is its last part only. Called by mkdocs."""
    return _ROLE.sub(r"<code>\1</code>", html)
