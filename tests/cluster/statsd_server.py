"""A statsd server on loopback, which keeps what it is sent."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

_PACKET = re.compile(r"(?P<name>[^,:]+)(?P<tags>(?:,[^:]*)?):(?P<value>[-+0-9.]+)\|(?P<kind>\w+)")
_KINDS = {"c": "counter", "g": "gauge", "ms": "timing"}


class Received(NamedTuple):
    """A value of a metric, as it came over the network."""

    name: str
    kind: str
    value: float
    tags: dict[str, str]


@dataclass
class StatsdServer:
    """Where it listens, and what came."""

    port: int
    received: list[Received] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return what makes Airflow send its metrics here, with tags."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }

    def ours(self) -> list[Received]:
        """Return what was sent of this provider's metrics, without Airflow's prefix."""
        named = [one._replace(name=one.name.removeprefix("airflow.")) for one in list(self.received)]
        return [one for one in named if one.name.startswith("imperva.")]

    def total(self, name: str, **tags: str) -> float:
        """Return the sum of the values with these tags."""
        return sum(one.value for one in self.ours() if one.name == name and tags.items() <= one.tags.items())


@contextmanager
def statsd_server() -> Iterator[StatsdServer]:
    """Listen on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.1)
        server = StatsdServer(listening.getsockname()[1])
        stopped = threading.Event()

        def listen() -> None:
            while not stopped.is_set():
                try:
                    packet = listening.recv(65536).decode()
                except TimeoutError:
                    continue
                server.received += map(read, packet.splitlines())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield server
        finally:
            stopped.set()
            thread.join()


def read(line: str) -> Received:
    """Read one value, with tags as InfluxDB has them."""
    found = _PACKET.match(line)
    assert found, line
    tags = dict(tag.split("=", 1) for tag in found["tags"].split(",")[1:])
    return Received(found["name"], _KINDS[found["kind"]], float(found["value"]), tags)
