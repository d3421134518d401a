"""What the ledger, the store and the watermark rest on."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a planned log counts as decided, whatever became of it",
        "lake/watermark.py",
        "        if not hit:\n            opened.append(piece)\n            continue\n",
        "        if not hit:\n            if piece.state is not State.LISTED:\n                opened.append(piece)\n"
        "            continue\n",
        ("load/test_load.py::TestNotFound",),
    ),
    Mutation(
        "gap taken as loss at once",
        "lake/watermark.py",
        "            if unwatched and not is_implausible(hole):\n",
        "            if not is_implausible(hole):\n",
        ("lake/test_watermark.py", "load/test_load.py::TestPlainRuns"),
    ),
    Mutation(
        "a number that Imperva skipped is taken as lost",
        "lake/watermark.py",
        "closed.append(_with(piece, State.SKIPPED, piece.since))",
        "closed.append(_with(piece, State.UNOBSERVED, piece.since))",
        ("lake/test_watermark.py",),
    ),
    Mutation(
        "watermark is the highest number",
        "lake/watermark.py",
        "contiguous = joined[0].first - 1 if joined else highest",
        "contiguous = highest",
        ("lake/test_watermark.py",),
    ),
    Mutation(
        "a number below the highest is never looked for again",
        "lake/watermark.py",
        "        elif hit:\n",
        "        elif False:\n",
        ("lake/test_watermark.py",),
    ),
    Mutation(
        "what clients write is in the footers of parts",
        "lake/parts.py",
        ' if path.partition(".")[0] not in _FREE_TEXT]',
        "]",
        ("lake/test_parts.py",),
    ),
    Mutation(
        "a part's dictionaries have values of other partitions",
        "lake/groups.py",
        "    return _recoded(column if places is None else column.take(places))\n",
        "    return column if places is None else column.take(places)\n",
        ("lake/test_parts.py",),
    ),
    Mutation(
        "a part tells the types that its tables had in memory",
        "lake/parts.py",
        "        store_schema=False,\n",
        "",
        ("lake/test_parts.py",),
    ),
    Mutation(
        "part named by the run instead of the plan",
        "lake/parts.py",
        "        self._commit = commit\n",
        "        self._commit = commit * 10**6 + id(self) // 64 % 10**6\n",
        ("lake/test_parts.py",),
    ),
    Mutation(
        "of two runs that plan at once the later one wins",
        "lake/ledger.py",
        "            self.store.create(path, encode(plan))\n",
        "            self.store.write(path, encode(plan))\n",
        ("lake/test_ledger.py", "load/test_load.py::TestZombies"),
    ),
    Mutation(
        "of two that commit at once the later one wins",
        "lake/ledger.py",
        "            self.store.create(self.layout.commit(commit.commit), encode(commit))\n",
        "            self.store.write(self.layout.commit(commit.commit), encode(commit))\n",
        ("lake/test_commit.py",),
    ),
    Mutation(
        "parts of dead runs are left in the lake",
        "lake/commit.py",
        "        _sweep(ledger, one)\n",
        "",
        ("load/test_load.py::TestCrash",),
    ),
    Mutation(
        "lines and rows are not held against each other",
        "lake/commit.py",
        "elif imbalance := report.imbalance():",
        'elif imbalance := "":',
        ("lake/test_commit.py",),
    ),
    Mutation(
        "a commit does not name the one before",
        "lake/commit.py",
        "ledger.sha256(plan.commit - 1) if plan.commit > 1 else None",
        "None",
        ("lake/test_commit.py",),
    ),
    Mutation(
        "a name is seen before its content is on the disk",
        "lake/disk.py",
        "            _sync(file)\n            scratch.replace(target)\n",
        "            scratch.replace(target)\n",
        ("lake/test_store.py::TestLocalStore",),
    ),
    Mutation(
        "who catalogs at the same time writes over the other's numbers",
        "lake/arrivals.py",
        "                self._store.create(self._layout.arrivals(page.first), msgspec.json.encode(page))\n",
        "                self._store.write(self._layout.arrivals(page.first), msgspec.json.encode(page))\n",
        ("delivery/test_arrivals.py::test_of_two_who_catalog_at_once_both_see_the_same_numbers",),
    ),
    Mutation(
        "a claim counts as loaded, though nothing is committed",
        "lake/contents.py",
        "        if self._is_loaded(first):\n",
        "        if first:\n",
        ("delivery/test_both_ways.py::test_of_two_at_once_one_loads_and_the_other_waits_for_its_commit",),
    ),
    Mutation(
        "a log that finds its own claim takes itself for a copy",
        "lake/contents.py",
        "        if (first.repository, first.log) == (me.repository, me.log):\n            return None\n",
        "",
        ("delivery/test_both_ways.py::test_a_log_whose_rows_were_never_reported_claims_again",),
    ),
    Mutation(
        "a late number that was given up counts as known",
        "lake/watermark.py",
        "number not in late if item is None else",
        "True if item is None else",
        ("load/test_load.py::TestUrgency", "lake/test_watermark.py::TestKnowsAny"),
    ),
    Mutation(
        "a wrong line with a huge number makes all numbers below it skipped",
        "lake/watermark.py",
        "        elif is_implausible(piece):\n",
        "        elif is_implausible(piece) and unwatched:\n",
        ("lake/test_watermark.py::TestObserve",),
    ),
]
