r"""The extension of a CEF record (attributes of a LEEF one): cut into keys and values, labels resolved.

It is made of ``key=value`` pairs with blanks between them. Values are not quoted and hold blanks, bars and quotes as
they are; Imperva escapes ``=`` in them as ``\=``, mostly. Much of a value is what an attacker sent, so where one ends
is decided by these rules, each of which but the fourth looks at the text around one ``=`` only:

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
from collections.abc import Iterator

from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.grammar.record import Record
from airflow_provider_imperva.events.schema.columns import LABELS

Pairs = list[tuple[str, str]]
"""Keys as real events spell them, and their values, unescaped and never empty."""

LONGEST_KEY = 63
WORD = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{LONGEST_KEY - 1}}}")
_ATTRIBUTE = re.compile(rf"[ \t]*({WORD.pattern})[ \t]*=")
LABEL_KEY = re.compile(r"([A-Za-z]+[0-9]+)Label", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([=\\nr])")
_ESCAPE_OR_QUOTE = re.compile(r"\\([=\\nr\"])")
_MEANT = {"n": "\n", "r": "\r"}
_JSON_OPENING = re.compile(r'"?[ ,]*(?=[\[{])')
_JSON_NEXT = re.compile(r",[ ,]*(?=[\[{])")
_JSON_TOKEN = re.compile(r'\\+.|["\[\]{}]', re.DOTALL)


def resolve(pairs: Pairs, record: Record, keys: Keys) -> None:
    """Give each value to its column, or to ``extra``; custom keys by their labels, the first of equal keys first."""
    seen: set[str] = set()
    labels: dict[str, tuple[str, str]] = {}
    values: Pairs = []
    for key, text in pairs:
        if key in seen:
            record.warnings.append(f"duplicate_key:{key}")
            record.extra.append((key, text))
        elif label_key := LABEL_KEY.fullmatch(key):
            labels[label_key[1].lower()] = key, text
        else:
            values.append((key, text))
        seen.add(key)
    for key, text in values:
        column = keys.columns.get(key)
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


def cut_at_keys(text: str, record: Record, keys: Keys, *, escaped_quotes: bool = False) -> Pairs:
    """Cut an extension at its keys.

    :param escaped_quotes: whether a backslash escapes quotes, too.
    """
    escape = _ESCAPE_OR_QUOTE if escaped_quotes else _ESCAPE
    found = list(_keys(text, keys))
    starts = [start for _, start, _ in found] + [len(text)]
    _note_unkeyed(text[: starts[0]], record)
    pairs: Pairs = []
    for (key, start, begin), end in zip(found, starts[1:], strict=True):
        if start and text[start - 1] not in " \t":
            record.warnings.append(f"lost_space:{key}")
        if value := _value(key, text[begin:end], record, keys, escape):
            pairs.append((key, value))
    return pairs


def cut_at_tabs(text: str, record: Record, keys: Keys) -> Pairs:
    """Cut LEEF attributes at their tabs; what follows a tab and is no attribute belongs to the value before it."""
    attributes: list[tuple[str, list[str]]] = [("", [])]
    for piece in text.split("\t"):
        if attribute := _ATTRIBUTE.match(piece):
            key = attribute[1]
            attributes.append((keys.known.get(key.lower(), key), [piece[attribute.end() :]]))
        else:
            attributes[-1][1].append(piece)
    _note_unkeyed("\t".join(attributes[0][1]), record)
    values = ((key, _value(key, "\t".join(pieces), record, keys, _ESCAPE)) for key, pieces in attributes[1:])
    return [(key, value) for key, value in values if value]


def _note_unkeyed(text: str, record: Record) -> None:
    if text := text.strip(" \t"):
        record.warnings.append("unkeyed_text")
        record.extra.append(("unkeyed_text", text))


def _value(key: str, text: str, record: Record, keys: Keys, escape: re.Pattern[str]) -> str:
    text = text.strip(" \t")
    if text[:1] == '"' and (inner := _unwrapped(text, json=key in keys.json)) is not None:
        record.warnings.append(f"quoted_value:{key}")
        text = inner
    return unescaped(text, escape)


def unescaped(text: str, escape: re.Pattern[str] = _ESCAPE) -> str:
    """Take the backslashes off what they escape in a value."""
    return escape.sub(lambda match: _MEANT.get(match[1], match[1]), text) if "\\" in text else text


def _keys(extension: str, keys: Keys) -> Iterator[tuple[str, int, int]]:
    """Yield each key as it is spelled in real events, where it starts, and where its value begins."""
    known = keys.known
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
        in_free_text = key in keys.free_text
        search_from = begin
        if brackets_close and key in keys.json and (opening := _JSON_OPENING.match(extension, begin)):
            close = _json_end(extension, opening.end())
            # Looked for once only, so that a record full of open brackets is still read in one pass.
            brackets_close = close is not None
            if close is not None:
                in_free_text = False
                search_from = close
        span = _glued_word(extension, key, begin, keys) or _next_word(extension, search_from)


def _next_word(extension: str, position: int) -> tuple[int, int] | None:
    """Find the next word that could be a key (rule 1): where it starts, and the ``=`` after it."""
    while (end := extension.find("=", position)) >= 0:
        # Looking back no further than a key is long keeps a record without blanks from taking for ever.
        earliest = max(end - LONGEST_KEY - 1, 0)
        blank = max(extension.rfind(" ", earliest, end), extension.rfind("\t", earliest, end))
        start = blank + 1 if blank >= 0 else earliest
        if (blank >= 0 or earliest == 0) and WORD.fullmatch(extension, start, end):
            return start, end
        position = end + 1
    return None


def _glued_word(extension: str, key: str, begin: int, keys: Keys) -> tuple[int, int] | None:
    """Find the known key that follows the expected text of a label without a blank (rule 5)."""
    label = LABELS.get(key.removesuffix("Label"), "") if key.endswith("Label") else ""
    if not label or not extension.startswith(label, begin):
        return None
    start = begin + len(label)
    word = WORD.match(extension, start)
    if word is None or extension[word.end() : word.end() + 1] != "=" or word[0].lower() not in keys.known:
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
