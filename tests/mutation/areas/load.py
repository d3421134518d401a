"""The way through: plan, fetch, normalize."""

from __future__ import annotations

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "marker saved before the download",
        "load/fetch.py",
        "            content = client.read_log(name)\n",
        "            ledger.store.write(ledger.layout.raw(name), b'')\n            content = client.read_log(name)\n",
        ("load/test_load.py::TestNotFound",),
    ),
    Mutation(
        "empty index taken as all logs gone",
        "load/fetch.py",
        "    if listed:\n",
        "    if True:\n",
        ("load/test_load.py::TestUselessIndex",),
    ),
    Mutation(
        "empty index taken as a look that closes gaps",
        "load/plan.py",
        "    if not index.names:\n",
        "    if False:\n",
        ("load/test_load.py::TestUselessIndex",),
    ),
    Mutation(
        "a log that waits for its key is given up",
        "load/normalize.py",
        "                State.AWAITING_KEY,\n",
        "                State.QUARANTINED,\n",
        ("load/test_load.py::TestBadLogs",),
    ),
    Mutation(
        "a zombie does not look whether its plan was committed",
        "lake/batch.py",
        "    if ledger.committed(plan.commit) and batch in ledger.commit(plan.commit).failed_batches:\n",
        "    if False:\n",
        ("load/test_load.py::TestZombies",),
    ),
    Mutation(
        "parts are written without a note of it",
        "lake/batch.py",
        "    may_write = ledger.create_intent(plan.commit, batch, paths, outcome=outcome)\n",
        "    may_write = True\n",
        ("load/test_load.py::TestCrash",),
    ),
    Mutation(
        "attempts of one batch that come to different outcomes write over each other",
        "lake/batch.py",
        "    if not may_write:\n",
        "    if False:\n",
        ("crash/test_two_attempts.py",),
    ),
    Mutation(
        "a replay writes new parts beside the old ones, which stay part of the lake",
        "load/normalize.py",
        "given_up=given_up, removed=removed)",
        "given_up=given_up)",
        ("load/test_replay.py::TestAfterAParserChange",),
    ),
    Mutation(
        "what waits for its key is deleted where it was delivered",
        "load/delivered.py",
        "            and not any(number in numbers for numbers in waiting)\n",
        "",
        ("delivery/test_delivered_loads.py::test_what_waits_for_its_key_is_not_cleared_away",),
    ),
    Mutation(
        "the container tells copies, not the body",
        "load/normalize.py",
        "            sha256 = sha256_of(plain.chunks())\n",
        "            sha256 = received.sha256\n",
        ("delivery/test_both_ways.py::test_an_encrypted_log_is_recognised_by_its_plain_body",),
    ),
    Mutation(
        "what was cataloged and is gone is forgotten",
        "load/delivered.py",
        "        listed.update(range(self._highest_planned() + 1, len(arrivals) + 1))\n",
        "",
        (
            "delivery/test_delivered_loads.py::test_what_vanishes_after_it_was_cataloged_and_before_it_was_planned_is_missed",
        ),
    ),
    Mutation(
        "every plan is urgent while logs are short of time",
        "load/plan.py",
        "critical = critical - tried if len(tried) == options.max_logs else set()",
        "critical = critical - tried",
        ("load/test_load.py::TestUrgency",),
    ),
    Mutation(
        "a log that the parser fails at fails its batch",
        "load/normalize.py",
        "        except Exception as error:\n",
        "        except ZeroDivisionError as error:\n",
        ("load/test_load.py::TestBadLogs",),
    ),
    Mutation(
        "a log whose rows Parquet refuses fails its batch for ever",
        "load/normalize.py",
        "                if error.logs <= refused:\n",
        "                if True:\n",
        ("load/test_load.py::TestBadLogs",),
    ),
    Mutation(
        "rows of a log that the parser fails at stay among those of its batch",
        "load/normalize.py",
        "            self.parts.drop(mark)\n            return self._unforeseen(",
        "            return self._unforeseen(",
        ("load/test_load.py::TestBadLogs",),
    ),
    Mutation(
        "a partition that only dropped rows were in becomes a part without rows",
        "lake/parts.py",
        "        self._partitions = dict(islice(self._partitions.items(), mark.partitions))\n",
        "",
        ("lake/test_spilled_parts.py::test_dropped_rows_leave_no_trace",),
    ),
    Mutation(
        "memory is cleared again for each log",
        "load/normalize.py",
        "@memory_kept()\n",
        "",
        ("load/test_memory.py",),
    ),
    Mutation(
        "normalizing leaves the process with another allocator",
        "lake/memory.py",
        "        pa.set_memory_pool(before)\n",
        "        pass\n",
        ("load/test_memory.py",),
    ),
]
