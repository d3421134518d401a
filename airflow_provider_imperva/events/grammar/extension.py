r"""The extension of a CEF record (attributes of a LEEF one): cut into keys and values, labels resolved.

It is made of ``key=value`` pairs with blanks between them; LEEF has a delimiter, by default a tab. Values are not
quoted and hold blanks, bars and quotes as they are; Imperva escapes ``=`` in them as ``\=``, mostly. Much of a value is
what an attacker sent, so where one ends is decided by these rules, each of which but the fourth looks at the text
around one ``=`` only:

1.  A key is a word of letters, digits, ``_``, ``.`` and ``-``, beginning with a letter or ``_``, that stands at the
    start or after a blank (space or tab) and before ``=``. An escaped ``=`` has a backslash before it, hence no word.
2.  A *known* key (case does not matter) always ends the value before it, even with blanks before its ``=``.
3.  An *unknown* key does so only directly before its ``=``, and not in text that others write: the user agent, the URL,
    query string, referrer, body, ``xff``, ``msg``, rule names, and JSON. There it stays part of the value: `` cmd=`` in
    a user agent is not a key.
4.  The value of a JSON key that begins with a bracket, maybe after a quote and the commas of empty slots, ends no
    earlier than its brackets close, strings aside: `` mode=block`` inside is not a key, known or not. So does any other
    value that begins as JSON does: with ``[`` or ``{``, maybe blanks, and then another bracket, a string or (in an
    array) a number. A quote after a backslash closes no string. After the close,
    rule 3 treats the value as plain. If the brackets never close, rules 2 and 3 hold for the rest of the record; so
    they do where the brackets of text that a client wrote would swallow a key that every event has.
5.  A key's own label text directly followed by a known key (``cs5Label=clappsigdproc=Browser``) has lost its blank.

Between delimiters, a piece that begins with a key is a pair, whatever is in it. Any other piece belongs to the value
before it. A LEEF record in which the first value that no client writes holds another key has blanks for tabs.

Values are trimmed of blanks, and an empty one does not count. Backslash escapes ``=``, itself, and as ``\n`` and ``\r``
line ends; before anything else it is a backslash (Attack Analytics escapes ``"`` too). A value wrapped in quotes is
unwrapped, with a warning, since an export added them; quotes that only begin a value, or that recur inside it, stay.

Of a key that comes twice the first value counts, unless a client may have written it: see :func:`_chosen`.

An unescaped ``=`` that is left in a value that no client writes is reported as ``sign_in_value:<key>``: a key that
these rules do not see may stand before it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.grammar.record import TextRecord
from airflow_provider_imperva.events.schema.columns import LABELS

LONGEST_KEY = 63
WORD = re.compile(rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{LONGEST_KEY - 1}}}")
LABEL_KEY = re.compile(r"([A-Za-z]+[0-9]+)Label", re.IGNORECASE)
_ATTRIBUTE = re.compile(rf"[ \t]*({WORD.pattern})[ \t]*=")
_WORD_WITHIN = re.compile(rf"[ \t]({WORD.pattern})[ \t]*=")
_ESCAPE = re.compile(r"\\([=\\nr])")
_ESCAPE_OR_QUOTE = re.compile(r"\\([=\\nr\"])")
_MEANT = {"n": "\n", "r": "\r"}
_BLANKS = " \t"
_MOST_BLANKS = 64
_JSON_OPENING = re.compile(r'"?[ ,]*(?=[\[{])')
_STRING_BEGIN = r"""(?:\\?["']|&quot;)"""
_ANY_OPENING = re.compile(
    rf'"?[ \t]*(?=\{{[ \t]*(?:{_STRING_BEGIN}|\}})'
    rf"|\[[ \t]*(?:[\[{{]|{_STRING_BEGIN}|(?:-?[0-9][0-9.eE+-]*|true|false|null)[ \t]*[,\]]))"
)
_JSON_NEXT = re.compile(r"(?:,[ ,]*)?(?=[\[{])")
_SIGN = re.compile(r"(?<!\\)=")
_JSON_TOKEN = re.compile(r'\\+.|["\[\]{}]', re.DOTALL)


class Span(NamedTuple):
    """Where a pair stands in a text.

    :ivar key: as real events spell it, if it is known.
    :ivar start: where it begins, and the value before it ends.
    :ivar begin: where its value begins.
    :ivar close: after the brackets that the value begins with; ``begin`` without such, -1 if they never close.
    """

    key: str
    start: int
    begin: int
    close: int


class _Pair(NamedTuple):
    key: str
    text: str
    after_client: bool
    suspect: bool
    misplaced: bool


def read_pairs(
    text: str, begin: int, record: TextRecord, keys: Keys, *, delimiter: str | None = None, escaped_quotes: bool = False
) -> None:
    """Read the pairs from a place on into a record.

    :param delimiter: what stands between pairs; by default a blank.
    :param escaped_quotes: whether a backslash escapes quotes, too.
    """
    escape = _ESCAPE_OR_QUOTE if escaped_quotes else _ESCAPE
    pair_spans = list(spans(text, begin, len(text), keys, delimiter=delimiter))
    starts = [span.start for span in pair_spans] + [len(text)]
    if unkeyed := text[begin : starts[0]].strip(f"{_BLANKS}{delimiter or ''}"):
        record.warnings.append("unkeyed_text")
        record.extra.append(("unkeyed_text", unkeyed))
    values: list[str] = []
    for span, end in zip(pair_spans, starts[1:], strict=True):
        if delimiter is None and span.start > begin and text[span.start - 1] not in _BLANKS:
            record.warnings.append(f"lost_space:{span.key}")
        values.append(_value(span.key, text[span.begin : end], record, keys, escape))
        is_known = span.key.lower() in keys.known
        if is_known and span.key not in keys.free_text and _SIGN.search(text, max(span.begin, span.close), end):
            record.warnings.append(f"sign_in_value:{span.key}")
    _resolve(list(_pairs(pair_spans, values, keys)), record, keys)


def spans(
    text: str, begin: int, end: int, keys: Keys, *, delimiter: str | None, reach: int = sys.maxsize
) -> Iterator[Span]:
    """Find the pairs between two places, one after the other.

    :param delimiter: what stands between pairs; None for blanks.
    :param reach: how far from its begin a value's brackets are looked for.
    """
    json = _Json(text, begin, end, keys, reach)
    return _delimited(text, begin, end, keys, json, delimiter) if delimiter else _blanked(text, begin, end, keys, json)


def delimiter_of(text: str, begin: int, end: int, keys: Keys, *, named: Sequence[str]) -> str | None:
    """Return what stands between the attributes of a LEEF record; None for blanks.

    :param named: what the delimiter that its header names may be.
    """
    if " " in named:
        return None
    for delimiter in named:
        if text.find(delimiter, begin, end) >= 0 and _is_between(text, begin, end, delimiter, keys):
            return delimiter
    while end > begin and text[end - 1] in _BLANKS:
        end -= 1
    first = _ATTRIBUTE.match(text, begin, end)
    begin = first.start(1) if first else begin
    for delimiter in ("\t", "|"):
        if text.find(delimiter, begin, end) >= 0 and (delimiter == "\t" or _begins_key(text, begin, end, keys)):
            return delimiter if _is_between(text, begin, end, delimiter, keys) else None
    return None


def _begins_key(text: str, begin: int, end: int, keys: Keys) -> bool:
    """Whether a known key stands after the first bar."""
    attribute = _ATTRIBUTE.match(text, text.find("|", begin, end) + 1, end)
    return attribute is not None and attribute[1].lower() in keys.known


def _is_between(text: str, begin: int, end: int, delimiter: str, keys: Keys) -> bool:
    """Whether pairs are cut at a delimiter: the first value that no client writes has no other key in it then."""
    is_free = True
    while begin >= 0:
        attribute = _ATTRIBUTE.match(text, begin, end)
        if attribute is not None:
            is_free = keys.known.get(attribute[1].lower(), attribute[1]) in keys.free_text
            begin = attribute.end()
        place = text.find(delimiter, begin, end)
        stop = place if place >= 0 else end
        if not is_free and stop > begin:
            # A delimiter may stand between a key and its sign, too.
            words = _WORD_WITHIN.finditer(text, begin - 1, end)
            while (word := next(words, None)) is not None and word.start() < stop:
                if word[1].lower() in keys.known:
                    return False
            return True
        begin = place + len(delimiter) if place >= 0 else -1
    return True


def _blanked(text: str, begin: int, end: int, keys: Keys, json: _Json) -> Iterator[Span]:
    in_free_text = False
    next_word = _next_word(text, begin, begin, end)
    while next_word is not None:
        start, stop, sign = next_word
        word = text[start:stop]
        key = keys.known.get(word.lower(), "")
        if not key and (in_free_text or stop < sign):
            next_word = _next_word(text, sign + 1, begin, end)
            continue
        close = json.close(key, sign + 1)
        yield Span(key or word, start, sign + 1, close)
        in_free_text = key in keys.free_text and close in (-1, sign + 1)
        next_word = _glued_word(text, key, sign + 1, end, keys) or _next_word(text, max(close, sign + 1), begin, end)


def _delimited(text: str, begin: int, end: int, keys: Keys, json: _Json, delimiter: str) -> Iterator[Span]:
    start = piece = begin
    while piece >= 0:
        close = piece
        attribute = _ATTRIBUTE.match(text, piece, end)
        if attribute and text.find(delimiter, attribute.start(1), attribute.end(1)) < 0:
            key = keys.known.get(attribute[1].lower(), attribute[1])
            close = json.close(key, attribute.end())
            yield Span(key, start, attribute.end(), close)
        start = text.find(delimiter, max(close, piece), end)
        piece = start + len(delimiter) if start >= 0 else -1


def _next_word(text: str, position: int, begin: int, end: int) -> tuple[int, int, int] | None:
    """Find the next word that could be a key (rules 1 and 2): where it starts and ends, and the ``=`` after it."""
    while (sign := text.find("=", position, end)) >= 0:
        stop = sign
        while stop > max(position, sign - _MOST_BLANKS) and text[stop - 1] in _BLANKS:
            stop -= 1
        # Looking back no further than a key is long keeps a record without blanks from taking for ever.
        earliest = max(stop - LONGEST_KEY - 1, begin)
        blank = max(text.rfind(" ", earliest, stop), text.rfind("\t", earliest, stop))
        start = blank + 1 if blank >= 0 else earliest
        if (blank >= 0 or earliest == begin) and start >= position and WORD.fullmatch(text, start, stop):
            return start, stop, sign
        position = sign + 1
    return None


def _glued_word(text: str, key: str, begin: int, end: int, keys: Keys) -> tuple[int, int, int] | None:
    """Find the known key that follows the expected text of a label without a blank (rule 5)."""
    label = LABELS.get(key.removesuffix("Label"), "") if key.endswith("Label") else ""
    if not label or not text.startswith(label, begin):
        return None
    start = begin + len(label)
    word = WORD.match(text, start, end)
    if word is None or text[word.end() : word.end() + 1] != "=" or word[0].lower() not in keys.known:
        return None
    return start, word.end(), word.end()


class _Json:
    """Where the brackets of values are closed (rule 4)."""

    def __init__(self, text: str, begin: int, end: int, keys: Keys, reach: int) -> None:
        self._text, self._begin, self._end, self._keys, self._reach = text, begin, end, keys, reach
        self._open: set[bool] = set()
        self._last: dict[str, int] | None = None
        self._given: set[str] = set()
        self._after_client = False

    def close(self, key: str, begin: int) -> int:
        """Return where the brackets of a value are closed; ``begin`` if it begins with none, -1 if they never are."""
        is_client, is_json = key in self._keys.client, key in self._keys.json
        self._after_client |= is_client
        if not self._after_client:
            self._given.add(key)
        opening = (_JSON_OPENING if is_json else _ANY_OPENING).match(self._text, begin, self._end)
        if opening is None:
            return begin
        # Looked for once only of each kind, so that a record full of open brackets is still read in one pass.
        if is_json in self._open:
            return -1
        close = json_end(self._text, opening.end(), min(self._end, begin + self._reach))
        if close is None:
            self._open.add(is_json)
            return -1
        return -1 if is_client and not is_json and self._swallows(begin, close) else close

    def _swallows(self, begin: int, close: int) -> bool:
        """Whether a key that every event has comes for the last time in a client's text, and not before all such."""
        if self._last is None:
            self._last = {
                key: max(self._text.rfind(f"{blank}{key}=", self._begin, self._end) for blank in _BLANKS)
                for key in self._keys.required
            }
        return any(begin <= place < close and key not in self._given for key, place in self._last.items())


def json_end(text: str, opening: int, end: int) -> int | None:
    """Find where the brackets that open at a place are closed; None if they never are."""
    depth, in_string = 0, False
    for token in _JSON_TOKEN.finditer(text, opening, end):
        mark = token[0]
        if mark == '"':
            in_string = not in_string
        elif in_string or len(mark) > 1:
            continue
        elif mark in "[{":
            depth += 1
        else:
            depth -= 1
            if depth == 0 and not _JSON_NEXT.match(text, token.end(), end):
                return token.end()
    return None


def _value(key: str, text: str, record: TextRecord, keys: Keys, escape: re.Pattern[str]) -> str:
    text = text.strip(_BLANKS)
    if text[:1] == '"' and (inner := _unwrapped(text, json=key in keys.json)) is not None:
        record.warnings.append(f"quoted_value:{key}")
        text = inner
    return unescaped(text, escape)


def unescaped(text: str, escape: re.Pattern[str] = _ESCAPE) -> str:
    """Take the backslashes off what they escape in a value."""
    return escape.sub(lambda match: _MEANT.get(match[1], match[1]), text) if "\\" in text else text


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


def _pairs(pair_spans: list[Span], values: list[str], keys: Keys) -> Iterator[_Pair]:
    """Give the pairs that have a value, and tell which of them a client may have written.

    A pair right after text that others write is suspect, or after that of an unknown key. So is one after a
    suspect pair whose key is unknown or comes more than once: whoever writes one key into a text can write several. A
    pair is misplaced if it is late and after a text like that in which no event has it.
    """
    counts: dict[str, int] = {}
    for span, value in zip(pair_spans, values, strict=True):
        counts[span.key] = counts.get(span.key, 0) + bool(value)
    after_client = suspect = early = False
    for span, value in zip(pair_spans, values, strict=True):
        if value:
            yield _Pair(span.key, value, after_client, suspect, early and span.key in keys.late)
        is_text = span.close in (-1, span.begin)
        is_unknown = span.key.lower() not in keys.known
        is_nobodys = span.key not in keys.columns and not LABEL_KEY.fullmatch(span.key)
        is_foreign = is_text and (is_nobodys or span.key in keys.free_text)
        after_client |= is_foreign
        suspect = is_foreign or (suspect and (is_unknown or counts[span.key] > 1))
        early = (is_text and span.key in keys.goes_on) or (early and (is_unknown or counts[span.key] > 1))


def _chosen(pairs: list[_Pair]) -> _Pair:
    """Choose the value of a key: the first that is not suspect, but the last if client text comes before the first."""
    trusted = [pair for pair in pairs if not pair.suspect] or pairs
    return trusted[-1] if trusted[0].after_client else trusted[0]


def _resolve(pairs: list[_Pair], record: TextRecord, keys: Keys) -> None:
    """Give each value to its column, or to ``extra``; custom keys by their labels."""
    by_key: dict[str, list[_Pair]] = {}
    for pair in pairs:
        by_key.setdefault(pair.key, []).append(pair)
    chosen = {key: _chosen(same) for key, same in by_key.items()}
    labels: dict[str, tuple[str, str]] = {}
    values: list[_Pair] = []
    for pair in pairs:
        if pair is not chosen[pair.key]:
            record.warnings.append(f"duplicate_key:{pair.key}")
            record.extra.append((pair.key, pair.text))
        elif label_key := LABEL_KEY.fullmatch(pair.key):
            labels[label_key[1].lower()] = pair.key, pair.text
        else:
            values.append(pair)
    record.warnings.extend(
        f"key_in_text:{key}" for key, same in by_key.items() if _is_in_text(key, same, chosen[key], keys)
    )
    for pair in values:
        key, text = pair.key, pair.text
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


def _is_in_text(key: str, same: list[_Pair], chosen: _Pair, keys: Keys) -> bool:
    """Whether a known key seems to stand in a client's text."""
    if key.lower() not in keys.known:
        return False
    if len(same) == 1:
        return chosen.misplaced
    return any(pair.suspect for pair in same) or (chosen is not same[0] and chosen.text != same[0].text)
