"""``python -m benchmarks.ocsf``: how many rows a second of one core are exported to OCSF, from parts to files."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.ocsf.export import OcsfExport
from airflow_provider_imperva.ocsf.options import OcsfOptions
from airflow_provider_imperva.testing.forge import KeyPair
from benchmarks.batch import Batch
from benchmarks.corpus import forge_corpus

_SECURITY_LAKE = OcsfOptions(layout="security_lake", region="eu-central-1", account="123456789012")
_WAYS = {"OCSF 1.8": OcsfOptions(), "OCSF 1.1, Security Lake": _SECURITY_LAKE}


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.ocsf", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="of the corpus")
    parser.add_argument("--rounds", type=int, default=5, help="how often it is exported; the median counts")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = _fill(folder, events=options.events)
        size = sum(part.size for part in ledger.commit(1).parts)
        print("| | rows a second of the core | bytes for each of the lake's parts |")
        print("| --- | --: | --: |")
        for way, wanted in _WAYS.items():
            seconds, written = zip(
                *(_export(ledger, folder / f"{way}-{place}", wanted) for place in range(options.rounds)), strict=True
            )
            print(f"| {way} | {options.events / median(seconds):,.0f} | {written[0] / size:.2f} |", flush=True)


def _fill(folder: Path, *, events: int) -> Ledger:
    pair = KeyPair.generate()
    logs = forge_corpus(pair, events=events, logs=max(1, events // 10_000))["CEF"]
    batch = Batch(folder / "lake", [log.name for log in logs])
    batch.fetch(log.content for log in logs)
    batch.commit(KeyRing({pair.public_key_id: pair.private_key}))
    return batch.ledger


def _export(ledger: Ledger, target: Path, options: OcsfOptions) -> tuple[float, int]:
    export = OcsfExport(
        ledger=ledger,
        target=open_store(str(target)),
        options=options,
        run=Run("benchmark", target.name),
        name=target.name.lower().replace(" ", "-").replace(".", "-").replace(",", ""),
    )
    export.begin()
    began = time.process_time()
    (outcome,) = export.export(export.pending())
    return time.process_time() - began, sum(file.size for file in outcome.files)


if __name__ == "__main__":
    main()
