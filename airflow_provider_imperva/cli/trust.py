"""Options of the commands that prove something: what they are given that does not come from the lake."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_imperva.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.trusted import TrustedInputs
    from airflow_provider_imperva.lake.data_keys import MasterKeys
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.lake.store import Store
    from airflow_provider_imperva.seal.anchors import Anchor, Anchors
    from airflow_provider_imperva.seal.signature import SigningKey

_TOKEN = "IMPERVA_ANCHOR_TOKEN"  # noqa: S105


def add_trust_options(command: argparse.ArgumentParser) -> None:
    """Let a command take public keys and anchors."""
    command.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="COMMIT:SHA256",
        help="a commit noted before: it must still be in the chain (needs --repository if there are several)",
    )
    command.add_argument(
        "--anchors",
        metavar="URL",
        help=f"the folder, bucket or HTTP service that heads are sent to; {_TOKEN} may have the service's token",
    )
    command.add_argument(
        "--public-key",
        action="append",
        default=[],
        dest="public_keys",
        metavar="FILE",
        help="a public key: commits must be signed by its private half; give several after a rotation",
    )
    command.add_argument(
        "--timestamp-ca",
        action="append",
        default=[],
        dest="authorities",
        metavar="FILE",
        help="certificates of a timestamp authority that you trust: commits must have its timestamps",
    )
    command.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="REPOSITORY",
        help="a repository that the lake must have",
    )


def add_seal(command: argparse.ArgumentParser) -> None:
    """Let a command that writes to a ledger take what signs its commits, and where they are noted."""
    add_signing_key(command)
    command.add_argument(
        "--anchors",
        metavar="URL",
        help=f"folder, bucket or HTTP service that each head is sent to; {_TOKEN} may have the service's token",
    )
    command.add_argument(
        "--timestamp-url", metavar="URL", help="RFC 3161 authority that timestamps each commit that is written"
    )


def add_signing_key(command: argparse.ArgumentParser) -> None:
    """Let a command take the private key that what it writes is signed with."""
    command.add_argument("--signing-key", metavar="FILE", help="Ed25519 private key that signs what is written")
    command.add_argument("--signing-passphrase-env", metavar="NAME", help="environment variable with its passphrase")


def load_signing_key(options: argparse.Namespace) -> SigningKey | None:
    """Load that key; None if there is none.

    :raises ConfigurationError: if it is not one.
    """
    from airflow_provider_imperva.cli.terminal import passphrase
    from airflow_provider_imperva.seal.signature import SigningKey

    if options.signing_key is None:
        return None
    return SigningKey.of_file(options.signing_key, passphrase=passphrase(options.signing_passphrase_env))


def open_ledger_to_write(
    options: argparse.Namespace, store: Store, repository: str, *, master: MasterKeys | None = None
) -> Ledger:
    """Open a ledger that the command writes to, with the key that signs its commits, and the place they are noted at.

    ``options.written`` gets it, so that the command fails in the end if a head could not be noted.

    :param master: opens what is encrypted in ``raw/``.
    :raises ConfigurationError: if its last commit is signed, and no key is given.
    """
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.seal.timestamps import TimestampAuthority

    note = partial(_note_head, open_place(options.anchors)) if options.anchors else None
    stamp = TimestampAuthority(options.timestamp_url).stamp if options.timestamp_url else None
    ledger = Ledger(store, repository, signer=load_signing_key(options), note_head=note, stamp=stamp, master=master)
    options.written = [*getattr(options, "written", ()), ledger]
    head = ledger.head(with_plan=False).commit
    if head and head.signed_by and options.signing_key is None:
        raise ConfigurationError(
            f"its commits are signed by key {head.signed_by}, and this one would not be",
            do="Give the private key with --signing-key",
            about=store.uri(ledger.layout.ledger),
        )
    return ledger


def open_place(url: str) -> Anchors:
    """Open the place that heads are sent to.

    :raises ConfigurationError: if it cannot be one.
    """
    from airflow_provider_imperva.seal.anchors import open_anchors
    from airflow_provider_imperva.uri import LakeUri

    if url.startswith("mailto:"):
        raise ConfigurationError(
            "mail is sent by tasks, with Airflow's connections, and cannot be read from here",
            do="Give what a mail says with --anchor COMMIT:SHA256",
            about=url,
        )
    url = url if url.startswith(("http://", "https://")) else str(LakeUri.of_shell(url))
    return open_anchors(url, token=os.environ.get(_TOKEN))


def _note_head(anchors: Anchors, repository: str, commit: int, sha256: str, repositories: tuple[str, ...]) -> None:
    from airflow_provider_imperva.seal.anchors import Anchor

    anchors.note(Anchor(commit, sha256, repository, repositories, datetime.now(UTC)))


def read_trusted_inputs(options: argparse.Namespace) -> TrustedInputs:
    """Read what was given.

    :raises ConfigurationError: if a key or an anchor does not read.
    :raises LakeError: if the place of the anchors does not give them.
    """
    from airflow_provider_imperva.audit.trusted import TrustedInputs
    from airflow_provider_imperva.cli.terminal import load_raw_key
    from airflow_provider_imperva.seal.signature import PublicKeys
    from airflow_provider_imperva.seal.timestamps import TrustedAuthorities

    anchors = [_anchor(text) for text in options.anchor]
    if options.anchors:
        anchors += open_place(options.anchors).read()
    master = load_raw_key(options) if "raw_key" in options else None
    return TrustedInputs(
        tuple(anchors),
        PublicKeys.of_files(options.public_keys),
        TrustedAuthorities.of_files(options.authorities),
        tuple(options.expect),
        master,
    )


def _anchor(text: str) -> Anchor:
    from airflow_provider_imperva.seal.anchors import Anchor

    commit, _, sha256 = text.partition(":")
    if not commit.isdecimal() or len(sha256) != 64:
        raise ConfigurationError(
            "it is not an anchor", do="Write it as COMMIT:SHA256, as verify prints them", about=text
        )
    return Anchor(int(commit), sha256.lower())
