"""The kernel without compiled code of our own: whole blocks at a time, with NumPy, Arrow and ``re``.

It reads where there is no extension. Where there is one, it is what the extension is tested against: both were written
from the descriptions in :class:`~airflow_provider_imperva.events.scan.kernel.Kernel`, neither from the other.
"""

from __future__ import annotations

from airflow_provider_imperva.events.scan.plain.headers import cut_headers
from airflow_provider_imperva.events.scan.plain.lines import count_either, count_text, find_line_ends, tally
from airflow_provider_imperva.events.scan.plain.pairs import find_pairs
from airflow_provider_imperva.events.scan.plain.rows import cut_rows
from airflow_provider_imperva.events.scan.plain.texts import copy, finish, measure, recode
from airflow_provider_imperva.events.scan.plain.values import (
    count_values,
    cut_lists,
    cut_urls,
    find_doubtful,
    read_digits,
)

__all__ = [
    "copy",
    "count_either",
    "count_text",
    "count_values",
    "cut_headers",
    "cut_lists",
    "cut_rows",
    "cut_urls",
    "find_doubtful",
    "find_line_ends",
    "find_pairs",
    "finish",
    "measure",
    "read_digits",
    "recode",
    "tally",
]
