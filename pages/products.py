"""Views of the events of other products, with typed columns: ``python -m pages.products`` writes them.

Each column is a column of ``events/`` or a value that a product's JSON has and ``events/`` has no column for. Names of
fields are those of public mappings of these logs (Google SecOps' change logs for IMPERVA_WAF and IMPERVA_ABP, mapping
rules for Cortex XSIAM); Imperva's own reference is not public. A value that does not fit its type is null; its text
stays in ``extra``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
SQL = ROOT / "airflow_provider_imperva" / "examples" / "sql"
PAGE = ROOT / "docs" / "reference" / "products.md"

Type = Literal["text", "whole", "number", "flag", "list"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an engine says what the views need.

    :ivar title: the engines that it is for, and after which file.
    :ivar key: the text of a key in ``extra``; null without it.
    :ivar member: the text of a member of the JSON object in ``rule_info``; null without it.
    :ivar types: the conversion of a text to each type, null if it does not fit, and the name of that type.
    """

    title: str
    key: str
    member: str
    types: Mapping[Type, tuple[str, str]]


DIALECTS: Mapping[str, Dialect] = {
    "duckdb": Dialect(
        title="DuckDB (after views.duckdb.sql)",
        key="extra['{}']",
        member="json_extract_string(rule_info, '$.{}')",
        types={
            "text": ("{}", "VARCHAR"),
            "whole": ("TRY_CAST({} AS BIGINT)", "BIGINT"),
            "number": ("TRY_CAST({} AS DOUBLE)", "DOUBLE"),
            "flag": ("TRY_CAST({} AS BOOLEAN)", "BOOLEAN"),
            "list": ("TRY_CAST(TRY_CAST({} AS JSON) AS VARCHAR[])", "VARCHAR[]"),
        },
    ),
    "trino": Dialect(
        title="Trino and Athena (after tables/athena.sql, or over the Delta table)",
        key="element_at(extra, '{}')",
        member="coalesce(json_extract_scalar(rule_info, '$.{0}'), json_format(json_extract(rule_info, '$.{0}')))",
        types={
            "text": ("{}", "varchar"),
            "whole": ("TRY_CAST({} AS bigint)", "bigint"),
            "number": ("TRY_CAST({} AS double)", "double"),
            "flag": ("TRY_CAST({} AS boolean)", "boolean"),
            "list": ("TRY(CAST(json_parse({}) AS array(varchar)))", "array(varchar)"),
        },
    ),
    "spark": Dialect(
        title="Spark and Databricks (after tables/spark.sql; put committed_events in place of events)",
        key="try_element_at(extra, '{}')",
        member="get_json_object(rule_info, '$.{}')",
        types={
            "text": ("{}", "string"),
            "whole": ("try_cast({} AS bigint)", "bigint"),
            "number": ("try_cast({} AS double)", "double"),
            "flag": ("try_cast({} AS boolean)", "boolean"),
            "list": ("from_json({}, 'array<string>')", "array<string>"),
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a view that ``events/`` does not have.

    :ivar name: its name.
    :ivar path: where the product's JSON has it.
    :ivar type: what its text is converted to.
    :ivar instead: a column of ``events/`` that counts first, where the product has the same in two places.
    """

    name: str
    path: str
    type: Type = "text"
    meaning: str = ""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """A product whose logs come in JSON.

    :ivar view: name of its view.
    :ivar title: the product.
    :ivar datasets: values of ``event.dataset`` that its events have.
    :ivar providers: values of ``event.provider``.
    :ivar without: what identifies its events where ``event`` is missing, as a key of ``extra``; or ``rule_info``.
    :ivar shared: columns of ``events/`` that its events fill.
    :ivar fields: the others.
    """

    view: str
    title: str
    datasets: tuple[str, ...]
    providers: tuple[str, ...]
    without: str
    shared: tuple[str, ...]
    fields: tuple[Field, ...]


_SITE = ("account_id", "account_name", "site_id", "site_name")
_CLIENT = ("client_ip", "client_address", "client_subnet", "client_country_code", "client_application", "client_type")
_ALWAYS = ("extra", "parse_warnings", "src_file", "src_line", "repository", "event_date")


def _audit(name: str, meaning: str) -> Field:
    return Field(name, f"imperva.audit_trail.{name}", meaning=meaning)


def _ato(name: str, meaning: str, type_name: Type = "text") -> Field:
    return Field(name, f"imperva.{name}", type_name, meaning)


def _abp(name: str, type_name: Type = "text", meaning: str = "") -> Field:
    return Field(name, f"imperva.abp.{name}", type_name, meaning)


PRODUCTS: tuple[Product, ...] = (
    Product(
        view="audit_trail_events",
        title="Audit trail: what people and programs changed in the Imperva console",
        datasets=("AUDIT_TRAIL",),
        providers=("audit",),
        without="imperva.audit_trail.event_action",
        shared=_SITE,
        fields=(
            Field("user_email", "user.email", meaning="user of the account who did it"),
            Field("user_name", "user.name"),
            _audit("assumed_by", "who acted in that user's place, for example Imperva's support"),
            _audit("event_action", "for example `SITE_REMOVE`; no full list is public"),
            _audit("event_action_description", "the same in words"),
            _audit("resource_type", "`Site`, `User`, `Policy`, `SSL`, `Account`, `Rule`, `System`, …"),
            _audit("resource_type_description", ""),
            _audit("resource_id", ""),
            _audit("resource_name", "of a site, its domain"),
            _audit("event_context", "`UI`, `API`, `INTERNAL_API`, `JOB` or `NA`"),
            _audit("event_context_description", ""),
            Field("message", "message"),
        ),
    ),
    Product(
        view="ato_events",
        title="Account Takeover Protection: logins, and what is wrong with them",
        datasets=("ATO",),
        providers=("ATO",),
        without="imperva.risk_level",
        shared=(*_SITE, *_CLIENT, "session_id", "request_id", "referrer"),
        fields=(
            _ato("event_type", "`LOGIN_FAILURE`, `LOGIN_SUCCESS`, `ACCOUNT_TAKEOVER`, `SUSPICIOUS_LOGIN`, `MFA_…`"),
            _ato("risk_level", "`low`, `medium`, `high` or `critical`"),
            _ato("risk_reason", "for example `Credential_Stuffing`"),
            _ato("request_user", "the user who logs in, hashed or encrypted by Imperva unless it was asked not to"),
            _ato("path", "path of the login page"),
            _ato("fingerprint", "of the device"),
            _ato("device_reputation", "", "list"),
            _ato("credentials_leaked", "whether they are known from a breach", "flag"),
            _ato("failed_logins_last_24h", "", "whole"),
            _ato("successful_logins_last_24h", "", "whole"),
            _ato("additional_factors", "", "list"),
        ),
    ),
    Product(
        view="abp_events",
        title="Advanced Bot Protection: requests and the conditions that decided on them",
        datasets=("ABP",),
        providers=("ABP",),
        without="rule_info",
        shared=(
            *_SITE,
            *_CLIENT,
            *("request_id", "user_agent", "http_method", "url_host", "url_path", "query_string", "action", "outcome"),
            *("bot_classification", "rule_names"),
        ),
        fields=(
            *(_abp(name) for name in ("customer_request_id", "request_type", "policy_id", "policy_name", "selector")),
            *(_abp(name) for name in ("selector_derived_id", "monitor_action", "category")),
            *(_abp(name, "list") for name in ("bot_behaviors", "bot_violations")),
            *(_abp(name, "list") for name in ("bot_deciding_condition_ids", "bot_deciding_condition_names")),
            *(_abp(name, "list") for name in ("bot_triggered_condition_ids", "bot_triggered_condition_names")),
            *(_abp(name, "list") for name in ("triggered_tags", "deciding_tags", "apollo_rule_versions")),
            *(_abp(name, "list") for name in ("header_names", "header_lengths", "cookie_names")),
            *(_abp(name) for name in ("headers_referer", "tls_fingerprint")),
            *(_abp(name, "number", "milliseconds") for name in ("tcp_rtt_ms", "tls_rtt_ms")),
            *(_abp(name) for name in ("token_id", "random_id", "zuid", "zid", "fpid", "pid", "hsig")),
            *(_abp(name, "number") for name in ("requests_per_minute", "requests_per_session")),
            _abp("session_length_seconds", "number", "seconds"),
        ),
    ),
    Product(
        view="netsec_events",
        title="Network security (DDoS protection): no field of it is public, so all is in `extra`",
        datasets=("CONNECTION", "NETFLOW", "IP", "ATTACK", "NOTIFICATIONS"),
        providers=("NETSEC",),
        without="",
        shared=(*_SITE, "client_ip", "client_address", "action"),
        fields=(Field("message", "message"),),
    ),
    Product(
        view="dns_events",
        title="DNS security",
        datasets=("DNSMS_SECURITY_LOGS",),
        providers=("DNS", "DNSMS"),
        without="query_hostname",
        shared=(),
        fields=(
            Field("account_id", "account_id", "whole", instead="account_id"),
            Field("account_name", "account_name", instead="account_name"),
            Field("zone_id", "zone_id"),
            Field("zone_name", "zone_name"),
            Field("client_ip", "ip", meaning="who asked", instead="client_ip"),
            Field("destination_addr", "destination_addr", meaning="who was asked"),
            Field("query_hostname", "query_hostname", meaning="the name that was asked for"),
        ),
    ),
)
"""Other products, in the order in which they are published."""


def views(dialect: str) -> str:
    """Write the file of a dialect."""
    of = DIALECTS[dialect]
    written = [_view(product, of) for product in PRODUCTS]
    return (
        f"-- Events of Imperva's other products with typed columns, over events: {of.title}.\n"
        "-- Written by `python -m pages.products`; do not edit. docs/reference/products.md explains the columns.\n\n"
    ) + "\n".join(written)


def _view(product: Product, dialect: Dialect) -> str:
    columns = ["event_time", "device_product AS dataset", *product.shared]
    columns += [f"{_value(field, dialect)} AS {field.name}" for field in product.fields]
    listed = ",\n".join(f"    {column}" for column in (*columns, *_ALWAYS))
    return (
        f"-- {product.title}\n"
        f"CREATE OR REPLACE VIEW {product.view} AS\nSELECT\n{listed}\nFROM events\n"
        f"WHERE event_class = 'other' AND ({_told_by(product, dialect)});\n"
    )


def _value(field: Field, dialect: Dialect) -> str:
    text = dialect.key.format(field.path)
    if member := _member(field):
        # The same object with dots in its names has no text of its own.
        text = f"coalesce({dialect.member.format(member)}, {text})"
    value = dialect.types[field.type][0].format(text)
    return f"coalesce({field.instead}, {value})" if field.instead else value


def _member(field: Field) -> str:
    """Return the name of a member of ``rule_info``, which has the whole object of ABP; empty for others."""
    return field.path.removeprefix("imperva.abp.") if field.path.startswith("imperva.abp.") else ""


def _told_by(product: Product, dialect: Dialect) -> str:
    conditions = [
        f"upper({column}) IN ({', '.join(repr(name.upper()) for name in names)})"
        for column, names in (("device_product", product.datasets), ("device_vendor", product.providers))
    ]
    if product.without:
        has = "rule_info" if product.without == "rule_info" else dialect.key.format(product.without)
        conditions.append(f"{has} IS NOT NULL")
    return " OR ".join(conditions)


def page() -> str:
    """Write the reference page."""
    return "\n".join((_INTRODUCTION, *(line for product in PRODUCTS for line in _section(product))))


_INTRODUCTION = """\
# Other products

<!-- Written by `python -m pages.products`; do not edit. -->

The delivery that brings the logs of the WAF can bring those of Imperva's other products, as JSON. Their events are in
`events/` with the class `other`, and every value of them is in a column or, under its path, in `extra`. A view for each
product has the values that public sources name as typed columns:

- DuckDB: `sql/views.products.duckdb.sql`, after `sql/views.duckdb.sql`;
- Trino and Athena: `sql/views.products.trino.sql`, which has been run by DuckDB after a translation, and not by Trino;
- Spark and Databricks: `sql/views.products.spark.sql`.

`imperva-logs examples --to examples` writes them. For example, who changed what in the console:

```sql
SELECT event_time, user_email, assumed_by, event_action_description, resource_name
FROM audit_trail_events
WHERE event_date >= DATE '2026-11-01' AND event_context = 'UI'
ORDER BY event_time;
```

Each view begins with `event_time` and `dataset`, and ends with `extra`, `parse_warnings`, `src_file`, `src_line`,
`repository` and `event_date`. `extra` has all that has no column in `events/`, as text, so a value that does not
fit its type here is not lost. Imperva's own reference of these logs is not public: the names are those that
mappings of other vendors use, and an event that has other names has them in `extra`. Logs of Client-Side Protection
have no view, since no field of them is public. This shows what a lake has:

```sql
SELECT device_product, count(*) FROM events WHERE event_class = 'other' GROUP BY device_product;
```
"""

_TYPES: Mapping[Type, str] = {
    "text": "text",
    "whole": "int64",
    "number": "float64",
    "flag": "boolean",
    "list": "list of text",
}


def _section(product: Product) -> Iterator[str]:
    yield f"## `{product.view}`\n"
    yield f"{product.title}.\n"
    if product.shared:
        yield f"Columns of [`events/`](schema.md): {', '.join(f'`{name}`' for name in product.shared)}. And:\n"
    yield "| column | type | JSON | meaning |"
    yield "|---|---|---|---|"
    for field in product.fields:
        path = f"`{field.path}`" + (f", or the column `{field.instead}`" if field.instead else "")
        yield f"| {field.name} | {_TYPES[field.type]} | {path} | {field.meaning} |"
    yield ""


def main() -> None:
    """Write the files and the page."""
    for dialect in DIALECTS:
        (SQL / f"views.products.{dialect}.sql").write_text(views(dialect))
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
