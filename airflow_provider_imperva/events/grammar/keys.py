"""The keys of CEF and LEEF records: which are known, which column each gives, and what stands in their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airflow_provider_imperva.events.schema.columns import COLUMNS, HEADER, LABELS, Column, Format

_OTHERS_WRITE = {"url", "query_string", "referrer", "request_body", "user_agent", "x_forwarded_for", "rule_names"}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a format calls the columns.

    :param columns: columns by the key whose value they take, header parts aside.
    :param known: every key: lower case to the spelling of real events (the vendor's examples differ in case).
    :param json: keys whose values are JSON.
    :param free_text: keys whose values others write, so that an unknown key in them is none.
    """

    columns: Mapping[str, Column]
    known: Mapping[str, str]
    json: frozenset[str]
    free_text: frozenset[str]

    @classmethod
    def of(cls, format_name: Format, *more: str) -> Keys:
        """Gather the keys of a format.

        :param more: keys without a column that end a value before them all the same.
        """
        columns = {
            column.key(format_name): column
            for column in COLUMNS
            if column.source(format_name) and not column.source(format_name).startswith(HEADER)
        }
        labels = (f"{key}Label" for key in (*LABELS, "cs12"))
        json = frozenset(key for key, column in columns.items() if column.kind == "json")
        others_write = {key for key, column in columns.items() if column.name in _OTHERS_WRITE}
        return cls(
            columns=columns,
            known={key.lower(): key for key in (*columns, "cs12", *labels, *more)},
            json=json,
            free_text=json | others_write | {"msg"},
        )

    @property
    def numbered(self) -> Iterator[tuple[int, str]]:
        """Number every key, from 1 up."""
        return enumerate(self.known.values(), 1)


CEF = Keys.of("CEF")
ANALYTICS = Keys.of("CEF", "msg", "dhost")
LEEF = Keys.of("LEEF")
