"""Kafka by its own producer, to a broker that is killed again and again and keeps on S3 what it acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.kafka import KafkaTransport
from tests.forward.kafka_broker import TOPIC, KafkaBroker
from tests.forward.sending import forwarding, ids_of, lines_of
from tests.load.load_runs import Account
from tests.long_form import LONG

KILLS = 50 if LONG else 3
WINDOW = 500


@pytest.fixture
def broker(tmp_path: Path, s3_url: str) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(tmp_path, s3=s3_url)
    broker.start()
    broker.create_topic()
    yield broker
    broker.kill()


@pytest.mark.slow
def test_a_broker_that_is_killed_again_and_again_misses_nothing(
    account: Account, load: Callable[..., None], broker: KafkaBroker
) -> None:
    """Each time right after records were handed to the producer, and so with some of them on their way."""
    load(*range(1, KILLS + 2), events=500)
    options = DestinationOptions(transport="kafka", topic=TOPIC, window=WINDOW)
    producer = Producer({"bootstrap.servers": broker.address, "acks": "all", "log_level": 0})
    transport = KafkaTransport(producer, topic=TOPIC, about="kafka")
    sending = forwarding(account, options, address=Address(host="kafka", port=broker.port), connect=lambda: transport)
    sending.begin()
    kills = 0

    def kill(_: int) -> None:
        nonlocal kills
        if kills < KILLS:
            time.sleep(kills % 3 * 0.005)
            broker.kill()
            broker.start()
            kills += 1

    (outcome,) = sending.send(sending.pending(), on_messages=kill)
    assert (kills, outcome.acknowledgement, outcome.imbalance()) == (KILLS, "acknowledged", None)
    records = broker.messages()
    received = {(record.key() or b"").decode(): record.value() for record in records}
    assert received == dict(zip(ids_of(account), lines_of(account), strict=True))
    assert len(records) - len(received) <= KILLS * WINDOW
    assert all(("imperva_uid", record.key()) in (record.headers() or []) for record in records)
