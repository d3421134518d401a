"""A badge: one line that says how a repository stands, as SVG, for a wiki or a README."""

from __future__ import annotations

from markupsafe import Markup

from airflow_provider_imperva.audit.assessment import Assessment, Level
from airflow_provider_imperva.audit.svg import element

_COLOURS = {Level.RED: "#a3142b", Level.AMBER: "#8a5a00", Level.GREEN: "#1d6b3a"}
_WORDS = {Level.RED: "act now", Level.AMBER: "waiting", Level.GREEN: "complete"}
_HEIGHT, _PADDING, _LETTER = 20, 8, 7.2
_FONT = {"font_family": "Verdana, DejaVu Sans, sans-serif", "font_size": 11, "fill": "#fff", "y": 14}


def badge(repository: str, assessment: Assessment) -> str:
    """Draw the badge: the repository, and its level in a word and a colour.

    What it means in full is its title, which browsers show and screen readers read.
    """
    word = f"{assessment.level.symbol} {_WORDS[assessment.level]}"
    left, right = (len(text) * _LETTER + 2 * _PADDING for text in (repository, word))
    return str(
        Markup('<?xml version="1.0" encoding="UTF-8"?>\n')
        + element(
            "svg",
            element("title", f"{repository}: {assessment.headline}"),
            element("rect", width=left, height=_HEIGHT, fill="#444b53"),
            element("rect", x=left, width=right, height=_HEIGHT, fill=_COLOURS[assessment.level]),
            element("text", repository, x=_PADDING, textLength=left - 2 * _PADDING, **_FONT),
            element("text", word, x=left + _PADDING, textLength=right - 2 * _PADDING, **_FONT),
            xmlns="http://www.w3.org/2000/svg",
            width=left + right,
            height=_HEIGHT,
            role="img",
            aria_label=f"{repository}: {assessment.headline}",
        )
    )
