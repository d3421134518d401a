"""The transit engine of HashiCorp Vault as what wraps the data keys of ``raw/``: the master key never leaves it."""

from __future__ import annotations

import base64
import importlib.util
import re
from functools import cached_property
from typing import Any, cast

from airflow_provider_imperva.errors import ConfigurationError, DataKeyError, LakeError
from airflow_provider_imperva.extras import install_command

_KEY = re.compile(r"(?:(?P<mount>[\w./-]+)/)?(?P<name>[\w.-]+)")
_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/?")

_REFUSALS = frozenset({"Forbidden", "InvalidPath", "InvalidRequest", "Unauthorized", "VaultError"})
"""Errors of Vault's client that another try comes to as well; all else may pass."""


class VaultKeys:
    """A key of Vault's transit engine, by the HashiCorp provider's hook (extra dependency ``vault``).

    The key has to be of a type with associated data, such as ``aes256-gcm96``, which is Vault's default.

    :param key: name of the key; with the engine's path before it, where that is not ``transit``: ``team/transit/lake``.
    :param conn_id: connection of type ``vault``.
    :raises ConfigurationError: if that provider is not installed, or this cannot be a key's name.
    """

    def __init__(self, key: str, *, conn_id: str) -> None:
        if importlib.util.find_spec("airflow.providers.hashicorp") is None:
            raise ConfigurationError(
                "a key of Vault needs Airflow's HashiCorp provider, which is not installed",
                do=f"Install it ({install_command('vault')})",
                about="raw_vault_key",
            )
        if not (match := _KEY.fullmatch(key)):
            raise ConfigurationError(
                "raw_vault_key is not the name of a key",
                do="Give the name of a key of the transit engine, such as lake, or transit/lake",
                about=conn_id,
            )
        self._key = f"{match['mount'] or 'transit'}/{match['name']}"
        self._conn_id = conn_id

    @property
    def name(self) -> str:
        """The engine's path and the key."""
        return f"vault:{self._key}"

    @cached_property
    def _transit(self) -> Any:
        from airflow.providers.hashicorp.hooks.vault import VaultHook

        hook = VaultHook(vault_conn_id=self._conn_id)
        url = str(hook.vault_client.url)
        if not url.startswith("https://") and not _LOOPBACK.fullmatch(url):
            raise ConfigurationError(
                "Vault's address is not https, and the token and data keys would go there in clear",
                do='Set {"use_tls": true} in the extra of the connection',
                about=self._conn_id,
            )
        return hook.get_conn().secrets.transit

    def wrap(self, key: bytes, *, about: str) -> bytes:
        """Have Vault encrypt a data key; what it is for is bound to it as associated data."""
        mount, _, name = self._key.rpartition("/")
        plaintext = base64.b64encode(key).decode()
        return self._ask("encrypt", "ciphertext", about, name=name, mount_point=mount, plaintext=plaintext).encode()

    def unwrap(self, wrapped: bytes, *, by: str, about: str) -> bytes:
        """Have Vault decrypt it, with the key that encrypted it, also where another has taken its place since."""
        mount, _, name = by.removeprefix("vault:").rpartition("/")
        ciphertext = wrapped.decode()
        plaintext = self._ask("decrypt", "plaintext", about, name=name, mount_point=mount, ciphertext=ciphertext)
        return base64.b64decode(plaintext)

    def _ask(self, operation: str, field: str, about: str, **request: str) -> str:
        bound = base64.b64encode(about.encode()).decode()
        try:
            answer = getattr(self._transit, f"{operation}_data")(associated_data=bound, **request)
        except ConfigurationError:
            raise
        except Exception as error:
            code = type(error).__name__
            if code not in _REFUSALS:
                raise LakeError(
                    f"Vault did not {operation} a data key ({code})",
                    do="Try again; see that Vault can be reached, and is not sealed",
                    about=about,
                ) from None
            raise DataKeyError(
                f"Vault refused to {operation} a data key ({code})",
                do=f"See that the key is there, and that the connection may update <engine>/{operation}/<key>",
                about=about,
            ) from None
        return cast(str, answer["data"][field])
