"""Sumo Logic's HTTP source: lines, each ended by a line feed. 200 means that they were received."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.http import Endpoint, HttpTransport, escaped, unexpected

_PATH = "/receiver/v1/http/"


class SumoTransport(HttpTransport):
    """Sends to an HTTP source.

    The token is the last part of the source's URL: the address's password, or the end of its path. An event's id has
    no place beside a line.

    :param host, name, category: metadata of the source, in place of those that it has; empty to leave them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        address: Address,
        *,
        host: str = "",
        name: str = "",
        category: str = "",
        batch_bytes: int,
        zipped: bool = True,
    ) -> None:
        super().__init__(endpoint, batch_bytes=batch_bytes, zipped=zipped)
        self._path = address.path or _PATH + address.password
        given = {"X-Sumo-Host": host, "X-Sumo-Name": name, "X-Sumo-Category": category}
        self._headers = {header: value for header, value in given.items() if value}

    def encode(self, event: Event) -> bytes:
        """Write an event as a line."""
        return escaped(event.body) + b"\n"

    def post(self, pieces: Sequence[bytes]) -> None:
        """Send a batch."""
        status, _ = self.endpoint.post(
            self._path,
            b"".join(pieces),
            headers=self._headers | {"Content-Type": "text/plain; charset=utf-8"},
            zipped=self.zipped,
        )
        if status != 200:
            raise unexpected(
                self.endpoint, status, do="Copy the source's URL from Sumo Logic again: host, and the token as password"
            )
        self.settled(len(pieces))
