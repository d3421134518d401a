"""An event on its way out: its line as it is sent, and what is sent beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

Acknowledgement: TypeAlias = Literal["stored", "acknowledged", "accepted", "delivered", "sent"]
"""What the end of sending means.

``stored``: written under our id, so that sending again changes nothing. ``acknowledged``: the receiver has taken
responsibility for each event. ``accepted``: the receiver has put them into a queue. ``delivered``: the receiver has
read the connection to its end. ``sent``: nothing is known.
"""


class Event(NamedTuple):
    """One message.

    :ivar id: ``<repository>/<src_file>:<src_line>``, with ``#1/3`` after it for the first of three pieces.
    :ivar body: what is sent, UTF-8 unless the log's own bytes are not.
    :ivar time: start of the request, epoch milliseconds; None if the event has none.
    :ivar event_class: ``access``, ``security``, ``attack_analytics``, ``other``; empty for a line in quarantine.
    :ivar site: name of the site; empty if the event has none.
    """

    id: str
    body: bytes
    time: int | None
    event_class: str
    site: str


class Transport(Protocol):
    """A way to a destination.

    Events are sent in order. An exception leaves it unusable, except to be closed: whoever sends begins again after
    what was acknowledged.

    :ivar acknowledged: how many of the events sent so far are settled: acknowledged or, without acknowledgements, so
        long ago that they count as such.
    :ivar resent: how many were sent a second time.
    :ivar refused: how many the destination refused for good, by reason; they count as settled too.
    :ivar acknowledgement: what settled means.
    """

    acknowledged: int
    resent: int
    refused: dict[str, int]
    acknowledgement: Acknowledgement

    def send(self, events: Sequence[Event]) -> None:
        """Send events, as soon as there is room for them.

        :raises DestinationError: if they cannot be sent.
        """

    def settle(self) -> None:
        """Wait until all events sent so far are settled.

        :raises DestinationError: if that does not come about.
        """

    def close(self) -> None:
        """Close it, whatever state it is in."""
