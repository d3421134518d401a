"""Rows that the questions are asked of, and their answers, counted here row by row."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.events.schema.schema import SCHEMA

Row = dict[str, Any]
Answer = Counter[tuple[Any, ...]]
"""The rows of an answer in whatever order."""

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 30)
_SITES = ("shop.example.com", "www.example.com", "api.example.com")
_CLIENTS = tuple(f"192.0.2.{number}" for number in range(1, 16))
_AGENTS = ("Mozilla/5.0", "curl/8.5", "sqlmap/1.8#stable", "Nikto/2.5", None, "okhttp/4")
_PATHS = ("/", "/cart", "/wp-login.php", "/admin/users", "/administer", "/phpmyadmin")
_QUERIES = (None, "", "q=1", "file=/etc/passwd", "x=;wget%20http://a", "run=cmd.exe")
_RULES: tuple[list[str] | None, ...] = (None, [], ["SQL Injection"], ["SQL Injection", "Bots"], ["", "Own rule"])
_OUTCOMES = ("passed", "cached", "blocked", "challenged", "error", "other", None)
_VIOLATIONS: tuple[list[dict[str, str | None]] | None, ...] = (
    None,
    [{"attack_type": "50033", "attack_type_name": "SQL Injection", "rule_name": "High Risk"}],
    [{"attack_type": "7", "rule_name": ""}, {"attack_type": None, "rule_name": None, "rule_info": "{}"}],
)
_TYPES = ("Browser", "Hacking Tool", "Vulnerability Scanner", "Search Bot", None)


def make_rows() -> list[Row]:
    """Return rows of June, and some of the days around it, which no answer counts."""
    drawn = random.Random(8416)
    days = [
        FIRST - timedelta(days=1),
        *(FIRST + timedelta(days=day) for day in (0, 1, 14, 29)),
        LAST + timedelta(days=1),
    ]
    return [_row(drawn, days[number % len(days)]) for number in range(900)]


def _row(drawn: random.Random, day: date) -> Row:
    site, path = drawn.choice(_SITES), drawn.choice(_PATHS)
    is_last = day == LAST
    event_class, client = drawn.choice(("access", "security")), drawn.choice(_CLIENTS)
    return {
        "event_class": event_class,
        "is_alert": event_class == "security",
        "severity": drawn.choice(("low", "medium", "high", "critical", None)) if event_class == "security" else None,
        "violations": drawn.choice(_VIOLATIONS),
        "client_address": client,
        "client_subnet": drawn.choice((client.rpartition(".")[0] + ".0/24", "2001:db8::/48", None)),
        "event_date": day,
        "event_time": datetime(day.year, day.month, day.day, drawn.randrange(24), 7, tzinfo=UTC),
        "event_name": drawn.choice(("SQL Injection", "Cross Site Scripting", "Bad Bots")),
        "outcome": drawn.choice(_OUTCOMES),
        "site_name": site,
        "client_ip": client,
        "client_country_code": drawn.choice(("US", "DE", None, "NO", "BR") if is_last else ("US", "DE", None)),
        "rule_names": drawn.choice(_RULES),
        "url": f"{site}{path}",
        "url_path": path,
        "query_string": drawn.choice(_QUERIES),
        "http_method": drawn.choice(("GET", "POST", "TRACE", "PROPFIND")),
        "http_status": drawn.choice((200, 301, 404, 500, None)),
        "client_application": drawn.choice(("Firefox", "Bot", "curl", None)),
        "client_type": drawn.choice(_TYPES),
        "user_agent": drawn.choice(_AGENTS),
        "server_port": drawn.choice((80, 443, 8443, 2087, None)),
        "protocol": drawn.choice(("HTTP", "HTTPS", None)),
        "tls_version": drawn.choice(("TLSv1.3", "TLSv1.2", "TLSv1.0", None)),
    }


def write_events(rows: list[Row], lake: Path) -> None:
    """Write rows as a lake has them, in a part a class and day."""
    parts: defaultdict[tuple[str, date], list[Row]] = defaultdict(list)
    for row in rows:
        parts[row["event_class"], row["event_date"]].append(row)
    for (event_class, day), of_part in parts.items():
        folder = lake / "events" / "repository=8416_1" / f"event_class={event_class}" / f"event_date={day}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(of_part, SCHEMA), folder / "part-000000000001-0000.parquet")


def _grouped(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _table(groups: dict[tuple[Any, ...], list[Row]], *columns: Callable[[list[Row]], Any]) -> Answer:
    return Counter((*key, *(column(rows) for column in columns)) for key, rows in groups.items())


def _with(name: str, *values: Any) -> Callable[[list[Row]], int]:
    return lambda rows: sum(row[name] in values for row in rows)


def _distinct(name: str) -> Callable[[list[Row]], int]:
    return lambda rows: len({row[name] for row in rows} - {None})


def _percent(name: str, value: Any) -> Callable[[list[Row]], float]:
    return lambda rows: round(100 * sum(row[name] == value for row in rows) / len(rows), 1)


def _status(first: int, last: int) -> Callable[[list[Row]], int]:
    return lambda rows: sum(first <= (row["http_status"] or 0) <= last for row in rows)


def _top(answer: Answer, number: int, key: Callable[[tuple[Any, ...]], Any]) -> Answer:
    return Counter(sorted(answer, key=key)[:number])


def _violation(one: Row) -> str:
    kind = next((one[name] for name in ("attack_type_name", "attack_type") if one.get(name) is not None), "unknown")
    rule = one.get("rule_name")
    return f"{kind}: {'no rule name' if rule is None else rule}"


def answers(rows: list[Row]) -> dict[str, Answer]:
    """Return what each question is answered with."""
    june = [row for row in rows if FIRST <= row["event_date"] <= LAST]
    alerts = [row for row in june if row["event_class"] == "security"]
    fired = [{**row, "rule": rule} for row in june for rule in row["rule_names"] or () if rule]
    passed = [row for row in alerts if row["outcome"] in ("passed", "cached")]
    tools = [row for row in june if row["client_type"] in ("Hacking Tool", "Vulnerability Scanner")]
    scanners = [row for row in june if re.search("sqlmap|nikto", row["user_agent"] or "", re.IGNORECASE)]
    named = [{**row, "violation": _violation(one)} for row in june for one in row["violations"] or ()]
    severe = [row for row in alerts if row["severity"] in ("medium", "high", "critical")]
    commands = [row for row in june if row["query_string"] in _QUERIES[3:]]
    admin = [row for row in june if row["url_path"] in ("/wp-login.php", "/admin/users", "/phpmyadmin")]
    at = _grouped([row for row in june if row["client_country_code"]], "site_name", "client_country_code")
    failed = _table(_grouped(june, "site_name", "url_path"), len, _status(500, 599), _status(400, 499))
    return {
        "requests_by_day": _table(
            _grouped(june, "event_date"), len, _with("event_class", "security"), _with("outcome", "blocked")
        ),
        "attacked_sites": _table(
            _grouped(alerts, "site_name"),
            len,
            _with("outcome", "blocked"),
            lambda of: sum(row["outcome"] != "blocked" for row in of),
            _distinct("client_ip"),
        ),
        "attack_types": _table(_grouped(alerts, "event_name"), len, _percent("outcome", "blocked")),
        "attacking_clients": _table(
            _grouped(alerts, "client_ip"),
            lambda of: max((row["client_country_code"] for row in of if row["client_country_code"]), default=None),
            len,
            _distinct("site_name"),
            lambda of: min(row["event_time"] for row in of),
            lambda of: max(row["event_time"] for row in of),
        ),
        "attacks_by_country": _table(
            _grouped([row for row in alerts if row["client_country_code"]], "client_country_code"),
            len,
            _distinct("client_ip"),
        ),
        "rules": _table(_grouped(fired, "rule"), len, _distinct("site_name"), _distinct("client_ip")),
        "violations": _table(
            _grouped(named, "violation"), len, _with("outcome", "blocked"), _distinct("client_address")
        ),
        "severities": _table(_grouped(severe, "severity", "site_name"), len, _with("outcome", "passed", "cached")),
        "attacking_networks": _table(
            _grouped([row for row in alerts if row["client_subnet"]], "client_subnet"),
            lambda of: max((row["client_country_code"] for row in of if row["client_country_code"]), default=None),
            len,
            _distinct("client_address"),
        ),
        "attacks_not_blocked": _top(
            _table(_grouped(passed, "event_name", "site_name", "url_path"), len), 50, lambda row: (-row[3], *row[:3])
        ),
        "outcomes": _table(_grouped(june, "site_name", "outcome"), len),
        "forbidden_methods": _table(
            _grouped([row for row in june if row["http_method"] in ("TRACE", "PROPFIND")], "client_ip", "http_method"),
            len,
        ),
        "malicious_clients": _table(
            _grouped(tools, "client_ip", "client_application", "client_type"), len, _with("outcome", "blocked")
        ),
        "scanner_agents": _table(_grouped(scanners, "client_ip", "user_agent"), len),
        "many_user_agents": Counter(
            row for row in _table(_grouped(june, "client_ip"), _distinct("user_agent"), len) if row[1] > 3
        ),
        "commands_in_urls": _table(_grouped(commands, "client_ip", "url", "outcome"), len),
        "admin_pages": _table(_grouped(admin, "client_ip", "url_path"), len, _status(200, 299)),
        "new_countries": _table(
            {key: of for key, of in at.items() if min(row["event_date"] for row in of) == LAST}, len
        ),
        "ports": _table(
            _grouped([row for row in june if row["server_port"] in (8443, 2087)], "site_name", "server_port"),
            len,
            _distinct("client_ip"),
        ),
        "plain_http": _table(
            _grouped([row for row in june if row["protocol"]], "site_name"),
            len,
            _with("protocol", "HTTP"),
            _percent("protocol", "HTTP"),
        ),
        "weak_tls": _table(
            _grouped([row for row in june if row["tls_version"] == "TLSv1.0"], "site_name", "tls_version"),
            len,
            _distinct("client_ip"),
        ),
        "rare_applications": _table(
            _grouped([row for row in june if row["client_application"]], "client_application"),
            len,
            _distinct("client_ip"),
        ),
        "errors": Counter(row for row in failed if row[3] + row[4]),
    }
