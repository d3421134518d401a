"""Every error this package raises of its own accord.

Each message has three parts: the log (or object) it is about, what was found, and what to do. It never holds a
secret, a key or text out of a log.

::

    ImpervaError
    ├── ConfigurationError            the connection or an option is wrong; a person has to act
    ├── RepositoryError
    │   ├── AuthenticationError       401 or 403
    │   ├── IndexNotFoundError        404 on logs.index
    │   ├── InvalidIndexError         an answer that is not an index: HTML, no name in it
    │   ├── LogNotFoundError          404 on a log
    │   └── RepositoryUnavailableError  the retries are used up: time-outs, 429, 5xx, cut bodies
    ├── ContainerError                a log that does not decode; its bytes stay in raw/
    │   ├── HeaderError
    │   ├── MissingKeyError           waits for its private key, is not damaged
    │   ├── WrongKeyError
    │   ├── TruncatedError
    │   ├── CorruptError              bytes that do not decrypt, inflate or are of no known kind
    │   ├── NotALogError              text that is not a log: an error page, another format
    │   ├── ChecksumError
    │   └── TooLargeError
    ├── DestinationError              a SIEM did not take what was sent to it
    │   ├── DestinationUnavailableError   not reached, too busy, or no acknowledgement in time
    │   └── DestinationRefusedError       it refused credentials, certificate or event
    └── LakeError
        ├── ObjectExistsError         create-if-absent found the object there
        ├── LedgerConflictError       somebody else wrote this plan or commit
        ├── LedgerCorruptError        the ledger contradicts itself
        │   └── UnreadableObjectError     an object of it does not read
        │       └── TornPlanError             the plan that has no commit does not read
        ├── LakeMismatchError         the lake is not the one the last run wrote to
        ├── TableError                the table cannot be published to
        ├── SealedObjectError         an encrypted object in raw/ is not as it was written
        ├── DataKeyError              the key that opens an encrypted object is not at hand
        │   └── DestroyedKeyError         and never will be: somebody destroyed it
        └── HoldError                 a legal hold covers what was to be erased
"""

from __future__ import annotations

import re
from typing import ClassVar

_PEM = re.compile(r"[\r\n]|-----(BEGIN|END)")
"""What a key as PEM text has, and no name, path or address needs."""

_BASE64 = re.compile(r"[A-Za-z0-9+/=]{100}")
"""The middle of a key, which stays when its first and last lines are left out."""


class ImpervaError(Exception):
    """Root of all errors of this package.

    :param found: what was found, without a final full stop.
    :param do: what the reader should do about it: a sentence that begins with a capital, without a final full stop.
    :param about: the log, file, object or URL it is about.
    """

    reason: ClassVar[str] = "error"
    """Short code of the class, as written to the ledger and to ``quarantine/``."""

    needs_person: ClassVar[bool] = False
    """Whether every try comes to the same until a person has changed something."""

    is_transient: ClassVar[bool] = False
    """Whether a later try may succeed although nothing was changed."""

    def __init__(self, found: str, *, do: str, about: str | None = None) -> None:
        # Here, since a person may paste a key into any field, and each message that names the field would show it.
        found, about = _without_key(found), about and _without_key(about)
        super().__init__(found, do, about)
        self.found = found
        self.do = do
        self.about = about

    def __str__(self) -> str:
        subject = f"{self.about}: " if self.about else ""
        return f"{subject}{self.found}. {self.do}."

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions.
        return _restore, (type(self), self.found, self.do, self.about)


def quoted(value: object) -> str:
    """Quote a setting's value for a message; not if it may be a key that was pasted into the wrong field."""
    text = str(value)
    return _NOT_SHOWN.format(len(text)) if _PEM.search(text) or _BASE64.search(text) else repr(text)


_NOT_SHOWN = "a text of {} characters that may be a key, and is not shown"


def _without_key(text: str) -> str:
    return _NOT_SHOWN.format(len(text)) if _PEM.search(text) else text


def _restore(kind: type[ImpervaError], found: str, do: str, about: str | None) -> ImpervaError:
    return kind(found, do=do, about=about)


class ConfigurationError(ImpervaError):
    """The connection, a key or an option is wrong; a person has to change it."""

    reason = "configuration"
    needs_person = True


class RepositoryError(ImpervaError):
    """The log repository did not give what was asked of it."""

    reason = "repository"


class AuthenticationError(RepositoryError):
    """The repository refused the API ID and key (HTTP 401 or 403)."""

    reason = "authentication"
    needs_person = True


class IndexNotFoundError(RepositoryError):
    """There is no ``logs.index`` at the Log Server URL (HTTP 404)."""

    reason = "index_not_found"


class InvalidIndexError(RepositoryError):
    """What came as ``logs.index`` is not an index."""

    reason = "invalid_index"


class LogNotFoundError(RepositoryError):
    """The repository has no such log (HTTP 404): aged out, skipped, or not yet written."""

    reason = "log_not_found"


class RepositoryUnavailableError(RepositoryError):
    """No whole answer came, however often it was asked for; another try later may succeed."""

    reason = "unavailable"
    is_transient = True


class ContainerError(ImpervaError):
    """A log whose bytes do not decode to a plain body."""

    reason = "container"


class HeaderError(ContainerError):
    """The header of the log contradicts itself or lacks what decoding needs."""

    reason = "header"


class MissingKeyError(ContainerError):
    """The key ring has no private key of the id that the log names.

    :param public_key_id: the id asked for.
    """

    reason = "awaiting_key"

    def __init__(self, found: str, *, do: str, about: str | None = None, public_key_id: str = "") -> None:
        super().__init__(found, do=do, about=about)
        self.public_key_id = public_key_id

    def __reduce__(self) -> tuple[object, ...]:
        return _restore_missing_key, (self.found, self.do, self.about, self.public_key_id)


def _restore_missing_key(found: str, do: str, about: str | None, public_key_id: str) -> MissingKeyError:
    return MissingKeyError(found, do=do, about=about, public_key_id=public_key_id)


class WrongKeyError(ContainerError):
    """The private key of that id is not the one the log was encrypted for."""

    reason = "wrong_key"


class TruncatedError(ContainerError):
    """The log ends before its end."""

    reason = "truncated"


class CorruptError(ContainerError):
    """The body does not decrypt or inflate, or is of no known kind."""

    reason = "corrupt"


class NotALogError(ContainerError):
    """The body is text, but not that of a log: a server's error, or an unknown format."""

    reason = "unknown_format"


class ChecksumError(ContainerError):
    """The plain body is not the one whose MD5 the header names."""

    reason = "checksum"


class TooLargeError(ContainerError):
    """The body inflates to more than the bound set for it."""

    reason = "too_large"


class DestinationError(ImpervaError):
    """A destination that events are forwarded to did not take what was sent to it."""

    reason = "destination"


class DestinationUnavailableError(DestinationError):
    """The destination was not reached, was too busy, or did not acknowledge in time; a later try may succeed."""

    reason = "destination_unavailable"
    is_transient = True


class DestinationRefusedError(DestinationError):
    """The destination refused credentials, certificate or settings; a person has to change something."""

    reason = "destination_refused"
    needs_person = True


class LakeError(ImpervaError):
    """The lake could not be read or written as it must be."""

    reason = "lake"
    is_transient = True


class ObjectExistsError(LakeError):
    """An object that must not exist yet does."""

    reason = "object_exists"


class LedgerConflictError(LakeError):
    """Another run wrote this plan or commit first."""

    reason = "ledger_conflict"


class LedgerCorruptError(LakeError):
    """The ledger contradicts itself: an object is missing, unreadable or has another hash."""

    reason = "ledger_corrupt"
    is_transient = False
    needs_person = True


class UnreadableObjectError(LedgerCorruptError):
    """An object of the ledger does not read as what it must be."""

    reason = "unreadable_object"


class TornPlanError(UnreadableObjectError):
    """The plan that has no commit does not read; nothing rests on it yet."""

    reason = "torn_plan"


class LakeMismatchError(LakeError):
    """The lake is not the one that the last run wrote to: its ledger is missing, or older than its events."""

    reason = "lake_mismatch"
    is_transient = False
    needs_person = True


class TableError(LakeError):
    """The table of a lake is damaged, of a newer version, or was written to by others; nothing was written to it.

    Its rows are safe: the ledger names them, and the table can be rebuilt from it.
    """

    reason = "table"
    needs_person = True


class SealedObjectError(LakeError):
    """An encrypted object in ``raw/`` does not decrypt: it was cut off, edited, or put in the place of another."""

    reason = "sealed_object"
    is_transient = False
    needs_person = True


class DataKeyError(LakeError):
    """What is needed to open an encrypted object in ``raw/``, or to write one, is not at hand."""

    reason = "data_key"
    is_transient = False
    needs_person = True


class DestroyedKeyError(DataKeyError):
    """The data key was destroyed on purpose: what was encrypted with it can never be read again."""

    reason = "data_key_destroyed"

    commit: int | None = None
    """The commit of the ledger that says so."""


CLOSED = (SealedObjectError, DestroyedKeyError)
"""Why the bytes of one log in ``raw/`` cannot be read although all keys are at hand; others can be."""


class HoldError(LakeError):
    """A legal hold covers what was to be erased; nothing was written."""

    reason = "on_hold"
    is_transient = False
    needs_person = True
