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
    Mutation(
        "a look noted in the future counts as one just now",
        "load/plan.py",
        "not timedelta() <= at - last_look + CLOCKS_DIFFER <= options.window + CLOCKS_DIFFER",
        "at - last_look > options.window",
        ("load/test_belief.py::TestClocks",),
    ),
    Mutation(
        "after an absence one wrong line is evidence of lost logs",
        "lake/watermark.py",
        "if unwatched and not is_implausible(hole):",
        "if unwatched:",
        ("lake/test_watermark.py::TestObserve",),
    ),
    Mutation(
        "a ledger older than the events is planned from",
        "load/restored.py",
        "    if found:\n",
        "    if False:\n",
        ("load/test_belief.py::TestOlderLedger",),
    ),
    Mutation(
        "an XCom ahead of the ledger is passed over",
        "operators/imperva.py",
        'elif told > commit.commit and not context["params"].get("go_by_ledger"):',
        "elif False:",
        ("dag/test_plan_operator.py::TestOtherLake",),
    ),
]
