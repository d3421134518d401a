"""The key ring: the customer's RSA private keys by the id Imperva gave to their public halves."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow_provider_imperva.errors import ConfigurationError

_SUFFIXES = {".key", ".pem"}
_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
# An encrypted PKCS#1 key names its cipher in lines before the Base64.
_PEM_HEADERS = re.compile(r"\s*Proc-Type:\s*4,ENCRYPTED\s+DEK-Info:\s*([\w-]+,[0-9A-Fa-f]+)\s")


class KeyRing:
    """RSA private keys by ``publicKeyId``.

    Ids are the same when they are without blanks around them and leading zeros: ``01`` is ``1``.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, RSAPrivateKey] | None = None) -> None:
        self._keys = {canonical_id(public_key_id): key for public_key_id, key in (keys or {}).items()}

    @classmethod
    def from_folder(cls, folder: Path | str, *, passphrase: str | None = None) -> KeyRing:
        """Read the layout of Imperva's connector: ``<publicKeyId>/Private.key``.

        Any one file that ends in ``.key`` or ``.pem`` will do; among several, ``Private.key`` is taken. A folder that
        holds nothing is an empty ring.

        :param passphrase: for the keys that are encrypted.
        :raises ConfigurationError: the folder or a key in it cannot be used.
        """
        try:
            keys = [(path.parent.name, path.read_text("utf-8"), str(path)) for path in _key_files(Path(folder))]
        except OSError as error:
            raise ConfigurationError(
                f"cannot be read: {error.strerror}",
                do="Name a folder that holds <publicKeyId>/Private.key and that this user may read",
                about=str(error.filename or folder),
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(
                "a key in it is no text", do="Store every private key as PEM", about=str(folder)
            ) from None
        return cls._load(keys, passphrase=passphrase)

    @classmethod
    def from_pem(cls, keys: Mapping[str, str], *, passphrase: str | None = None) -> KeyRing:
        r"""Take the keys themselves, as PEM text by ``publicKeyId``.

        Line ends that were lost, or became a literal ``\n`` on their way through JSON or a variable, are put back.

        :param passphrase: for the keys that are encrypted.
        :raises ConfigurationError: a key cannot be used, or one id has two keys.
        """
        return cls._load(
            ((public_key_id, pem, f"private key {public_key_id!r}") for public_key_id, pem in keys.items()),
            passphrase=passphrase,
        )

    @classmethod
    def _load(cls, keys: Iterable[tuple[str, str, str]], *, passphrase: str | None) -> KeyRing:
        ring = cls()
        for public_key_id, pem, about in keys:
            ring |= cls({public_key_id: _load_pem(pem, passphrase=passphrase, about=about)})
        return ring

    def __or__(self, other: KeyRing) -> KeyRing:
        """Return a ring with the keys of both.

        :raises ConfigurationError: both have a key of the same id, and not the same key.
        """
        for public_key_id in self.ids & other.ids:
            if self._keys[public_key_id].public_key() != other._keys[public_key_id].public_key():
                raise ConfigurationError(
                    f"two different private keys for publicKeyId {public_key_id}",
                    do="Keep the one whose public half Imperva lists under that id",
                    about="key ring",
                )
        return KeyRing(self._keys | other._keys)

    @property
    def ids(self) -> frozenset[str]:
        """The ids, canonical: as numbers without leading zeros."""
        return frozenset(self._keys)

    def get(self, public_key_id: str) -> RSAPrivateKey | None:
        """Look a key up by the id that a log names, None if it is not there."""
        return self._keys.get(canonical_id(public_key_id))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(sorted(self.ids))})"


def canonical_id(public_key_id: str) -> str:
    """Write an id the way the ring names it: without blanks around it and leading zeros."""
    text = public_key_id.strip()
    return text.lstrip("0") or "0" if text.isdigit() else text


def _key_files(folder: Path) -> Iterator[Path]:
    """Find the one key file of each id."""
    for entry in sorted(folder.iterdir()):
        if entry.suffix.lower() in _SUFFIXES and entry.is_file():
            raise ConfigurationError(
                "belongs to no publicKeyId", do=f"Move it to {folder}/<publicKeyId>/Private.key", about=str(entry)
            )
        if entry.is_dir():
            files = [file for file in sorted(entry.iterdir()) if file.suffix.lower() in _SUFFIXES and file.is_file()]
            usual = [file for file in files if file.name.lower() == "private.key"]
            if len(files) > 1 and len(usual) != 1:
                raise ConfigurationError(
                    f"{len(files)} key files for one publicKeyId",
                    do="Name the one that holds the private key Private.key",
                    about=str(entry),
                )
            yield from usual or files


def _load_pem(pem: str, *, passphrase: str | None, about: str) -> RSAPrivateKey:
    label, text = _repaired(pem, about=about)
    encrypted = label == "ENCRYPTED PRIVATE KEY" or "4,ENCRYPTED" in text
    if encrypted and not passphrase:
        raise ConfigurationError("is encrypted, and no passphrase is set", do="Set its passphrase", about=about)
    try:
        key = load_pem_private_key(text.encode(), passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says about the key is not for a log.
        raise ConfigurationError(
            "does not open with the passphrase set" if encrypted else "is damaged or of an unknown kind",
            do="Correct the passphrase, or export the key again" if encrypted else "Export the key again as PEM",
            about=about,
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            "is not an RSA key", do="Use the RSA private key made for Imperva (openssl genrsa)", about=about
        )
    return key


def _repaired(pem: str, *, about: str) -> tuple[str, str]:
    """Find the private key in a PEM text; return its label, and the block with every line where it belongs."""
    blocks: dict[str, str] = dict(_PEM_BLOCK.findall(pem.replace("\\r", "").replace("\\n", "\n")))
    label = next((label for label in blocks if label.endswith("PRIVATE KEY")), None)
    if label is None:
        raise ConfigurationError(
            f"holds a {next(iter(blocks)).lower()}, not the private key" if blocks else "holds no PEM block",
            do="Give the private key whole, from -----BEGIN to -----END",
            about=about,
        )
    body = blocks[label]
    lines = [f"-----BEGIN {label}-----"]
    if headers := _PEM_HEADERS.match(body):
        lines += ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: {headers[1]}", ""]
        body = body[headers.end() :]
    lines += [*textwrap.wrap("".join(body.split()), 64), f"-----END {label}-----", ""]
    return label, "\n".join(lines)
