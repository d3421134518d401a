"""Redaction of Arrow tables: texts that may hold a secret are found first, and only those are changed.

It works on columns that are read already, so that it does not matter how they were read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property, reduce
from itertools import pairwise
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.schema.columns import CATEGORY, COLUMNS, LIST, TEXT
from airflow_provider_imperva.events.typed import convert
from airflow_provider_imperva.events.typed.masks import is_masked
from airflow_provider_imperva.privacy.checks import CHECKS
from airflow_provider_imperva.privacy.patterns import ESCAPED_UNRESERVED, REDACTED
from airflow_provider_imperva.privacy.rules import Rule, Rules

VERSION_KEY = "imperva.redaction"
"""The key in a part's metadata under which the rules' version stands."""

_Numbers: TypeAlias = npt.NDArray[np.int64]

Counts: TypeAlias = Counter[str]
"""How many values each rule has changed."""

_OF_REQUESTS = {
    "url",
    "url_host",
    "url_path",
    "query_string",
    "referrer",
    "request_body",
    "user_agent",
    "x_forwarded_for",
    "rule_names",
    "rule_info",
    "delivery_rules",
    "additional_request_headers",
    "additional_response_headers",
}
"""Columns of what requests, answers and rules say. In all others, which Imperva fills with ids, addresses, names and
codes, secrets are known by their shapes alone, and digits are not a card's.
"""

_OURS = {"src_file", "src_format", "parse_warnings", "outcome"}
"""Columns whose texts are not out of a log's body."""

_PARTS: Mapping[str, tuple[tuple[str, str], Callable[[pa.Array], tuple[pa.Array, pa.Array]]]] = {
    "url": (("url_host", "url_path"), convert.url_parts),
    "tls": (("tls_version", "tls_cipher"), convert.tls_parts),
}
"""Columns that others are cut out of, in formats that have them, and how."""

_NAMED_IN_EXTRA = "name_in_extra"
"""What counts call a value of ``extra`` that is secret because of its name."""

_SAMPLE = 256
"""Rows by which is judged whether the texts of a column recur."""

_CUT_OFF = r"(: begins with .*?)(?:[A-Za-z0-9_+/=.~%-]{16,}|(?:[0-9][ -]?){8,})"
"""How a log begins, cut off after some characters: what may be the begin of a secret has not all of its shape."""

_TOGETHER_BYTES = 1 << 30
"""Bytes of texts that are put together; an array of texts ends at two of these."""

_MANY = 1000
"""Texts of a column that are first looked at as one."""

_LITTLE = 1 << 12
"""Characters in which Python looks for a hint."""

_ESCAPED = re.compile(f"(?i){ESCAPED_UNRESERVED}")


@dataclass(frozen=True, slots=True)
class Redacted:
    """What redaction made of a block.

    :ivar events, quarantined: tables of the same schemas and rows.
    :ivar counts: how many values each rule changed.
    """

    events: pa.Table
    quarantined: pa.Table
    counts: Counts


@dataclass(frozen=True)
class Redactor:
    """Rules, ready to be applied to tables."""

    rules: Rules = field(default_factory=Rules)

    @cached_property
    def _for_ids(self) -> Rules:
        return self.rules.for_ids

    @cached_property
    def _hints(self) -> Mapping[_Places, str]:
        hint = self.rules.hint
        return {_Places.VALUES: hint, _Places.LINES: hint, _Places.IDS: self._for_ids.hint}

    def redact(self, events: pa.Table, quarantined: pa.Table) -> Redacted:
        """Redact rows of events and of quarantine.

        :param events: columns of ``SCHEMA``, and any others, which stay as they are.
        :param quarantined: columns of ``QUARANTINE_SCHEMA``.
        """
        counts: Counts = Counter()
        if self.rules.rules:
            events = self._events(events, counts) if events.num_rows else events
            quarantined = self._quarantined(quarantined, counts) if quarantined.num_rows else quarantined
        return Redacted(events, quarantined, counts)

    def redact_text(self, text: str) -> str:
        """Redact one line of text."""
        (changed,) = self._texts([_Texts.of(pa.array([text]))], Counter(), _Places.LINES)
        return str(changed.texts[0].as_py()) if changed else text

    def _events(self, events: pa.Table, counts: Counts) -> pa.Table:
        columns = {name: _one_chunk(events[name]) for name in _wanted(events)}
        changes: dict[str, _Changed] = {}
        for places in (_Places.VALUES, _Places.IDS):
            names = [name for name in columns if _places_of(name) is places]
            shortest = self.rules.shortest_in_ids if places is _Places.IDS else 0
            texts = [_Texts.of(_joined(columns[name]), shortest=shortest) for name in names]
            for name, changed in zip(names, self._texts(texts, counts, places), strict=True):
                if changed:
                    changes[name] = _of_rows(columns[name], changed)
        for name in [name for name in _PARTS if name in changes]:
            changes |= _parts_of(events, name, changes[name])
        if changed := self._extra(_one_chunk(events["extra"]), counts):
            changes["extra"] = changed
        if changes and "raw" in columns and (changed := self._whole_lines(columns["raw"], changes, counts)):
            changes["raw"] = changed
        if not changes:
            return events
        for name, changed in changes.items():
            events = _with(events, name, changed.texts)
        return _with(events, "parse_warnings", _warnings(_one_chunk(events["parse_warnings"]), changes))

    def _whole_lines(self, lines: pa.Array, changes: Mapping[str, _Changed], counts: Counts) -> _Changed | None:
        """Redact the lines of the rows in which something has changed.

        What a line says is in the columns of its row, so that the others have no secret either, and no rule but those
        that have changed columns finds one. Nearly every line looks as if it had one, since it has names that end in
        ``code`` and numbers as long as a card's: to apply all rules to all lines takes ten times as long as all else.
        """
        rows = reduce(pc.or_, (change.mask for change in changes.values()))
        redactor = self if counts[_NAMED_IN_EXTRA] else Redactor(self.rules.only(counts))
        (changed,) = redactor._texts([_Texts(lines.filter(rows))], counts, _Places.LINES)
        if changed is None:
            return None
        marks = np.zeros(len(lines), np.bool_)
        marks[np.flatnonzero(rows.to_numpy(zero_copy_only=False))] = changed.mask.to_numpy(zero_copy_only=False)
        texts = pc.replace_with_mask(lines, rows, changed.texts)
        return _Changed(texts, pa.array(marks))

    def _extra(self, values: pa.MapArray, counts: Counts) -> _Changed | None:
        """Redact the values of ``extra`` and, for shapes alone, their names; a name may make its value secret."""
        offsets = np.asarray(values.offsets)
        begin, end = int(offsets[0]), int(offsets[-1])
        if begin == end:
            return None
        names, texts = values.keys[begin:end], values.items[begin:end]
        changes = self._texts([_Texts.of(texts)], counts, _Places.VALUES)
        changes += self._texts([_Texts.of(names)], counts, _Places.IDS)
        in_texts, in_names = changes
        texts = in_texts.texts if in_texts else texts
        secret = self._named(names, texts)
        mask = secret
        for change in changes:
            mask = pc.or_(mask, change.mask) if change else mask
        if not mask.true_count:
            return None
        if secret.true_count:
            counts[_NAMED_IN_EXTRA] += secret.true_count
            texts = pc.if_else(secret, REDACTED, texts)
        offsets = offsets - begin
        names = _unique_names(in_names.texts, offsets) if in_names else names
        maps = pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), names, texts).cast(values.type)
        return _Changed(maps, _any(mask, offsets))

    def _named(self, names: pa.StringArray, texts: pa.StringArray) -> pa.BooleanArray:
        """Return which values their names make secret; a mask of Imperva's is not secret."""
        # What is before a dot or a parenthesis is a path, as in ``imperva.headers.cookie`` and ``cs(Cookie)``.
        last = pc.replace_substring_regex(names, r"(?:#\d+|\))+$", "")
        last = pc.replace_substring_regex(last, r"^.*[.(]", "")
        pairs = pc.binary_join_element_wise(last, pa.scalar("x" * 16), "=")
        keyed = Rules(tuple(rule for rule in self.rules.rules if not rule.in_ids and not rule.is_checked))
        (changed,) = Redactor(keyed)._texts([_Texts(pairs)], Counter(), _Places.VALUES)
        if changed is None:
            return pa.array(np.zeros(len(names), np.bool_))
        mask = pc.and_(changed.mask, pc.fill_null(pc.not_equal(texts, REDACTED), False))
        rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
        kept = {row for row in rows if is_masked(texts[row].as_py())}
        return pa.array([one and row not in kept for row, one in enumerate(mask.to_pylist())]) if kept else mask

    def _quarantined(self, quarantined: pa.Table, counts: Counts) -> pa.Table:
        """Redact reasons, which may say how a log begins, and the bytes of lines."""
        reasons = _one_chunk(quarantined["reason"])
        (changed,) = self._texts([_Texts.of(reasons)], counts, _Places.LINES)
        reasons = pc.replace_substring_regex(changed.texts if changed else reasons, _CUT_OFF, rf"\1{REDACTED}")
        quarantined = _with(quarantined, "reason", reasons)
        return self._lines(quarantined, counts)

    def _lines(self, quarantined: pa.Table, counts: Counts) -> pa.Table:
        """Redact the bytes of lines, as Latin-1, which has a character for each byte."""
        contents = _one_chunk(quarantined["raw"])
        hinted = pc.fill_null(pc.match_substring_regex(contents, self._hints[_Places.LINES]), False)
        if not hinted.true_count:
            return quarantined
        lines = pa.array([line.decode("latin-1") for line in contents.filter(hinted).to_pylist()], pa.large_string())
        (changed,) = self._texts([_Texts(lines)], counts, _Places.LINES)
        if changed is None:
            return quarantined
        replaced = pa.array([line.encode("latin-1") for line in changed.texts.to_pylist()], pa.large_binary())
        return _with(quarantined, "raw", pc.replace_with_mask(contents, hinted, replaced))

    def _texts(self, sources: list[_Texts], counts: Counts, places: _Places) -> list[_Changed | None]:
        """Redact arrays of texts, all at once, since each pattern takes time to compile.

        :return: for each array what became of it; None if nothing in it has changed.
        """
        nothing: list[_Changed | None] = [None] * len(sources)
        rules = (self._for_ids if places is _Places.IDS else self.rules).rules
        if not rules or not sources:
            return nothing
        if len(sources) > 1 and sum(source.texts.nbytes for source in sources) > _TOGETHER_BYTES:
            return [self._texts([source], counts, places)[0] for source in sources]
        if not self.rules.has_own_shapes:
            sources = self._worth_a_look(sources, places)
        texts = pa.concat_arrays([source.texts for source in sources])
        hinted = np.flatnonzero(_matches(texts, self._hints[places]))
        if not len(hinted):
            return nothing
        bounds = np.cumsum([0, *(len(source.texts) for source in sources)])
        weights = np.concatenate([source.weights(_within(hinted, bounds, at)) for at, source in enumerate(sources)])
        before = texts.take(pa.array(hinted))
        after = _apply(rules, before, counts, weights=weights, in_lines=places is _Places.LINES)
        if after is None:
            return nothing
        differ = pc.not_equal(after, before)
        where = hinted[differ.to_numpy(zero_copy_only=False)]
        after = after.filter(differ)
        return [
            source.changed(_within(where, bounds, at), after.slice(*_span(where, bounds, at)))
            for at, source in enumerate(sources)
        ]

    def _worth_a_look(self, sources: list[_Texts], places: _Places) -> list[_Texts]:
        """Drop the texts of columns that hold no hint even as one text, which is found out sooner than of each.

        Hints look at nothing around them, so one that is in a text is also in all texts of its column put together.
        """
        many = [source for source in sources if len(source.texts) > _MANY and pa.types.is_string(source.texts.type)]
        if not many:
            return sources
        hinted = _matches(pa.concat_arrays([_as_one(source.texts) for source in many]), self._hints[places])
        idle = {id(source) for source, is_hinted in zip(many, hinted, strict=True) if not is_hinted}
        return [_Texts(source.texts[:0]) if id(source) in idle else source for source in sources]


class _Places(Enum):
    """What kind of text secrets are looked for in."""

    VALUES = "the value of a column"
    IDS = "an id, an address, a name or a code"
    LINES = "a whole line"


@dataclass(frozen=True, slots=True)
class _Changed:
    """Values of which some have changed, and which those are."""

    texts: pa.Array
    mask: pa.BooleanArray


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts of one column, each once if they recur.

    :ivar texts: those to look at.
    :ivar encoded: the column, if they are its dictionary.
    """

    texts: pa.Array
    encoded: pa.DictionaryArray | None = None

    @classmethod
    def of(cls, values: pa.Array, *, shortest: int = 0) -> Self:
        """Look at the texts of a column by way of its dictionary if it has one, or if they recur.

        :param shortest: bytes that the longest text has at least, or nothing is looked at.
        """
        if pa.types.is_dictionary(values.type):
            return cls(values.dictionary, values)
        if shortest and (pc.max(pc.binary_length(values)).as_py() or 0) < shortest:
            return cls(values[:0])
        sample = values[:_SAMPLE]
        # Ids of visits and visitors recur, although not at once.
        if shortest or (len(sample) == _SAMPLE and len(pc.unique(sample)) * 4 < _SAMPLE):
            encoded = values.dictionary_encode()
            return cls(encoded.dictionary, encoded)
        return cls(values)

    def weights(self, places: _Numbers) -> _Numbers:
        """Return how many rows have each of some texts."""
        if self.encoded is None or not len(places):
            return np.ones(len(places), np.int64)
        counts: _Numbers = np.bincount(self.encoded.indices.drop_null().to_numpy(), minlength=len(self.texts))
        return counts[places]

    def changed(self, places: _Numbers, texts: pa.Array) -> _Changed | None:
        """Put other texts in some places; None if there are none."""
        if not len(places):
            return None
        marks = np.zeros(len(self.texts), np.bool_)
        marks[places] = True
        mask = pa.array(marks)
        new = pc.replace_with_mask(self.texts, mask, texts)
        if self.encoded is None:
            return _Changed(new, mask)
        indices = self.encoded.indices
        return _Changed(new.take(indices), pc.fill_null(mask.take(indices), False))


def _within(places: _Numbers, bounds: _Numbers, at: int) -> _Numbers:
    """Return the places within one of the arrays that were put together, counted from its begin."""
    begin, length = _span(places, bounds, at)
    within: _Numbers = places[begin : begin + length] - bounds[at]
    return within


def _span(places: _Numbers, bounds: _Numbers, at: int) -> tuple[int, int]:
    begin, end = np.searchsorted(places, bounds[at : at + 2]).tolist()
    return begin, end - begin


def _wanted(events: pa.Table) -> Iterator[str]:
    """Name the columns that hold texts of a log, without those that follow from others."""
    cut = {part for name, (parts, _) in _PARTS.items() if events[name].null_count < len(events) for part in parts}
    for column in COLUMNS:
        kind = column.type.value_type if column.type in (CATEGORY, LIST) else column.type
        if kind != TEXT or column.kind == "completed" or column.name in _OURS or column.name in cut:
            continue
        if events[column.name].null_count < len(events):
            yield column.name


def _places_of(name: str) -> _Places:
    return _Places.LINES if name == "raw" else _Places.VALUES if name in _OF_REQUESTS else _Places.IDS


def _joined(values: pa.Array) -> pa.Array:
    """Put lists together, since a comma may have cut a secret in two."""
    if not pa.types.is_list(values.type):
        return values
    offsets = pa.array(np.asarray(values.offsets) - values.offsets[0].as_py(), pa.int32())
    texts = pc.fill_null(values.flatten(), "")
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts, mask=pc.is_null(values)), ",")


def _of_rows(values: pa.Array, changed: _Changed) -> _Changed:
    """Give changed texts the type of their column."""
    if pa.types.is_list(values.type):
        lists = pc.split_pattern(changed.texts, ",").cast(values.type)
        return _Changed(pc.if_else(changed.mask, lists, values), changed.mask)
    if pa.types.is_dictionary(values.type):
        return _Changed(changed.texts.dictionary_encode().cast(values.type), changed.mask)
    return changed


def _parts_of(events: pa.Table, name: str, changed: _Changed) -> dict[str, _Changed]:
    """Cut changed texts again, since a secret may have been cut in two; what they hold is counted already."""
    names, cut = _PARTS[name]
    changes = {}
    for part, new in zip(names, cut(changed.texts.cast(TEXT).dictionary_encode()), strict=True):
        old = _one_chunk(events[part])
        mixed = pc.if_else(changed.mask, new.cast(TEXT), old.cast(TEXT))
        differs = pc.fill_null(pc.not_equal(mixed, old.cast(TEXT)), False)
        if differs.true_count:
            changes[part] = _of_rows(old, _Changed(mixed, differs))
    return changes


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def _apply(
    rules: tuple[Rule, ...], texts: pa.Array, counts: Counts, *, weights: _Numbers, in_lines: bool
) -> pa.Array | None:
    """Apply rules to texts that may hold a secret; None if none of them changes.

    :param weights: how often each text is there.
    """
    plain = after = _decode_unreserved(texts)
    # To look for words in all texts at once costs next to nothing.
    together = "\n".join(plain.to_pylist()).lower()
    for rule in rules:
        changed = _apply_one(rule, after, together, in_lines=in_lines)
        if changed is after:
            continue
        differ = pc.not_equal(changed, after).to_numpy(zero_copy_only=False)
        counts[rule.name] += int(weights[differ].sum())
        after = changed
    if after is plain:
        return None
    # What was decoded in vain stays as it was.
    return after if plain is texts else pc.if_else(pc.equal(after, plain), texts, after)


def _apply_one(rule: Rule, texts: pa.Array, together: str, *, in_lines: bool) -> pa.Array:
    if rule.words:
        is_absent = not any(word in together for word in rule.words)
    else:
        # Compiling a pattern again for Arrow takes longer than to look for it in little text. All are in any case.
        is_little = len(together) < _LITTLE and not rule.is_own_shape
        is_absent = is_little and not _compiled(rule.hint).search(together)
    if is_absent:
        return texts
    mask = pa.array(_matches(texts, rule.screen))
    if not mask.true_count:
        return texts
    before = some = texts.filter(mask)
    if rule.is_checked:
        check = CHECKS[rule.name]
        some = pa.array([check.redact(text) for text in some.to_pylist()], texts.type)
    for replacement in rule.lines if in_lines else rule.values:
        if replacement.needs in together:
            some = pc.replace_substring_regex(some, replacement.pattern, replacement.by)
    return texts if some.equals(before) else pc.replace_with_mask(texts, mask, some)


def _decode_unreserved(texts: pa.Array) -> pa.Array:
    """Decode characters that do not have to be encoded, so that an encoded name is known; the URI stays equivalent."""
    mask = pa.array(_matches(texts, f"(?i){ESCAPED_UNRESERVED}"))
    if not mask.true_count:
        return texts
    decoded = [_ESCAPED.sub(lambda one: chr(int(one[0][-2:], 16)), text) for text in texts.filter(mask).to_pylist()]
    return pc.replace_with_mask(texts, mask, pa.array(decoded, texts.type))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _as_one(texts: pa.StringArray) -> pa.StringArray:
    """Return an array of one text: all of these, one after the other."""
    _, offsets, characters = texts.buffers()
    begins = np.frombuffer(offsets, np.int32)[texts.offset :]
    ends = np.array([begins[0], begins[len(texts)]], np.int32)
    return pa.StringArray.from_buffers(1, pa.py_buffer(ends), characters)


def _matches(texts: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy(
        zero_copy_only=False
    )
    return mask


def _warnings(before: pa.ListArray, changes: Mapping[str, _Changed]) -> pa.ListArray:
    """Add ``redacted:<column>`` to the warnings of the rows in which a column has changed."""
    rows = len(before)
    lengths = np.diff(np.asarray(before.offsets))
    flat = before.flatten()
    # By row: first what is there, then the new codes in the order of the columns.
    owners, places = [np.repeat(np.arange(rows), lengths)], [np.arange(len(flat))]
    for number, changed in enumerate(changes.values()):
        marked = np.flatnonzero(changed.mask.to_numpy(zero_copy_only=False))
        owners.append(marked)
        places.append(np.full(len(marked), len(flat) + number))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=rows))])
    codes = pa.concat_arrays([flat, pa.array([f"redacted:{name}" for name in changes], flat.type)])
    texts = codes.take(pa.array(np.concatenate(places)[order]))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), texts).cast(before.type)


def _unique_names(names: pa.StringArray, offsets: _Numbers) -> pa.StringArray:
    """Number names that redaction has made the same in one map, for readers take no map with a name twice."""
    texts = names.to_pylist()
    for begin, end in pairwise(offsets.tolist()):
        seen: Counter[str] = Counter()
        for place in range(begin, end):
            name = texts[place]
            seen[name] += 1
            if seen[name] > 1:
                texts[place] = f"{name}#{seen[name]}"
    return pa.array(texts, names.type)


def _any(mask: pa.BooleanArray, offsets: _Numbers) -> pa.BooleanArray:
    """Return for each list whether one of its elements is marked."""
    sums = np.concatenate([[0], np.cumsum(mask.to_numpy(zero_copy_only=False))])
    return pa.array(sums[offsets[1:]] > sums[offsets[:-1]])


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)
