"""The known bugs still fit the code; that tests notice them is for ``make mutants`` to show."""

from __future__ import annotations

import pytest

from tests.mutation.check import MUTATIONS
from tests.mutation.mutation import ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.bug)
def test_its_place_is_there_once_and_its_tests_are_there(mutation: Mutation) -> None:
    assert mutation.places == 1
    assert [name for name in mutation.tests if not (ROOT / "tests" / name.partition("::")[0]).exists()] == []
