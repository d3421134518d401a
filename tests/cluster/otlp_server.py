"""An OpenTelemetry collector on loopback, which keeps what it is sent: OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Point(NamedTuple):
    """A value of a metric, as it came over the network; the last one of a counter is its total."""

    name: str
    value: float
    tags: dict[str, str]


@dataclass
class OtlpServer:
    """Where it listens, and what came."""

    port: int = 0
    received: list[Point] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return what makes Airflow send its metrics here, twice a second."""
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "AIRFLOW__METRICS__OTEL_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__OTEL_PORT": str(self.port),
            "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "500",
        }

    def ours(self) -> list[Point]:
        """Return what was sent of this provider's metrics, without Airflow's prefix."""
        named = [point._replace(name=point.name.removeprefix("airflow.")) for point in list(self.received)]
        return [point for point in named if point.name.startswith("imperva.")]

    def keep(self, body: bytes) -> None:
        """Take a request."""
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = metric.WhichOneof("data")
                    for point in getattr(metric, data).data_points:
                        tags = {tag.key: tag.value.string_value for tag in point.attributes}
                        # Airflow makes histograms of timings, or gauges in its older releases.
                        value = point.sum if "histogram" in data else getattr(point, point.WhichOneof("value"))
                        self.received.append(Point(metric.name, value, tags))


@contextmanager
def otlp_server() -> Iterator[OtlpServer]:
    """Listen on a free port."""
    server = OtlpServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.keep(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
