"""What fired in an event: one structure for each slot of the parallel lists."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.derived.rows import Rows, scattered
from airflow_provider_imperva.events.schema.columns import TEXT, VIOLATIONS
from airflow_provider_imperva.events.schema.vocabulary import ATTACK_TYPES

_LISTS = ("attack_type_codes", "attack_ids", "rule_names")
_SLOTS = re.compile(r"[\s,]*")


def violations(lists: dict[str, pa.ListArray], rule_info: pa.StringArray) -> pa.ListArray:
    """Zip the parallel lists, of which any may be missing or shorter; a slot that is empty in one of them is null.

    :param lists: ``attack_type_codes``, ``attack_ids`` and ``rule_names``.
    :param rule_info: text that belongs to the slot after as many commas as it begins with.
    :return: null for an event without any.
    """
    count = len(rule_info)
    if all(values.null_count == count for values in (*lists.values(), rule_info)):
        return pa.nulls(count, VIOLATIONS)
    lengths = {name: pc.fill_null(pc.list_value_length(lists[name]), 0).to_numpy() for name in _LISTS}
    slots = np.maximum.reduce(list(lengths.values())).astype(np.int64)
    named = np.flatnonzero(rule_info.is_valid().to_numpy(zero_copy_only=False))
    skipped: list[int] = []
    texts: list[str] = []
    for text in rule_info.take(pa.array(named)).to_pylist():
        empty = _SLOTS.match(text)[0]  # type: ignore[index]
        skipped.append(empty.count(","))
        texts.append(text[len(empty) :])
    places = np.array(skipped, np.int64)
    slots[named] = np.maximum(slots[named], places + 1)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(slots)])
    owner = np.repeat(np.arange(count), slots)
    place = np.arange(len(owner)) - offsets[owner]
    codes, ids, names = (_elements(lists[name], lengths[name], owner, place) for name in _LISTS)
    info = (
        scattered(pa.array(texts, TEXT), offsets[named] + places, len(owner)) if texts else pa.nulls(len(owner), TEXT)
    )
    members = [codes, _attack_type_names(codes), ids, names, info]
    structs = pa.StructArray.from_arrays(members, fields=list(VIOLATIONS.value_type))
    valid = np.packbits(slots > 0, bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(offsets.astype(np.int32))]
    return pa.Array.from_buffers(VIOLATIONS, count, buffers, children=[structs])


def _elements(values: pa.ListArray, lengths: Rows, owner: Rows, place: Rows) -> pa.StringArray:
    """Return the element at a place of each owner's list; null if it is empty, or the list is shorter."""
    begins = np.asarray(values.offsets)[:-1][owner]
    there = place < lengths[owner]
    elements = values.values.take(pa.array(begins + place, mask=~there))
    return pc.if_else(pc.equal(elements, ""), pa.scalar(None, TEXT), elements)


def _attack_type_names(codes: pa.StringArray) -> pa.StringArray:
    coded = codes.dictionary_encode()
    return pa.array([ATTACK_TYPES.get(code) for code in coded.dictionary.to_pylist()], TEXT).take(coded.indices)
