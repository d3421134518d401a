"""``python -m benchmarks.listing``: how long a look takes at a bucket that keeps a million delivered objects.

The bucket is a server of this file that answers S3's ListObjectsV2 about names it makes up, since a real one would take
hours to fill. Each answer takes LATENCY, as one from a real bucket does at least.
"""

from __future__ import annotations

import bisect
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fsspec

from airflow_provider_imperva.delivery.folder import DeliveryFolder
from airflow_provider_imperva.delivery.recent import Recent
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.delivered import DeliveredLogs

OBJECTS = 1_000_000
LATENCY = 0.05
_PAGE = 1000
_WAYS = {"all of it, the first time": "", "rising": "rising", "folders of days": "%Y/%m/%d"}


def main() -> int:
    """Measure, and print a table."""
    print("| look at 1,000,000 objects | seconds | of them processor | requests |\n|---|---|---|---|")
    begin = datetime.now(UTC).replace(hour=0, minute=0) - timedelta(days=OBJECTS // 5000)
    names = [f"logs/{begin + timedelta(days=n // 5000):%Y/%m/%d}/{n % 5000:06d}.log" for n in range(OBJECTS)]
    with tempfile.TemporaryDirectory() as lake, _bucket(names) as (url, requests):
        ledger = Ledger(open_store(lake), "pushed")
        for label, listing in _WAYS.items():
            fs = fsspec.filesystem("s3", anon=True, endpoint_url=url, skip_instance_cache=True)
            recent = Recent.parse(listing, about=url) or Recent()
            folder = DeliveryFolder(lambda fs=fs: fs, "bucket/logs", in_bucket=True, url=url, recent=recent)  # type: ignore[misc]
            requests.clear()
            began, cpu = time.monotonic(), time.process_time()
            with folder:
                DeliveredLogs(folder, ledger).read_index()
            print(
                f"| {label} | {time.monotonic() - began:.1f} | {time.process_time() - cpu:.1f} | {len(requests)} |",
                flush=True,
            )
    return 0


@contextmanager
def _bucket(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            time.sleep(LATENCY)
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            prefix = asked.get("prefix", "")
            after = asked.get("continuation-token") or asked.get("start-after") or ""
            begin = max(bisect.bisect_left(names, prefix), bisect.bisect_right(names, after))
            page = [name for name in names[begin : begin + _PAGE] if name.startswith(prefix)]
            is_truncated = len(page) == _PAGE
            body = _XML.format(
                truncated=str(is_truncated).lower(),
                token=f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if is_truncated else "",
                contents="".join(_ITEM.format(name=name) for name in page),
                count=len(page),
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()


_XML = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>{truncated}</IsTruncated>"
    "{token}{contents}</ListBucketResult>"
)
_ITEM = (
    "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    '<ETag>"0123456789abcdef0123456789abcdef"</ETag><Size>4096</Size></Contents>'
)


if __name__ == "__main__":
    sys.exit(main())
