"""Kafka: a record for each event, acknowledged by all replicas in sync; the event's id is its key."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_imperva.errors import ConfigurationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.event import Acknowledgement, Event

_DO = "See the brokers, the topic and what this user may do; what is not acknowledged is sent again by a later run"
_TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE", "_MSG_SIZE_TOO_LARGE"})
_FOR_A_PERSON = frozenset(
    {"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"}
    | {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "TOPIC_EXCEPTION", "_SSL"}
)


class Producer(Protocol):
    """What is used of ``confluent_kafka.Producer``."""

    def produce(self, topic: str, *arguments: Any, **options: Any) -> None:
        """Queue a record; :raises BufferError: if the queue is full."""

    def poll(self, timeout: float) -> int:
        """Call back for what was delivered."""

    def flush(self, timeout: float) -> int:
        """Wait until all is delivered; returns how much is not."""


@dataclass(slots=True)
class _Record:
    delivered: bool = False


def check_acks(config: Mapping[str, Any], *, about: str) -> None:
    """See that a producer's configuration has every replica in sync acknowledge.

    :raises ConfigurationError: if it has not.
    """
    given = config.get("acks", config.get("request.required.acks", "all"))
    if str(given) not in ("all", "-1"):
        raise ConfigurationError(
            f"the producer's acks is {given}, so that a broker that dies loses what was acknowledged",
            do="Set acks to all in the connection's extra, or leave it out",
            about=about,
        )


class KafkaTransport:
    """Produces records to a topic.

    :param producer: one whose ``acks`` is ``all``.
    :param timeout: seconds to wait for the brokers.
    """

    def __init__(self, producer: Producer, *, topic: str, about: str, timeout: float = 120) -> None:
        self.acknowledged = 0
        self.resent = 0
        self.refused: dict[str, int] = {}
        self.acknowledgement: Acknowledgement = "acknowledged"
        self._producer = producer
        self._topic = topic
        self._about = about
        self._timeout = timeout
        self._records: deque[_Record] = deque()
        self._failure: str | None = None

    def send(self, events: Sequence[Event]) -> None:
        """Queue records, and wait where the queue is full."""
        for event in events:
            self._produce(event)
        self._producer.poll(0)
        self._note()

    def settle(self) -> None:
        """Wait until every record is acknowledged."""
        left = self._producer.flush(self._timeout)
        self._note()
        if left or self._records:
            raise DestinationUnavailableError(
                f"{left} records were not acknowledged within {self._timeout:g} s", do=_DO, about=self._about
            )

    def close(self) -> None:
        """Do nothing: the producer closes itself."""

    def _produce(self, event: Event) -> None:
        record = _Record()

        def delivered(error: Any, _message: object) -> None:
            if error is None:
                record.delivered = True
            elif error.name() in _TOO_LARGE:
                self._refuse(record)
            else:
                self._failure = self._failure or str(error.name())

        headers = [("imperva_uid", event.id.encode("utf-8", "replace")), ("event_class", event.event_class.encode())]
        key = event.id.encode("utf-8", "replace")
        self._records.append(record)
        while True:
            try:
                self._producer.produce(self._topic, value=event.body, key=key, headers=headers, on_delivery=delivered)
            except BufferError:
                self._producer.poll(1)
                self._note()
            except Exception as error:
                kind = _kind(error)
                if kind not in _TOO_LARGE:
                    self._failure = self._failure or str(kind)
                    self._note()
                self._refuse(record)
                return
            else:
                return

    def _refuse(self, record: _Record) -> None:
        record.delivered = True
        self.refused["too_large_for_destination"] = self.refused.get("too_large_for_destination", 0) + 1

    def _note(self) -> None:
        """Count what is acknowledged, from the oldest on.

        :raises DestinationError: if a record failed.
        """
        while self._records and self._records[0].delivered:
            self._records.popleft()
            self.acknowledged += 1
        if self._failure:
            kind = DestinationRefusedError if self._failure in _FOR_A_PERSON else DestinationUnavailableError
            raise kind(f"Kafka does not take a record ({self._failure})", do=_DO, about=self._about)


def _kind(error: Exception) -> str:
    """Return the code of an error of ``confluent_kafka``, whose text may quote the configuration."""
    code = error.args[0] if error.args else None
    return str(code.name()) if code is not None and hasattr(code, "name") else type(error).__name__
