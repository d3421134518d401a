"""An S3 server of Python (moto) on loopback, behind a front that sees each request and can answer in its place."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fsspec
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.crash.object_server import SESSION, WITHOUT_TLS

BUCKET = "lake"
_STATUS = {"SlowDown": "503 Slow Down", "ExpiredToken": "400 Bad Request", "XMinioStorageFull": "507 Full"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    size: int
    if_none_match: str | None


@dataclass
class Refusal:
    """Answers requests of some methods with an error, after some have passed and as often as said."""

    code: str
    methods: tuple[str, ...] = ("PUT", "POST")
    after: int = 0
    times: int = 1_000_000

    def takes(self, request: Request) -> bool:
        if request.method not in self.methods or not self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Front:
    """What the server is asked, and how it misbehaves.

    :ivar deaf: whether it passes over ``If-None-Match``, as stores do that do not know of it.
    """

    url: str = ""
    deaf: bool = False
    refusals: list[Refusal] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ["QUERY_STRING"],
            int(environ.get("CONTENT_LENGTH") or 0),
            environ.get("HTTP_IF_NONE_MATCH"),
        )
        with self._lock:
            self.requests.append(request)
            refusal = next((refusal for refusal in self.refusals if refusal.takes(request)), None)
        if refusal:
            environ["wsgi.input"].read(request.size)
            body = f"<Error><Code>{refusal.code}</Code><Message>the server's own words</Message></Error>".encode()
            status = _STATUS.get(refusal.code, "403 Forbidden")
            start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [] if request.method == "HEAD" else [body]
        if self.deaf:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        return self._app(environ, start_response)  # type: ignore[no-any-return]

    def filesystem(self, *, attempts: int = 0, **options: Any) -> fsspec.AbstractFileSystem:
        """Connect to the server; ``attempts`` is how often botocore asks again when it is told to slow down."""
        settings: dict[str, Any] = {
            "client_kwargs": WITHOUT_TLS,
            "key": "key",
            "secret": "secret",
            "endpoint_url": self.url,
            "session": SESSION,
            "config_kwargs": {"retries": {"max_attempts": attempts}},
        }
        return fsspec.filesystem("s3", skip_instance_cache=True, **settings | options)


@contextmanager
def moto_server() -> Iterator[Front]:
    """Run the server, with one empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    get_backend("s3").reset()  # it keeps its buckets from one server in this process to the next
    front = Front()
    server = make_server("127.0.0.1", 0, front, threaded=True)
    front.url = f"http://127.0.0.1:{server.port}"
    serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    serving.start()
    try:
        get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, "us-east-1")
        yield front
    finally:
        server.shutdown()
        serving.join()
