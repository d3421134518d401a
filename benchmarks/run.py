"""``python -m benchmarks.run``: everything is measured in one run, on one core; the medians are what counts."""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
from rich.progress import track

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.testing.forge import KeyPair
from benchmarks.batch import Batch
from benchmarks.closure import installed
from benchmarks.corpus import FORMATS, Log, forge_corpus, forge_large_log
from benchmarks.memory import peak_of
from benchmarks.report import LIMIT, PLAIN, PYCEF, REDACTED, TEXT, WHOLE, Measure, Peak, Result, Timing, document, show
from benchmarks.seal import Seal
from benchmarks.start import Start
from benchmarks.ways import Decode, Limit, Parse, PlainParse, Pycef, Whole, Write

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    :param events: of the corpus, over so many ``logs``.
    :param runs: of each measure.
    :param starts: how often a log is normalized in a fresh process.
    :param peaks: MB of plain text of the two logs whose memory is measured.
    """

    events: int
    logs: int
    runs: int
    starts: int
    peaks: tuple[int, int]


# The smaller one is so large already that its rows do not stay in memory.
FULL = Size(events=200_000, logs=20, runs=5, starts=100, peaks=(400, 1000))
QUICK = Size(events=600, logs=2, runs=1, starts=3, peaks=(1, 2))


def main() -> None:
    """Measure, and show; a full run goes into the documentation too."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run over very little text; nothing is kept")
    size = QUICK if parser.parse_args().quick else FULL
    _stay_on_one_core()
    with tempfile.TemporaryDirectory() as folder:
        result = _measure(size, Path(folder))
    show(result)
    if size is FULL:
        document(result)


def _stay_on_one_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _measure(size: Size, folder: Path) -> Result:
    key = KeyPair.generate()
    print(f"Forging {size.events} events in {len(FORMATS)} formats", flush=True)
    corpus = forge_corpus(key, events=size.events, logs=size.logs)
    keys = KeyRing({key.public_key_id: key.private_key})
    ways = _ways(corpus, keys, folder)
    timings = _time(ways, runs=size.runs)
    sealed = _commit(corpus["CEF"], keys, folder)
    plain = ", ".join(f"{_megabytes(logs):.0f} MB as {name}" for name, logs in corpus.items())
    return Result(
        corpus=(
            f"{size.events:,} events in {size.logs} logs, compressed and encrypted: {plain}. "
            f"Medians of {size.runs}; (a) reads the first log only."
        ),
        measures=[
            Measure(name, _megabytes(logs), sum(log.events for log in logs), timings[name])
            for name, (_, logs) in ways.items()
        ],
        start=_start(key, times=size.starts),
        seal=Seal.of(sealed, folder / "anchors"),
        peaks=_peaks(size, key, folder),
        installed=installed(),
    )


_Ways = Mapping[str, tuple[Sequence[Callable[[], None]], Sequence[Log]]]


def _ways(corpus: Mapping[str, Sequence[Log]], keys: KeyRing, folder: Path) -> _Ways:
    """Return by name the steps that are timed, and the logs they go through."""
    parses = {name: [Parse.of(log, keys) for log in logs] for name, logs in corpus.items()}
    cef = corpus["CEF"]
    writes = {
        name: Write(folder / f"write-{name}", [block for step in steps for block in step.parsed()])
        for name, steps in parses.items()
    }
    return {
        "container decode (AES, inflate, MD5), CEF": ([Decode(log, keys) for log in cef], cef),
        **{TEXT.format(name): (parses[name], logs) for name, logs in corpus.items()},
        PLAIN: ([PlainParse(parse) for parse in parses["CEF"][:1]], cef[:1]),
        "Arrow to Parquet, CEF": ([writes["CEF"]], cef),
        # What is compared is timed one right after the other.
        REDACTED: ([_whole(folder / "redacted", cef, keys, redact=True)], cef),
        **{
            of_format.format(name): (steps, logs)
            for name, logs in corpus.items()
            for of_format, steps in (
                (WHOLE, [_whole(folder / name, logs, keys)]),
                (LIMIT, [Limit(logs, keys, writes[name].finished(), folder / f"limit-{name}")]),
            )
        },
        # All of it would take too long, and goes no faster.
        PYCEF: ([Pycef(cef[:1], keys, folder / "pycef.parquet")], cef[:1]),
    }


def _whole(lake: Path, logs: Sequence[Log], keys: KeyRing, *, redact: bool = False) -> Whole:
    batch = Batch(lake, [log.name for log in logs])
    batch.fetch(log.content for log in logs)
    return Whole(batch, keys, sum(log.events for log in logs), redact)


def _commit(logs: Sequence[Log], keys: KeyRing, folder: Path) -> Commit:
    """Return the commit of all logs, which is what is signed."""
    batch = Batch(folder / "committed", [log.name for log in logs])
    batch.fetch(log.content for log in logs)
    return batch.commit(keys)


def _time(ways: _Ways, *, runs: int) -> dict[str, list[Timing]]:
    """Time the steps of all ways, by turns, so that a slow second of the machine hits all formats."""
    turns = zip_longest(*([(name, step) for step in steps] for name, (steps, _) in ways.items()))
    order = [named for turn in turns for named in turn if named]
    timings: dict[str, list[Timing]] = {name: [] for name in ways}
    for run in range(runs):
        spent = dict.fromkeys(ways, Timing(clock=0, core=0))
        for name, step in track(order, f"Run {run + 1} of {runs}"):
            gc.collect()
            clock, core = time.perf_counter(), time.process_time()
            step()
            spent[name] += Timing(clock=time.perf_counter() - clock, core=time.process_time() - core)
        for name, timing in spent.items():
            timings[name].append(timing)
    return timings


def _megabytes(logs: Sequence[Log]) -> float:
    return sum(log.plain_bytes for log in logs) / _MB


def _start(key: KeyPair, *, times: int) -> Start:
    print(f"Normalizing one log of 1 MB {times} times in a fresh process", flush=True)
    with tempfile.TemporaryDirectory() as own:
        log = forge_large_log(key, megabytes=1)
        key.write(Path(own) / "keys")
        Batch(Path(own) / "lake", [log.name]).fetch([log.content])
        return Start.of(Path(own), log.name, times=times)


def _peaks(size: Size, key: KeyPair, folder: Path) -> tuple[Peak, Peak]:
    key.write(folder / "keys")
    idle = peak_of()
    small, large = (_peak(megabytes, key, folder, idle=idle) for megabytes in size.peaks)
    return small, large


def _peak(megabytes: int, key: KeyPair, folder: Path, *, idle: int) -> Peak:
    print(f"Normalizing one log of {megabytes} MB in a process of its own", flush=True)
    log = forge_large_log(key, megabytes=megabytes)
    lake = folder / f"large-{megabytes}"
    Batch(lake, [log.name]).fetch([log.content])
    return Peak(log.plain_bytes / _MB, (peak_of(lake, folder / "keys", log.name) - idle) / _MB)


if __name__ == "__main__":
    main()
