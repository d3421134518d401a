"""Kafka by its own producer, against the mock cluster that its C library has: real requests over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from airflow_provider_imperva.errors import ConfigurationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.kafka import KafkaTransport, check_acks
from tests.forward.kafka_cluster import KafkaCluster
from tests.forward.sending import forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]
ADDRESS = Address(host="kafka", port=9092)
OPTIONS = DestinationOptions(transport="kafka", topic="waf")


def test_each_event_is_a_record_under_its_id(account: Account, load: Load) -> None:
    load(1, 2)
    cluster = KafkaCluster()
    transport = KafkaTransport(cluster.producer, topic="waf", about="kafka")
    (outcome,) = send_all(forwarding(account, OPTIONS, address=ADDRESS, connect=lambda: transport))
    records = cluster.messages()
    assert len(records) == 100
    by_id = {(record.key() or b"").decode(): record.value() for record in records}
    assert by_id == dict(zip(ids_of(account), lines_of(account), strict=True))
    assert all(("imperva_uid", record.key()) in (record.headers() or []) for record in records)
    assert (outcome.acknowledgement, outcome.sent) == ("acknowledged", 100)


def test_a_record_that_is_too_large_is_counted(account: Account, load: Load) -> None:
    load(1)
    cluster = KafkaCluster(**{"message.max.bytes": 1000})
    large = sum(len(line) > 850 for line in lines_of(account))
    transport = KafkaTransport(cluster.producer, topic="waf", about="kafka")
    (outcome,) = send_all(forwarding(account, OPTIONS, address=ADDRESS, connect=lambda: transport))
    refused = outcome.rejected.get("too_large_for_destination", 0)
    assert refused >= large > 0
    assert (outcome.sent + refused, outcome.imbalance()) == (50, None)


def test_without_brokers_nothing_is_settled(account: Account, load: Load) -> None:
    load(1)
    nobody = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "message.timeout.ms": 500})
    transport = KafkaTransport(nobody, topic="waf", about="kafka", timeout=3)
    sending = forwarding(account, OPTIONS, address=ADDRESS, connect=lambda: transport)
    with pytest.raises((DestinationUnavailableError, DestinationRefusedError), match=r"Kafka|acknowledged"):
        send_all(sending)
    assert sending.pending() == [1]


def test_a_producer_that_does_not_wait_for_replicas_is_refused() -> None:
    check_acks({"acks": -1}, about="kafka_default")
    check_acks({}, about="kafka_default")
    for name in ("acks", "request.required.acks"):
        with pytest.raises(ConfigurationError, match="Set acks to all"):
            check_acks({name: "1"}, about="kafka_default")


def test_the_connection_is_that_of_airflows_provider(account: Account, load: Load, monkeypatch: Any) -> None:
    from airflow_provider_imperva.hooks.destination import open_destination

    load(1)
    cluster = KafkaCluster()
    extra = {"bootstrap.servers": cluster.brokers}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA", json.dumps({"conn_type": "kafka", "extra": extra}))
    address, _, connect = open_destination("kafka", OPTIONS, port=9092)
    assert address == f"waf on {cluster.brokers}"
    (outcome,) = send_all(forwarding(account, OPTIONS, address=ADDRESS, connect=connect))
    assert outcome.sent == len(cluster.messages()) == 50
