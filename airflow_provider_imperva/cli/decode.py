"""``imperva-logs decode``: the plain lines of logs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from airflow_provider_imperva.cli.terminal import Commands, add_keys, complain, load_keys
from airflow_provider_imperva.errors import ContainerError


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("decode", help="write the plain lines of logs to stdout", description=_decode.__doc__)
    command.add_argument("files", nargs="+", metavar="FILE", help="a log as received; - is stdin")
    add_keys(command)
    command.set_defaults(run=_decode)


def _decode(options: argparse.Namespace) -> int:
    """Decrypt, inflate and verify logs and write their plain lines to stdout, byte for byte.

    Nothing is written of a log that does not verify; the others are written all the same.
    """
    from airflow_provider_imperva.container import decode

    keys = load_keys(options)
    code = 0
    ended = True
    for file in options.files:
        try:
            content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            plain = decode(content, log=file, keys=keys)
        except ContainerError as error:
            code = complain(error, code=1)
            continue
        except OSError as error:
            code = complain(f"{file}: {error.strerror}. Name a file that can be read.", code=1)
            continue
        # Two logs must not share a line because the first lacks its last line end.
        if not ended:
            sys.stdout.buffer.write(b"\n")
        for chunk in plain.chunks():
            sys.stdout.buffer.write(chunk)
            ended = chunk.endswith(b"\n")
    return code
