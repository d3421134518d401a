"""Rows of the lake in every format, with the oddities that logs have, and what becomes of them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.events.derived.complete import complete
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA
from airflow_provider_imperva.ocsf.detection_finding import detection_finding
from airflow_provider_imperva.ocsf.events import Events
from airflow_provider_imperva.ocsf.http_activity import http_activity
from airflow_provider_imperva.ocsf.options import OcsfOptions
from airflow_provider_imperva.testing.forge import FORGED_START, LOG_SPAN_MS, forge_events
from airflow_provider_imperva.testing.formats import write_body
from tests.events.cef_lines import cef

DAY = date(2026, 1, 1)
FORMATS = ("CEF", "LEEF", "W3C", "JSON")
START = f"start={FORGED_START} "
ODD = tuple(
    cef(START + extension, name=name, code=code)
    for name, code, extension in (
        ("Normal", "0", "requestMethod=PROPFIND src=not-an-address request=a_b.example.com/x"),
        ("Normal", "0", "requestMethod=PATCH xff=198.51.100.7, unknown, 2001:db8::1 src=2001:db8::7"),
        ("Normal", "0", "act=REQ_SOMETHING_NEW cpt=70000 spt=-4"),
        ("Normal", "0", "act=REQ_BAD_TIMEOUT in=99999999999"),
        ("Normal", "0", "act=REQ_DOMAIN_BLACKLISTED sourceServiceName=Our shop"),
        ("Normal", "0", "qstr=a"),
        ("SQL Injection", "0", "act=REQ_BLOCKED_SECURITY"),
        (
            "New Rule",
            "77",
            "act=REQ_CHALLENGE_CAPTCHA fileType=,30, filePermission=,50033, cs9=,My rule, cs9Label=Rule name",
        ),
        ("Bot", "4", 'act=REQ_CHALLENGE_JS caIP=203.0.113.9 additionalReqHeaders=[{"A":"x\\"y"},{"Cookie":"a"}]'),
        ("Normal", "0", "additionalReqHeaders=nothing ver= TLSv1.3 TLS_AES_128_GCM_SHA256"),
        ("Normal", "0", "cs7=12.5 cs7Label=latitude cs8=9.1 cs8Label=longitude"),
        ("Normal", "0", f"ref=https://example.org/{'x' * 70_000}"),
    )
)
INCIDENTS = tuple(
    f"CEF:0|Imperva Inc|Attack Analytics|0|1|Some attack|{level}|msg=Many requests {START}{more}"
    for level, more in (
        ("MAJOR", "src=198.51.100.9 dhost=shop.example.com cs7=SQLI cs7Label=ImpervaAAAttackType"),
        ("CRITICAL", "src=Distributed request=Distributed cs1=1234 cs1Label=ImpervaAANumberOfEvents"),
        ("CUSTOM", "cs1=many cs1Label=ImpervaAANumberOfEvents"),
        ("UNHEARD OF", ""),
        ("", ""),
    )
)


def rows_of(lines: Iterable[str], format_name: Any = "CEF") -> pa.Table:
    """Parse lines as a log of the lake."""
    source = LogSource(
        file="8416_7.log", sequence=7, account_id=17, config_id=8416, start_time=FORGED_START,
        end_time=FORGED_START + LOG_SPAN_MS, fetched_time=FORGED_START + LOG_SPAN_MS,
    )  # fmt: skip
    blocks = [block.events for block in parse([write_body(format_name, lines).encode()], source)]
    return completed(pa.concat_tables(blocks))


def completed(table: pa.Table) -> pa.Table:
    """The same rows, with the columns that are derived from others."""
    rows = table.select(PARSED_SCHEMA.names).unify_dictionaries().combine_chunks()
    return complete(rows, rows["event_class"].combine_chunks())


def forged(count: int, format_name: Any) -> pa.Table:
    return rows_of(forge_events(count, security_share=0.5, format=format_name), format_name)


def with_holes(table: pa.Table, *, seed: int = 0, share: float = 0.3) -> pa.Table:
    """The same rows, of which values are missing at random, as other products' events lack them."""
    rng = random.Random(seed)
    kept = {"src_file", "src_line", "event_class", "event_date"}
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        mask = pa.array([name not in kept and rng.random() < share for _ in range(len(column))])
        columns[name] = pc.if_else(mask, pa.scalar(None, column.type), column)
    return pa.table(columns)


def made(table: pa.Table, **options: Any) -> pa.Table:
    """The OCSF rows of a table of one class."""
    events = Events(table, "8416_17", DAY, FORGED_START, OcsfOptions(**options))
    is_finding = "attack_analytics" in table["event_class"].to_pylist()
    found = detection_finding(events) if is_finding else http_activity(events)
    found.validate(full=True)
    return found
