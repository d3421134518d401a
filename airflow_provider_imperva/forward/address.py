"""Where a destination is, with what it takes to be let in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from airflow_provider_imperva.errors import ConfigurationError, quoted

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A destination's address and credentials, as a connection gives them.

    :ivar host: name or IP address; no URL.
    :ivar path: path of an HTTP endpoint, where that is not the transport's own.
    :ivar login, password: user and password, or a token as ``password``.
    :ivar verify: whether to check the server's certificate, or the path of a CA bundle to check it by.
    :ivar client_certificate, client_key: paths of PEM files, where the receiver wants to know the sender.
    :ivar plain: whether http may be spoken instead of https; on loopback only.
    :ivar proxy: URL of an HTTP proxy.
    :ivar connect_timeout, read_timeout: seconds.
    """

    host: str
    port: int
    path: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    verify: bool | str = True
    client_certificate: str | None = None
    client_key: str | None = None
    plain: bool = False
    proxy: str | None = field(default=None, repr=False)
    connect_timeout: float = 10
    read_timeout: float = 60

    def __post_init__(self) -> None:
        if not self.host or any(character in self.host for character in "/@ \r\n"):
            raise ConfigurationError(
                f"the destination's host is {quoted(self.host)}", do="Give a host name or an IP address"
            )
        if self.plain and self.host not in _LOOPBACK:
            raise ConfigurationError(
                "the destination is asked for by http, which would show token and events to everybody on the way",
                do="Use https; http works on loopback only",
                about=str(self),
            )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def tls(self) -> ssl.SSLContext:
        """Return what connections are made with: TLS 1.2 at least, and the server's certificate checked.

        :raises ConfigurationError: if the CA bundle or the client's certificate does not load.
        """
        try:
            context = ssl.create_default_context(cafile=self.verify if isinstance(self.verify, str) else None)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(
                f"the CA bundle {quoted(self.verify)} does not load",
                do="Set the connection's extra `verify` to the path of a PEM file that this worker can read",
                about=str(self),
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate:
            try:
                context.load_cert_chain(self.client_certificate, self.client_key)
            except (OSError, ssl.SSLError):
                raise ConfigurationError(
                    "the client's certificate and key do not load",
                    do="Set the connection's extra `client_certificate` and `client_key` to PEM files that belong"
                    " together and that this worker can read",
                    about=str(self),
                ) from None
        return context
