"""``python -m airflow_provider_imperva.testing DIRECTORY``: a fake log repository to try a DAG against.

With ``--faults FILE`` it misbehaves by a script (TOML or JSON, see :mod:`airflow_provider_imperva.testing.faults`), so
that an outage can be rehearsed; docs/rehearsals/ has scripts to begin with.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.testing.faults import CALM, FaultScript
from airflow_provider_imperva.testing.forge import KeyPair, forge_repository
from airflow_provider_imperva.testing.repository import FakeRepository


def main() -> None:
    """Serve the logs of a directory until it is stopped, and forge some first if there are none."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_imperva.testing", description="A fake Imperva log repository on loopback."
    )
    parser.add_argument("directory", type=Path, help="where the logs are (logs/) and the private keys (keys/)")
    parser.add_argument("--port", type=int, default=8416, help="port to listen on (default %(default)s)")
    parser.add_argument("--logs", type=int, default=36, help="how many logs to forge at first (default %(default)s)")
    parser.add_argument("--events", type=int, default=500, help="events in each log (default %(default)s)")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="forge one more log this often")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="script of what goes wrong (TOML or JSON)")
    options = parser.parse_args()
    try:
        script = FaultScript.load(options.faults) if options.faults else CALM
    except ConfigurationError as error:
        parser.error(str(error))

    logs, keys = options.directory / "logs", options.directory / "keys"
    logs.mkdir(parents=True, exist_ok=True)
    key = KeyPair.generate(str(len(list(keys.glob("*"))) + 1))
    repository = FakeRepository(logs, port=options.port, script=script)
    try:
        repository.start()
    except OSError as error:
        parser.error(f"port {options.port} cannot be listened on ({error.strerror}): choose another with --port")
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        stack.callback(repository.stop)
        wanted = 0 if repository.names() else options.logs
        if wanted or options.every:
            key.write(keys)
        _forge(repository, key, count=wanted, events=options.events)
        print("Serving", len(repository.names()), "logs at", repository.url)
        print("Its connection, for the environment of Airflow:")
        print(f"export AIRFLOW_CONN_IMPERVA_DEFAULT='{_connection(repository, keys)}'")
        print("Stop it with Ctrl-C.", flush=True)
        while True:
            time.sleep(options.every or 3600)
            if options.every:
                _forge(repository, key, count=1, events=options.events)


def _forge(repository: FakeRepository, key: KeyPair, *, count: int, events: int) -> None:
    names = repository.names()
    first = names[-1].sequence + 1 if names else 1
    now = int(time.time() * 1000)
    for log in forge_repository(count, first=first, seed=first, start=now, events_per_log=events, keys=[key]):
        repository.add(log.name, log.content)


def _connection(repository: FakeRepository, keys: Path) -> str:
    return json.dumps(
        {
            "conn_type": "imperva",
            "host": repository.url,
            "login": repository.login,
            "password": repository.password,
            "extra": {"private_keys_dir": str(keys.resolve())},
        }
    )


if __name__ == "__main__":
    main()
