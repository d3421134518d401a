"""Reintroduces known bugs, one at a time, in a copy of the checkout, and shows that tests notice each.

Most are bugs of tools that read these logs before this one; the others break what the promises rest on. Run by
``make mutants``. Exits with 1 if a bug is not noticed, or if its place in the code is no longer there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("airflow_provider_imperva", "tests", "pyproject.toml")
_PASSED, _FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug, and the tests that have to notice it.

    :ivar bug: what it is.
    :ivar file: below the package.
    :ivar old: text that stands there exactly once; ``new`` takes its place.
    :ivar tests: what pytest is to run, below ``tests``.
    """

    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, checkout: Path) -> None:
        path = checkout / "airflow_provider_imperva" / self.file
        text = path.read_text()
        path.write_text(text.replace(self.old, self.new))

    @property
    def places(self) -> int:
        """How often the text to be replaced is there."""
        return (ROOT / "airflow_provider_imperva" / self.file).read_text().count(self.old)


MUTATIONS = [
    Mutation(
        "marker saved before the download",
        "load/fetch.py",
        "            content = client.read_log(name)\n",
        "            ledger.store.write(ledger.layout.raw(name), b'')\n            content = client.read_log(name)\n",
        ("load/test_load.py::TestNotFound",),
    ),
    Mutation(
        "a planned log counts as decided, whatever became of it",
        "lake/watermark.py",
        "        if not hit:\n            opened.append(piece)\n            continue\n",
        "        if not hit:\n            if piece.state is not State.LISTED:\n                opened.append(piece)\n"
        "            continue\n",
        ("load/test_load.py::TestNotFound",),
    ),
    Mutation(
        "a body that ends before its stream is taken as complete",
        "container/inflate.py",
        '                raise TruncatedError("the compressed body ends before its end", do=_DO, about=log)\n',
        "                return b''\n",
        ("container/test_decode.py::TestDamaged",),
    ),
    Mutation(
        "a body shorter than announced is taken as complete",
        "repository/client.py",
        "        body = BytesIO()\n",
        "        body = BytesIO()\n        response.raw.enforce_content_length = False\n",
        ("repository/test_client.py::TestAttempts",),
    ),
    Mutation(
        "an HTML page is kept as a log",
        "repository/client.py",
        "if name != INDEX_NAME and is_html(body):",
        "if False:",
        ("repository/test_client.py::TestAttempts",),
    ),
    Mutation(
        "checksum not compared",
        "container/decode.py",
        "checksum_ok = None if expected is None else digest.hexdigest() == expected",
        "checksum_ok = None if expected is None else True",
        ("container/test_decode.py::TestPolicy",),
    ),
    Mutation(
        "log split at every separator",
        "container/header.py",
        "separator = _SEPARATOR.search(top, 0, HEADER_LIMIT)",
        "separator = next(reversed([*_SEPARATOR.finditer(top, 0, HEADER_LIMIT)]), None)",
        ("container/test_header.py", "container/test_decode.py::TestWhole"),
    ),
    Mutation(
        "text split at other separators than LF",
        "events/scan/lines.py",
        "line_ends = _line_ends(text)",
        "line_ends = np.flatnonzero(np.isin(text, [10, 11, 12, 28, 29, 30]))",
        ("events/test_parse_body.py",),
    ),
    Mutation(
        "JSON event with an empty list taken for an envelope without events",
        "events/bodies/objects.py",
        "is_envelope and (items or not beside)",
        "is_envelope",
        ("events/test_json_objects.py::TestShapes",),
    ),
    Mutation(
        "what stands beside the list of a JSON envelope copied without bounds",
        "events/bodies/objects.py",
        " and copied <= _MOST_COPIED * len(text)",
        "",
        ("events/test_json_objects.py::TestBombs",),
    ),
    Mutation(
        "unfinished JSON value at the end of what was read taken for a wrong one",
        "events/bodies/values.py",
        "if ahead >= _LONGEST_TOKEN or ",
        "if ahead >= 0 or ",
        ("events/test_json_objects.py",),
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
        "gap taken as loss at once",
        "lake/watermark.py",
        "State.UNOBSERVED if unwatched else State.GAP, at)\n            (closed if unwatched else opened).append(hole)",
        "State.UNOBSERVED, at)\n            closed.append(hole)",
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
        "part named by the run instead of the plan",
        "lake/parts.py",
        "        self._commit = commit\n",
        "        self._commit = commit * 10**6 + id(self) // 64 % 10**6\n",
        ("lake/test_parts.py",),
    ),
    Mutation(
        "a log that waits for its key is given up",
        "load/normalize.py",
        "State.AWAITING_KEY, reason=",
        "State.QUARANTINED, reason=",
        ("load/test_load.py::TestBadLogs",),
    ),
    Mutation(
        "a zombie does not look whether its plan was committed",
        "load/normalize.py",
        "    if ledger.committed(plan.commit) and batch in ledger.commit(plan.commit).failed_batches:\n",
        "    if False:\n",
        ("load/test_load.py::TestZombies",),
    ),
    Mutation(
        "parts are written without a note of it",
        "load/normalize.py",
        "    may_write = ledger.create_intent(plan.commit, batch, paths, outcome=outcome)\n",
        "    may_write = True\n",
        ("load/test_load.py::TestCrash",),
    ),
    Mutation(
        "attempts of one batch that come to different outcomes write over each other",
        "load/normalize.py",
        "    if not may_write:\n",
        "    if False:\n",
        ("crash/test_two_attempts.py",),
    ),
    Mutation(
        "of two runs that plan at once the later one wins",
        "lake/ledger.py",
        "            self.store.create(path, _encode(plan))\n",
        "            self.store.write(path, _encode(plan))\n",
        ("lake/test_ledger.py", "load/test_load.py::TestZombies"),
    ),
    Mutation(
        "of two that commit at once the later one wins",
        "lake/ledger.py",
        "            self.store.create(self.layout.commit(commit.commit), _encode(commit))\n",
        "            self.store.write(self.layout.commit(commit.commit), _encode(commit))\n",
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
        "a replay writes new parts beside the old ones",
        "load/normalize.py",
        "home = plan.homes.get(batch, Home(plan.commit, batch))",
        "home = Home(plan.commit, batch)",
        ("load/test_replay.py::TestAfterAParserChange",),
    ),
    Mutation(
        "what is delivered is taken while it is being written",
        "delivery/folder.py",
        "for modified, item in found if modified <= latest and self._is_log(item)",
        "for modified, item in found if self._is_log(item)",
        ("delivery/test_delivered_loads.py::test_placeholders_and_the_test_of_the_console_are_passed_over",),
    ),
    Mutation(
        "what was written anew after the listing is taken for what was listed",
        "delivery/folder.py",
        "        if now != item:\n",
        "        if not now:\n",
        ("delivery/test_delivered_loads.py::test_an_object_written_anew_before_it_is_cleared_away_stays",),
    ),
    Mutation(
        "who catalogs at the same time writes over the other's numbers",
        "lake/arrivals.py",
        "                self._store.create(self._layout.arrivals(page.first), msgspec.json.encode(page))\n",
        "                self._store.write(self._layout.arrivals(page.first), msgspec.json.encode(page))\n",
        ("delivery/test_arrivals.py::test_of_two_who_catalog_at_once_both_see_the_same_numbers",),
    ),
    Mutation(
        "what waits for its key is deleted where it was delivered",
        "load/delivered.py",
        "            and not any(number in numbers for numbers in waiting)\n",
        "",
        ("delivery/test_delivered_loads.py::test_what_waits_for_its_key_is_not_cleared_away",),
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
        "a coverage page for whoever is logged in, whatever DAGs they may see",
        "plugins/web.py",
        'dependencies=[Depends(requires_access_dag(method="GET"))]',
        "dependencies=[]",
        ("plugins",),
    ),
    Mutation(
        "a list of all DAGs, for whoever is logged in",
        "plugins/web.py",
        "sorted(visible.intersection(session.scalars(tagged)))",
        "sorted(session.scalars(tagged))",
        ("plugins",),
    ),
    Mutation(
        "a page out of the lake that may run scripts in Airflow",
        "plugins/web.py",
        "default-src 'none'; ",
        "",
        ("plugins",),
    ),
    Mutation(
        "rows of a red run are named by no asset event",
        "assets.py",
        "max(told + 1, ",
        "max(commit.commit, ",
        ("dag/test_commit_operator.py::TestAssetEvent",),
    ),
    Mutation(
        "a log that never comes starts run after run",
        "triggers/event.py",
        'self.remind_interval if found["digest"] == self._digest else self.min_interval',
        "self.min_interval",
        ("dag/test_event_trigger.py::TestWatch",),
    ),
    Mutation(
        "a retried commit is counted again",
        "operators/imperva.py",
        "        if commit.committed_at == now:",
        "        if True:",
        ("dag/test_commit_operator.py::test_committing_again_counts_nothing_again",),
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
        "elif at - piece.since > window and not is_implausible(piece):",
        "elif at - piece.since > window:",
        ("lake/test_watermark.py::TestObserve",),
    ),
    Mutation(
        "every plan is urgent while logs are short of time",
        "load/plan.py",
        "critical = critical - tried if len(tried) == options.max_logs else set()",
        "critical = critical - tried",
        ("load/test_load.py::TestUrgency",),
    ),
    Mutation(
        "a W3C row over several lines is lost to quarantine",
        "events/bodies/rows.py",
        "            if rejected:\n",
        "            if False:\n",
        ("events/test_w3c_rows.py::TestSpreadRows",),
    ),
    Mutation(
        "a log that the parser fails at fails its batch",
        "load/normalize.py",
        "        except Exception as error:\n",
        "        except ZeroDivisionError as error:\n",
        ("load/test_load.py::TestBadLogs",),
    ),
]


def main() -> int:
    """Run all, and print a table."""
    began = time.monotonic()
    rotten = [mutation for mutation in MUTATIONS if mutation.places != 1]
    for mutation in rotten:
        print(f"{mutation.file} has the text of {mutation.bug!r} {mutation.places} times: bring {__file__} up to date")
    if rotten:
        return 1
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        sound = Path(folder, "sound")
        sound.mkdir()
        for name in _COPIED:
            _copy(ROOT / name, sound / name)
        tests = sorted({test for one in MUTATIONS for test in one.tests})
        if _run(sound, tests, "-n", str(os.cpu_count())) != _PASSED:
            print("The tests fail without any mutation; nothing can be told.")
            return 1
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            verdicts = list(pool.map(lambda mutation: _verdict(mutation, sound), MUTATIONS))
    table = Table("reintroduced bug", "tests", "verdict")
    for mutation, verdict in zip(MUTATIONS, verdicts, strict=True):
        table.add_row(mutation.bug, "\n".join(mutation.tests), verdict)
    Console(width=130).print(table)
    noticed = verdicts.count("red")
    print(f"{noticed} of {len(MUTATIONS)} noticed in {time.monotonic() - began:.0f} s")
    return 0 if noticed == len(MUTATIONS) else 1


def _verdict(mutation: Mutation, sound: Path) -> str:
    # With what Python and numba have compiled there: to compile the loops anew takes longer than most tests. What they
    # kept of the mutated file is older than it, and not used.
    checkout = Path(tempfile.mkdtemp(dir=sound.parent))
    shutil.copytree(sound, checkout, dirs_exist_ok=True)
    mutation.apply(checkout)
    code = _run(checkout, mutation.tests, "-x")
    shutil.rmtree(checkout)
    # Anything else than failed tests, such as code that cannot be imported, proves nothing.
    return {_FAILED: "red", _PASSED: "NOT NOTICED"}.get(code, f"NO VERDICT (pytest ended with {code})")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _run(checkout: Path, tests: Sequence[str], *options: str) -> int:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *options,
        *(f"tests/{name}" for name in tests),
    ]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
