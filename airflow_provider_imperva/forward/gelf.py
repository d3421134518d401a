"""GELF, the format of Graylog (version 1.1): a JSON object an event, by HTTP or TCP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.http import Endpoint, HttpTransport, unexpected

_ENCODE = msgspec.json.Encoder().encode


def gelf_writer(*, host_name: str, level: int, is_json: bool) -> Callable[[Event], bytes]:
    """Return what writes an event in GELF.

    :param level: a severity of syslog.
    :param is_json: whether bodies are JSON objects: then their texts and numbers become fields of their own.
    """

    def write(event: Event) -> bytes:
        record: dict[str, Any] = {
            "version": "1.1",
            "host": host_name,
            "short_message": event.body.decode("utf-8", "replace"),
            "level": level,
            "_imperva_uid": event.id,
            "_event_class": event.event_class,
            "_site_name": event.site,
        }
        if event.time is not None:
            record["timestamp"] = event.time / 1000
        if is_json:
            fields = msgspec.json.decode(event.body)
            record |= {f"_{name}": value for name, value in fields.items() if isinstance(value, str | int | float)}
        return _ENCODE(record)

    return write


class GelfHttpTransport(HttpTransport):
    """Sends to an input of type *GELF HTTP* with bulk receiving, where a line feed ends an event."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        write: Callable[[Event], bytes],
        path: str = "",
        batch_bytes: int,
        zipped: bool = True,
    ) -> None:
        super().__init__(endpoint, batch_bytes=batch_bytes, zipped=zipped)
        self._write = write
        self._path = path or "/gelf"

    def encode(self, event: Event) -> bytes:
        """Write an event; JSON holds no line feed."""
        return self._write(event) + b"\n"

    def post(self, pieces: Sequence[bytes]) -> None:
        """Send a batch; 202 means that Graylog has put it into its journal."""
        status, _ = self.endpoint.post(
            self._path, b"".join(pieces), headers={"Content-Type": "application/json"}, zipped=self.zipped
        )
        if status != 202:
            raise unexpected(
                self.endpoint,
                status,
                do="See that the port is that of an input of type GELF HTTP, and that Enable Bulk Receiving is ticked",
            )
        self.settled(len(pieces))
