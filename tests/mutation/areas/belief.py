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
    Mutation(
        "a damaged log is never asked for again",
        "load/normalize.py",
        "        if may_come:\n",
        "        if may_come and self.log.first_listed_at is None:\n",
        ("load/test_load.py::TestAnswersThatAreNoLogs",),
    ),
    Mutation(
        "a damaged log is asked for without a pause",
        "lake/records.py",
        "            return Waiting(self.state, ask_again_at=planned_at + pause)\n",
        "            return Waiting(self.state, ask_again_at=planned_at)\n",
        ("load/test_load.py::TestAnswersThatAreNoLogs",),
    ),
    Mutation(
        "a clear log with a wrong checksum is loaded without asking once more",
        "load/normalize.py",
        "        if plain.checksum_ok is False:\n",
        "        if plain.checksum_ok is False and plain.encrypted:\n",
        ("load/test_load.py::TestAnswersThatAreNoLogs",),
    ),
    Mutation(
        "text that is no log is quarantined for good",
        "load/normalize.py",
        "        if head and kind is None:\n",
        "        if head and kind is None and plain.encrypted:\n",
        ("load/test_load.py::TestAnswersThatAreNoLogs",),
    ),
    Mutation(
        "a server's error in JSON is an event",
        "load/normalize.py",
        'if plain.header is None and kind == "JSON" and self.has_headers(self.name.prefix):',
        'if plain.header is None and kind == "JSON" and not self.has_headers(self.name.prefix):',
        ("load/test_load.py::TestAnswersThatAreNoLogs",),
    ),
    Mutation(
        "one log that is refused stops its batch",
        "load/fetch.py",
        "        except RepositoryError as error:\n            # One",
        "        except AuthenticationError:\n            raise\n"
        "        except RepositoryError as error:\n            # One",
        ("load/test_load.py::TestOneLogRefused",),
    ),
    Mutation(
        "a log that always answers oddly never expires",
        "load/fetch.py",
        "if log.name not in listed and _has_left(log, window=window)}",
        "if log.name not in listed and not listed}",
        ("load/test_load.py::TestOneLogRefused",),
    ),
    Mutation(
        "a run is green although a whole log is in quarantine",
        "lake/quarantine.py",
        "    if logs := quarantined_logs(ledger, commit):\n",
        "    if (logs := quarantined_logs(ledger, commit)).total() > 9:\n",
        ("dag/test_commit_operator.py::TestQuarantine",),
    ),
    Mutation(
        "a run is green however many lines are in quarantine",
        "lake/quarantine.py",
        "    if totals.quarantined_lines > share * totals.lines:\n",
        "    if totals.quarantined_lines > totals.lines:\n",
        ("dag/test_commit_operator.py::TestQuarantine",),
    ),
    Mutation(
        "the time of the fetch is the object's",
        "load/normalize.py",
        "fetched_at = log.fetched_at or _came_at(item, log, plan)",
        "fetched_at = item.modified",
        ("load/test_load.py::TestStoresThatKeepNoTimes",),
    ),
]
