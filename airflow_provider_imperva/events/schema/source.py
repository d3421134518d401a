"""Where a body came from: what the ``src_*`` columns say, and what stands in for a missing time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """The provenance of one body.

    :param file: the log's name, verbatim as the index gave it; the path of a log that was delivered.
    :param sequence: the number in the name, or that of the arrival; None where it has none.
    :param account_id: ``accountId`` of the header.
    :param config_id: ``configId`` of the header.
    :param format: ``format`` of the header.
    :param fields: names of the values in a W3C row, where the header lists them.
    :param start_time: ``startTime`` of the header, epoch milliseconds.
    :param end_time: ``endTime`` of the header, epoch milliseconds.
    :param checksum_ok: whether the body has the header's checksum; None without a checksum.
    :param encrypted: whether the body was encrypted.
    :param compressed: whether the body was compressed.
    :param fetched_time: when the log came to us, epoch milliseconds. An event more than a day younger has a wrong
        time. Give it, so that reading the log again another day yields the same rows; the clock stands in.
    :param warnings: codes about the header, for ``parse_warnings`` of each event.
    """

    file: str
    sequence: int | None = None
    account_id: int | None = None
    config_id: int | None = None
    format: str | None = None
    fields: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    checksum_ok: bool | None = None
    encrypted: bool = False
    compressed: bool = False
    fetched_time: int | None = None
    warnings: tuple[str, ...] = ()


LINES_AT_MOST = 10_000_000_000
"""More lines than a body has. The second record that begins on a line gets that much more than the line's number, the
third twice as much, and so on."""
