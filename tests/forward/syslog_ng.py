"""A real syslog-ng that writes what it receives to a file, by TCP or TLS."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.debian import PACKAGES, program
from tests.forward.rsyslog import END, free_port

_ROOT = PACKAGES["syslog-ng-core"].unpacked
_MODULES = "usr/lib/syslog-ng"


@dataclass
class SyslogNg:
    """A receiver; each record of its file is what it takes for the message, with a mark behind it.

    :ivar driver: ``syslog`` takes messages of RFC 5424 whose octets are counted; ``network`` those of RFC 3164, each of
        which a line feed ends.
    """

    folder: Path
    driver: Literal["syslog", "network"]
    certificate: Path
    key: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.file = self.folder / "received"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "syslog-ng.conf").write_text(self._configuration())
        command: list[str | Path] = [program("syslog-ng-core"), "--foreground", "--no-caps"]
        for option, name in (("cfgfile", "syslog-ng.conf"), ("persist-file", "persist"), ("pidfile", "pid")):
            command.append(f"--{option}={self.folder / name}")
        command.append(f"--control={self.folder / 'control'}")
        command.append(f"--module-path={next((_ROOT / _MODULES).glob('[0-9]*'))}")
        self._process = subprocess.Popen(
            command,
            env=os.environ | {"LD_LIBRARY_PATH": str(_ROOT / _MODULES)},
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError((self.folder / "log").read_text())

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in order, so that it writes what it has."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def messages(self) -> list[bytes]:
        """What it wrote."""
        return self.file.read_bytes().split(END.encode() + b"\n")[:-1] if self.file.exists() else []

    def _configuration(self) -> str:
        return f"""
@version: 3.38
options {{ keep-hostname(yes); log-msg-size(65536); stats-freq(0); }};
source received {{
    {self.driver}(ip("127.0.0.1") port({self.port}) transport("tls")
        tls(key-file("{self.key}") cert-file("{self.certificate}") peer-verify(optional-untrusted)));
}};
destination kept {{ file("{self.file}" template("${{SDATA}}|$HOST|$PROGRAM|$MSG{END}\\n")); }};
log {{ source(received); destination(kept); }};
"""
