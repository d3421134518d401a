"""A certificate for people: in lines for a terminal, and as one file of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import jinja2

from airflow_provider_imperva.audit.certificate import Certificate
from airflow_provider_imperva.audit.verdict import verdict
from airflow_provider_imperva.audit.words import describe_states

_TREES = {
    "raw": "logs as received",
    "events": "parts with events",
    "quarantine": "parts with what could not be decoded",
}


def title(certificate: Certificate) -> str:
    """Describe what it is of, and whether the objects were looked at."""
    period = certificate.period
    by = "each object hashed" if certificate.looked else "by the ledger alone: the objects were NOT looked at"
    return (
        f"Logs of repository {certificate.repository} first listed from {period.first} until {period.end} (UTC), {by}"
    )


def verdict_of(certificate: Certificate) -> str:
    """Return the verdict in words."""
    return verdict(certificate.reasons, accepted=certificate.accepted_numbers)


def describe_certificate(certificate: Certificate) -> Iterator[str]:
    """Yield it in lines."""
    head = certificate.head
    yield title(certificate)
    yield f"  as of commit {head.commit} ({head.committed_at:%Y-%m-%d %H:%M:%S} UTC), SHA-256 {head.sha256}"
    signed = f"signed by key {certificate.signed_by}" if certificate.signed_by else "not signed"
    yield f"  issued {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC, {signed}"
    for prefix, of_prefix in certificate.prefixes.items():
        yield f"  {prefix}: {of_prefix.first} to {of_prefix.last}, {describe_states(of_prefix.states)}"
        for item in of_prefix.ranges:
            if item.state != "committed":
                numbers = f"{item.first}" if item.first == item.last else f"{item.first} to {item.last}"
                yield f"    {numbers}: {item.state}"
    yield f"  {certificate.logs:,} logs, {certificate.raw_bytes:,} bytes as received (digest {certificate.logs_sha256})"
    if certificate.encrypted:
        yield f"  {certificate.encrypted:,} of them are encrypted at rest: raw/ is hashed as it is stored"
    yield f"  {describe_lines(certificate)}"
    for day, classes in certificate.events.items():
        yield f"  events of {day}: " + ", ".join(f"{rows:,} {name}" for name, rows in classes.items())
    yield from (f"  {line}" for line in describe_reconciliation(certificate))
    for tree, holding in certificate.holdings.items():
        hashed = "hashed" if certificate.looked else "not looked at"
        yield f"  {tree}/: {holding.objects:,} objects, {holding.size:,} bytes, {hashed} (digest {holding.sha256})"
    for one in certificate.exceptions:
        yield f"  accepted: {one.about}, by {one.by} on {one.at:%Y-%m-%d}: {one.why} ({one.reference})"
    yield f"  {verdict_of(certificate)}"


def describe_lines(certificate: Certificate) -> str:
    """Describe what became of the lines of its logs."""
    text = f"{certificate.lines:,} lines = {certificate.rows:,} rows in events/"
    text += f" + {certificate.quarantined_lines:,} in quarantine/"
    taken = {"expired": certificate.expired_lines, "erased": certificate.erased_lines}
    return text + "".join(f" + {count:,} {name}" for name, count in taken.items() if count)


def describe_reconciliation(certificate: Certificate) -> Iterator[str]:
    """Describe how the rows of its logs and the events of its days come to each other."""
    bridge = certificate.bridge
    if bridge is None:
        yield f"{certificate.happened:,} events happened in the period; of which logs they are was not looked at"
        return
    yield (
        f"{certificate.rows:,} rows of its logs = {bridge.both:,} that happened in the period"
        f" + {bridge.listed_only:,} before or after it"
    )
    yield (
        f"{certificate.happened:,} events of the period = {bridge.both:,} of its logs"
        f" + {bridge.happened_only:,} of logs that were listed before or after it"
    )


def render(certificate: Certificate) -> str:
    """Write the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_provider_imperva.audit", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("certificate.html.jinja").render(
        certificate=certificate,
        title=title(certificate),
        verdict=verdict_of(certificate),
        lines=describe_lines(certificate),
        bridge=list(describe_reconciliation(certificate)),
        trees=_TREES,
    )
