r"""One CEF record, read with care: its header split, its extension cut into keys and values, its labels resolved.

A record is ``CEF:0|vendor|product|version|signature id|name|severity|`` and an extension of ``key=value`` pairs with
blanks between them. Some exports lose the ``CEF:``. Values are not quoted and hold blanks, bars and quotes as they
are; Imperva escapes ``=`` in them as ``\=``, mostly. Much of a value is what an attacker sent, so where one ends is
decided by these rules, each of which but the fourth looks at the text around one ``=`` only:

1.  A key is a word of letters, digits and underscores, beginning with a letter, that stands at the start or after a
    blank (space or tab) and directly before ``=``. An escaped ``=`` has a backslash before it, hence no word.
2.  A *known* key (case does not matter) always ends the value before it.
3.  An *unknown* key does so except in text that others write: the user agent, the URL, query string, referrer, body,
    ``xff``, ``msg``, rule names, and JSON. There it stays part of the value: `` cmd=`` in a user agent is no key.
4.  The value of a JSON key that begins with a bracket, maybe after a quote and the commas of empty slots, ends no
    earlier than its brackets close, strings aside: `` mode=block`` inside is no key, known or not. A quote after a
    backslash closes no string. After the close, rule 3 treats the value as plain. If the brackets never close, rules
    2 and 3 hold for the rest of the record.
5.  A key's own label text directly followed by a known key (``cs5Label=clappsigdproc=Browser``) has lost its blank.

Values are trimmed of blanks, and an empty one is no value. Backslash escapes ``=``, itself, and as ``\n`` and ``\r``
line ends; before anything else it is a backslash (Attack Analytics escapes ``"`` too). A value wrapped in quotes is
unwrapped, with a warning, since an export added them; quotes that only begin a value, or that recur inside it, stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from airflow_provider_imperva.events.columns import COLUMNS, HEADER, LABELS, Column
from airflow_provider_imperva.events.record import Record, Rejection

COLUMN_BY_KEY: Mapping[str, Column] = {c.cef: c for c in COLUMNS if c.cef and not c.cef.startswith(HEADER)}
"""Columns by the key whose value they take, header parts aside."""

JSON_KEYS = frozenset(key for key, column in COLUMN_BY_KEY.items() if column.kind == "json")
FREE_TEXT = JSON_KEYS | {"request", "qstr", "ref", "postbody", "requestClientApplication", "xff", "cs9", "msg"}
"""Keys whose values others write, so that an unknown key in them is none (rule 3)."""

KNOWN_KEYS: Mapping[str, str] = {
    key.lower(): key for key in (*COLUMN_BY_KEY, "cs12", *(f"cs{number}Label" for number in range(1, 13)))
}
"""Every key of WAF events: lower case to the spelling of real events (the vendor's examples differ in case)."""

ANALYTICS_KEYS: Mapping[str, str] = {**KNOWN_KEYS, "msg": "msg", "dhost": "dhost"}
"""Every key of Attack Analytics events."""

ANALYTICS_PRODUCT = "Attack Analytics"
WAF_PRODUCT = "SIEMintegration"

_START = re.compile(r"[ \t\ufeff]*(?:CEF: *[0-9]+|0(?=\|(?:Incapsula|Imperva Inc)\|))\|")
_BAR = re.compile(r"\\.|\|", re.DOTALL)
_HEADER_ESCAPE = re.compile(r"\\([\\|])")
_HEADER_COLUMNS = ("device_vendor", "device_product", "device_version", "signature_id", "event_name", "rule_type_code")

_LONGEST_KEY = 63
_WORD = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{_LONGEST_KEY - 1}}}")
_LABEL_KEY = re.compile(r"([A-Za-z]+[0-9]+)Label", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([=\\nr])")
_ANALYTICS_ESCAPE = re.compile(r"\\([=\\nr\"])")
_MEANT = {"n": "\n", "r": "\r"}
_JSON_OPENING = re.compile(r'"?[ ,]*(?=[\[{])')
_JSON_NEXT = re.compile(r",[ ,]*(?=[\[{])")
_JSON_TOKEN = re.compile(r'\\+.|["\[\]{}]', re.DOTALL)


def read_record(line: str) -> Record | Rejection:
    """Read one line, without its line end."""
    header = _split_header(line)
    if isinstance(header, Rejection):
        return header
    parts, extension = header
    texts = {column: part for column, part in zip(_HEADER_COLUMNS, parts, strict=True) if part}
    analytics = parts[1] == ANALYTICS_PRODUCT
    record = Record(event_class=_event_class(parts), texts=texts)
    if analytics and (severity := texts.pop("rule_type_code", None)) is not None:
        # There it is a level (MAJOR), not the number of a rule type.
        record.extra.append(("severity", severity))
    _read_extension(extension, record, analytics=analytics)
    return record


def _split_header(line: str) -> tuple[list[str], str] | Rejection:
    """Split off vendor, product, device version, signature id, name and severity, unescaped, from the extension."""
    start = _START.match(line)
    if start is None:
        return Rejection.NOT_A_RECORD
    parts: list[str] = []
    begin = start.end()
    for bar in _BAR.finditer(line, begin):
        if bar[0] != "|":
            continue
        parts.append(_HEADER_ESCAPE.sub(r"\1", line[begin : bar.start()]).strip(" \t"))
        begin = bar.end()
        if len(parts) == len(_HEADER_COLUMNS):
            # With a bar missing, the first bar of the extension would end the severity.
            return Rejection.BAD_HEADER if "=" in parts[-1] else (parts, line[begin:])
    return Rejection.BAD_HEADER


def _event_class(parts: list[str]) -> str:
    if parts[1] == ANALYTICS_PRODUCT:
        return "attack_analytics"
    if parts[1] == WAF_PRODUCT:
        return "access" if parts[4] == "Normal" else "security"
    return "other"


def _read_extension(extension: str, record: Record, *, analytics: bool) -> None:
    pairs, unkeyed = _pairs(extension, record.warnings, analytics=analytics)
    if unkeyed:
        record.warnings.append("unkeyed_text")
        record.extra.append(("unkeyed_text", unkeyed))
    seen: set[str] = set()
    labels: dict[str, tuple[str, str]] = {}
    values: list[tuple[str, str]] = []
    for key, text in pairs:
        if key in seen:
            record.warnings.append(f"duplicate_key:{key}")
            record.extra.append((key, text))
        elif label_key := _LABEL_KEY.fullmatch(key):
            labels[label_key[1].lower()] = key, text
        else:
            values.append((key, text))
        seen.add(key)
    for key, text in values:
        column = COLUMN_BY_KEY.get(key)
        expected, (_, label) = LABELS.get(key, ""), labels.pop(key.lower(), ("", ""))
        if column is not None and label.casefold() == expected.casefold():
            record.texts[column.name] = text
            continue
        if expected and not label:
            # Without its label a custom key may mean anything: its text is kept, but in no column.
            record.warnings.append(f"no_label:{key}")
        record.extra.append((label or key, text))
    # A label whose value is empty or missing says nothing, unless it is not the one expected.
    record.extra.extend((key, text) for base, (key, text) in labels.items() if text != LABELS.get(base))


def _pairs(extension: str, warnings: list[str], *, analytics: bool) -> tuple[list[tuple[str, str]], str]:
    """Cut an extension into keys and unescaped values, the empty ones left out, and what stands before the first."""
    escape = _ANALYTICS_ESCAPE if analytics else _ESCAPE
    found = list(_keys(extension, ANALYTICS_KEYS if analytics else KNOWN_KEYS))
    starts = [start for _, start, _ in found] + [len(extension)]
    pairs: list[tuple[str, str]] = []
    for (key, start, begin), end in zip(found, starts[1:], strict=True):
        if start and extension[start - 1] not in " \t":
            warnings.append(f"lost_space:{key}")
        text = extension[begin:end].strip(" \t")
        if text[:1] == '"' and (inner := _unwrapped(text, json=key in JSON_KEYS)) is not None:
            warnings.append(f"quoted_value:{key}")
            text = inner
        if "\\" in text:
            text = escape.sub(lambda match: _MEANT.get(match[1], match[1]), text)
        if text:
            pairs.append((key, text))
    return pairs, extension[: starts[0]].strip(" \t")


def _keys(extension: str, known: Mapping[str, str]) -> Iterator[tuple[str, int, int]]:
    """Yield each key as it is spelled in real events, where it starts, and where its value begins."""
    in_free_text = False
    brackets_close = True
    span = _next_word(extension, 0)
    while span is not None:
        start, end = span
        word, begin = extension[start:end], end + 1
        key = known.get(word.lower(), "")
        if not key and in_free_text:
            span = _next_word(extension, begin)
            continue
        yield key or word, start, begin
        in_free_text = key in FREE_TEXT
        search_from = begin
        if brackets_close and key in JSON_KEYS and (opening := _JSON_OPENING.match(extension, begin)):
            close = _json_end(extension, opening.end())
            # Looked for once only, so that a record full of open brackets is still read in one pass.
            brackets_close = close is not None
            if close is not None:
                in_free_text = False
                search_from = close
        span = _glued_word(extension, key, begin, known) or _next_word(extension, search_from)


def _next_word(extension: str, position: int) -> tuple[int, int] | None:
    """Find the next word that could be a key (rule 1): where it starts, and the ``=`` after it."""
    while (end := extension.find("=", position)) >= 0:
        # Looking back no further than a key is long keeps a record without blanks from taking for ever.
        earliest = max(end - _LONGEST_KEY - 1, 0)
        blank = max(extension.rfind(" ", earliest, end), extension.rfind("\t", earliest, end))
        start = blank + 1 if blank >= 0 else earliest
        if (blank >= 0 or earliest == 0) and _WORD.fullmatch(extension, start, end):
            return start, end
        position = end + 1
    return None


def _glued_word(extension: str, key: str, begin: int, known: Mapping[str, str]) -> tuple[int, int] | None:
    """Find the known key that follows the expected text of a label without a blank (rule 5)."""
    label = LABELS.get(key.removesuffix("Label"), "") if key.endswith("Label") else ""
    if not label or not extension.startswith(label, begin):
        return None
    start = begin + len(label)
    word = _WORD.match(extension, start)
    if word is None or extension[word.end() : word.end() + 1] != "=" or word[0].lower() not in known:
        return None
    return start, word.end()


def _json_end(extension: str, opening: int) -> int | None:
    """Find where the brackets that open at ``opening`` are closed; None if they never are."""
    depth, in_string = 0, False
    for token in _JSON_TOKEN.finditer(extension, opening):
        mark = token[0]
        if mark == '"':
            in_string = not in_string
        elif in_string or len(mark) > 1:
            continue
        elif mark in "[{":
            depth += 1
        else:
            depth -= 1
            if depth == 0 and not _JSON_NEXT.match(extension, token.end()):
                return token.end()
    return None


def _unwrapped(text: str, *, json: bool) -> str | None:
    """Give back what is inside the quotes that wrap a whole value; None if they don't."""
    inner = text[1:-1]
    if len(text) < 2 or text[-1] != '"':
        return None
    if json:
        wraps = _JSON_OPENING.match(text) is not None and inner.rstrip(" ,")[-1:] in ("]", "}")
    else:
        wraps = '"' not in inner and not inner.endswith("\\")
    return inner if wraps else None
