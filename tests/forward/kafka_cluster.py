"""The mock cluster that Kafka's C library has: real requests over real sockets, in this process."""

from __future__ import annotations

from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

BROKERS = 3
TOPIC = "waf"


class KafkaCluster:
    """A cluster of three brokers, which ends with the producer that made it."""

    def __init__(self, **options: Any) -> None:
        self.producer = Producer({"test.mock.num.brokers": BROKERS, "acks": "all", "log_level": 0, **options})
        brokers = self.producer.list_topics(timeout=10).brokers.values()
        self.brokers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        self.port = next(iter(brokers)).port

    def start(self) -> None:
        """Do nothing: it listens already."""

    def stop(self) -> None:
        """Do nothing: what it has received can still be read."""

    def messages(self) -> list[Message]:
        """Read every record of the topic."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "test", "enable.partition.eof": True})
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
        found: list[Message] = []
        ended = 0
        try:
            while ended < len(partitions):
                for message in consumer.consume(500, timeout=0.2):
                    if message.error():
                        ended += 1
                    else:
                        found.append(message)
        finally:
            consumer.close()
        return found

    def ids(self) -> list[str]:
        """The keys of these records."""
        return [(message.key() or b"").decode() for message in self.messages()]
