"""The transport that a destination's options ask for."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.forward import bulk
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import TEXT_FORMATS, DestinationOptions
from airflow_provider_imperva.forward.event import Event, Transport
from airflow_provider_imperva.forward.framing import FRAMINGS, nul
from airflow_provider_imperva.forward.gelf import GelfHttpTransport, gelf_writer
from airflow_provider_imperva.forward.hec import HecFields, HecTransport
from airflow_provider_imperva.forward.http import Endpoint
from airflow_provider_imperva.forward.link import PATIENCE, RetryPolicy
from airflow_provider_imperva.forward.relp import RelpTransport
from airflow_provider_imperva.forward.stream import DatagramTransport, StreamTransport
from airflow_provider_imperva.forward.sumo import SumoTransport
from airflow_provider_imperva.forward.syslog import SEVERITIES, message_writer


def open_transport(options: DestinationOptions, address: Address, *, retry_policy: RetryPolicy = PATIENCE) -> Transport:
    """Open the way to a destination.

    :param retry_policy: how long to try to reach it.
    """
    write = message_writer(
        options.header,
        facility=options.facility,
        severity=options.severity,
        host_name=options.host_name,
        app_name=options.app_name,
    )
    match options.transport:
        case "hec" | "sumo" | "gelf_http" | "bulk":
            return _by_http(options, address, retry_policy)
        case "kafka":
            raise ConfigurationError(
                "Kafka is reached by the connection of Airflow's own provider",
                do="Forward to it by the operator, with a destination_conn_id of the type kafka",
            )
        case "gelf_tls" | "gelf_tcp":
            gelf = _gelf(options)
            return StreamTransport(
                address,
                tls=options.transport == "gelf_tls",
                frame=lambda event: nul(gelf(event)),
                margin=options.resend_bytes,
                retry_policy=retry_policy,
            )
        case "relp" | "relp_tls":
            return RelpTransport(address, tls=options.transport == "relp_tls", write=write, retry_policy=retry_policy)
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
                retry_policy=retry_policy,
            )


def _gelf(options: DestinationOptions) -> Callable[[Event], bytes]:
    return gelf_writer(
        host_name=options.host_name,
        level=SEVERITIES[options.severity],
        is_json=options.format not in TEXT_FORMATS,
    )


def _by_http(options: DestinationOptions, address: Address, retry_policy: RetryPolicy) -> Transport:
    is_json = options.format not in TEXT_FORMATS
    if options.transport == "hec":
        endpoint = Endpoint(address, authorization=f"Splunk {address.password}", retry_policy=retry_policy)
        fields = HecFields(
            host=options.host_name,
            source=options.source,
            source_type=options.source_type,
            index=options.index,
            is_json=is_json,
        )
        return HecTransport(
            endpoint,
            fields=fields,
            raw=options.raw_endpoint,
            acknowledge=options.acknowledge,
            batch_bytes=options.batch_bytes,
            zipped=options.gzip,
            confirm_within=options.confirm_within,
            sleep=retry_policy.sleep,
        )
    if options.transport == "sumo":
        return SumoTransport(
            Endpoint(address, retry_policy=retry_policy),
            address,
            host=options.host_name,
            name=options.source,
            category=options.category,
            batch_bytes=options.batch_bytes,
            zipped=options.gzip,
        )
    endpoint = Endpoint(address, authorization=bulk.authorization(address), retry_policy=retry_policy)
    if options.transport == "gelf_http":
        return GelfHttpTransport(
            endpoint, write=_gelf(options), path=address.path, batch_bytes=options.batch_bytes, zipped=options.gzip
        )
    return bulk.BulkTransport(
        endpoint,
        index=options.index or "imperva-waf",
        is_json=is_json,
        path=address.path,
        batch_bytes=options.batch_bytes,
        zipped=options.gzip,
        retry_policy=retry_policy,
    )
