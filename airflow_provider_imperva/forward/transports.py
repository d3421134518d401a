"""The transport that a destination's options ask for."""

from __future__ import annotations

from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.event import Event, Transport
from airflow_provider_imperva.forward.framing import FRAMINGS
from airflow_provider_imperva.forward.link import PATIENCE, Patience
from airflow_provider_imperva.forward.relp import RelpTransport
from airflow_provider_imperva.forward.stream import DatagramTransport, StreamTransport
from airflow_provider_imperva.forward.syslog import message_writer


def open_transport(options: DestinationOptions, address: Address, *, patience: Patience = PATIENCE) -> Transport:
    """Open the way to a destination.

    :param patience: how long to try to reach it.
    """
    write = message_writer(
        options.header,
        facility=options.facility,
        severity=options.severity,
        host_name=options.host_name,
        app_name=options.app_name,
    )
    match options.transport:
        case "relp" | "relp_tls":
            return RelpTransport(address, tls=options.transport == "relp_tls", write=write, patience=patience)
        case "udp":
            return DatagramTransport(address, write=write)
        case "tls" | "tcp":
            frame = FRAMINGS[options.framing]

            def framed(event: Event) -> bytes:
                return frame(write(event))

            return StreamTransport(
                address,
                tls=options.transport == "tls",
                frame=framed,
                margin=options.resend_bytes,
                patience=patience,
            )
