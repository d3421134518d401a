"""Forwardings as tests need them: from an account's lake to a receiver on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.event import Event, Transport
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.forward.transports import open_transport
from airflow_provider_imperva.lake.forwards import Forwarded
from airflow_provider_imperva.lake.records import Run
from tests.load.load_runs import Account

QUICK = RetryPolicy(attempts=40)


def forwarding(
    account: Account,
    options: DestinationOptions,
    *,
    address: Address,
    name: str = "siem",
    connect: Callable[[], Transport] | None = None,
    retry_policy: RetryPolicy = QUICK,
    **other: Any,
) -> Forwarding:
    return Forwarding(
        ledger=account.ledger,
        keys=account.keys,
        name=name,
        address=str(address),
        options=options,
        connect=connect or (lambda: open_transport(options, address, retry_policy=retry_policy)),
        run=Run("test", "run"),
        **other,
    )


def send_all(sending: Forwarding, *, start: str | int | None = None) -> list[Forwarded]:
    sending.begin(start=start)
    return list(sending.send(sending.pending()))


def lines_of(account: Account) -> list[bytes]:
    """The lines of the lake's logs, in the order of logs and lines."""
    return [line.encode() for log in sorted_logs(account) for line in log.events]


def ids_of(account: Account) -> list[str]:
    return [
        f"{account.repository.name}/{log.name}:{number}"
        for log in sorted_logs(account)
        for number in range(1, len(log.events) + 1)
    ]


def sorted_logs(account: Account) -> list[Any]:
    return sorted(account.forged.values(), key=lambda log: int(log.name.split("_")[1].split(".")[0]))


class Collector:
    """A transport that keeps what it is given, and acknowledges it when it is settled.

    :param at_once: acknowledge each event as it comes.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.events: list[Event] = []
        self.acknowledged = 0
        self.resent = 0
        self.refused: dict[str, int] = {}
        self.acknowledgement: Any = "acknowledged"
        self.at_once = at_once
        self.fail_after: int | None = None
        self.largest_lead = 0
        self.closed = False

    def send(self, events: Any) -> None:
        for event in events:
            if self.fail_after is not None and len(self.events) >= self.fail_after:
                raise ConnectionResetError("killed here")
            self.events.append(event)
            self.largest_lead = max(self.largest_lead, len(self.events) - self.acknowledged)
            if self.at_once:
                self.acknowledged += 1

    def settle(self) -> None:
        self.acknowledged = len(self.events)

    def close(self) -> None:
        self.closed = True


__all__ = ["Collector", "forwarding", "ids_of", "lines_of", "replace", "send_all"]
