"""AWS KMS as what wraps the data keys of ``raw/``: the master key never leaves it."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from typing import Any, cast

from airflow_provider_imperva.errors import ConfigurationError, DataKeyError, LakeError
from airflow_provider_imperva.extras import install_command

_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "KMSInvalidStateException",
        "NotFoundException",
    }
)
"""What another try comes to as well; all else may pass."""


class KmsKeys:
    """A key of AWS KMS, by the Amazon provider's hook (extra dependency ``aws``).

    :param key_id: id, ARN or alias of the key.
    :param conn_id: connection of type ``aws``.
    :raises ConfigurationError: if that provider is not installed.
    """

    def __init__(self, key_id: str, *, conn_id: str) -> None:
        if importlib.util.find_spec("airflow.providers.amazon") is None:
            raise ConfigurationError(
                "a KMS key needs Airflow's Amazon provider, which is not installed",
                do=f"Install it ({install_command('aws')})",
                about="raw_kms_key",
            )
        self._key_id = key_id
        self._conn_id = conn_id

    @property
    def name(self) -> str:
        """The key."""
        return f"kms:{self._key_id}"

    @cached_property
    def _client(self) -> Any:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

        return AwsBaseHook(aws_conn_id=self._conn_id, client_type="kms").get_conn()

    def wrap(self, key: bytes, *, about: str) -> bytes:
        """Have KMS encrypt a data key; what it is for goes into the log of KMS as the encryption context."""
        return self._ask("encrypt", "CiphertextBlob", about, KeyId=self._key_id, Plaintext=key)

    def unwrap(self, wrapped: bytes, *, by: str, about: str) -> bytes:
        """Have KMS decrypt it, with the key that encrypted it, also where another has taken its place since."""
        key_id = by.removeprefix("kms:")
        return self._ask("decrypt", "Plaintext", about, KeyId=key_id, CiphertextBlob=wrapped)

    def _ask(self, operation: str, field: str, about: str, **request: Any) -> bytes:
        try:
            answer = getattr(self._client, operation)(EncryptionContext={"imperva-logs": about}, **request)
        except Exception as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
            if code not in _REFUSALS:
                raise LakeError(
                    f"KMS did not {operation} a data key ({code})",
                    do="Try again; see that KMS can be reached, and what its quota is",
                    about=about,
                ) from None
            raise DataKeyError(
                f"KMS refused to {operation} a data key ({code})",
                do="See that the key is enabled, and that the connection's role may use kms:Encrypt and kms:Decrypt",
                about=about,
            ) from None
        return cast(bytes, answer[field])
