"""A lake whose rows name nobody is not forwarded by name, unless somebody asks for it."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions, Format
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.pseudonyms import Key, Pseudonyms
from airflow_provider_imperva.privacy.rules import Rules
from airflow_provider_imperva.testing import SyslogReceiver, forge_log
from tests.forward.sending import Collector, forwarding, send_all
from tests.load.load_runs import Account

ADDRESS = Address(host="siem.example", port=6514)
EVENT = (
    "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=77 Customer=anna@example.org start=1700000000000"
    " src=198.51.100.7 xff=198.51.100.7, 10.0.0.1, unknown cs4=2f0f-visitor cs4Label=VID act=REQ_PASSED"
    " sip=203.0.113.9"
)
PEOPLE = (b"198.51.100.7", b"10.0.0.1", b"2f0f-visitor", b"anna@example.org")


def protection() -> Protection:
    options = pseudonym_options("a_key")
    assert options
    key = Key.of("0123456789abcdef0123456789abcdef", id="k1", about="test")
    return Protection(Rules(), Pseudonyms(options, key))


@pytest.fixture
def veiled(account: Account) -> Account:
    """An account whose lake has pseudonyms, and one line in quarantine that names somebody."""
    account.normalize_options = NormalizeOptions(protection=protection())
    account.repository.add("8416_1.log", forge_log(f"no event of 198.51.100.7\n{EVENT}\n"))
    account.run_some()
    return account


def to(account: Account, collector: Collector, **more: Any) -> Forwarding:
    options = DestinationOptions(**more.pop("options", {}))
    return forwarding(account, options, address=ADDRESS, connect=lambda: collector, **more)


def test_without_a_word_nothing_is_sent(veiled: Account) -> None:
    collector = Collector()
    sending = to(veiled, collector)
    with pytest.raises(
        ConfigurationError, match=r"rows of commit 1 have pseudonyms.*`pseudonyms` of the DAG that loads"
    ):
        send_all(sending)
    assert (collector.events, sending.pending()) == ([], [1])


def test_nor_a_commit_of_which_all_is_in_quarantine(veiled: Account) -> None:
    send_all(to(veiled, Collector(), protection=protection()))
    veiled.repository.add("8416_2.log", forge_log("another line of 198.51.100.7\n"))
    assert veiled.run_some().totals.rows == 0
    with pytest.raises(ConfigurationError, match="rows of commit 2 have pseudonyms"):
        send_all(to(veiled, Collector(), options={"quarantined": True}))


@pytest.mark.parametrize("format", get_args(Format))
def test_lines_have_the_pseudonyms_that_rows_have(veiled: Account, format: Format) -> None:
    collector = Collector()
    (outcome,) = send_all(to(veiled, collector, protection=protection(), options={"format": format}))
    assert (outcome.lines, outcome.sent, outcome.held_back, outcome.imbalance()) == (2, 1, 1, None)
    [event] = collector.events
    assert not [person for person in PEOPLE if person in event.body]
    assert veiled._read("events", "client_ip, visitor_id")[0][0].encode() in event.body
    if format in ("as_received", "cef"):
        assert event.body.startswith(b"CEF:0|Incapsula|SIEMintegration|")
    if format == "ecs":
        # Elasticsearch takes nothing but addresses in fields of the type ip.
        document = json.loads(event.body)
        assert document["source"] == {"address": veiled._read("events", "client_ip")[0][0]}
        assert document["related"]["ip"] == [document["destination"]["ip"]] == ["203.0.113.9"]
        assert document["imperva"]["x_forwarded_for"][2].startswith("k1-")


def test_leef_stays_leef(account: Account) -> None:
    account.normalize_options = NormalizeOptions(protection=protection())
    account.serve(1, events=3, format="LEEF")
    account.run_some()
    collector = Collector()
    send_all(to(account, collector, protection=protection()))
    content = b"\n".join(event.body for event in collector.events) + b"\n"
    parsed = list(parse([content], LogSource(file="8416_1.log", sequence=1), keep_raw=True))
    assert [row["src_format"] for block in parsed for row in block.events.to_pylist()] == ["LEEF"] * 3
    assert sorted(row["client_ip"] for block in parsed for row in block.events.to_pylist()) == sorted(
        address for (address,) in account._read("events", "client_ip")
    )


def test_lines_in_quarantine_are_not_sent_beside_pseudonyms(veiled: Account) -> None:
    with pytest.raises(ConfigurationError, match="quarantine may name a person"):
        to(veiled, Collector(), protection=protection(), options={"quarantined": True})


def test_by_name_if_asked_for(veiled: Account) -> None:
    collector = Collector()
    send_all(to(veiled, collector, names_people=True))
    assert [event.body for event in collector.events] == [EVENT.encode()]


def test_the_command_asks_for_it_in_so_many_words(veiled: Account, capsys: pytest.CaptureFixture[str]) -> None:
    with SyslogReceiver() as receiver:
        command = ["forward", str(veiled.lake), "--to", "syslog", "--option", "transport=tcp", "--host", "127.0.0.1"]
        command += ["--port", str(receiver.port)]
        assert main(command) != 0
        assert "--no-pseudonyms" in capsys.readouterr().err
        assert receiver.messages == []
        assert main([*command, "--no-pseudonyms"]) == 0
        assert len(receiver.messages) == 1
