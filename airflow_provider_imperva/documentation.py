"""Links into the project's documentation, below the address that the package's metadata has for it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

_PACKAGE = "airflow-provider-imperva"


def troubleshooting(section: str) -> str:
    """Return the address of a section of the page Troubleshooting: what a message means, what is lost, what to do.

    :param section: its anchor: an error's ``reason``, or its heading in lower case with hyphens.
    """
    return page("how-to/troubleshooting", section)


def page(path: str, section: str) -> str:
    """Return the address of a section of a page.

    :param path: of the page below ``docs/``, without ``.md``.
    """
    address = _address()
    if address.startswith("https://github.com/"):
        return f"{address}/blob/main/docs/{path}.md#{section}"
    return f"{address}/{path}/#{section}"


@cache
def _address() -> str:
    """Return the address of the documentation: ``Documentation`` in ``[project.urls]`` of ``pyproject.toml``."""
    try:
        urls = metadata(_PACKAGE).get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a folder that was never installed
        urls = []
    named: dict[str, str] = dict(url.split(", ", 1) for url in urls)
    return named.get("Documentation", "docs").partition("#")[0].rstrip("/")
