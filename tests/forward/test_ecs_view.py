"""The view of events under the names of ECS shows what a forward in that format sends."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.forward import formats
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing.forge import forge_events
from pages.ecs import view

SQL = files("airflow_provider_imperva") / "examples" / "sql"
ODD = (
    "CEF:0|Incapsula|SIEMintegration|1|1|SQL Injection|0| start=1767225600000 src=2001:DB8::1 act=REQ_ILLEGAL_PORT "
    "app=HTTPS request=a.example/b?c\\=1 xff=unknown sip=xxx.xxx.1.2 spt=8443 cpt=40000",
    "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| start=1767225600001 src=xxx.xxx.31.120 xff=192.0.2.1, 192.0.2.2",
    "CEF:0|Imperva Inc|Attack Analytics|0|1|title|MAJOR|start=1767225600002 src=Distributed",
)


def test_it_is_what_the_table_of_fields_says() -> None:
    assert (SQL / "views.ecs.duckdb.sql").read_text() == view(), "python -m pages.ecs rewrites it"


def test_it_shows_what_is_sent(tmp_path: Path) -> None:
    body = "\n".join([*forge_events(40, seed=7, security_share=0.5), *ODD]).encode()
    sent: dict[int, dict[str, Any]] = {}
    with BatchParts(open_store(str(tmp_path)), Layout("8416_1745073"), commit=1, batch=0) as parts:
        for block in parse([body], LogSource(file="8416_1.log", sequence=1)):
            parts.add(block.events, block.quarantined)
            documents = [json.loads(line) for line in formats.ecs(block.events, {})]
            sent |= {found["log"]["offset"]: flat(found) for found in documents}
        parts.write()
    connection = duckdb.connect()
    paths = f"'{tmp_path}/events/repository=*/**/*.parquet', hive_partitioning = true"
    connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet({paths})")
    connection.execute((SQL / "views.ecs.duckdb.sql").read_text())
    rows = connection.sql('SELECT * FROM ecs_events ORDER BY "log.offset"').arrow().read_all().to_pylist()
    assert len(rows) == len(sent) == 43
    for row in rows:
        shown = {name: value for name, value in row.items() if value not in (None, [])}
        document = sent[shown["log.offset"]]
        # Of one event, a document has addresses together, and what is no address at another place.
        aside = {
            "related.ip",
            "destination.address",
            "imperva.x_forwarded_for",
            "imperva.repository",
            "imperva.src_seq",
        }
        names = {
            name for name in {*shown, *document} if name not in aside and not isinstance(shown.get(name), dict | list)
        }
        times = {"@timestamp", "event.start", "event.end"}
        assert {name: shown.get(name) for name in names - times} == {name: document.get(name) for name in names - times}
        for name in times & names:
            assert document[name].startswith(f"{shown[name]:%Y-%m-%dT%H:%M:%S}")


def test_known_mistakes_are_not_repeated(tmp_path: Path) -> None:
    (block,) = parse([ODD[0].encode()], LogSource(file="8416_1.log"))
    found = json.loads(formats.ecs(block.events, {})[0])
    assert found["source"] == {"ip": "2001:db8::1", "address": "2001:DB8::1", "port": 40000}, "not the origin's port"
    assert found["destination"]["port"] == 8443
    assert found["event"]["severity"] == 73, "not the number of the rule type"
    assert found["imperva"]["rule_type_code"] == 0
    assert found["url"] == {
        "original": "a.example/b?c=1",
        "full": "https://a.example/b?c=1",
        "scheme": "https",
        "domain": "a.example",
        "path": "/b",
        "query": "c=1",
    }


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """The values in a document, by their dotted names."""
    if not isinstance(value, dict) or path in ("imperva.extra", "source.geo.location"):
        return {path: value}
    return {at: leaf for name, inner in value.items() for at, leaf in flat(inner, f"{path}.{name}".strip(".")).items()}
