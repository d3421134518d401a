"""What goes wrong at one destination is said there, loses nothing, and does not touch the others."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.errors import DestinationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.kafka import KafkaTransport
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.testing import HecReceiver, SiemAnswer, SyslogReceiver, forge_events, forge_log
from tests.debian import program
from tests.forward.conftest import Certificates
from tests.forward.kafka_cluster import TOPIC, KafkaCluster
from tests.forward.killed_sender import TOKEN
from tests.forward.rsyslog import Input, Rsyslog
from tests.forward.sending import forwarding, lines_of, replace, send_all
from tests.forward.targets import server_context
from tests.load.load_runs import Account

TWICE = RetryPolicy(attempts=2, sleep=lambda _: None)
Load = Callable[..., None]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who takes connections, and does nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transport": "hec"}, r"the last one: no answer within 0\.3 s\. See the receiver's own log"),
        ({"transport": "tls"}, r"hangs: nothing moved for 0\.3 s\. See that the receiver runs"),
        ({"transport": "tcp"}, r"hangs: it did not close the connection within 0\.3 s.*queue or disk is full"),
        ({"transport": "gelf_tcp"}, r"hangs: it did not close the connection"),
        ({"transport": "relp"}, r"hangs: nothing moved for 0\.3 s\. See the receiver's own log"),
    ],
)
def test_a_connection_that_hangs(
    account: Account, load: Load, silent: int, options: dict[str, Any], message: str
) -> None:
    load(1)
    address = Address(host="127.0.0.1", port=silent, plain=options["transport"] == "hec", read_timeout=0.3)
    sending = forwarding(account, DestinationOptions(**options), address=address, retry_policy=TWICE)
    with pytest.raises(DestinationUnavailableError, match=message):
        send_all(sending)
    assert sending.pending() == [1]


@pytest.mark.needs("openssl")
def test_a_receiver_that_demands_a_certificate_of_ours(
    account: Account, load: Load, certificates: Certificates
) -> None:
    """By TLS 1.3 it says so after the connection stands, and the word is often lost with the connection."""
    load(1)
    context = server_context(certificates)
    context.load_verify_locations(certificates.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with SyslogReceiver(ssl_context=context) as receiver:
        address = Address(host="localhost", port=receiver.port, verify=str(certificates.certificate), read_timeout=5)
        sending = forwarding(account, DestinationOptions(), address=address, retry_policy=TWICE)
        with pytest.raises(DestinationUnavailableError, match="whether it demands a client certificate"):
            send_all(sending)
        assert (sending.pending(), receiver.messages) == ([1], [])
        with_ours = replace(address, client_certificate=str(certificates.certificate), client_key=str(certificates.key))
        send_all(forwarding(account, DestinationOptions(), address=with_ours, retry_policy=TWICE))
        assert len(receiver.messages) == 50


@pytest.mark.needs("openssl")
@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python checks since 3.13 what RFC 5280 demands of certificates")
@pytest.mark.parametrize("transport", ["tls", "hec"])
def test_an_authority_whose_certificate_lacks_an_extension(
    account: Account, load: Load, tmp_path: Path, transport: str
) -> None:
    """As many companies' own authorities do; to set `verify`, which is right already, would not help."""
    load(1)
    authority, server = tmp_path / "authority", tmp_path / "server"
    (tmp_path / "extensions").write_text("subjectAltName=DNS:localhost")
    request = [program("openssl"), "req", "-newkey", "rsa:2048", "-nodes"]
    for command in (
        [*request, "-x509", "-subj", "/CN=ours", "-keyout", f"{authority}.key", "-out", f"{authority}.pem"],
        [*request, "-subj", "/CN=localhost", "-keyout", f"{server}.key", "-out", f"{server}.csr"],
        [
            *(program("openssl"), "x509", "-req", "-CAcreateserial", "-extfile", str(tmp_path / "extensions")),
            *("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-in", f"{server}.csr", "-out", f"{server}.pem"),
        ],
    ):
        subprocess.run(command, check=True, capture_output=True)
    context = server_context(Certificates(Path(f"{server}.pem"), Path(f"{server}.key")))
    make = SyslogReceiver if transport == "tls" else lambda **more: HecReceiver(TOKEN, **more)
    with make(ssl_context=context) as receiver:
        address = Address(host="localhost", port=receiver.port, password=TOKEN, verify=f"{authority}.pem")
        options = DestinationOptions(transport=transport)  # type: ignore[arg-type]
        with pytest.raises(DestinationRefusedError, match=r"\(.+\)\. Have it, .* reissued with the extension"):
            send_all(forwarding(account, options, address=address, retry_policy=TWICE))


@pytest.mark.timeout(60)
def test_a_receiver_by_relp_that_never_acknowledges_is_given_up(account: Account, load: Load) -> None:
    """It opens each session and takes each message, as one does whose queue is full."""
    load(1)
    sessions: list[socket.socket] = []

    def open_sessions(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            sessions.append(connection)
            connection.recv(1 << 16)
            connection.sendall(b"1 rsp 6 200 OK\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=open_sessions, args=(listening,), daemon=True).start()
        address = Address(host="127.0.0.1", port=listening.getsockname()[1], read_timeout=0.2)
        sending = forwarding(account, DestinationOptions(transport="relp"), address=address, retry_policy=TWICE)
        with pytest.raises(DestinationUnavailableError, match="hangs: nothing moved"):
            send_all(sending)
    for session in sessions:
        session.close()
    assert len(sessions) == TWICE.attempts
    assert sending.pending() == [1]


def test_the_other_destinations_go_on(account: Account, load: Load, silent: int, certificates: Certificates) -> None:
    """Whatever the first ones have: each has its own state, and none waits for another."""
    load(1)
    with ExitStack() as stack:
        expired = stack.enter_context(HecReceiver("another token"))
        full = stack.enter_context(HecReceiver(TOKEN))
        full.script.extend([SiemAnswer(503)] * 2)
        strange = stack.enter_context(SyslogReceiver(ssl_context=server_context(certificates)))
        good = stack.enter_context(SyslogReceiver())
        local: dict[str, Any] = {"host": "127.0.0.1", "read_timeout": 0.3}
        bad: dict[str, tuple[dict[str, Any], Address]] = {
            "token": ({"transport": "hec"}, Address(port=expired.port, password=TOKEN, plain=True, **local)),
            "queue": ({"transport": "hec"}, Address(port=full.port, password=TOKEN, plain=True, **local)),
            "ca": ({"transport": "tls"}, Address(port=strange.port, **local)),
            "hung": ({"transport": "relp"}, Address(port=silent, **local)),
        }
        for name, (options, address) in bad.items():
            sending = forwarding(account, DestinationOptions(**options), address=address, name=name, retry_policy=TWICE)
            with pytest.raises(DestinationError):
                send_all(sending)
        send_all(
            forwarding(
                account, DestinationOptions(transport="tcp"), address=Address(port=good.port, **local), name="good"
            )
        )
    assert [message.split(b'"] ', 1)[1] for message in good.messages] == lines_of(account)
    for name, (_, address) in bad.items():
        assert forwarding(account, DestinationOptions(), address=address, name=name).pending() == [1]


class TestOddLines:
    """A line with NUL, one of a megabyte, and a record that goes over two lines."""

    @pytest.fixture
    def odd(self, account: Account) -> list[bytes]:
        first, second, third, fourth = forge_events(4, seed="odd")
        lines = [
            first,
            f"{second} postbody=a\0b\0",
            f"{third} postbody=first\nsecond",
            f"{fourth} postbody={'x' * 1_000_000}",
        ]
        account.repository.add("8416_1.log", forge_log("\n".join(lines)))
        assert account.run_some().totals.rows == 4
        return [line.encode() for line in lines]

    @pytest.mark.needs("openssl")
    def test_by_octet_counting_they_arrive_as_they_are(
        self, account: Account, odd: list[bytes], certificates: Certificates
    ) -> None:
        with SyslogReceiver(ssl_context=server_context(certificates)) as receiver:
            address = Address(host="localhost", port=receiver.port, verify=str(certificates.certificate))
            send_all(forwarding(account, DestinationOptions(transport="tls"), address=address))
        assert [message.split(b'"] ', 1)[1] for message in receiver.messages] == odd

    @pytest.mark.needs("rsyslog", "rsyslog-relp")
    @pytest.mark.parametrize("kind", ["tcp", "relp"])
    def test_rsyslog_gets_one_message_for_each(
        self, account: Account, odd: list[bytes], tmp_path: Path, kind: Input
    ) -> None:
        """NUL it does not keep."""
        receiver = Rsyslog(tmp_path / "rsyslog", kind, largest=1 << 21)
        receiver.start()
        try:
            address = Address(host="127.0.0.1", port=receiver.port)
            send_all(forwarding(account, DestinationOptions(transport=kind), address=address))
            receiver.stop()
        finally:
            receiver.kill()
        received = receiver.bodies()
        assert [received[place] for place in (0, 2, 3)] == [odd[place] for place in (0, 2, 3)]
        assert (len(received), receiver.ids()) == (
            4,
            [f"{account.repository.name}/8416_1.log:{n}" for n in (1, 2, 3, 5)],
        )

    @pytest.mark.parametrize("framing", ["lf", "nul"])
    def test_framed_by_a_byte_each_is_one_message(
        self, account: Account, odd: list[bytes], framing: Any, tmp_path: Path
    ) -> None:
        """That byte is written otherwise within a line; all else is as it was."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = Address(host="127.0.0.1", port=listening.getsockname()[1], read_timeout=5)
            options = DestinationOptions(transport="tcp", framing=framing, header="none")
            content = _received(listening, lambda: send_all(forwarding(account, options, address=address)))
        end, written = {"lf": (b"\n", b"\\n"), "nul": (b"\0", b"\\x00")}[framing]
        assert content.split(end) == [*(line.replace(end, written) for line in odd), b""]

    def test_kafka_counts_what_its_brokers_do_not_take(self, account: Account, odd: list[bytes]) -> None:
        cluster = KafkaCluster()
        options = DestinationOptions(transport="kafka", topic=TOPIC)
        transport = KafkaTransport(cluster.producer, topic=TOPIC, about="kafka")
        (outcome,) = send_all(
            forwarding(account, options, address=Address(host="kafka", port=9092), connect=lambda: transport)
        )
        assert outcome.rejected == {"too_large_for_destination": 1}
        assert sorted(message.value() or b"" for message in cluster.messages()) == sorted(odd[:3])


def _received(listening: socket.socket, send: Callable[[], object]) -> bytes:
    """Return all that is sent, over as many connections as it takes."""
    pieces: list[bytes] = []

    def take() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while piece := connection.recv(1 << 16):
                    pieces.append(piece)

    threading.Thread(target=take, daemon=True).start()
    send()
    return b"".join(pieces)
