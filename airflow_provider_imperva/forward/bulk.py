"""Elasticsearch and OpenSearch: documents by the bulk interface, under our id, so that sending again changes nothing.

The bulk interface is one request in a form that both have had for ten years, so none of their two clients is needed,
of which one refuses to speak to the other's server.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from airflow_provider_imperva.errors import DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.http import Endpoint, HttpTransport, unexpected
from airflow_provider_imperva.forward.link import PATIENCE, RetryPolicy

logger = logging.getLogger(__name__)

_ENCODE = msgspec.json.Encoder().encode
_PASSING = frozenset({429, 502, 503, 504})
_CONFLICT = 409


class _Item(msgspec.Struct):
    status: int
    error: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    items: list[dict[str, _Item]]


_ANSWERS = msgspec.json.Decoder(_Answer)


def authorization(address: Address) -> str:
    """Return the header for user and password, or for an API key alone."""
    if address.login:
        return "Basic " + base64.b64encode(f"{address.login}:{address.password}".encode()).decode()
    return f"ApiKey {address.password}" if address.password else ""


class BulkTransport(HttpTransport):
    """Creates a document for each event, unless there is one under its id.

    :param index: an index or a data stream.
    :param is_json: whether bodies are JSON objects; else a document has the line as ``message``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        index: str,
        is_json: bool,
        path: str = "",
        batch_bytes: int,
        zipped: bool = True,
        retry_policy: RetryPolicy = PATIENCE,
    ) -> None:
        super().__init__(endpoint, batch_bytes=batch_bytes, zipped=zipped)
        self.acknowledgement = "stored"
        self._path = f"{path}/{quote(index, safe='')}/_bulk"
        self._is_json = is_json
        self._retry_policy = retry_policy

    def encode(self, event: Event) -> bytes:
        """Write an event as an action and a document."""
        at = datetime.now(UTC) if event.time is None else datetime.fromtimestamp(event.time / 1000, UTC)
        time = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
        if self._is_json:
            document = event.body
            if b'"@timestamp"' not in document:
                document = b'{"@timestamp":"' + time.encode() + b'",' + document[1:]
        else:
            document = _ENCODE(
                {
                    "@timestamp": time,
                    "message": event.body.decode("utf-8", "replace"),
                    "event_class": event.event_class,
                    "site_name": event.site,
                }
            )
        return b"%b\n%b\n" % (_ENCODE({"create": {"_id": event.id}}), document)

    def post(self, pieces: Sequence[bytes]) -> None:
        """Send a batch, and those of it again that the cluster has no room for now."""
        waiting = list(pieces)
        for attempt in range(1, self._retry_policy.attempts + 1):
            self._retry_policy.pause(attempt)
            waiting = self._post(waiting)
            if not waiting:
                self.settled(len(pieces))
                return
            logger.warning("%s: %d documents are refused for now", self.endpoint, len(waiting))
        raise DestinationUnavailableError(
            f"{len(waiting)} documents of a batch are refused for want of room",
            do="See the cluster's write queues; what is not stored is sent again by a later run",
            about=str(self.endpoint),
        )

    def _post(self, pieces: list[bytes]) -> list[bytes]:
        """Send documents once; return those that are to be sent again."""
        status, content = self.endpoint.post(
            self._path, b"".join(pieces), headers={"Content-Type": "application/x-ndjson"}, zipped=self.zipped
        )
        try:
            items = _ANSWERS.decode(content).items if status == 200 else []
        except msgspec.DecodeError:
            items = []
        if len(items) != len(pieces):
            raise unexpected(
                self.endpoint,
                status,
                do="See that the connection leads to Elasticsearch or OpenSearch, and that the index or data stream"
                " exists or may be created by this user",
            )
        again = []
        for piece, item in zip(pieces, items, strict=True):
            (result,) = item.values()
            if result.status in _PASSING:
                again.append(piece)
            elif result.status >= 300 and result.status != _CONFLICT:
                kind = str((result.error or {}).get("type", result.status))
                self.refuse(kind if kind.replace("_", "").isalnum() and len(kind) < 64 else str(result.status))
        return again
