"""The known bugs still fit the code; that tests notice them is for ``make mutants`` to show."""

from __future__ import annotations

import pytest

from tests.mutation.check import MUTATIONS
from tests.mutation.mutation import ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.bug)
def test_its_place_is_there_once_and_its_tests_are_there(mutation: Mutation) -> None:
    assert mutation.places == 1
    for test in mutation.tests:
        path, *names = test.partition("[")[0].split("::")
        text = (ROOT / "tests" / path).read_text()
        assert [name for name in names if f"def {name}(" not in text and f"class {name}" not in text] == []
