"""RFC 3161 timestamps of the ledger's commits: an authority that others trust vouches for when a commit was there.

A timestamp is the authority's response in DER, over the SHA-256 of the commit's object, so that OpenSSL alone verifies
it::

    openssl ts -verify -data <commit>.commit.json -in <commit>.commit.tsr -CAfile authority.pem
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests

from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.extras import install_command

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

_URL = re.compile(r"https?://[^/\s@]+(/\S*)?")
_TIMEOUTS = (5, 15)
_LONGEST = 1_000_000
"""Bytes of the longest response that is read; one with a long chain of certificates has about 10,000."""


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """A server that stamps what it is sent (RFC 3161, 3.4: over HTTP).

    :param url: its address. Many authorities serve plain HTTP only: what goes there is a hash, and what comes back is
        signed.
    :raises ConfigurationError: if it is not such an address, or the extra ``timestamps`` is not installed.
    """

    url: str

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url):
            raise ConfigurationError(
                "the address of the timestamp authority is not an http or https URL without a password",
                do="Give its URL, such as https://freetsa.org/tsr",
                about="timestamp_url",
            )
        _require_library("timestamp_url")

    def stamp(self, content: bytes) -> bytes:
        """Have a commit's object stamped.

        :returns: the response, DER; it is of this content and answers this request. Who signed it, whoever verifies
            looks at: :meth:`TrustedAuthorities.time_of`.
        :raises LakeError: if the authority does not answer, or with something else.
        """
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        response = self._ask(request.as_bytes())
        parsed = _parse(response)
        if parsed is None:
            raise self._unavailable("it did not grant a timestamp")
        info = parsed.tst_info
        if info.nonce != request.nonce or info.message_imprint.message != request.message_imprint.message:
            raise self._unavailable("its timestamp is of another request")
        return response

    def _ask(self, request: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query"}
        try:
            with requests.post(
                self.url, headers=headers, data=request, timeout=_TIMEOUTS, allow_redirects=False, stream=True
            ) as answer:
                if answer.status_code != 200:
                    raise self._unavailable(f"HTTP {answer.status_code}")
                content = answer.raw.read(_LONGEST + 1, decode_content=True)
        except requests.RequestException as error:
            raise self._unavailable(type(error).__name__) from None
        if len(content) > _LONGEST:
            raise self._unavailable("its answer is too long for a timestamp")
        return bytes(content)

    def _unavailable(self, why: str) -> LakeError:
        return LakeError(
            f"the timestamp authority did not answer as it should ({why})",
            do="See that workers reach the address, and that it is a server for RFC 3161 timestamps",
            about=self.url,
        )


class TrustedAuthorities:
    """The certificates of timestamp authorities that somebody trusts."""

    def __init__(self, roots: Iterable[Certificate] = ()) -> None:
        self._roots = tuple(roots)

    @classmethod
    def of_files(cls, paths: Iterable[Path | str]) -> Self:
        """Read certificates in PEM: of the authorities' own roots, or of the authorities.

        :raises ConfigurationError: if a file holds none, or the extra ``timestamps`` is not installed.
        """
        from cryptography.x509 import load_pem_x509_certificates

        certificates: list[Certificate] = []
        for path in map(str, paths):
            _require_library(path)
            try:
                certificates += load_pem_x509_certificates(Path(path).read_bytes())
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or "it has no certificate in PEM"
                raise ConfigurationError(
                    f"cannot be read: {why}", do="Name a file with the authority's certificates in PEM", about=path
                ) from None
        return cls(certificates)

    def __bool__(self) -> bool:
        return bool(self._roots)

    @property
    def names(self) -> str:
        """The subjects of the certificates."""
        return "; ".join(root.subject.rfc4514_string() for root in self._roots)

    def time_of(self, response: bytes, sha256: str) -> datetime | None:
        """Return when, UTC, an authority that is trusted vouched for a hash; None if none did.

        :param response: the timestamp, DER.
        :param sha256: of what it has to be over, in hexadecimal.
        """
        from rfc3161_client import VerificationError, VerifierBuilder

        parsed = _parse(response)
        if parsed is None:
            return None
        try:
            VerifierBuilder(roots=list(self._roots)).build().verify(parsed, bytes.fromhex(sha256))
        except VerificationError:
            return None
        return parsed.tst_info.gen_time


def _parse(response: bytes) -> TimeStampResponse | None:
    """Read a response; None if it does not read, or has no timestamp."""
    from rfc3161_client import decode_timestamp_response

    try:
        parsed = decode_timestamp_response(response)
        return parsed if parsed.status == 0 and parsed.tst_info else None
    except ValueError:
        return None


def _require_library(about: str) -> None:
    if importlib.util.find_spec("rfc3161_client") is None:
        raise ConfigurationError(
            "timestamps need the Python package rfc3161-client, which is not installed",
            do=f"Install it ({install_command('timestamps')})",
            about=about,
        )
