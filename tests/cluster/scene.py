"""What a cluster loads, and where to: the logs of a fake repository, and a lake on an S3 server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa

from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import KeyPair, forge_repository
from tests.crash.object_server import BUCKET, KEY

LAKE = f"s3://{BUCKET}/lake"
_REQUEST_ID = re.compile(r" deviceExternalId=(\d+) ")


def add_logs(repository: FakeRepository, logs: int, *, events_per_log: int, keys: Path) -> pa.Table:
    """Forge encrypted logs, and return each of their events by log, line and request id.

    :param keys: folder for the private key.
    """
    key = KeyPair.generate("1")
    key.write(keys)
    names: list[str] = []
    lines: list[int] = []
    requests: list[str] = []
    for log in forge_repository(logs, skip={7, 8, 200}, events_per_log=events_per_log, keys=[key]):
        repository.add(log.name, log.content)
        for line, event in enumerate(log.events, 1):
            match = _REQUEST_ID.search(event)
            assert match
            names.append(log.name)
            lines.append(line)
            requests.append(match[1])
    return pa.table({"src_file": names, "src_line": pa.array(lines, pa.int64()), "request_id": requests})


def environment(repository: FakeRepository, s3: str, *, logs_per_batch: int, keys: Path) -> dict[str, str]:
    """Return the two connections, and what the DAG reads, as environment."""
    imperva = {
        "conn_type": "imperva",
        "host": repository.url,
        "login": repository.login,
        "password": repository.password,
        "extra": {"private_keys_dir": str(keys)},
    }
    lake = {
        "conn_type": "aws",
        "login": KEY,
        "password": KEY,
        "extra": {
            "endpoint_url": s3,
            "region_name": "us-east-1",
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        },
    }
    return {
        "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(imperva),
        "AIRFLOW_CONN_LAKE": json.dumps(lake),
        "IMPERVA_LAKE_URI": LAKE,
        "IMPERVA_LOGS_PER_BATCH": str(logs_per_batch),
    }
