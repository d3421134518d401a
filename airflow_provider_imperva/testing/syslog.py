"""Receivers of a stream of messages: syslog over TCP and TLS with octet counting, and GELF that ends at NUL.

They are strict: what is not framed as RFC 6587 and 5425, or as GELF's specification, has it ends the connection.
"""

from __future__ import annotations

import io
import json
import socketserver
from collections.abc import Iterator
from typing import Any

from airflow_provider_imperva.testing.listener import OwnedServer, Receiver

_LARGEST = 1 << 24


class StreamReceiver(Receiver):
    """Keeps every message that came whole; subclasses say where a message ends.

    :ivar messages: what came, in the order of each connection.
    :ivar errors: what was not framed as it should be; the connection is closed at it.
    """

    def __init__(self, **options: Any) -> None:
        self.messages: list[bytes] = []
        self.errors: list[str] = []
        super().__init__(_Handler, **options)

    def frames(self, stream: io.BufferedReader) -> Iterator[bytes]:
        """Yield the messages of a connection.

        :raises ValueError: if there is something else.
        """
        raise NotImplementedError


class SyslogReceiver(StreamReceiver):
    """Listens for syslog and counts octets."""

    def frames(self, stream: io.BufferedReader) -> Iterator[bytes]:
        """Yield the messages of a connection."""
        while length := _length(stream):
            content = stream.read(length)
            if len(content) < length:
                return
            yield content


class GelfTcpReceiver(StreamReceiver):
    """An input of type GELF TCP of Graylog: JSON objects, each of which a NUL ends.

    :ivar events: what came, decoded.
    """

    @property
    def events(self) -> list[dict[str, Any]]:
        """What came, decoded."""
        return [json.loads(message) for message in self.messages]

    @property
    def ids(self) -> list[str]:
        """The ids of what came."""
        return [event["_imperva_uid"] for event in self.events]

    def frames(self, stream: io.BufferedReader) -> Iterator[bytes]:
        """Yield the messages of a connection."""
        begun = b""
        while chunk := stream.read1(1 << 16):
            *whole, begun = (begun + chunk).split(b"\0")
            for message in whole:
                if not is_gelf(json.loads(message)):
                    raise ValueError("an object that is not GELF 1.1")
                yield message
            if len(begun) > _LARGEST:
                raise ValueError("a message without an end")


def is_gelf(event: Any) -> bool:
    """Return whether an object is an event of GELF 1.1, which forbids the field ``_id``."""
    return (
        isinstance(event, dict)
        and event.get("version") == "1.1"
        and bool(event.get("host"))
        and bool(event.get("short_message"))
        and "_id" not in event
    )


class _Handler(socketserver.BaseRequestHandler):
    server: OwnedServer

    def handle(self) -> None:
        receiver: StreamReceiver = self.server.owner
        try:
            with self.request.makefile("rb") as stream:
                for message in receiver.frames(stream):
                    receiver.messages.append(message)
        except (OSError, ValueError) as error:
            receiver.errors.append(f"{type(error).__name__}: {error}")


def _length(stream: io.BufferedReader) -> int:
    digits = stream.read(1)
    while digits and not digits.endswith(b" "):
        if not digits.isdigit() or len(digits) > 8:
            raise ValueError(f"no octet count, but {digits[:1]!r}")
        digits += stream.read(1)
    length = int(digits or b"0")
    if length > _LARGEST:
        raise ValueError(f"a message of {length} bytes")
    return length
