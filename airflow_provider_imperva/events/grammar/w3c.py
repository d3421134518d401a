r"""One W3C row: values with blanks or tabs between them, in the order that a ``#Fields`` directive lists.

Imperva puts every value into quotes; ``""`` means no value. How a quote inside a value is written is not documented, so
a row is cut in the first of these ways that gives as many values as there are names:

1.  at ``" "``, if there are two quotes for each name, hence none inside a value;
2.  at closing quotes, where two quotes in a row, or a backslash and a quote, are a quote inside;
3.  at ``" "``, whatever quotes there are; then the same with several blanks or tabs between the quotes;
4.  at blanks and tabs, where values may have quotes around them or not;
5.  at single tabs, where values may hold blanks.

Otherwise it is not an event (``field_count``): a value in the wrong column is worse than none. A ``-`` without quotes
means no value. A row that begins with a value without quotes is one only in a body that has such rows from the start:
else the text of a client, with line ends in it, could be taken for an event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_imperva.events.grammar.directives import (
    BARE_PREFIX,
    CONTROLS,
    DIRECTIVE,
    PREFIX,
    Directive,
    continued_names,
)
from airflow_provider_imperva.events.grammar.record import NORMAL, RejectionReason, TextRecord
from airflow_provider_imperva.events.schema.columns import COLUMNS

COLUMN_BY_FIELD: Mapping[str, str] = {column.w3c: column.name for column in COLUMNS if column.w3c}

_KNOWN = {name.lower(): name for name in ("date", "time", *COLUMN_BY_FIELD)}
# The standard's own spelling, as against Imperva's.
_KNOWN["cs(referer)"] = "cs(Referrer)"
KNOWN_NAMES = frozenset(_KNOWN)
"""Names of fields, in lower case."""

_VALUE = r'"((?:[^"\\]++|\\"?|"")*+)"'
_WHOLE = re.compile(_VALUE)
_QUOTED = re.compile(rf"{_VALUE}(?:[ \t]+|$)")
_QUOTED_OR_BARE = re.compile(rf'(?:{_VALUE}|([^ \t"]++))(?:[ \t]+|$)')
_QUOTE_INSIDE = re.compile(r'""|\\"')
_LINE = re.compile(rb"[^\n%b]+" % CONTROLS)
_SEPARATOR = re.compile(rb'"[ \t]+"')
_BETWEEN = re.compile(r'"[ \t]+"')
_BETWEEN_NAMES = re.compile(r"[\s,]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY_FIRST = re.compile(rf"([0-9]{{2}})/({'|'.join(_MONTHS)})/([0-9]{{4}})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of a row's values.

    :param names: known ones as real logs spell them, others as they are.
    :param bare: whether a row may begin with a value that has no quotes around it.
    """

    names: tuple[str, ...]
    bare: bool = False

    @classmethod
    def of(cls, names: str, *, bare: bool = False) -> Layout:
        """Take the names of a directive; each may have quotes around it."""
        plain = (name.strip("\"',") for name in _BETWEEN_NAMES.split(names) if name.strip("\\"))
        return cls(tuple(_KNOWN.get(name.lower(), name) for name in plain), bare)


FIRST_LAYOUT = Layout.of("""
    date time cs-vid cs-clapp cs-browsertype cs-js-support cs-co-support c-ip s-caip cs-clappsig s-capsupport s-suid
    cs(User-Agent) cs-sessionid s-siteid cs-countrycode s-tag cs-cicode s-computername cs-lat cs-long s-accountname
    cs-uri cs-postbody cs-version sc-action s-externalid cs(Referrer) s-ip s-port cs-method cs-uri-query sc-status
    s-xff cs-bytes cs-start cs-rule cs-severity cs-attacktype cs-attackid s-ruleName
""")
"""Real logs of 2017 have these; it holds for rows before any directive."""


def first_is_bare(head: bytes, layout: Layout) -> bool:
    """Whether the first row of a body begins with a value that has no quotes around it.

    :param head: how the body begins.
    :param layout: names of the values, unless a directive lists others.
    """
    names = listed = " ".join(layout.names)
    is_listed = False
    for match in _LINE.finditer(head):
        line = whole = match[0].strip(b" \t")
        if prefix := PREFIX.match(line) or BARE_PREFIX.match(line):
            line = line[prefix.end() :]
        if DIRECTIVE.match(line):
            directive = Directive.read(line)
            if directive.name == "fields" and directive.value:
                # A second directive may go on with the names of the first.
                listed = f"{listed} {directive.value}" if is_listed else directive.value
                names, is_listed = directive.value, True
            line = whole = line[directive.end :]
        elif is_listed and (more := continued_names(line, KNOWN_NAMES)):
            names, listed, line = f"{names} {more}", f"{listed} {more}", b""
        if line.strip():
            layouts = [Layout.of(some, bare=True) for some in (names, listed)]
            # What begins as a prefix does may be the row's own date and time.
            for text in (some.decode(errors="replace") for some in (whole, line)):
                if any(isinstance(read_row(text, some), TextRecord) for some in layouts):
                    return not text.lstrip("\ufeff").startswith('"')
            return False
    return False


def read_row(line: str, layout: Layout) -> TextRecord | RejectionReason:
    """Read one row, without its line end."""
    line = line.strip(" \t\ufeff")
    if not layout.bare and not line.startswith('"'):
        return RejectionReason.NOT_A_RECORD
    values = _cut(line, len(layout.names))
    if values is None:
        return RejectionReason.FIELD_COUNT
    record = TextRecord(event_class="access", texts={})
    date_and_time: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in zip(layout.names, values, strict=True):
        text = value.strip(" \t")
        if not text:
            continue
        if name in seen:
            record.warnings.append(f"duplicate_key:{name}")
            record.extra.append((name, text))
        elif column := COLUMN_BY_FIELD.get(name):
            record.texts[column] = text
        elif name in ("date", "time"):
            date_and_time[name] = text
        else:
            record.extra.append((name, text))
        seen.add(name)
    _use_date_and_time(date_and_time, record)
    if record.texts.setdefault("event_name", NORMAL) == NORMAL:
        return record
    return TextRecord("security", record.texts, record.extra, record.warnings)


def _cut(line: str, count: int) -> list[str] | None:
    plain = line[1:-1].split('" "') if len(line) > 1 and line[0] == line[-1] == '"' else []
    if len(plain) == count and line.count('"') == 2 * count:
        return plain
    quoted = [_QUOTE_INSIDE.sub('"', match[1]) for match in _matches(_QUOTED, line)]
    if len(quoted) == count:
        return quoted
    if len(plain) == count > 1:
        return plain
    if len(spread := _BETWEEN.split(line[1:-1]) if plain else []) == count > 1:
        return spread
    mixed = [_mixed(match) for match in _matches(_QUOTED_OR_BARE, line)]
    if len(mixed) == count:
        return mixed
    tabbed = [text.strip(" ") for text in line.split("\t")]
    # A quote that a tab leaves open was around the tab, so that tabs are not what stands between these values.
    whole = all(_WHOLE.fullmatch(text) for text in tabbed if text.startswith('"'))
    return [_unquoted(text) for text in tabbed] if whole and len(tabbed) == count > 1 else None


def _matches(value: re.Pattern[str], line: str) -> list[re.Match[str]]:
    """Cut a line into values; none unless it is made of them from begin to end."""
    matches, end = [], 0
    while match := value.match(line, end):
        matches.append(match)
        end = match.end()
    return matches if end == len(line) else []


def _mixed(match: re.Match[str]) -> str:
    if match[2] is None:
        return _QUOTE_INSIDE.sub('"', match[1])
    return "" if match[2] == "-" else match[2]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _QUOTE_INSIDE.sub('"', text[1:-1])
    return "" if text == "-" else text


def separators(line: bytes) -> int:
    """Count the places of a line that look like the end of a quoted value and the begin of the next."""
    return len(_SEPARATOR.findall(line))


def iso_date(date: str) -> str:
    """Write a date as in 31/Jan/2026 as 2026-01-31; any other text stays."""
    match = _DAY_FIRST.fullmatch(date)
    if match is None:
        return date
    return f"{match[3]}-{_MONTHS.index(match[2].title()) + 1:02}-{match[1]}"


def _use_date_and_time(date_and_time: dict[str, str], record: TextRecord) -> None:
    """Take date and time for the event's, if it has no other; keep them if they say another thing than that one."""
    start, date = record.texts.get("event_time"), iso_date(date_and_time.get("date", ""))
    if start is None and len(date_and_time) == 2:
        record.texts["event_time"] = f"{date}T{date_and_time['time']}"
    elif date_and_time and f"{date} {date_and_time.get('time')}" != to_the_second(start or ""):
        record.extra.extend(date_and_time.items())


def to_the_second(start: str) -> str:
    """Write a time in epoch milliseconds as date and time; empty if it is not a time."""
    if len(start) != 13 or not (start.isascii() and start.isdigit()):
        return ""
    return datetime.fromtimestamp(int(start) // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
