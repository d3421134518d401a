"""Pace: no more events and bytes a second than a licence or a link bears."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from airflow_provider_imperva.forward.event import Event


@dataclass(slots=True, kw_only=True)
class RateLimiter:
    """Holds up whoever sends, so that the average stays below the limits.

    A second's worth may go at once. Time without anything to send is not saved up beyond that.

    :param events_per_second, bytes_per_second: None for no limit.
    :param clock: seconds that never go back; ``sleep`` waits for some.
    """

    events_per_second: float | None = None
    bytes_per_second: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _due: dict[str, float] = field(default_factory=dict)

    def portions(self, events: Sequence[Event]) -> Iterator[Sequence[Event]]:
        """Yield events in portions, each once it may be sent."""
        if self.events_per_second is None and self.bytes_per_second is None:
            yield events
            return
        for portion in self._cut(events):
            self._wait("events", len(portion), self.events_per_second)
            self._wait("bytes", sum(len(event.body) for event in portion), self.bytes_per_second)
            yield portion

    def _cut(self, events: Sequence[Event]) -> Iterator[Sequence[Event]]:
        """Cut events into portions of a second's worth at most, or of one event."""
        begin, size = 0, 0
        most = max(1, int(self.events_per_second or len(events)))
        for place, event in enumerate(events):
            size += len(event.body)
            too_large = self.bytes_per_second is not None and size > self.bytes_per_second
            if place > begin and (too_large or place - begin >= most):
                yield events[begin:place]
                begin, size = place, len(event.body)
        yield events[begin:]

    def _wait(self, what: str, amount: float, rate: float | None) -> None:
        if rate is None:
            return
        now = self.clock()
        due = max(self._due.get(what, now), now - 1)
        if due > now:
            self.sleep(due - now)
        self._due[what] = due + amount / rate
