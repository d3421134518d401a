"""The log forge: writes logs as Imperva Cloud WAF writes them, for tests and the demo.

:func:`forge_events` invents the lines, :func:`forge_log` wraps any body in a container (header, compression,
encryption), :func:`forge_repository` does both for a whole run of logs. Everything comes out of the seed; only what
encryption makes random by design (the AES key, the RSA padding) differs from call to call.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import uuid
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from airflow_provider_imperva.testing.formats import Format, write_body, write_event

FORGED_START = 1_767_225_600_000
"""Where forged time begins unless set otherwise: 2026-01-01T00:00:00Z in epoch milliseconds."""

LOG_SPAN_MS = 240_000
"""Time one log covers; real ones cover three to five minutes."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An RSA key pair under the id that Imperva gives to its public half.

    :param public_key_id: the id, as logs name it in ``publicKeyId``.
    :param private_key: the private half.
    """

    public_key_id: str
    private_key: RSAPrivateKey = field(repr=False)

    @classmethod
    def generate(cls, public_key_id: str = "1", *, bits: int = 2048) -> KeyPair:
        """Make a new pair; takes a noticeable part of a second."""
        return cls(public_key_id, generate_private_key(public_exponent=65537, key_size=bits))

    @property
    def public_key(self) -> RSAPublicKey:
        """The half that Imperva encrypts for."""
        return self.private_key.public_key()

    def private_pem(self, *, pkcs8: bool = False, passphrase: str | None = None) -> str:
        """PEM text of the private half.

        :param pkcs8: PKCS#8 (``BEGIN PRIVATE KEY``) instead of the PKCS#1 that ``openssl genrsa`` wrote for long.
        :param passphrase: encrypts the PEM.
        """
        layout = PrivateFormat.PKCS8 if pkcs8 else PrivateFormat.TraditionalOpenSSL
        lock = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
        return self.private_key.private_bytes(Encoding.PEM, layout, lock).decode()

    def public_pem(self) -> str:
        """PEM text of the public half, as uploaded to Imperva."""
        return self.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def write(self, folder: Path, *, pkcs8: bool = False, passphrase: str | None = None) -> Path:
        """Write the private half to ``<folder>/<public_key_id>/Private.key``, where Imperva's connector has it."""
        path = folder / self.public_key_id / "Private.key"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(self.private_pem(pkcs8=pkcs8, passphrase=passphrase))
        return path


def forge_log(
    body: bytes | str,
    *,
    account_id: int = 1745073,
    config_id: int = 8416,
    format: str = "CEF",
    start: int = FORGED_START,
    end: int = FORGED_START + LOG_SPAN_MS,
    checksum: str | None = None,
    header: bool = True,
    compress: bool = True,
    key: KeyPair | None = None,
    aes_bits: int = 128,
) -> bytes:
    """Wrap a body in a container, in Imperva's order: compress, then encrypt, then put the header before it.

    :param body: the plain lines.
    :param start: earliest event, epoch milliseconds; ``end`` the latest.
    :param checksum: what the header says; the right MD5 of the body unless given.
    :param header: without one the body comes out as it is, as logs in JSON do: neither compressed nor encrypted.
    :param key: encrypts for this pair.
    :returns: the bytes that the repository serves.
    """
    plain = body.encode() if isinstance(body, str) else body
    if not header:
        return plain
    lines = [
        f"accountId:{account_id}",
        f"configId:{config_id}",
        f"checksum:{checksum or hashlib.md5(plain, usedforsecurity=False).hexdigest()}",
        f"format:{format}",
        f"startTime:{start}",
        f"endTime:{end}",
    ]
    stored = zlib.compress(plain) if compress else plain
    if key is not None:
        aes_key = os.urandom(aes_bits // 8)
        lines += [f"publicKeyId:{key.public_key_id}", f"key:{_wrap(aes_key, key.public_key)}"]
        stored = _encrypt(stored, aes_key)
    return "\n".join([*lines, "|==|", ""]).encode() + stored


def _wrap(aes_key: bytes, public_key: RSAPublicKey) -> str:
    # Base64 twice: what RSA encrypts is the Base64 text of the key, not the key.
    return base64.b64encode(public_key.encrypt(base64.b64encode(aes_key), PKCS1v15())).decode()


def _encrypt(plain: bytes, aes_key: bytes) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES(aes_key), CBC(bytes(16))).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


@dataclass(frozen=True, slots=True)
class ForgedLog:
    """One log of a forged repository: its name, the bytes to serve, and the lines that must come out of them."""

    name: str
    content: bytes = field(repr=False)
    events: tuple[str, ...] = field(repr=False)


def forge_repository(
    count: int,
    *,
    prefix: str = "8416",
    first: int = 1,
    skip: Collection[int] = (),
    seed: int = 0,
    start: int = FORGED_START,
    events_per_log: int = 100,
    security_share: float = 0.1,
    format: Format = "CEF",
    compress: bool = True,
    keys: Sequence[KeyPair] = (),
) -> Iterator[ForgedLog]:
    """Forge logs with rising numbers, each overlapping the next in time, as Imperva's do.

    :param count: how many logs.
    :param skip: sequence numbers left out; Imperva skips some too.
    :param start: time of the first event, epoch milliseconds.
    :param format: of all their events; logs in JSON have no header, and are neither compressed nor encrypted.
    :param keys: encrypt for these, in equal stretches, the way a key is rotated; none means clear logs.
    """
    sequence = first
    for position in range(count):
        while sequence in skip:
            sequence += 1
        begin = start + position * LOG_SPAN_MS * 3 // 4
        events = forge_events(
            events_per_log,
            seed=f"{seed}/{prefix}/{sequence}",
            start=begin,
            span_ms=LOG_SPAN_MS,
            security_share=security_share,
            format=format,
        )
        content = forge_log(
            write_body(format, events),
            format=format,
            header=format != "JSON",
            start=begin,
            end=begin + LOG_SPAN_MS,
            compress=compress,
            key=keys[position * len(keys) // count] if keys else None,
        )
        yield ForgedLog(f"{prefix}_{sequence}.log", content, tuple(events))
        sequence += 1


def forge_events(
    count: int,
    *,
    seed: int | str = 0,
    start: int = FORGED_START,
    span_ms: int = LOG_SPAN_MS,
    security_share: float = 0.1,
    format: Format = "CEF",
) -> list[str]:
    r"""Invent events of the shape real ones have: about 45 keys, escaped ``\=``, lists that end in a comma.

    :param seed: the same seed gives the same lines.
    :param start: time of the first event, epoch milliseconds; lines rise in time over ``span_ms``.
    :param security_share: part of the events that are security events, 0 to 1.
    :param format: what to write them in; the same seed gives the same events in each.
    :returns: lines without line ends; :func:`write_body` makes a body of them.
    """
    rng = random.Random(seed)
    times = sorted(start + rng.randrange(max(span_ms, 1)) for _ in range(count))
    lines = []
    for at, visit in zip(times, _visits(rng), strict=False):
        name, code, fields = (_security_event if rng.random() < security_share else _access_event)(rng, at, visit)
        known = {key: value for key, value in fields.items() if value is not None}
        lines.append(write_event(format, name=name, code=code, fields=known))
    return lines


_Event: TypeAlias = tuple[str, int, dict[str, str | None]]
"""Rule type, its number, and values by CEF key; None is left out."""


_SITES = (("shop.example.com", 61539044), ("www.example.org", 61539108), ("api.example.net", 61540377))
_CLIENTS = (
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36",
        "Chrome",
        "Browser",
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox", "Browser"),
    ("SurveyBot/2.1 | contact: crawl@example.org, see https://example.org/bot?v=2", "Bot", "Crawler"),
    ("curl/8.11.0", "Curl", "Developer Tool"),
)
_PLACES = (
    ("US", "Atlanta", 33.7485, -84.3871, "atl"),
    ("FR", "Saint-Étienne", 45.4397, 4.3872, "cdg"),
    ("RO", "Iaşi", 47.1585, 27.6014, "fra"),
    ("BR", "São Paulo", -23.5475, -46.6361, "gru"),
    ("YE", "'Amran", 15.6594, 43.9439, "fra"),
    ("JP", "東京", 35.6895, 139.6917, "hnd"),
)
_PATHS = ("/", "/index.html", "/cart/checkout", "/api/v2/items/4711", "/static/app.min.js", "/suche/größe")
_QUERIES = ("", "", "page=2&sort=price", "q=blue%20shoes&lang=de", "token=YWJjZA==")
_RULES = (
    ("SQL Injection", 0, "50033"),
    ("Cross Site Scripting", 1, "50037"),
    ("Illegal Resource Access", 3, "30037"),
    ("Bot Access Control", 4, "1001"),
    ("IncapRules(Slow down | guests)", 11, "90879"),
)
_BLOCKED = ("REQ_BLOCKED_SECURITY", "REQ_BLOCKED_SESSION", "REQ_CHALLENGE_CAPTCHA", "REQ_PASSED")


_VISITS_UNDER_WAY = 50
_REQUESTS_OF_A_VISIT = 10


@dataclass(frozen=True, slots=True)
class _Visit:
    """One client on one site: what its requests have in common. Each client software has one signature."""

    session: str
    visitor: str
    site: str
    site_id: int
    agent: str
    application: str
    client_type: str
    signature: str
    country: str
    city: str
    latitude: float
    longitude: float
    data_center: str
    address: str


def _visits(rng: random.Random) -> Iterator[_Visit]:
    """Say for one request after the other which visit it belongs to; a visit has some ten."""
    under_way: dict[int, _Visit] = {}
    while True:
        number = rng.randrange(_VISITS_UNDER_WAY)
        if number not in under_way or rng.random() < 1 / _REQUESTS_OF_A_VISIT:
            under_way[number] = _begin_visit(rng)
        yield under_way[number]


def _begin_visit(rng: random.Random) -> _Visit:
    site, site_id = rng.choice(_SITES)
    agent, application, client_type = rng.choice(_CLIENTS)
    country, city, latitude, longitude, data_center = rng.choice(_PLACES)
    return _Visit(
        session=str(rng.randrange(10**17, 10**19 - 10**18)),
        visitor=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        site=site,
        site_id=site_id,
        agent=agent,
        application=application,
        client_type=client_type,
        signature=hashlib.sha384(agent.encode()).hexdigest(),
        country=country,
        city=city,
        latitude=latitude,
        longitude=longitude,
        data_center=data_center,
        address=(
            f"2001:db8:{rng.randrange(1 << 16):x}::{rng.randrange(1, 1 << 16):x}"
            if rng.random() < 0.2
            else f"198.51.100.{rng.randrange(1, 255)}"
        ),
    )


def _access_event(rng: random.Random, at: int, visit: _Visit) -> _Event:
    fields = _request(rng, at, visit)
    kind = rng.random()
    if kind < 0.1:
        # No response was sent, so neither its status nor its size is there.
        fields |= {"act": "REQ_BAD_CLIENT_CLOSED_CONNECTION", "cn1": None, "in": None}
    elif kind < 0.5:
        # Served from the cache: no origin took part.
        fields |= {"act": "REQ_CACHED_FRESH", "sip": "0.0.0.0", "spt": "0"}  # noqa: S104
    if rng.random() < 0.1:
        rewrite = [{"type": "AD_HEADER_RW", "rule_id": str(rng.randrange(10**6)), "header_name": "Cache-Control"}]
        fields |= {"cs10": _json(rewrite), "cs10Label": "Rule Info"}
    return "Normal", 0, fields


def _security_event(rng: random.Random, at: int, visit: _Visit) -> _Event:
    name, code, attack = rng.choice(_RULES)
    fields = _request(rng, at, visit) | {"act": rng.choice(_BLOCKED)}
    if fields["act"] == "REQ_BLOCKED_SESSION":
        fields |= dict.fromkeys(("cn1", "in", "sip", "spt"))
    hits = rng.randint(1, 3)
    # Three parallel lists with a comma after every entry; a rule without a name is an empty entry.
    fields |= {
        "fileType": f"{attack}," * hits,
        "filePermission": "".join(f"{rng.randrange(1, 40)}," for _ in range(hits)),
        "cs9": rng.choice(("", "".join(f"{rng.choice(('', name, 'Known bad client'))}," for _ in range(hits)))),
        "cs9Label": "Rule name",
    }
    if rng.random() < 0.2:
        violation = [{"api_specification_violation_type": "INVALID_PARAM_NAME", "parameter_name": "sort=by"}]
        fields |= {"cs11": _json(violation), "cs11Label": "Rule Additional Info"}
    return name, code, fields


def _request(rng: random.Random, at: int, visit: _Visit) -> dict[str, str | None]:
    """Fields that access and security events share, in the order Imperva writes them; None is left out."""
    query = rng.choice(_QUERIES)
    method = rng.choices(("GET", "POST", "HEAD"), (8, 2, 1))[0]
    https = rng.random() < 0.8
    browser = visit.client_type == "Browser"
    return {
        "fileId": visit.session,
        "sourceServiceName": visit.site,
        "siteid": str(visit.site_id),
        "suid": "1745073",
        "requestClientApplication": visit.agent,
        "deviceFacility": visit.data_center,
        "cs2": str(browser).lower(),
        "cs2Label": "Javascript Support",
        "cs3": str(browser).lower(),
        "cs3Label": "CO Support",
        "cs1": "NA",
        "cs1Label": "Cap Support",
        "cs4": visit.visitor,
        "cs4Label": "VID",
        "cs5": visit.signature,
        "cs5Label": "clappsig",
        "dproc": visit.client_type,
        "cs6": visit.application,
        "cs6Label": "clapp",
        "ccode": visit.country,
        "tag": "acct-17",
        "cicode": visit.city,
        "cs7": str(visit.latitude),
        "cs7Label": "latitude",
        "cs8": str(visit.longitude),
        "cs8Label": "longitude",
        "Customer": "Example Trading Ltd",
        "siteTag": f"tag-{visit.site_id % 100}",
        "start": str(at),
        "request": visit.site + rng.choice(_PATHS),
        "qstr": query or None,
        "ref": f"https://{visit.site}/?from=start page" if browser and rng.random() < 0.5 else None,
        "requestMethod": method,
        "postbody": "user=anna&note=1 + 1 = 2" if method == "POST" else None,
        "cn1": str(rng.choices((200, 301, 404, 500), (16, 2, 2, 1))[0]),
        "app": "HTTPS" if https else "HTTP",
        "act": "REQ_PASSED",
        "deviceExternalId": str(rng.randrange(10**16, 10**18)),
        "sip": f"203.0.113.{rng.randrange(1, 255)}",
        "spt": "443" if https else "80",
        "in": str(rng.randrange(1 << 20)),
        "xff": visit.address if rng.random() < 0.9 else f"10.0.0.{rng.randrange(255)}, {visit.address}",
        "cpt": str(rng.randrange(1024, 1 << 16)),
        "src": visit.address,
        "ver": "TLSv1.3 TLS_AES_128_GCM_SHA256" if https else None,
        "end": str(at + rng.randrange(1, 3000)),
        "additionalReqHeaders": _json([{"Accept": "*/*"}, {"X-Trace": f"id={rng.getrandbits(32):08x}"}]),
        "additionalResHeaders": _json([{"Content-Type": "text/html; charset=UTF-8"}]),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
