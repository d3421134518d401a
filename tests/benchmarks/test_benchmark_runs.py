"""The benchmark still runs, over text that still is what it says: whoever wants figures gets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_imperva.container import KeyRing, decode
from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.testing.forge import KeyPair

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
MEASURES = (
    "container decode (AES, inflate, MD5), CEF",
    "text to Arrow, CEF",
    "text to Arrow, LEEF",
    "text to Arrow, W3C",
    "text to Arrow without the extension, CEF",
    "Arrow to Parquet, CEF",
    "container to Parquet, CEF",
    "container to Parquet, LEEF",
    "container to Parquet, W3C",
    "container to Parquet, secrets redacted, CEF",
    "(a) pycef, pyarrow, zlib: container to Parquet, CEF",
    "(b) the limit: no parsing at all, CEF",
)

pytest.importorskip("pycef", reason="make installs it")


@pytest.mark.slow
def test_a_quick_run_measures_everything_and_leaves_the_documentation_alone() -> None:
    before = DOCUMENT.read_bytes()
    command = [sys.executable, "-m", "benchmarks.run", "--quick"]
    env = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in MEASURES:
        assert re.search(rf"│ {re.escape(name)} +│ +\d+ │ +\d+ │ +\d+\.\d │ +\d+\.\d\d │", done.stdout), name
    for name in ("text to Arrow", "container to Parquet", "(b) the limit: no parsing at all"):
        assert re.search(rf"│ {re.escape(name)} +" + r"│ +\d+\.\d\d " * 4 + "│", done.stdout), name
    for name in (
        "text to Arrow, LEEF",
        "text to Arrow, W3C",
        "container to Parquet, LEEF",
        "container to Parquet, W3C",
    ):
        assert re.search(rf"│ {name}: no slower than CEF per MB +│ +\d+\.\d\d │ +(met|missed)", done.stdout), name
    for target in (
        "container to Parquet, CEF: 14 times (a)",
        *(
            f"container to Parquet, {name}: 0.{share} of its (b)"
            for name in ("CEF", "LEEF", "W3C")
            for share in (50, 60)
        ),
        "text to Arrow without the extension, CEF: at least 15 MB/s",
        "a fresh process: at most 1.5 CPU seconds more than time 3",
        "signing and anchoring a commit: under 50 ms",
        "the larger log: under 350 MB above idle",
    ):
        assert re.search(rf"│ {re.escape(target)} +│ +\d+(\.\d+)? │ +(met|missed)", done.stdout), target
    assert re.search(r"│ pyarrow +│ +\d+ │", done.stdout)
    assert re.search(r"│ all \d+ distributions +│ +\d+ │", done.stdout)
    redaction = r"redaction: at most 10 % of container to Parquet, secrets redacted, CEF"
    assert re.search(redaction + r" +│ +-?\d+\.\d % │ +(met|missed)", done.stdout)
    assert DOCUMENT.read_bytes() == before


@pytest.mark.slow
def test_forwarding_is_measured_for_each_way() -> None:
    ways = (
        "syslog over TLS, as received",
        "HEC with gzip, as received",
        "HEC with gzip, JSON",
        "bulk with gzip, ECS",
    )
    asked = [f"--way={way}" for way in ways]
    command = [sys.executable, "-m", "benchmarks.forwarding", "--events", "100", "--rounds", "1", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for way in ways:
        assert re.search(rf"^\| {re.escape(way)} \| [\d,]+ \|$", done.stdout, re.MULTILINE), way


@pytest.mark.slow
def test_the_export_to_ocsf_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.ocsf", "--events", "200", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for way in ("OCSF 1.8", "OCSF 1.1, Security Lake"):
        assert re.search(rf"^\| {re.escape(way)} \| [\d,]+ \| [\d.]+ \|$", done.stdout, re.MULTILINE), way


_SMALL_LAKE = ("--commits", "4", "--rows", "50", "--days", "1", "--events", "600")


@pytest.mark.slow
def test_compaction_is_measured_before_and_after() -> None:
    command = [sys.executable, "-m", "benchmarks.compaction", *_SMALL_LAKE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\| files \| 8 \| 2 \| \|$", done.stdout, re.MULTILINE)
    for row in ("top clients of one hour, of all files", "count of all rows"):
        assert re.search(rf"^\| {row} \| [\d.]+ \| [\d.]+ \| \d+ \|$", done.stdout, re.MULTILINE), row
    assert re.search(r"^Merging took \d+ CPU seconds, and [1-9]\d+ MB of memory at most\.$", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_an_erasure_is_measured_in_a_third_of_the_days_and_in_all() -> None:
    command = [sys.executable, "-m", "benchmarks.erasure", "--commits", "6", "--days", "3", "--rows", "60"]
    done = subprocess.run([*command, "--events", "500"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for row in (r"1 \| 120 \| 2", r"3 \| 360 \| 6"):
        assert re.search(rf"^\| {row} \| [1-9]\d* \| [\d.]+ \| [\d.]+ \| \d+ \|$", done.stdout, re.MULTILINE), row


@pytest.mark.slow
def test_publishing_is_measured_for_each_kind_of_table() -> None:
    command = [sys.executable, "-m", "benchmarks.publishing", "--commits", "1", "--measured", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("delta", "iceberg"):
        assert re.search(rf"^\| {kind} \| 1 \| [1-9]\d* \| [1-9]\d* \|$", done.stdout, re.MULTILINE), kind


def test_the_corpus_is_realistic_and_the_same_events_in_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.corpus import forge_corpus

    key = KeyPair.generate(bits=1024)
    keys = KeyRing({key.public_key_id: key.private_key})
    corpus = forge_corpus(key, events=2000, logs=2)
    lines = {
        name: [line for log in logs for line in decode(log.content, log=log.name, keys=keys).body.decode().splitlines()]
        for name, logs in corpus.items()
    }
    assert [log.plain_bytes for log in corpus["CEF"]] == [
        sum(len(line.encode()) + 1 for line in lines["CEF"][half : half + 1000]) for half in (0, 1000)
    ]
    keys_per_event = sum(len(re.findall(r" \w+=", line)) for line in lines["CEF"]) / 2000
    assert 40 < keys_per_event < 60
    assert 0.05 < sum("|Normal|" not in line for line in lines["CEF"]) / 2000 < 0.15
    assert sum("\\=" in line for line in lines["CEF"]) > 1000
    rows = [line for line in lines["W3C"] if not line.startswith("#")]
    assert len(lines["CEF"]) == len(lines["LEEF"]) == len(rows) == 2000
    for cef, leef, w3c in zip(lines["CEF"], lines["LEEF"], rows, strict=True):
        request = re.search(r" deviceExternalId=(\d+)", cef)
        assert request
        assert f"\tdeviceExternalId={request[1]}\t" in leef
        assert f' "{request[1]}" ' in w3c


def test_headers_are_left_out_of_the_corpus_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.corpus import forge_corpus

    key = KeyPair.generate(bits=1024)
    keys = KeyRing({key.public_key_id: key.private_key})
    rows = {}
    for header_lists in (True, False):
        (log,) = forge_corpus(key, events=200, logs=1, header_lists=header_lists)["CEF"]
        body = decode(log.content, log=log.name, keys=keys).body
        rows[header_lists] = [
            row for block in parse([body], LogSource(file=log.name)) for row in block.events.to_pylist()
        ]
    lists = ("additional_request_headers", "additional_response_headers")
    assert all(row[name] for row in rows[True] for name in lists)
    assert rows[False] == [row | dict.fromkeys(lists) for row in rows[True]]
