"""The console script ``imperva-logs``; needs no Airflow.

Every command is a function that takes the parsed arguments and returns the exit code: 0 when all went well, 1 when
part of the work could not be done, 2 when nothing could be started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import ConfigurationError, ContainerError, ImpervaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python flushes once more on its way out, so give it a place to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except ImpervaError as error:
        return _complain(error, code=2)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imperva-logs", description="Logs of Imperva Cloud WAF, on the command line.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    decode = commands.add_parser("decode", help="write the plain lines of logs to stdout", description=_decode.__doc__)
    decode.add_argument("files", nargs="+", metavar="FILE", help="a log as received; - is stdin")
    decode.add_argument("--keys", type=Path, metavar="DIR", help="folder with <publicKeyId>/Private.key")
    decode.add_argument("--passphrase-env", metavar="NAME", help="environment variable with the keys' passphrase")
    decode.set_defaults(run=_decode)
    return parser


def _decode(options: argparse.Namespace) -> int:
    """Decrypt, inflate and verify logs and write their plain lines to stdout, byte for byte.

    Nothing is written of a log that does not verify; the others are written all the same.
    """
    from airflow_provider_imperva.container import KeyRing, decode

    keys = KeyRing()
    if options.keys:
        keys = KeyRing.from_folder(options.keys, passphrase=_passphrase(options.passphrase_env))
    code = 0
    ended = True
    for file in options.files:
        try:
            content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            plain = decode(content, log=file, keys=keys)
        except ContainerError as error:
            code = _complain(error, code=1)
            continue
        except OSError as error:
            code = _complain(f"{file}: {error.strerror}. Name a file that can be read.", code=1)
            continue
        # Two logs must not share a line because the first lacks its last line end.
        if not ended:
            sys.stdout.buffer.write(b"\n")
        for chunk in plain.chunks():
            sys.stdout.buffer.write(chunk)
            ended = chunk.endswith(b"\n")
    return code


def _passphrase(variable: str | None) -> str | None:
    if variable is None:
        return None
    if variable not in os.environ:
        raise ConfigurationError("is not set", do="Put the passphrase of the private keys into it", about=variable)
    return os.environ[variable]


def _complain(problem: ImpervaError | str, *, code: int) -> int:
    print(f"imperva-logs: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
