"""The keys of CEF and LEEF records: which are known, which column each gives, and what stands in their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airflow_provider_imperva.events.schema.columns import COLUMNS, HEADER, LABELS, Column, Format

_CLIENTS_WRITE = {"url", "query_string", "referrer", "request_body", "user_agent", "x_forwarded_for"}
_CLIENTS_WRITE |= {"additional_request_headers", "additional_response_headers"}
_LINE_ENDS_IN = {"url", "query_string", "referrer", "request_body", "user_agent"}
_REQUIRED = ("action", "client_ip", "event_time", "request_id")
_LATE = {"attack_type_codes", "attack_ids", "rule_names", "delivery_rules", "rule_info", "client_edge_ip"}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a format calls the columns.

    :param columns: columns by the key whose value they take, header parts aside.
    :param known: every key: lower case to the spelling of real events (the vendor's examples differ in case).
    :param json: keys whose values are JSON.
    :param free_text: keys whose values others write, so that an unknown key in them counts as text.
    :param client: those of them, and of the JSON ones, whose values the client writes.
    :param goes_on: keys whose values may hold line ends.
    :param late: keys that in no event stand right after one of ``goes_on``.
    :param one_word: keys whose values hold no blanks.
    :param required: keys without which an event is incomplete.
    """

    columns: Mapping[str, Column]
    known: Mapping[str, str]
    json: frozenset[str]
    free_text: frozenset[str]
    client: frozenset[str] = frozenset()
    goes_on: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    one_word: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()

    @classmethod
    def of(cls, format_name: Format, *more: str, required: tuple[str, ...] = _REQUIRED) -> Keys:
        """Gather the keys of a format.

        :param more: keys without a column that end a value before them all the same.
        :param required: names of columns that every event has.
        """
        columns = {
            column.key(format_name): column
            for column in COLUMNS
            if column.source(format_name) and not column.source(format_name).startswith(HEADER)
        }
        by_name = {column.name: key for key, column in columns.items()}
        labels = (f"{key}Label" for key in (*LABELS, "cs12"))
        json = frozenset(key for key, column in columns.items() if column.kind == "json")
        client = _of(by_name, _CLIENTS_WRITE) | {"msg"}
        return cls(
            columns=columns,
            known={key.lower(): key for key in (*columns, "cs12", *labels, *more)},
            json=json,
            free_text=json | client | {by_name["rule_names"]},
            client=client,
            goes_on=_of(by_name, _LINE_ENDS_IN) | {"msg"},
            late=_of(by_name, _LATE),
            one_word=frozenset(
                key
                for key, column in columns.items()
                if column.kind in ("int", "time", "ip") or column.name in _REQUIRED
            ),
            required=tuple(by_name[name] for name in required),
        )

    @property
    def numbered(self) -> Iterator[tuple[int, str]]:
        """Number every key, from 1 up."""
        return enumerate(self.known.values(), 1)


def _of(by_name: Mapping[str, str], names: set[str]) -> frozenset[str]:
    return frozenset(by_name[name] for name in names if name in by_name)


CEF = Keys.of("CEF")
ANALYTICS = Keys.of("CEF", "msg", "dhost", required=("event_time",))
LEEF = Keys.of("LEEF")
