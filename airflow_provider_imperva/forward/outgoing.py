"""From the records of a log to the events that go out: chosen, written in a format, and cut to size."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.schema.columns import INT64
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST
from airflow_provider_imperva.forward.commits import Block, ForwardedLog
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.formats import WRITERS
from airflow_provider_imperva.forward.size import fitted


@dataclass(slots=True)
class Counts:
    """What became of the lines so far."""

    lines: int = 0
    held_back: int = 0
    truncated: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Makes events of records."""

    repository: str
    options: DestinationOptions
    counts: Counts = field(default_factory=Counts)

    def events(self, log: ForwardedLog, block: Block) -> Iterator[tuple[Event, ...]]:
        """Yield the messages of each line that goes out, in order: one, or the pieces of a line that was split."""
        counts = self.counts
        counts.lines += block.events.num_rows + block.quarantined.num_rows
        chosen = self._chosen(log, block.events)
        lines = self._lines(log, chosen, block.exact)
        if block.quarantined.num_rows:
            if self.options.quarantined:
                lines = sorted([*lines, *self._quarantined(log, block.quarantined)], key=lambda line: line[0])
            else:
                counts.held_back += block.quarantined.num_rows
        for _, event in lines:
            largest = self.options.largest_event
            if largest is None or len(event.body) <= largest:
                yield (event,)
                continue
            pieces = fitted(event.body, largest=largest, how=self.options.on_large)
            if not pieces:
                counts.rejected["too_large"] += 1
                continue
            counts.truncated += self.options.on_large == "truncate"
            if len(pieces) == 1:
                yield (event._replace(body=pieces[0]),)
            else:
                yield tuple(
                    event._replace(id=f"{event.id}#{place}/{len(pieces)}", body=piece)
                    for place, piece in enumerate(pieces, 1)
                )

    def _chosen(self, log: ForwardedLog, events: pa.Table) -> pa.Table:
        options = self.options
        if options.classes is not None:
            events = self._keep(events, pc.is_in(_texts(events["event_class"]), pa.array(options.classes)), "class")
        if options.sites is not None:
            sites = pa.array(options.sites, pa.string())
            by_name = pc.fill_null(pc.is_in(_texts(events["site_name"]), sites), False)
            by_id = pc.fill_null(pc.is_in(events["site_id"].cast(pa.string()), sites), False)
            events = self._keep(events, pc.or_(by_name, by_id), "site")
        if options.sample < 1:
            threshold = options.sample * 2**32
            kept = [
                event_class != "access" or zlib.crc32(self._id(log, line).encode("utf-8", "replace")) < threshold
                for event_class, line in zip(
                    events["event_class"].to_pylist(), events["src_line"].to_pylist(), strict=True
                )
            ]
            events = self._keep(events, pa.array(kept, pa.bool_()), "sample")
        return events

    def _keep(self, events: pa.Table, which: pa.Array | pa.ChunkedArray, reason: str) -> pa.Table:
        kept = events.filter(which)
        if left_out := events.num_rows - kept.num_rows:
            self.counts.filtered[reason] += left_out
        return kept

    def _id(self, log: ForwardedLog, line: int) -> str:
        return f"{self.repository}/{log.file}:{line}"

    def _lines(
        self, log: ForwardedLog, events: pa.Table, exact: dict[int, bytes]
    ) -> Sequence[tuple[tuple[int, int], Event]]:
        before = self._id(log, 0)[:-1]
        return [
            (
                (line % LINES_AT_MOST, line // LINES_AT_MOST),
                Event(f"{before}{line}", body, time, event_class or "", site or ""),
            )
            for line, body, time, event_class, site in zip(
                events["src_line"].to_pylist(),
                WRITERS[self.options.format](events, exact),
                events["event_time"].cast(INT64).to_pylist(),
                _texts(events["event_class"]).to_pylist(),
                events["site_name"].to_pylist(),
                strict=True,
            )
        ]

    def _quarantined(self, log: ForwardedLog, lines: pa.Table) -> Iterator[tuple[tuple[int, int], Event]]:
        for number, body in zip(lines["src_line"].to_pylist(), lines["raw"].to_pylist(), strict=True):
            line = number or 0
            yield (
                (line % LINES_AT_MOST, line // LINES_AT_MOST),
                Event(self._id(log, line), body, log.fetched_at, "", ""),
            )


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
