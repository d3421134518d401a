"""Lines to parse, and rows to look at."""

from __future__ import annotations

from typing import Any

from airflow_provider_imperva.events import LogSource, parse

FETCHED = 1_795_300_000_000
"""2026-11-21 in epoch milliseconds."""

START = 1_700_000_000_000
"""What the header of the log says, 2023-11-14."""

TOO_LONG = "too_long: these are its first 1024 bytes; raw/ has all of it"
SOURCE = LogSource(file="8416_7.log", sequence=7, account_id=8416, config_id=3, start_time=START, fetched_time=FETCHED)


def cef(extension: str, *, name: str = "Normal", code: str = "0") -> str:
    """Frame an extension as Imperva does."""
    return f"CEF:0|Incapsula|SIEMintegration|1|1|{name}|{code}| {extension}"


def analytics(extension: str, *, level: str = "MAJOR") -> str:
    """Frame an extension as Attack Analytics does."""
    return f"CEF:0|Imperva Inc|Attack Analytics|0|1|Some attack|{level}|{extension}"


def rows(*lines: str | bytes, source: LogSource = SOURCE, keep_raw: bool = False) -> list[dict[str, Any]]:
    """Parse lines that are all records; ``extra`` comes as a dict.

    Most records of tests lack what every event has, so the warnings that say so are left out.
    """
    body = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    parsed = list(parse([body], source, keep_raw=keep_raw))
    assert sum(block.quarantined.num_rows for block in parsed) == 0
    return [
        {**row, "extra": dict(row["extra"]), "parse_warnings": without_gaps(row["parse_warnings"])}
        for block in parsed
        for row in block.events.to_pylist()
    ]


def without_gaps(codes: list[str]) -> list[str]:
    """Leave out the codes that say what a record lacks."""
    return [code for code in codes if not code.startswith("incomplete:") and code != "follows_incomplete"]


def row(extension: str, **header: str) -> dict[str, Any]:
    """Parse one extension."""
    (only,) = rows(cef(extension, **header))
    return only


def set_in(found: dict[str, Any]) -> dict[str, Any]:
    """Keep what an extension decides: columns with a value, without header, time and provenance."""
    aside = {"event_name", "rule_type_code", "event_time", "event_date", "event_class", "extra", "parse_warnings"}
    return {
        name: value
        for name, value in found.items()
        if value is not None and name not in aside and not name.startswith(("src_", "device_", "signature_id"))
    }
