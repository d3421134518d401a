"""Retention: what has to leave, what has to stay, and that every audit accounts for it."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "the last day that a policy keeps leaves as well",
        "retention/expire.py",
        "part.event_date < first.isoformat()",
        "part.event_date <= first.isoformat()",
        ("retention/test_expire.py::TestEvents",),
    ),
    Mutation(
        "bytes of logs that are not loaded yet leave",
        "retention/expire.py",
        '        if row["state"] in OPEN:\n',
        "        if False:\n",
        ("retention/test_expire.py::TestRaw",),
    ),
    Mutation(
        "a hold keeps nothing from expiring",
        "retention/expire.py",
        "    covering = [hold.reference for hold in holds if hold.covers(first, last)]\n",
        "    covering: list[str] = []\n",
        ("retention/test_holds.py",),
    ),
    Mutation(
        "what expired is deleted although it is on hold",
        "lake/maintenance.py",
        "        if commit.kind in TAKES_OUT and (held",
        "        if False and (held",
        ("retention/test_holds.py",),
    ),
    Mutation(
        "a hold is in the way of no erasure",
        "retention/erase.py",
        "    _stop_if_held(last.holds, trace)\n",
        "",
        ("retention/test_erase.py::TestRefused",),
    ),
    Mutation(
        "holds are forgotten by the next commit",
        "lake/commit.py",
        "    left = tuple(hold for hold in (before.holds if before else ()) if hold.reference != plan.lifts)\n",
        "    left: tuple[Hold, ...] = ()\n",
        ("retention/test_holds.py",),
    ),
    Mutation(
        "a run that loads is overtaken by an expiry",
        "retention/idle.py",
        "        if head.plan is None or take_over or head.plan.run == run",
        "        if True or head.plan.run == run",
        ("retention/test_expire.py::TestRuns",),
    ),
    Mutation(
        "the bytes of erased logs stay in raw/",
        "retention/erase.py",
        "    trace.raw = raw_objects(ledger, there, gone=())\n",
        "",
        ("retention/test_erase.py::TestRows",),
    ),
    Mutation(
        "others' rows keep the value that is erased",
        "retention/search.py",
        "        if (mask & keep).any():\n",
        "        if False:\n",
        ("retention/test_erase.py::TestRows",),
    ),
    Mutation(
        "the value is found within another address",
        "retention/subject.py",
        '        return f"{before}(?:{',
        '        before = after = ""\n        return f"{before}(?:{',
        ("retention/test_erase.py::TestRows",),
    ),
    Mutation(
        "damaged logs are not looked into",
        "retention/erase.py",
        "return True if is_in_bytes(_as_far_as_it_inflates(file.read()), subject) else None",
        "return None",
        ("retention/test_erase.py::TestRaw",),
    ),
    Mutation(
        "a part that somebody edited is written anew and vouched for",
        "retention/erase.py",
        "    if sha256 != part.sha256:\n",
        "    if False:\n",
        ("retention/test_erase.py::TestRefused",),
    ),
    Mutation(
        "the value that is erased may stand in the reason for it",
        "retention/erase.py",
        "        if any(needle.pattern.search(text) for needle in subject.needles):\n",
        "        if False:\n",
        ("retention/test_erase.py::TestRefused",),
    ),
    Mutation(
        "the table's history keeps what was erased",
        "table/settle.py",
        "        forget_history(store)\n",
        "        pass\n",
        ("retention/test_erase.py::TestTable",),
    ),
    Mutation(
        "bytes that left on purpose are missing to verify",
        "audit/named.py",
        '        if row["raw_key"] not in gone:\n',
        "        if True:\n",
        ("retention/test_expire.py::TestRaw",),
    ),
    Mutation(
        "a commit may remove what its rule does not name",
        "audit/entry.py",
        '        if first_kept is None or (part.event_date or "") >= first_kept:\n',
        "        if False:\n",
        ("retention/test_expire.py::TestAccounts",),
    ),
    Mutation(
        "a batch may say that it took more out than it did",
        "lake/records.py",
        "        if rows != self.carried_rows + taken.rows:\n",
        "        if False:\n",
        ("lake/test_maintenance.py",),
    ),
    Mutation(
        "a replay loads what has no bytes any more",
        "load/replay.py",
        " and not _lacks_bytes(logs, gone, selection)",
        "",
        ("retention/test_replay_after.py",),
    ),
]
