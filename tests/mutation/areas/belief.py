"""What planning and the ledger do not believe without a check."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "what makes a run red is read out of a sentence",
        "lake/records.py",
        "if self.open_codes.get(name) not in EXPECTED]",
        "if 'headroom is critical' not in self.open[name]]",
        ("lake/test_commit.py",),
    ),
]
