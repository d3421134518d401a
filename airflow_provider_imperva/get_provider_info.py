"""What Airflow reads of this package while it starts. Nothing of Airflow is imported here."""

from __future__ import annotations

from typing import Any

from airflow_provider_imperva import __version__

NAME = "Imperva Cloud WAF"
CONNECTION_TYPE = "imperva"
HOOK_NAME = "Imperva Cloud WAF log repository"

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "keys_dir": {
        "label": "Private keys folder",
        "description": "Folder with <publicKeyId>/Private.key, readable by the workers and the triggerer",
        "schema": {"type": ["string", "null"]},
    },
    "private_keys_dir": {
        "label": "Private keys folder (masked)",
        "description": "The same; Airflow masks the value of this one wherever it stands in a log",
        "schema": {"type": ["string", "null"]},
    },
    "private_keys": {
        "label": "Private keys",
        "description": 'The keys themselves, as JSON: {"1": "-----BEGIN …", "2": "…"}',
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "private_key_passphrase": {
        "label": "Private key passphrase",
        "description": "For private keys that are encrypted",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "raw_encryption_key": {
        "label": "Encryption key of raw/",
        "description": "32 bytes in base64 (openssl rand -base64 32): logs as received are encrypted at rest. After a"
        " rotation several, the new one first, apart by commas",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "raw_kms_key": {
        "label": "AWS KMS key of raw/",
        "description": "Id or ARN of a KMS key, in place of the encryption key above",
        "schema": {"type": ["string", "null"]},
    },
    "raw_kms_conn_id": {
        "label": "Connection of AWS KMS",
        "description": "Connection of type aws; aws_default without",
        "schema": {"type": ["string", "null"]},
    },
    "raw_vault_key": {
        "label": "Vault key of raw/",
        "description": "Key of Vault's transit engine, in place of the encryption key above: lake, or transit/lake",
        "schema": {"type": ["string", "null"]},
    },
    "raw_vault_conn_id": {
        "label": "Connection of Vault",
        "description": "Connection of type vault; vault_default without",
        "schema": {"type": ["string", "null"]},
    },
    "signing_private_key": {
        "label": "Signing key",
        "description": "Ed25519 private key, as PEM, that signs each commit of the ledger",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "signing_key_file": {
        "label": "Signing key file",
        "description": "The same in a file that the workers can read",
        "schema": {"type": ["string", "null"]},
    },
    "signing_key_passphrase": {
        "label": "Signing key passphrase",
        "description": "For a signing key that is encrypted",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "anchor": {
        "label": "Anchor",
        "description": "Folder, bucket, https URL or mailto: address outside of the lake that each hash is sent to",
        "schema": {"type": ["string", "null"]},
    },
    "anchor_conn_id": {
        "label": "Anchor connection",
        "description": "Connection with credentials for the anchor's bucket, or of the mail server",
        "schema": {"type": ["string", "null"]},
    },
    "anchor_token": {
        "label": "Anchor token",
        "description": "Bearer token for an https anchor",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "timestamp_url": {
        "label": "Timestamp authority",
        "description": "URL of an RFC 3161 server that timestamps each commit",
        "schema": {"type": ["string", "null"]},
    },
    "repository": {
        "label": "Repository id",
        "description": "Name of the repository in the lake; the last segment of the Log Server URL if empty",
        "schema": {"type": ["string", "null"]},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "true, false, or the path of a CA bundle",
        "schema": {"type": ["string", "null"], "default": "true"},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of an HTTP proxy",
        "schema": {"type": ["string", "null"]},
    },
    "connect_timeout": {
        "label": "Connect time-out",
        "description": "Seconds to wait for a connection",
        "schema": {"type": ["number", "null"], "default": 10},
    },
    "read_timeout": {
        "label": "Read time-out",
        "description": "Seconds to wait for the next bytes",
        "schema": {"type": ["number", "null"], "default": 60},
    },
    "max_concurrency": {
        "label": "Concurrent requests",
        "description": "The most requests one task has under way at once",
        "schema": {"type": ["integer", "null"], "default": 8},
    },
    "delivery_conn_id": {
        "label": "Delivery connection",
        "description": "Where Imperva delivers logs to s3:// or sftp://: the aws or sftp connection to read them with",
        "schema": {"type": ["string", "null"]},
    },
    "after_commit": {
        "label": "After the commit",
        "description": "What becomes of a delivered log once it is loaded: keep, delete, or move:<folder>",
        "schema": {"type": ["string", "null"], "default": "keep"},
    },
    "settle_seconds": {
        "label": "Settle time",
        "description": "Seconds a delivered object has to lie unchanged before it is taken, so that no upload is cut",
        "schema": {"type": ["number", "null"], "default": 60},
    },
    "listing": {
        "label": "Listing",
        "description": "Of a large bucket: rising if new names are above all others, or the folder of a day: %Y/%m/%d",
        "schema": {"type": ["string", "null"], "default": "all"},
    },
    "ignore": {
        "label": "Not logs",
        "description": "Patterns of delivered objects to skip, separated by commas",
        "schema": {"type": ["string", "null"]},
    },
}
"""The fields of a connection's ``extra``, as its form shows them."""

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden_fields": ["schema", "port", "extra"],
    "relabeling": {"host": "Log Server URL", "login": "API ID", "password": "API key"},
    "placeholders": {"host": "https://logs1.incapsula.com/8416_1745073/", "login": "30432"},
}
"""How the connection form shows Airflow's own fields."""


_MODULES = {
    "hooks": ["imperva", "lake", "destination"],
    "operators": [
        "imperva",
        "load",
        "replay",
        "verify",
        "coverage",
        "watch",
        "forward",
        "ocsf",
        "compact",
        "retention",
    ],
    "sensors": ["imperva"],
    "triggers": ["imperva", "event"],
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's provider schema."""
    return {
        "package-name": "airflow-provider-imperva",
        "name": NAME,
        "description": "Brings every log of Imperva Cloud WAF into a data lake and can prove it",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": NAME,
                "external-doc-url": "https://docs.imperva.com/bundle/cloud-application-security/page/settings/log-integration.htm",
                "tags": ["service"],
            }
        ],
        **{
            kind: [
                {
                    "integration-name": NAME,
                    "python-modules": [f"airflow_provider_imperva.{kind}.{module}" for module in modules],
                }
            ]
            for kind, modules in _MODULES.items()
        },
        "extra-links": ["airflow_provider_imperva.links.ImpervaCoverageLink"],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": "airflow_provider_imperva.hooks.imperva.ImpervaLogHook",
                "hook-name": HOOK_NAME,
                "conn-fields": CONNECTION_FIELDS,
                "ui-field-behaviour": {key.replace("_", "-"): value for key, value in FIELD_BEHAVIOUR.items()},
            }
        ],
    }
