"""``imperva-logs forward``: committed logs to a SIEM."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_imperva.cli.terminal import (
    Commands,
    add_keys,
    add_lake,
    add_raw_key,
    load_keys,
    load_raw_key,
    one_repository,
    open_lake,
    print_error,
    progress_bar,
)
from airflow_provider_imperva.errors import ConfigurationError, DestinationError

if TYPE_CHECKING:
    from airflow_provider_imperva.forward.address import Address
    from airflow_provider_imperva.forward.send import Forwarding
    from airflow_provider_imperva.lake.forwards import Forwarded
    from airflow_provider_imperva.lake.ledger import Ledger

_USER, _TOKEN = "IMPERVA_DESTINATION_USER", "IMPERVA_DESTINATION_TOKEN"


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("forward", help="send committed logs to a SIEM", description=_forward.__doc__)
    add_lake(command)
    command.add_argument("--to", required=True, dest="destination", metavar="DESTINATION", help="name of a preset")
    command.add_argument(
        "--host", required=True, help=f"host name of the receiver; user or token come from {_USER} and {_TOKEN}"
    )
    command.add_argument("--port", type=int, help="port; the preset's usual one if not given")
    command.add_argument("--name", help="the destination's name in the lake; that of the preset if not given")
    command.add_argument(
        "--verify",
        default="true",
        metavar="FILE",
        help="CA bundle (PEM) to check the receiver's certificate by; or false",
    )
    command.add_argument("--client-certificate", metavar="FILE", help="PEM file, where the receiver asks for one")
    command.add_argument("--client-key", metavar="FILE", help="PEM file with its key")
    command.add_argument("--plain", action="store_true", help="speak http rather than https; on loopback only")
    command.add_argument(
        "--option",
        action="append",
        default=[],
        dest="options",
        metavar="NAME=VALUE",
        help="an option of the destination in place of the preset's, such as format=json; the value is JSON or a text",
    )
    command.add_argument("--start", help="where a new destination begins: oldest, now, or the number of a commit")
    command.add_argument(
        "--commit",
        action="append",
        type=int,
        default=[],
        dest="commits",
        metavar="N",
        help="send this commit, whether it was sent or not",
    )
    command.add_argument(
        "--redaction",
        metavar="FILE",
        help="rules of redaction in a YAML file, or `off`; the default rules without it",
    )
    command.add_argument(
        "--no-pseudonyms",
        action="store_true",
        dest="names_people",
        help="send lines that name people although the rows of the lake have pseudonyms",
    )
    add_keys(command)
    add_raw_key(command)
    command.set_defaults(run=_forward)


def _forward(options: argparse.Namespace) -> int:
    """Send the logs of every commit that a destination does not have yet, oldest first.

    What was acknowledged is noted in the lake, below forwards/. Exits with 1 if the destination does not take
    something, or bytes are missing in raw/; the next time sends the rest.
    """
    from airflow_provider_imperva.forward.presets import destination_options, preset_of
    from airflow_provider_imperva.forward.send import Forwarding
    from airflow_provider_imperva.forward.transports import open_transport
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.records import Run
    from airflow_provider_imperva.privacy.protection import Protection
    from airflow_provider_imperva.privacy.rules import redaction_rules

    rules = redaction_rules(False if options.redaction == "off" else options.redaction)
    chosen = destination_options(options.destination, dict(map(_option, options.options)))
    if chosen.transport == "kafka":
        raise ConfigurationError(
            "this command does not speak to Kafka, whose producer Airflow's own provider makes",
            do='Use imperva_forward_dag with destination="kafka" and a connection of the type kafka; to run it once by'
            " hand: airflow dags test",
            about="--to",
        )
    address = _address(options, preset_of(options.destination).port)
    store = open_lake(options)
    ledger = Ledger(store, one_repository(store, options.repository), master=load_raw_key(options))
    forwarding = Forwarding(
        ledger=ledger,
        keys=load_keys(options),
        name=options.name or options.destination,
        address=str(address),
        options=chosen,
        connect=lambda: open_transport(chosen, address),
        run=Run("imperva-logs forward", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} {os.getpid()}"),
        protection=Protection(rules) if rules else None,
        names_people=options.names_people,
    )
    _check_commits(ledger, options.commits)
    forwarding.begin(start=options.start)
    commits = options.commits or forwarding.pending()
    sent: list[Forwarded] = []
    try:
        for outcome in _sent(forwarding, commits, again=bool(options.commits)):
            sent.append(outcome)
    except DestinationError as error:
        print_error(error, code=1)
        return _print_outcome(forwarding, sent, failed=True)
    return _print_outcome(forwarding, sent, failed=False)


def _check_commits(ledger: Ledger, numbers: list[int]) -> None:
    last = ledger.head(with_plan=False).next_commit - 1
    for number in numbers:
        if not 1 <= number <= last:
            raise ConfigurationError(
                f"the ledger has no commit {number}; its last one is {last}",
                do="Name a commit that it has, or leave --commit out to send what is pending",
                about="--commit",
            )


def _sent(forwarding: Forwarding, commits: list[int], *, again: bool) -> Iterator[Forwarded]:
    with progress_bar() as progress:
        for place, outcome in enumerate(forwarding.send(commits, again=again), 1):
            progress("Sending", place, len(commits))
            yield outcome


def _address(options: argparse.Namespace, port: int) -> Address:
    from airflow_provider_imperva.forward.address import Address

    switches = {"true": True, "false": False}
    return Address(
        host=options.host,
        port=options.port or port,
        login=os.environ.get(_USER, ""),
        password=os.environ.get(_TOKEN, ""),
        verify=switches.get(options.verify.lower(), options.verify),
        client_certificate=options.client_certificate,
        client_key=options.client_key,
        plain=options.plain,
    )


def _option(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigurationError("an option without a value", do="Write it as NAME=VALUE", about=text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print_outcome(forwarding: Forwarding, sent: list[Forwarded], *, failed: bool) -> int:
    from airflow_provider_imperva.audit.figures import counted
    from airflow_provider_imperva.audit.forwarding import describe_missing

    status = forwarding.status()
    lines = sum(outcome.sent for outcome in sent)
    name, left = forwarding.name, f"{status.pending} pending"
    if sent or failed:
        print(f"Sent to {name}: {counted(len(sent), 'commit')}, {counted(lines, 'line')}. Left: {left}.")
    else:
        print(f"Nothing to send to {name}: {counted(status.sent, 'commit')} sent before, {left}.")
    if missing := describe_missing(sent):
        print_error(missing, code=1)
    return 1 if failed or missing else 0
