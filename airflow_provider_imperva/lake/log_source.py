"""What holds for all records of a decoded log, for loading and for whoever reads ``raw/`` again."""

from __future__ import annotations

from airflow_provider_imperva.container.decode import PlainLog
from airflow_provider_imperva.container.header import LogHeader
from airflow_provider_imperva.events.schema.source import LogSource


def source_of(plain: PlainLog, *, file: str, sequence: int, fetched_at: int) -> LogSource:
    """Return what the parser needs to know of a log.

    :param file: what its rows name it in ``src_file``.
    :param fetched_at: when it was fetched, in milliseconds since 1970.
    """
    header = plain.header or LogHeader()
    return LogSource(
        file=file,
        sequence=sequence,
        account_id=header.account_id,
        config_id=header.config_id,
        format=header.format,
        fields=header.fields,
        start_time=header.start_time,
        end_time=header.end_time,
        warnings=header.warnings,
        # Clocks differ: no event is from after its log was written, which Imperva's own clock says.
        fetched_time=max(fetched_at, header.end_time or 0),
        checksum_ok=plain.checksum_ok,
        encrypted=plain.encrypted,
        compressed=plain.compressed,
    )
