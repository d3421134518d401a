"""What keeps rows where they are when parts are merged and taken apart."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

TESTS = "load/test_compact.py"

MUTATIONS = [
    Mutation(
        "an edited part is merged, and the ledger vouches for it",
        "lake/inputs.py",
        ").hexdigest()) != part.sha256:  # type: ignore[arg-type]\n",
        ').hexdigest()) == "":  # type: ignore[arg-type]\n',
        (f"{TESTS}::TestNothingIsLost",),
    ),
    Mutation(
        "columns that a newer release wrote are dropped",
        "lake/inputs.py",
        "    if strange or version > int(SCHEMA_VERSION):\n",
        "    if version > int(SCHEMA_VERSION):\n",
        (f"{TESTS}::TestNothingIsLost",),
    ),
    Mutation(
        "nobody looks at what was written before the inputs are given up",
        "lake/merge.py",
        "        if digests != self.expected:\n",
        "        if False:\n",
        (f"{TESTS}::TestNothingIsLost",),
    ),
    Mutation(
        "a merged part leaves its inputs in the lake",
        "lake/merge.py",
        "            removed=self.inputs,\n",
        "            removed=(),\n",
        (f"{TESTS}::TestMerged",),
    ),
    Mutation(
        "rows of one time are in another order than the footer says",
        "lake/merge.py",
        "np.lexsort((keys.lines, keys.sequences, keys.files, keys.times))",
        "np.lexsort((-keys.lines, keys.sequences, keys.files, keys.times))",
        ("lake/test_merge.py",),
    ),
    Mutation(
        "the footer names other columns than those it is sorted by",
        "lake/parts.py",
        "pq.SortingColumn(_paths(schema).index(name))",
        "pq.SortingColumn(schema.get_field_index(name))",
        (f"{TESTS}::TestMerged",),
    ),
    Mutation(
        "rows that were redacted in another way are merged",
        "lake/compaction.py",
        "            groups[tuple(sorted(protection.items()))].append(part)\n",
        "            groups[()].append(part)\n",
        (f"{TESTS}::TestWhereItPays",),
    ),
    Mutation(
        "a date that is still being loaded is merged",
        "lake/compaction.py",
        "at - _last_added(ledger, live, parts) >= options.quiet",
        "at - _last_added(ledger, live, parts) >= options.quiet * 0",
        (f"{TESTS}::TestWhereItPays",),
    ),
    Mutation(
        "a part alone is merged, again and again",
        "lake/compaction.py",
        "    if len(batch) > 1:\n        yield tuple(batch)\n",
        "    if batch:\n        yield tuple(batch)\n",
        (f"{TESTS}::TestWhereItPays",),
    ),
    Mutation(
        "compaction overtakes a run that loads",
        "load/compact.py",
        "plan.kind in (Kind.COMPACT, Kind.RETIRE)",
        "plan.kind in (Kind.COMPACT, Kind.RETIRE, Kind.LOAD)",
        (f"{TESTS}::TestOthers",),
    ),
    Mutation(
        "what is merged was chosen before another run removed it",
        "load/compact.py",
        "    return plan_maintenance(\n        ledger,\n        last,\n",
        "    return plan_maintenance(\n        ledger,\n        ledger.head().commit or last,\n",
        (f"{TESTS}::TestOthers",),
    ),
    Mutation(
        "a sensor that finds a compaction has it overtaken at once",
        "load/plan.py",
        "    if head.plan and head.plan.kind is not Kind.COMPACT:\n",
        "    if head.plan:\n",
        (f"{TESTS}::TestOthers",),
    ),
    Mutation(
        "compaction does not wait for replays",
        "load/compact.py",
        "    if head.replaying:\n",
        "    if False:\n",
        (f"{TESTS}::TestOthers",),
    ),
    Mutation(
        "a replay leaves the rows that are in merged parts beside its own",
        "load/separate.py",
        "            elif not logs[path].isdisjoint(keys[batch_id]):\n",
        "            elif False:\n",
        (f"{TESTS}::TestReplay",),
    ),
    Mutation(
        "a replay takes rows of other logs away with the merged part",
        "load/separate.py",
        "            if logs[path] <= keys[batch_id]:\n",
        "            if not logs[path].isdisjoint(keys[batch_id]):\n",
        (f"{TESTS}::TestReplay",),
    ),
    Mutation(
        "that a commit merged other rows is no finding",
        "audit/entry.py",
        "_rows_by_partition(commit.removed) != _rows_by_partition(commit.parts):\n",
        "False:\n",
        (f"{TESTS}::TestAudit",),
    ),
]
