"""The key ring: the customer's RSA private keys by the id Imperva gave to their public halves."""

from __future__ import annotations

import re
import stat
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow_provider_imperva.errors import ConfigurationError, quoted

_SUFFIXES = {".key", ".pem"}
_ESCAPED_LINE_END = re.compile(r"(\\+r)?\\+n|\\+r")
_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
# An encrypted PKCS#1 key names its cipher in lines before the Base64.
_PEM_HEADERS = re.compile(r"\s*Proc-Type:\s*4,ENCRYPTED\s+DEK-Info:\s*([\w-]+,[0-9A-Fa-f]+)\s")


class KeyRing:
    """RSA private keys by ``publicKeyId``.

    Ids are the same when they are without blanks around them and leading zeros: ``01`` is ``1``.

    A file or text that gives no key stops none of the others: whatever needs no key, or another one, can be loaded, and
    only the logs encrypted for the missing key wait.

    :ivar problems: what did not load, by name, and what to do about it.
    :ivar cautions: keys that loaded, and that somebody else could replace.
    """

    __slots__ = ("_keys", "cautions", "problems")

    def __init__(
        self,
        keys: Mapping[str, RSAPrivateKey] | None = None,
        *,
        problems: Iterable[str] = (),
        cautions: Iterable[str] = (),
    ) -> None:
        self._keys = {canonical_id(public_key_id): key for public_key_id, key in (keys or {}).items()}
        self.problems = tuple(problems)
        self.cautions = tuple(cautions)

    @classmethod
    def from_folder(cls, folder: Path | str, *, passphrase: str | None = None) -> KeyRing:
        """Read the layout of Imperva's connector: ``<publicKeyId>/Private.key``.

        Any file that ends in ``.key`` or ``.pem`` will do; among several that hold different keys, ``Private.key`` is
        taken. Public halves and certificates may lie beside it. A folder that holds nothing is an empty ring.

        :param passphrase: for the keys that are encrypted.
        :raises ConfigurationError: the folder itself cannot be read, or is a key instead of a path.
        """
        if "-----BEGIN" in str(folder):
            raise ConfigurationError(
                "the keys' folder is a key itself, where the path of a folder should be",
                do='Put the key into the extra `private_keys` as {"<publicKeyId>": "<the key>"}, and take it for'
                " known: what showed this field may have shown the key",
            )
        try:
            entries = sorted(Path(folder).iterdir())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"cannot be read: {getattr(error, 'strerror', None) or 'no path'}",
                do="Name a folder that holds <publicKeyId>/Private.key and that this user may read",
                about=str(folder),
            ) from None
        ring = cls(cautions=_writable(Path(folder)))
        for entry in entries:
            ring |= _read_entry(entry, passphrase=passphrase)
        return ring

    @classmethod
    def from_pem(cls, keys: Mapping[str, str], *, passphrase: str | None = None) -> KeyRing:
        r"""Take the keys themselves, as PEM text by ``publicKeyId``.

        Line ends that were lost, or became blanks, a literal ``\n`` or ``%0A`` on their way through JSON, a URI or a
        variable, are put back.

        :param passphrase: for the keys that are encrypted.
        """
        ring = cls()
        for public_key_id, pem in keys.items():
            try:
                key = _load_pem(pem, passphrase=passphrase, about=f"private key {quoted(public_key_id)}")
            except ConfigurationError as error:
                ring |= cls(problems=[str(error)])
            else:
                ring |= cls({public_key_id: key})
        return ring

    def __or__(self, other: KeyRing) -> KeyRing:
        """Return a ring with the keys of both; of an id for which they have different keys, none."""
        different = sorted(
            public_key_id
            for public_key_id in self.ids & other.ids
            if not _is_same(self._keys[public_key_id], other._keys[public_key_id])
        )
        refusals = [
            f"key ring: two different private keys for publicKeyId {public_key_id}, of which none is used. Keep the one"
            " whose public half Imperva lists under that id."
            for public_key_id in different
        ]
        keys = {name: key for name, key in (self._keys | other._keys).items() if name not in different}
        return KeyRing(
            keys,
            problems=dict.fromkeys((*self.problems, *other.problems, *refusals)),
            cautions=dict.fromkeys((*self.cautions, *other.cautions)),
        )

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


def _read_entry(entry: Path, *, passphrase: str | None) -> KeyRing:
    """Read what lies in the keys' folder: a folder with the key of one id, or something that does not belong there."""
    try:
        if entry.is_dir():
            return _read_id(entry, passphrase=passphrase)
    except OSError as error:
        do = "Let this user read it, or move it out of the keys' folder"
        return KeyRing(problems=[_problem(f"cannot be read: {error.strerror}", do=do, about=entry)])
    if entry.suffix.lower() not in _SUFFIXES:
        return KeyRing()
    do = f"Move it to {entry.parent}/<publicKeyId>/Private.key"
    return KeyRing(problems=[_problem("belongs to no publicKeyId", do=do, about=entry)])


def _read_id(folder: Path, *, passphrase: str | None) -> KeyRing:
    """Read the key of one id, whichever of the files in its folder holds it."""
    loaded: dict[Path, RSAPrivateKey] = {}
    problems, publics = [], []
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in _SUFFIXES or not file.is_file():
            continue
        try:
            loaded[file] = _load_pem(file.read_text("utf-8"), passphrase=passphrase, about=str(file))
        except _NotPrivateError as error:
            publics.append(str(error))
        except ConfigurationError as error:
            problems.append(str(error))
        except UnicodeDecodeError:
            problems.append(_problem("is not text", do="Store the private key as PEM", about=file))
        except OSError as error:
            problems.append(_problem(f"cannot be read: {error.strerror}", do="Let this user read it", about=file))
    if not loaded:
        return KeyRing(problems=problems + publics)
    usual = [file for file in loaded if file.name.lower() == "private.key"] or list(loaded)
    if not all(_is_same(loaded[file], loaded[usual[0]]) for file in usual):
        several = f"{len(usual)} key files for one publicKeyId hold different keys, and none is used"
        do = "Name the one that holds the private key Private.key"
        return KeyRing(problems=[*problems, _problem(several, do=do, about=folder)])
    return KeyRing({folder.name: loaded[usual[0]]}, problems=problems, cautions=_writable(usual[0], folder))


def _writable(*paths: Path) -> Iterator[str]:
    """Yield a caution for each file or folder that any user of this machine may write to."""
    for path in paths:
        mode = path.stat().st_mode
        # In a folder with the sticky bit, only the owner of a file may replace it.
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            yield _problem(
                "any user of this machine may replace the private key",
                do="Take the right to write from others (chmod o-w)",
                about=path,
            )


def _is_same(one: RSAPrivateKey, other: RSAPrivateKey) -> bool:
    return one.public_key() == other.public_key()


def _problem(problem: str, *, do: str, about: Path) -> str:
    return str(ConfigurationError(problem, do=do, about=str(about)))


class _NotPrivateError(ConfigurationError):
    """A PEM text of another kind than a private key, such as its public half."""


def open_private_key(pem: str, *, passphrase: str | None, about: str) -> PrivateKeyTypes:
    """Open a private key of any kind, PKCS#1 or PKCS#8, however its lines have come apart.

    :param passphrase: used only if the key is encrypted.
    :param about: where the key is from, for the error's message.
    :raises ConfigurationError: if it does not open.
    """
    label, text = repaired_pem(pem, about=about)
    encrypted = label == "ENCRYPTED PRIVATE KEY" or "4,ENCRYPTED" in text
    if encrypted and not passphrase:
        raise ConfigurationError("is encrypted, and no passphrase is set", do="Set its passphrase", about=about)
    try:
        return load_pem_private_key(text.encode(), passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says about the key is not for a log.
        raise ConfigurationError(
            "does not open with the passphrase set" if encrypted else "is damaged or of an unknown kind",
            do="Correct the passphrase, or export the key again" if encrypted else "Export the key again as PEM",
            about=about,
        ) from None


def _load_pem(pem: str, *, passphrase: str | None, about: str) -> RSAPrivateKey:
    key = open_private_key(pem, passphrase=passphrase, about=about)
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            "is not an RSA key", do="Use the RSA private key made for Imperva (openssl genrsa)", about=about
        )
    return key


def repaired_pem(pem: str, *, about: str) -> tuple[str, str]:
    """Find the private key in a PEM text; return its label, and the block with every line where it belongs."""
    if "%" in pem:  # which PEM has not: it went through a URI
        pem = unquote_plus(pem) if "BEGIN+" in pem else unquote(pem)
    pem = _ESCAPED_LINE_END.sub("\n", pem)
    blocks: dict[str, str] = dict(_PEM_BLOCK.findall(pem))
    label = next((label for label in blocks if label.endswith("PRIVATE KEY")), None)
    if label is None and blocks:
        raise _NotPrivateError(
            f"holds a {next(iter(blocks)).lower()}, not the private key",
            do="Give the private key whole, from its line BEGIN to its line END",
            about=about,
        )
    if label is None:
        raise ConfigurationError(
            "holds no PEM block", do="Give the private key whole, from its line BEGIN to its line END", about=about
        )
    body = blocks[label]
    lines = [f"-----BEGIN {label}-----"]
    if headers := _PEM_HEADERS.match(body):
        lines += ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: {headers[1]}", ""]
        body = body[headers.end() :]
    lines += [*textwrap.wrap("".join(body.split()), 64), f"-----END {label}-----", ""]
    return label, "\n".join(lines)
