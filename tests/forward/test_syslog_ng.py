"""Forwarding to a real syslog-ng: it tells header, id and line apart as they were meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.presets import destination_options
from tests.forward.conftest import Certificates
from tests.forward.sending import forwarding, ids_of, lines_of
from tests.forward.syslog_ng import SyslogNg
from tests.load.load_runs import Account

Load = Callable[..., None]
pytestmark = pytest.mark.needs("syslog-ng-core", "openssl")


@pytest.mark.parametrize(
    ("driver", "destination", "has_ids"),
    [("syslog", "syslog", True), ("network", "usm_anywhere", False)],
    ids=["RFC 5424 and 5425", "RFC 3164 by line feeds"],
)
def test_what_arrives_is_what_the_lake_has(
    account: Account,
    load: Load,
    certificates: Certificates,
    tmp_path: Path,
    driver: Literal["syslog", "network"],
    destination: str,
    has_ids: bool,
) -> None:
    load(1, 2)
    receiver = SyslogNg(tmp_path / "syslog-ng", driver, certificates.certificate, certificates.key)
    receiver.start()
    kills = 0

    def kill_once(_: int) -> None:
        nonlocal kills
        if not kills:
            kills += 1
            receiver.kill()
            receiver.start()

    try:
        address = Address(host="localhost", port=receiver.port, verify=str(certificates.certificate), read_timeout=10)
        sending = forwarding(account, destination_options(destination, {}), address=address)
        sending.begin()
        list(sending.send(sending.pending(), on_messages=kill_once))
        receiver.stop()
    finally:
        receiver.kill()
    expected: list[Any] = []
    for line, name in zip(lines_of(account), ids_of(account), strict=True):
        data = f'[imperva@32473 uid="{name}"]' if has_ids else ""
        expected.append(f"{data}|imperva-cloud-waf|imperva|".encode() + line)
    # What was in its buffers when it was killed comes again.
    received = receiver.messages()
    assert list(dict.fromkeys(received)) == expected
