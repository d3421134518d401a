"""The one table of what is redacted, and how a user's own rules change it.

Nothing here needs Arrow unless a user brings patterns, since DAG files are parsed all day.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.options import check_type, unknown_name
from airflow_provider_imperva.privacy.checks import CARD_CANDIDATE
from airflow_provider_imperva.privacy.patterns import (
    BLANK,
    ESCAPED_UNRESERVED,
    REDACTED,
    NamedSecrets,
    Replacement,
)

RULES_VERSION = "2"
"""Rises when the engine redacts other places by the same rules; the rules themselves are hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is redacted, and where.

    :ivar name: what counts and messages call it.
    :ivar hint: a pattern that is in every text that the rule changes, made of few words and characters, so that all
        hints are looked for at once in all texts.
    :ivar screen: another one, which is in fewer other texts.
    :ivar values: what is replaced in the value of a column; ``lines`` in a whole line.
    :ivar words: in lower case; one of them is in every text that the rule changes. None are given where ``hint`` says
        more.
    :ivar is_checked: whether a check in Python decides, and not a pattern.
    :ivar in_ids: whether it is looked for in ids, addresses and codes too; it has at least
        20 characters then.
    """

    name: str
    hint: str
    screen: str
    values: tuple[Replacement, ...] = ()
    lines: tuple[Replacement, ...] = ()
    words: tuple[str, ...] = ()
    is_checked: bool = False
    in_ids: bool = True

    @property
    def is_own_shape(self) -> bool:
        """Whether it is a pattern that a user has brought, of which nothing is known."""
        return self.in_ids and not self.words and not self.is_checked

    @classmethod
    def named(cls, name: str, named: NamedSecrets) -> Self:
        """Make a rule of the values that have certain names."""
        return cls(
            name=name,
            hint=named.hint(),
            screen=named.screen(),
            values=named.in_values(),
            lines=named.in_lines(),
            in_ids=False,
        )

    @classmethod
    def shape(cls, name: str, pattern: str, by: str = REDACTED, *, words: Sequence[str]) -> Self:
        """Make a rule of what looks like a secret wherever it stands.

        :param words: one of them, as it is, is in every text that the pattern matches.
        """
        replacement = (Replacement(pattern, by),)
        return cls(
            name=name,
            hint="|".join(map(re.escape, words)) or f"(?:{pattern})",
            screen=pattern,
            values=replacement,
            lines=replacement,
            words=tuple(word.lower() for word in words),
        )


_SHORTEST_SHAPE = 20
"""Characters of the shortest text that one of the default rules knows by its shape."""

_SESSION_CHARACTER = r'(?:[^&;?/\s"<>\\])'
_HEADERS = (
    r"(?:proxy-)?authorization|(?:set-)?cookie2?|(?:x-)?api-key|x-(?:auth|csrf|xsrf|access|vault)-token|private-token"
    r"|x-amz-security-token|x-forwarded-client-cert|www-authenticate|proxy-authenticate"
)
_QUOTE = r'(?:\\*"{1,2})'
_GITLAB = ("pat", "dt", "rt", "cbt", "ptt", "ft", "soat", "agent", "imt", "oas")
_BLANK_IN_PEM = r"(?:[ +]|%(?:25)*20)"
_PEM = rf"-----(?:BEGIN|END)(?:{_BLANK_IN_PEM}[A-Z0-9]+)*{_BLANK_IN_PEM}PRIVATE{_BLANK_IN_PEM}KEY-----"


def _in_any(*replacements: Replacement) -> dict[str, Any]:
    return {"values": replacements, "lines": replacements}


# Sources: OpenTelemetry's semantic conventions (url.query) for signatures; RFC 6749, 7519 and 7617; the vendors' pages
# on the forms of their keys.
_TABLE: tuple[Rule, ...] = (
    # Secret because of their names.
    Rule.named("header", NamedSecrets(names=_HEADERS, has_lines=True)),
    Rule.named(
        "password",
        NamedSecrets(
            names=r"\w*passw(?:or)?d\w*|\w*passphrase|(?:\w*[_-])?pass|passcode|(?:\w*_)?pwd|\w*pincode|pin"
            r"|(?:\w*_)?t?otp",
            has_colons=True,
        ),
    ),
    Rule.named("token", NamedSecrets(names=r"\w*token|(?:\w*_)?jwt|auth|assertion|client_assertion|bearer")),
    Rule.named(
        "secret",
        NamedSecrets(
            names=r"\w*secret|\w*api[_-]?key|credentials?|code_verifier"
            r"|(?:\w*_)?(?:access|private|account|shared|subscription|encryption|ssh)[_-]?key(?:[_-]?id)?",
            has_colons=True,
        ),
    ),
    Rule.named(
        "session",
        NamedSecrets(
            names=r"\w*sess(?:ion)?_?id|(?:\w*_)?session(?:[_-]?key)?|(?:connect\.)?sid|aspsessionid\w*",
            value=_SESSION_CHARACTER,
            has_blanks=False,
        ),
    ),
    Rule.named(
        "signature",
        NamedSecrets(names=r"(?:x-(?:amz|goog)-)?signature|sig|x-(?:amz|goog)-credential|awsaccesskeyid|hmac"),
    ),
    Rule.named(
        "oauth", NamedSecrets(names=r"code|state|nonce", value=r"(?:[A-Za-z0-9._~/+%-])", shortest=16, has_blanks=False)
    ),
    Rule.named("saml", NamedSecrets(names=r"saml(?:response|request|art|ent)")),
    Rule.named(
        "payment",
        NamedSecrets(
            names=r"(?:credit_?)?card(?:[_-]?(?:number|num|no|nr|holder|code|pin|cvv|cvc))?|cc_?num(?:ber)?|pan|cvv2?"
            r"|cvc2?|security_?code|iban"
        ),
    ),
    # Secret because of their places.
    Rule(
        name="header_rewrite",
        hint=rf"(?i:header_name{_QUOTE}\s*:\s*{_QUOTE}(?:{_HEADERS}))",
        screen=rf"(?i)header_name{_QUOTE}\s*:\s*{_QUOTE}(?:{_HEADERS}){_QUOTE}",
        **_in_any(
            *(
                Replacement(
                    rf"(?i)(header_name{_QUOTE}\s*:\s*{_QUOTE}(?:{_HEADERS}){_QUOTE}[^{{}}]*?"
                    rf"header_{which}{_QUOTE}\s*:\s*{_QUOTE}).+?({_QUOTE}\s*[,\}}\]]|$)",
                    rf"\1{REDACTED}\2",
                )
                for which in ("orig", "rewrite")
            )
        ),
        in_ids=False,
    ),
    Rule(
        name="userinfo",
        hint=r"//[^/\s]*@|%(?:25)*40",
        screen=r'//[^/?#\s@"<>]*:[^/?#\s"<>]+@|(?i)%(?:25)*2f[^&\s"<>]*%(?:25)*40',
        **_in_any(
            Replacement(r'(//[^/?#\s:@"<>]*:)[^/?#\s"<>]+(@)', rf"\1{REDACTED}\2"),
            Replacement(
                r'(?i)((?:%2f){2}(?:[^%&\s"<>]|%2[^f])*?%3a)(?:[^%&\s"<>]|%2[^f]|%[^24])+(%40)', rf"\1{REDACTED}\2"
            ),
        ),
        in_ids=False,
    ),
    # Secret because of their shapes.
    Rule.shape(
        "bearer",
        rf"((?:bearer|Bearer|BEARER){BLANK}+)[A-Za-z0-9._~+/=%-]{{16,}}",
        rf"\1{REDACTED}",
        words=("bearer", "Bearer", "BEARER"),
    ),
    Rule(name="basic", hint=r"(?i:basic[\s+%])", screen=rf"(?i)basic{BLANK}+[a-z0-9+/%]{{6}}", is_checked=True),
    Rule.shape("jwt", r"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+){1,4}", words=("eyJ",)),
    Rule.shape(
        "aws", r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", words=("A3T", "AKIA", "ASIA", "ABIA", "ACCA")
    ),
    Rule.shape(
        "google",
        r"AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{28}",
        words=("AIza", "ya29.", "GOCSPX-"),
    ),
    Rule.shape(
        "azure",
        r"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}|[A-Za-z0-9+/]{76}AC(?:DbN|RpG|JQQ)[A-Za-z0-9+/]{4,8}==",
        words=("7Q~", "8Q~", "ACDbN", "ACRpG", "ACJQQ"),
    ),
    Rule.shape(
        "github",
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
        words=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    Rule.shape(
        "gitlab",
        rf"gl(?:{'|'.join(_GITLAB)})-[A-Za-z0-9_-]{{20,}}",
        words=tuple(f"gl{kind}-" for kind in _GITLAB),
    ),
    Rule.shape(
        "slack",
        r"xox[abeoprs]-[A-Za-z0-9-]{15,}|xapp-[A-Za-z0-9-]{15,}"
        r"|hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]+",
        words=(*(f"xox{kind}-" for kind in "abeoprs"), "xapp-", "hooks.slack.com"),
    ),
    Rule.shape(
        "stripe",
        r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{12,}|whsec_[A-Za-z0-9+/=]{24,}",
        words=("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
    ),
    Rule.shape("pem", rf"(?s)({_PEM}).*?({_PEM}|\z)", rf"\1{REDACTED}\2", words=("-----BEGIN",)),
    Rule(
        name="card_number",
        hint=r"[0-9]{4}(?:[0-9]{8}|(?:[ +-]|%(?:25)*20)[0-9]{4})",
        screen=CARD_CANDIDATE,
        is_checked=True,
        in_ids=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in the order in which they are applied.

    :ivar version: which rules these are: a number and a hash over all of them.
    """

    rules: tuple[Rule, ...] = _TABLE
    version: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(repr(self.rules).encode()).hexdigest()
        object.__setattr__(self, "version", f"{RULES_VERSION}-{digest[:12]}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rules."""
        return tuple(rule.name for rule in self.rules)

    def only(self, names: Container[str]) -> Rules:
        """Return the rules of some names."""
        return Rules(tuple(rule for rule in self.rules if rule.name in names))

    def without(self, *names: str) -> Rules:
        """Return the rules less some.

        :raises ConfigurationError: if there is no rule of a name.
        """
        for name in names:
            if name not in self.names:
                raise ConfigurationError(
                    unknown_name(name, self.names), do="Correct its name in `without`", about="redaction"
                )
        return Rules(tuple(rule for rule in self.rules if rule.name not in names))

    @property
    def for_ids(self) -> Rules:
        """The rules that are looked for in ids, addresses and categories."""
        return Rules(tuple(rule for rule in self.rules if rule.in_ids))

    @property
    def has_own_shapes(self) -> bool:
        """Whether a user has brought patterns, of which nothing is known."""
        return any(rule.is_own_shape for rule in self.rules)

    @property
    def shortest_in_ids(self) -> int:
        """Characters of the shortest text in which a secret is known by its shape alone."""
        return 1 if self.has_own_shapes else _SHORTEST_SHAPE

    @property
    def hint(self) -> str:
        """A pattern that is in every text that a rule changes."""
        return "|".join([*(rule.hint for rule in self.rules), f"(?i:{ESCAPED_UNRESERVED})"])


_OPTIONS = {"default", "without", "keys", "patterns"}


def redaction_rules(given: Any) -> Rules | None:
    """Return the rules that an option ``redaction`` asks for, while a DAG is parsed.

    :param given: True for the default ones; False for none; :class:`Rules`; a mapping, or the path of a YAML file that
        has one: ``default`` (whether to begin with the default rules, true), ``without`` (names of rules to leave out),
        ``keys`` (more names whose values are secret), ``patterns`` (more patterns of secrets by name, RE2).
    :raises ConfigurationError: if it is none of them, or something in it is wrong.
    """
    if given is None or given is True:
        return Rules()
    if given is False:
        return None
    if isinstance(given, Rules):
        return given
    if isinstance(given, str | Path):
        return _from_mapping(_read_yaml(Path(given)), about=str(given))
    if isinstance(given, Mapping):
        return _from_mapping(given, about="redaction")
    raise ConfigurationError(
        f"redaction is of type {type(given).__name__}",
        do="Give true, false, a mapping, the path of a YAML file, or Rules",
        about="redaction",
    )


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigurationError(
            f"the rules of redaction cannot be read ({error.strerror})",
            do="Give the path of a YAML file that every worker and the DAG processor can read",
            about=str(path),
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        raise ConfigurationError(
            f"the rules of redaction are not YAML{where}", do="Correct the file", about=str(path)
        ) from None


def _from_mapping(given: Any, *, about: str) -> Rules:
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"the rules of redaction are a {type(given).__name__}",
            do=f"Give a mapping with {', '.join(sorted(_OPTIONS))}",
            about=about,
        )
    for name in given:
        if name not in _OPTIONS:
            raise ConfigurationError(unknown_name(str(name), _OPTIONS), do="Correct its name", about=about)
    check_type("default", given.get("default", True), bool)
    rules = Rules() if given.get("default", True) else Rules(())
    rules = rules.without(*_texts("without", given.get("without", ()), about=about))
    own = list(rules.rules)
    if keys := _texts("keys", given.get("keys", ()), about=about):
        names = "|".join(re.escape(key) for key in keys)
        own.append(Rule.named("keys", NamedSecrets(names=names, has_lines=True)))
    patterns = given.get("patterns", {})
    if not isinstance(patterns, Mapping):
        raise ConfigurationError("patterns is not a mapping", do="Give a pattern of RE2 for each name", about=about)
    for name, pattern in patterns.items():
        if name in rules.names or name == "keys":
            raise ConfigurationError(
                f"there is a rule of the name {name!r} already", do="Give the pattern another name", about=about
            )
        checked = _checked(str(name), pattern, about=about)
        own.append(Rule.shape(str(name), checked, words=()))
    return replace(rules, rules=tuple(own))


def _texts(name: str, given: Any, *, about: str) -> list[str]:
    if (
        isinstance(given, str)
        or not isinstance(given, Sequence)
        or not all(isinstance(one, str) and one for one in given)
    ):
        raise ConfigurationError(f"{name} is not a list of texts", do=f"Write {name}: [one, two]", about=about)
    return list(given)


def _checked(name: str, pattern: Any, *, about: str) -> str:
    """Return a user's pattern once it is sure that RE2 takes it, and that it leaves texts alone that have no secret."""
    # Only who brings patterns of their own waits for Arrow while a DAG is parsed.
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(pattern, str) or not pattern:
        raise ConfigurationError(f"the pattern {name!r} is not a text", do="Write it in quotes", about=about)
    try:
        matches_nothing = pc.match_substring_regex(pa.array([""]), pattern)[0].as_py()
    except pa.ArrowInvalid as error:
        problem = str(error).partition("Invalid regular expression: ")[2] or "RE2 does not take it"
        raise ConfigurationError(
            f"the pattern {name!r} is not a regular expression: {problem}",
            do="Correct it; RE2 has no look-around and no back-references",
            about=about,
        ) from None
    if matches_nothing:
        raise ConfigurationError(
            f"the pattern {name!r} matches an empty text, and so every place of every text",
            do="Let it match at least one character",
            about=about,
        )
    return pattern
