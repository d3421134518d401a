"""The keys of a format as small numbers, from 1 up, for work on whole arrays of them; 0 is no known key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from airflow_provider_imperva.events.columns import LABELS
from airflow_provider_imperva.events.keys import Keys
from airflow_provider_imperva.events.lines import Mask, Positions
from airflow_provider_imperva.events.words import Words, WordTable


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a format calls the columns, by numbers of keys.

    :param keys: tells keys in whatever case.
    :param labels: tells the texts of expected labels.
    :param columns: column name by key.
    :param json: keys whose values are JSON.
    :param free_text: by key, whether an unknown key in the value is none.
    :param expected: by key, the number in ``labels`` of the text it must have; 0 for keys that are no labels.
    :param label_of: key of the label by custom key.
    :param strange: keys that neither have a column nor are such a label.
    """

    keys: WordTable
    labels: Words
    columns: Mapping[int, str]
    json: tuple[int, ...]
    free_text: Mask
    expected: Positions
    label_of: Mapping[int, int]
    strange: tuple[int, ...]

    @classmethod
    def of(cls, names: Keys) -> Vocabulary:
        """Number the keys of a format."""
        number = {key: place for place, key in enumerate(names.known.values(), 1)}
        columns = {number[key]: column.name for key, column in names.columns.items()}
        label_of = {number[key]: number[f"{key}Label"] for key in LABELS}
        free_text = np.zeros(len(number) + 1, np.bool_)
        free_text[[number[key] for key in names.free_text if key in number]] = True
        expected = np.zeros(len(number) + 1, np.int64)
        expected[list(label_of.values())] = np.arange(1, len(LABELS) + 1)
        return cls(
            keys=WordTable(list(number), fold=True),
            labels=Words(list(LABELS.values())),
            columns=columns,
            json=tuple(number[key] for key in names.json),
            free_text=free_text,
            expected=expected,
            label_of=label_of,
            strange=tuple({*number.values()} - {*columns} - {*label_of.values()}),
        )
