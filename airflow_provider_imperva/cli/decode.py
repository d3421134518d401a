"""``imperva-logs decode``: the plain lines of logs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from airflow_provider_imperva.cli.terminal import Commands, add_keys, add_raw_key, load_keys, load_raw_key, print_error
from airflow_provider_imperva.errors import ContainerError, LakeError, SealedObjectError


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("decode", help="write the plain lines of logs to stdout", description=_decode.__doc__)
    command.add_argument("files", nargs="+", metavar="FILE", help="a log as received; - is stdin")
    command.add_argument("--lake", help="root of the lake: then each FILE is a path in it, such as raw/repository=…/…")
    add_keys(command)
    add_raw_key(command)
    command.set_defaults(run=_decode)


def _decode(options: argparse.Namespace) -> int:
    """Decrypt, inflate and verify logs and write their plain lines to stdout, byte for byte.

    Nothing is written of a log that does not verify; the others are written all the same.
    """
    from airflow_provider_imperva.container import decode

    keys = load_keys(options)
    read = _reader(options)
    code = 0
    ended = True
    for file in options.files:
        try:
            plain = decode(read(file), log=file, keys=keys)
        except (ContainerError, LakeError) as error:
            code = print_error(error, code=1)
            continue
        except OSError as error:
            code = print_error(f"{file}: {error.strerror or 'it is not there'}. Name a file that can be read.", code=1)
            continue
        # Two logs must not share a line because the first lacks its last line end.
        if not ended:
            sys.stdout.buffer.write(b"\n")
        for chunk in plain.chunks():
            sys.stdout.buffer.write(chunk)
            ended = chunk.endswith(b"\n")
    return code


def _reader(options: argparse.Namespace) -> Callable[[str], bytes]:
    """Return what reads the bytes that were received."""
    from airflow_provider_imperva.lake.sealed import MAGIC

    if options.lake:
        from airflow_provider_imperva.lake.layout import Layout
        from airflow_provider_imperva.lake.raw import RawBytes
        from airflow_provider_imperva.lake.store import open_store
        from airflow_provider_imperva.uri import LakeUri

        store, master = open_store(str(LakeUri.of_shell(options.lake))), load_raw_key(options)

        def read_in_lake(file: str) -> bytes:
            repository = file.partition("repository=")[2].partition("/")[0]
            with RawBytes(store, Layout(repository), master=master).open(file) as opened:
                return opened.read()

        return read_in_lake

    def read(file: str) -> bytes:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        if content.startswith(MAGIC):
            raise SealedObjectError(
                "it is encrypted at rest, with a data key that is in its lake",
                do="Give --lake and --raw-key, and its path in the lake as FILE",
                about=file,
            )
        return content

    return read
