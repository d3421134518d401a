"""No secret that is planted in a log is in any byte of the lake outside of ``raw/``, or in anything that is shown."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva import cli
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.redact import Redactor
from airflow_provider_imperva.privacy.rules import Rules
from airflow_provider_imperva.testing import forge_log
from tests.load.load_runs import Account
from tests.privacy.planted import MARK, kinds, plant
from tests.privacy.planted_logs import leaks_in_column, leaks_in_file, leaks_in_lake, planted_bodies, planted_lines

PLANTED = int(os.environ.get("IMPERVA_PLANTED", "3000"))
"""How many secrets a whole run has to find."""


def serve(account: Account, count: int) -> int:
    """Serve logs of every format, and such as go to quarantine; return how many secrets are in them."""
    planted = plant(count)
    bodies = list(planted_bodies(planted))
    # Lines that are no events, and a log that is none: all kinds of secrets as plain text.
    texts = "".join(f"{one.text}\n" for one in plant(kinds(), seed=1) if "\n" not in one.text)
    first = "".join(f"{line}\n" for line in planted_lines(plant(50, seed=2), "CEF"))
    bodies = [("LEEF", f"no event\n{texts}".encode()), ("CEF", (texts + first).encode()), *bodies]
    for number, (format, body) in enumerate(bodies, 1):
        account.repository.add(f"8416_{number}.log", forge_log(body, format=format, header=format != "JSON"))
    return sum(len(MARK.findall(body.decode())) for _, body in bodies)


def shown(capsys: pytest.CaptureFixture[str], lake: Path, repository: str) -> str:
    """Return what the commands print, and the page."""
    page = lake.parent / "page.html"
    for command in (
        ["verify", str(lake)],
        ["coverage", str(lake), "--html", str(page)],
        ["explain", str(lake), "8416_1.log", "--repository", repository],
    ):
        cli.main(command)
    captured = capsys.readouterr()
    return captured.out + captured.err + page.read_text()


@pytest.mark.timeout(300 + PLANTED // 100)
def test_no_planted_secret_is_left_by_a_whole_run(
    account: Account, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account.normalize_options = NormalizeOptions(keep_raw=True)
    planted = serve(account, PLANTED)
    assert planted >= PLANTED, "the search finds what is planted"
    commit = account.run_some()
    # The one that is no log goes to quarantine as a whole once it is no longer listed.
    (name,) = (name for name, state in account.states().items() if state == "damaged")
    account.repository.remove(name)
    assert account.run_some().totals.logs == {"quarantined": 1}

    assert leaks_in_lake(account.lake) == {}
    assert not MARK.search(caplog.text)
    assert not MARK.search(shown(capsys, account.lake, account.repository.name))
    totals = [one.totals for one in account.ledger.commits()]
    assert sum(one.quarantined_lines for one in totals) > kinds() / 2
    assert all(one.lines == one.rows + one.quarantined_lines for one in totals)
    assert set(commit.redacted) - {"name_in_extra"} == set(Rules().names)
    assert verify_lake(open_store(str(account.lake))).findings == ()


def test_the_search_finds_what_nothing_redacts(account: Account) -> None:
    """Each text column and the bytes of quarantine have planted secrets, so the test above looks at them."""
    account.normalize_options = NormalizeOptions(keep_raw=True, protection=Protection(None))
    serve(account, 3000)
    account.run()
    files = [path for folder in ("events", "quarantine") for path in (account.lake / folder).rglob("*.parquet")]
    assert all(leaks_in_file(path) for path in files)
    tables = [pq.ParquetFile(path).read() for path in files]
    with_leaks = {
        name
        for table in tables
        for name, column in zip(table.column_names, table.columns, strict=True)
        if leaks_in_column(column)
    }
    text = {field.name for table in tables for field in table.schema if is_text(field.type)}
    assert text - with_leaks <= OURS


OURS = {"reason", "src_file", "src_format", "parse_warnings", "outcome", "device_vendor", "device_product"} | {
    "device_version", "signature_id", "event_name", "tls_version", "url_host", "analytics_host", "analytics_severity",
    "bot_classification", "client_address", "client_subnet", "severity",
}  # fmt: skip
"""Columns that no visitor and no answer fills, or only with a single word."""


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind):
        return is_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(is_text(field.type) for field in kind)
    return bool(pa.types.is_string(kind) or pa.types.is_map(kind))


class Block(NamedTuple):
    events: pa.Table
    quarantined: pa.Table


@cache
def blocks() -> list[Block]:
    """Everything that each kind is planted in, as tables; parsed once."""
    return [
        Block(parsed.events, parsed.quarantined)
        for format, body in planted_bodies(plant(4 * kinds()))
        for parsed in parse([body], LogSource(file="8416_1.log", sequence=1, format=format), keep_raw=True)
    ]


def leaks(rules: Rules) -> Iterator[str]:
    redactor = Redactor(rules)
    for block in blocks():
        redacted = redactor.redact(block.events, block.quarantined)
        for table in (redacted.events, redacted.quarantined):
            for column in table.columns:
                yield from leaks_in_column(column)


@pytest.mark.parametrize("name", Rules().names)
def test_without_any_one_rule_a_secret_is_left(name: str) -> None:
    """What the whole run shows rests on each rule."""
    assert next(leaks(Rules().without(name)), None) is not None


def test_with_all_rules_none_is_left() -> None:
    assert list(leaks(Rules())) == []


def test_what_is_shown_of_json_stays_json() -> None:
    """Rows stay readable by programs: a redacted column of JSON is JSON."""
    redactor = Redactor()
    for block in blocks():
        before = block.events["additional_request_headers"].to_pylist()
        after = redactor.redact(block.events, block.quarantined).events["additional_request_headers"].to_pylist()
        for old, new in zip(before, after, strict=True):
            if old and old.startswith("["):
                assert [list(header) for header in json.loads(new)] == [list(header) for header in json.loads(old)]
