"""A real rsyslog that writes what it receives to a file, by TCP, RELP or UDP, plain or in TLS."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.debian import program

Input = Literal["tcp", "tls", "relp", "relp_tls", "udp"]

END = "<end of message>"
_UID = re.compile(rb'imperva@32473 uid="((?:[^"\\]|\\.)*)"')
_TLS = 'streamdriver.name="ossl" streamdriver.mode="1" streamdriver.authmode="anon"'


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Rsyslog:
    """A receiver; each record of its file is the message as received, with a mark behind it."""

    folder: Path
    kind: Input
    certificate: Path | None = None
    key: Path | None = None
    port: int = field(default_factory=free_port)
    largest: int = 65536

    def __post_init__(self) -> None:
        self.file = self.folder / "received"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "rsyslog.conf"
        configuration.write_text(self._configuration())
        self._process = subprocess.Popen(
            [program("rsyslog"), "-n", "-f", configuration, "-i", self.folder / f"pid-{time.monotonic_ns()}"],
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        self._wait_for_port()

    def _wait_for_port(self) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()
            if self._listens():
                return
            time.sleep(0.02)
        raise TimeoutError((self.folder / "log").read_text())

    def _listens(self) -> bool:
        if self.kind == "udp":
            return f":{self.port:04X} " in Path("/proc/net/udp").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Have it do nothing more, with its connections open, until it is killed."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it in order, so that it writes what it has."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def messages(self) -> list[bytes]:
        """What it wrote."""
        return self.file.read_bytes().split(END.encode() + b"\n")[:-1] if self.file.exists() else []

    def ids(self) -> list[str]:
        found = (_UID.search(message) for message in self.messages())
        return [re.sub(rb"\\(.)", rb"\1", match[1]).decode() for match in found if match]

    def bodies(self) -> list[bytes]:
        return [message.split(b'"] ', 1)[1] for message in self.messages()]

    def _configuration(self) -> str:
        driver = (
            f'defaultNetstreamDriverCAFile="{self.certificate}" defaultNetstreamDriverCertFile="{self.certificate}"'
            f' defaultNetstreamDriverKeyFile="{self.key}"'
            if self.kind == "tls"
            else ""
        )
        module, listen = {
            "tcp": ("imtcp", f'input(type="imtcp" port="{self.port}" address="127.0.0.1"'),
            "tls": ("imtcp", f'input(type="imtcp" port="{self.port}" address="127.0.0.1" {_TLS}'),
            "udp": ("imudp", f'input(type="imudp" port="{self.port}" address="127.0.0.1"'),
            "relp": ("imrelp", f'input(type="imrelp" port="{self.port}" maxDataSize="{self.largest}"'),
            "relp_tls": (
                "imrelp",
                f'input(type="imrelp" port="{self.port}" maxDataSize="{self.largest}" tls="on"'
                f' tls.mycert="{self.certificate}" tls.myprivkey="{self.key}"',
            ),
        }[self.kind]
        library = ' tls.tlslib="openssl"' if self.kind == "relp_tls" else ""
        return f"""
global(maxMessageSize="{self.largest}" workDirectory="{self.folder}" parser.escapeControlCharactersOnReceive="off"
       processInternalMessages="on" {driver})
main_queue(queue.type="Direct")
module(load="{module}"{library})
template(name="whole" type="string" string="%rawmsg%{END}\\n")
ruleset(name="keep") {{ action(type="omfile" file="{self.file}" template="whole" flushOnTXEnd="on") }}
{listen} ruleset="keep")
"""
