"""How many JSON values a text has is counted alike by both readers, whatever stands in its strings."""

from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_imperva.events.scan import kernel
from tests.events.readers import READERS, reading_with


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "depth", "expected"),
    [
        (b'{"a": 1} {"b": 2}', 0, 2),
        (b'[{"a": 1}, {"b": 2}, 3]', 0, 3),
        (b'{"a": [1, 2, {}]}', 0, 1),
        (b'1}, {"b": 2}]', 1, 2),
        # Brackets in a string open nothing, nor do those behind a quote that is escaped.
        (b'{"a": "[{"} {"b": 2}', 0, 2),
        (b'{"a": "\\"["} {"b": 2}', 0, 2),
        (b'{"a": "]}\\""} {"b": 2}', 0, 2),
        (b'{"a": "\\\\"} {"b": 2}', 0, 2),
    ],
)
def test_values_are_counted_at_the_top(reader: str, text: bytes, depth: int, expected: int) -> None:
    with reading_with(reader):
        assert kernel.count_values(np.frombuffer(text, np.uint8), depth) == expected
