"""Secrets that are planted where visitors leave them, each with a mark by which it is found again."""

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

MARK = re.compile(r"Zq7|ZQ7|WnE3|4532[ +-]?0115|4532(?:%20)0115", re.ASCII)
"""What a piece of every secret begins with: in text, in upper case, in Base64, and as the first digits of a card."""

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a secret in it.

    :ivar rule: the rule that is to find it.
    :ivar text: what a visitor has left behind; ``place`` where: ``query``, ``body``, ``headers``, ``rules`` (JSON text
        on delivery rules), or ``any`` text.
    """

    rule: str
    text: str
    place: str


def plant(count: int, *, seed: int = 0) -> list[Planted]:
    """Plant secrets, as many of each kind; each has its mark at its begin and, if it is long enough, at its end."""
    rng = random.Random(seed)
    kinds = list(_kinds())
    return [kinds[number % len(kinds)](rng) for number in range(count)]


def kinds() -> int:
    """How many kinds there are."""
    return sum(1 for _ in _kinds())


_NAMES = {
    "password": ("password", "passwd", "userPassword", "new_password", "pwd", "PIN", "otp", "pass", "passphrase"),
    "token": ("token", "access_token", "refresh_token", "id_token", "csrfToken", "auth", "jwt", "assertion"),
    "secret": ("client_secret", "secret", "api_key", "apikey", "private_key", "access_key_id", "x-api_key"),
    "session": ("sessionid", "session_id", "PHPSESSID", "JSESSIONID", "sid", "session"),
    "signature": ("X-Amz-Signature", "X-Amz-Credential", "AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"),
    "saml": ("SAMLResponse", "SAMLRequest"),
    "payment": ("card", "card_number", "cardNumber", "cvv", "iban", "ccnumber"),
    "header": ("x-auth-token", "x-api-key"),
}
_HEADERS = (
    "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "Api-Key", "X-Auth-Token",
    "X-CSRF-Token", "X-XSRF-Token", "X-Amz-Security-Token", "X-Forwarded-Client-Cert", "WWW-Authenticate",
)  # fmt: skip


def word(rng: random.Random, length: int = 10, mark: str = "Zq7") -> str:
    """Return a word that nobody types twice."""
    return mark + "".join(rng.choices(_LETTERS, k=length))


def _kinds() -> Iterator[Callable[[random.Random], Planted]]:
    for rule, names in _NAMES.items():
        for name in names:
            for place, form in _FORMS:
                if form in _FORMS_OF_ALL or rule != "session":
                    yield lambda rng, rule=rule, name=name, place=place, form=form: Planted(  # type: ignore[misc]
                        rule, form(rng, name), place
                    )
    for name in ("code", "state", "nonce"):
        yield lambda rng, name=name: Planted("oauth", f"a=1&{name}={word(rng, 20)}&b=2", "query")  # type: ignore[misc]
        yield lambda rng, name=name: Planted("oauth", f"r=%2Fcb%3F{name}%3D{word(rng, 20)}%26b", "query")  # type: ignore[misc]
    for header in _HEADERS:
        yield lambda rng, header=header: Planted("header", _headers(header, _cookie(rng)), "headers")  # type: ignore[misc]
        yield lambda rng, header=header: Planted("header", f"{header}: {_cookie(rng)}", "any")  # type: ignore[misc]
    for header in ("Authorization", "Cookie"):
        yield lambda rng, header=header: Planted(  # type: ignore[misc]
            "header_rewrite",
            json.dumps([{"type": "AD_HEADER_RW", "header_name": header, "header_orig": word(rng),
                         "header_rewrite": f"k={word(rng)}; v"}]),
            "rules",
        )  # fmt: skip
    for rule, shape in _SHAPES.items():
        yield lambda rng, rule=rule, shape=shape: Planted(rule, shape(rng), "any")  # type: ignore[misc]
        yield lambda rng, rule=rule, shape=shape: Planted(rule, f"see {shape(rng)}, please", "any")  # type: ignore[misc]
        yield lambda rng, rule=rule, shape=shape: Planted(  # type: ignore[misc]
            rule, f"q={quote(shape(rng), safe='')}&n=1", "query"
        )
    yield lambda rng: Planted("userinfo", f"go=https://anna:{word(rng)}@example.org/x", "any")
    yield lambda rng: Planted("userinfo", f"go=https%3A%2F%2Fanna%3A{word(rng)}%40example.org%2Fx", "query")


def _headers(name: str, value: str) -> str:
    return json.dumps([{"Accept": "*/*"}, {name: value}, {"X-Trace": "1"}])


def _cookie(rng: random.Random) -> str:
    return f"a={word(rng)}; theme=dark; b={word(rng)}"


def _nested(rng: random.Random, name: str, times: int) -> str:
    text = f"{name}={quote(word(rng) + '&/ ' + word(rng), safe='')}&lang=de"
    for _ in range(times):
        text = quote(f"/login?from=mail&{text}", safe="")
    return f"next={text}&page=2"


_FORMS: tuple[tuple[str, Callable[[random.Random, str], str]], ...] = (
    ("query", lambda rng, name: f"page=2&{name}={word(rng)}&sort=price"),
    ("query", lambda rng, name: f"{name.upper()}={quote(word(rng) + '=/&?', safe='')}{word(rng)}"),
    ("query", lambda rng, name: f"a=1;{name}={word(rng)};b=2"),
    ("query", lambda rng, name: f"{name}[]={word(rng)}&{name}%5B%5D={word(rng)}"),
    ("query", lambda rng, name: _nested(rng, name, 1)),
    ("query", lambda rng, name: _nested(rng, name, 2)),
    ("query", lambda rng, name: f"%{ord(name[0]):02x}{name[1:]}={word(rng)}"),
    ("query", lambda rng, name: f"filter={quote(json.dumps({name: word(rng), 'page': 1}), safe='')}"),
    ("body", lambda rng, name: f"user[{name}]={word(rng)}+and+{word(rng)}&remember=1"),
    ("body", lambda rng, name: json.dumps({"user": "anna", name: f'{word(rng)}"\\{word(rng)}', "age": 30})),
    ("body", lambda rng, name: json.dumps({"json": json.dumps({name: f'{word(rng)}"{word(rng)}', "n": 1})})),
    ("body", lambda rng, name: json.dumps({"login": {name: [word(rng), word(rng)]}}, separators=(",", ":"))),
    ("body", lambda rng, name: f"<login><user>anna</user><{name} type='text'>{word(rng)}</{name}></login>"),
    ("body", lambda rng, name: f"{{'user': 'anna', '{name}': '{word(rng)} {word(rng)}'}}"),
)
_FORMS_OF_ALL = tuple(form for place, form in _FORMS if place == "query")


def _digits(rng: random.Random, separator: str) -> str:
    """Return a card number that passes the check digit."""
    digits = "45320115" + "".join(rng.choices(string.digits, k=7))
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::2]) + sum(map(int, digits[1::2]))
    digits += str(-doubled % 10)
    return separator.join(digits[at : at + 4] for at in range(0, 16, 4))


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _jwt(rng: random.Random) -> str:
    return f"eyJhbGciOiJIUzI1NiJ9.{_base64(json.dumps({'sub': word(rng)}))}{word(rng)}.{word(rng, 40)}"


def _pem(rng: random.Random) -> str:
    lines = " ".join(word(rng, 60) for _ in range(3))
    return f"-----BEGIN RSA PRIVATE KEY----- {lines} -----END RSA PRIVATE KEY-----"


_SHAPES: dict[str, Callable[[random.Random], str]] = {
    "bearer": lambda rng: f"Bearer {word(rng, 30)}",
    "basic": lambda rng: "Basic " + base64.b64encode(f"Zq7{rng.random()}:Zq7{rng.random()}".encode()).decode(),
    "jwt": _jwt,
    "aws": lambda rng: "AKIAZQ7" + "".join(rng.choices(string.ascii_uppercase, k=13)),
    "google": lambda rng: f"AIza{word(rng, 32)}",
    "azure": lambda rng: f"Ab18Q~{word(rng, 31)}",
    "github": lambda rng: f"ghp_{word(rng, 33)}",
    "gitlab": lambda rng: f"glpat-{word(rng, 17)}",
    "slack": lambda rng: f"xoxb-{word(rng, 20)}",
    "stripe": lambda rng: f"sk_live_{word(rng, 21)}",
    "pem": _pem,
    "card_number": lambda rng: _digits(rng, rng.choice(["", " ", "-"])),
}
