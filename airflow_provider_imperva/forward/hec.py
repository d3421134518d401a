"""Splunk's HTTP Event Collector (HEC): events as JSON or raw lines, with or without indexer acknowledgement.

Without it, 200 means that Splunk has put the events into a queue. With it, each request has an ``ackId``, and Splunk
says later, when asked, that it is indexed. It forgets what it said, and all of it when it restarts: so what is not
confirmed in time is sent again.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from airflow_provider_imperva.errors import DestinationUnavailableError
from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.http import Endpoint, HttpTransport, escaped, unexpected

_ENCODE = msgspec.json.Encoder().encode
_MOST_UNCONFIRMED = 32 << 20
"""Bytes that may wait for Splunk's word; kept in memory meanwhile, to be sent again."""

_POLL_EVERY = 1.0
_TRIES = 3

_DO = {
    1: "Enable the token in Splunk",
    7: "Create the index in Splunk, allow it to the token, or set another one in the option `index`",
    10: "Set the option `acknowledge` to true: the token has indexer acknowledgment enabled, which needs a channel",
    11: "Report it: the channel is a GUID",
    14: "Enable indexer acknowledgment for the token, or set the option `acknowledge` to false (Splunk Cloud has none)",
}
"""By the codes of HEC's answers, as Splunk's documentation lists them."""


class _Answer(msgspec.Struct):
    code: int = 0
    ackId: int | None = None  # noqa: N815


class _Acks(msgspec.Struct):
    acks: dict[str, bool]


_ANSWERS = msgspec.json.Decoder(_Answer)
_ACKS = msgspec.json.Decoder(_Acks)


@dataclass(frozen=True, slots=True, kw_only=True)
class HecFields:
    """What is sent beside each event.

    :ivar host, source, source_type: of Splunk; ``index`` empty for the token's own.
    :ivar is_json: whether an event's body is a JSON object.
    """

    host: str
    source: str
    source_type: str
    index: str = ""
    is_json: bool = False


@dataclass(slots=True)
class _Unconfirmed:
    ack_id: int
    pieces: Sequence[bytes]
    size: int
    since: float
    tries: int = 1
    confirmed: bool = False


class HecTransport(HttpTransport):
    """Sends to HEC.

    :param raw: to the endpoint for raw lines, where there is no place for the event's id.
    :param acknowledge: whether to wait for indexer acknowledgement.
    :param confirm_within: seconds that Splunk may take to confirm a request, before it is sent again.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        fields: HecFields,
        raw: bool = False,
        acknowledge: bool = False,
        batch_bytes: int,
        zipped: bool = True,
        confirm_within: float = 300,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(endpoint, batch_bytes=batch_bytes, zipped=zipped)
        self.acknowledgement = "acknowledged" if acknowledge else "accepted"
        self._raw = raw
        self._acknowledge = acknowledge
        self._confirm_within = confirm_within
        self._clock = clock
        self._sleep = sleep
        self._fields = fields
        self._channel = str(uuid.uuid4())
        self._unconfirmed: deque[_Unconfirmed] = deque()
        self._common: dict[str, Any] = {
            "host": fields.host,
            "source": fields.source,
            "sourcetype": fields.source_type,
        } | ({"index": fields.index} if fields.index else {})

    def encode(self, event: Event) -> bytes:
        """Write an event as HEC's JSON, with the id as the indexed field ``imperva_uid``; or as a line."""
        if self._raw:
            return escaped(event.body) + b"\n"
        record = self._common | {
            "event": msgspec.Raw(event.body) if self._fields.is_json else event.body.decode("utf-8", "replace"),
            "fields": {"imperva_uid": event.id, "event_class": event.event_class},
        }
        if event.time is not None:
            record["time"] = event.time / 1000
        return _ENCODE(record)

    def post(self, pieces: Sequence[bytes]) -> None:
        """Send a batch."""
        ack_id = self._post(pieces)
        if not self._acknowledge:
            self.settled(len(pieces))
            return
        size = sum(map(len, pieces))
        self._unconfirmed.append(_Unconfirmed(ack_id, pieces, size, self._clock()))
        while sum(one.size for one in self._unconfirmed) > _MOST_UNCONFIRMED:
            self._confirm()

    def settle(self) -> None:
        """Send the rest, and wait for Splunk's word on all of it."""
        super().settle()
        while self._unconfirmed:
            self._confirm()

    def _post(self, pieces: Sequence[bytes]) -> int:
        path = "/services/collector/event"
        if self._raw:
            path = f"/services/collector/raw?{urlencode(self._common)}"
        status, content = self.endpoint.post(
            path, b"".join(pieces), headers=self._headers("application/json"), zipped=self.zipped
        )
        answer = _decoded(_ANSWERS, content)
        if status != 200 or answer is None or answer.code:
            code = answer.code if answer else 0
            raise unexpected(
                self.endpoint,
                status,
                do=_DO.get(
                    code, "See that the connection leads to HEC (port 8088 on Splunk Enterprise) and is enabled"
                ),
                reason=f"HEC code {code}" if code else "not as HEC does",
            )
        if not self._acknowledge:
            return -1
        if answer.ackId is None:
            raise unexpected(self.endpoint, status, do=_DO[14], reason="without an ackId")
        return int(answer.ackId)

    def _headers(self, kind: str) -> dict[str, str]:
        # Raw lines need a channel in any case.
        channel = {"X-Splunk-Request-Channel": self._channel} if self._acknowledge or self._raw else {}
        return {"Content-Type": kind} | channel

    def _confirm(self) -> None:
        """Ask which requests are indexed; send the oldest again if it has waited too long."""
        by_id = {one.ack_id: one for one in self._unconfirmed if not one.confirmed}
        if by_id:
            body = _ENCODE({"acks": list(by_id)})
            path = f"/services/collector/ack?channel={self._channel}"
            status, content = self.endpoint.post(path, body, headers=self._headers("application/json"))
            answer = _decoded(_ACKS, content)
            if status != 200 or answer is None:
                raise unexpected(self.endpoint, status, do=_DO[14], reason="when asked for acknowledgements")
            for name, done in answer.acks.items():
                if done and name.isdigit() and int(name) in by_id:
                    by_id[int(name)].confirmed = True
        moved = False
        while self._unconfirmed and self._unconfirmed[0].confirmed:
            self.settled(len(self._unconfirmed.popleft().pieces))
            moved = True
        if self._unconfirmed and not moved:
            oldest = self._unconfirmed[0]
            if self._clock() - oldest.since > self._confirm_within:
                self._send_again(oldest)
            self._sleep(_POLL_EVERY)

    def _send_again(self, late: _Unconfirmed) -> None:
        if late.tries >= _TRIES:
            raise DestinationUnavailableError(
                f"Splunk did not confirm a request within {self._confirm_within:g} s, {_TRIES} times over",
                do="See Splunk's indexing queues and the free space of its disks; what is not confirmed is sent again"
                " by a later run",
                about=str(self.endpoint),
            )
        late.ack_id, late.since, late.tries = self._post(late.pieces), self._clock(), late.tries + 1
        self.resent += len(late.pieces)


def _decoded(decoder: msgspec.json.Decoder[Any], content: bytes) -> Any:
    try:
        return decoder.decode(content)
    except msgspec.DecodeError:
        return None
