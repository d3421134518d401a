"""A column for any key of the CEF dictionary takes one line in the table of columns, as CONTRIBUTING.md says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_imperva.events.schema.columns import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "airflow_provider_imperva"
TABLE = "events/schema/columns.py"

_KEYS = """
act agentDnsDomain agentNtDomain agentTranslatedAddress agentTranslatedZoneExternalID agentTranslatedZoneURI
agentZoneExternalID agentZoneURI agt ahost aid amac app art at atz av c6a1 c6a2 c6a3 c6a4 cat cfp1 cfp2 cfp3 cfp4 cn1
cn2 cn3 cnt customerExternalID customerURI destinationDnsDomain destinationServiceName destinationTranslatedAddress
destinationTranslatedPort destinationTranslatedZoneExternalID destinationTranslatedZoneURI destinationZoneExternalID
destinationZoneURI deviceCustomDate1 deviceCustomDate2 deviceDirection deviceDnsDomain deviceExternalId deviceFacility
deviceInboundInterface deviceNtDomain deviceOutboundInterface devicePayloadId deviceProcessName
deviceTranslatedAddress deviceTranslatedZoneExternalID deviceTranslatedZoneURI deviceZoneExternalID deviceZoneURI
dhost dlat dlong dmac dntdom dpid dpriv dproc dpt dst dtz duid duser dvc dvchost dvcmac dvcpid end eventId externalId
fileCreateTime fileHash fileId fileModificationTime filePath filePermission fileType flexDate1 flexNumber1 flexNumber2
flexString1 flexString2 fname fsize in msg oldFileCreateTime oldFileHash oldFileId oldFileModificationTime oldFileName
oldFilePath oldFilePermission oldFileSize oldFileType out outcome proto rawEvent reason request
requestClientApplication requestContext requestCookies requestMethod rt shost slat slong smac sntdom sourceDnsDomain
sourceServiceName sourceTranslatedAddress sourceTranslatedPort sourceTranslatedZoneExternalID sourceTranslatedZoneURI
sourceZoneExternalID sourceZoneURI spid spriv sproc spt src start suid suser type
"""
DICTIONARY = _KEYS.split()
"""Keys that ArcSight's CEF standard defines for producers and consumers, labels aside."""

NEW = [key for key in DICTIONARY if key not in {column.cef for column in COLUMNS}]
LONGEST = "k" * 62 + "x", "k" * 62 + "y"
"""As long as a key can be, and of the same first 62 bytes."""

READ = """
import json, sys
from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.events.bodies import keyed
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
body, careful = sys.stdin.buffer.read(), "careful" in sys.argv
if careful:
    import numpy as np
    from airflow_provider_imperva.events.bodies import text_block
    none = lambda lines: (TextColumns.of([], format_name="CEF", lines=[], raw=None), np.zeros(len(lines), np.bool_))
    keyed.read_lines = lambda lines, scan, *more, **named: text_block.read_lines(lines, none, *more, **named)
(block,) = parse([body], LogSource(file="8416_1.log", fetched_time=1_795_300_000_000))
print(json.dumps(block.events.to_pylist(), default=str))
"""


@pytest.fixture(autouse=True, scope="module")
def reader() -> None:
    """Each test starts processes that choose a reader by themselves."""


def column_of(key: str) -> str:
    return "new_" + re.sub(r"(?=[A-Z])", "_", key).lower()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in which the table has a line more for each key."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    table = folder / PACKAGE.name / TABLE
    lines = "".join(
        f'    Column("{column_of(key)}", TEXT, "text", "{key}", meaning="x"),\n' for key in (*NEW, *LONGEST)
    )
    text = table.read_text()
    marker = '    Column("extra", EXTRA, "row"'
    assert text.count(marker) == 1
    table.write_text(text.replace(marker, lines + marker))
    return folder


def read(package: Path, body: str, *arguments: str, reader: str) -> list[dict[str, object]]:
    environment = os.environ | {"PYTHONPATH": str(package), "IMPERVA_READER": reader}
    command = [sys.executable, "-c", READ, *arguments]
    done = subprocess.run(command, input=body.encode(), env=environment, cwd=package, capture_output=True, check=True)
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


HEADER = "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|"
WAF = "fileId=7 deviceExternalId=9 src=192.0.2.1 act=REQ_PASSED start=1767225600000"


@pytest.mark.slow
def test_any_key_of_the_dictionary_can_have_a_column(package: Path) -> None:
    """Both implementations of the kernel and the careful reader find each in its column, and nowhere else."""
    pytest.importorskip("airflow_provider_imperva.events.scan._kernel", reason="the extension is not compiled")
    assert len(NEW) > len(DICTIONARY) // 2, "the keys that have a column already are few"
    texts = {key: f"text of {key}" for key in (*NEW, *LONGEST)}
    body = f"{HEADER} {WAF} " + " ".join(f"{key}={text}" for key, text in texts.items()) + "\n"
    (compiled,) = read(package, body, reader="compiled")
    assert {key: compiled[column_of(key)] for key in texts} == texts
    assert compiled["site_name"] is None
    assert read(package, body, reader="plain") == [compiled]
    assert read(package, body, "careful", reader="plain") == [compiled]


@pytest.mark.slow
def test_keys_that_differ_in_their_last_letter_are_told_apart(package: Path) -> None:
    """Neither the first nor the last of their bytes alone tell which they are."""
    pytest.importorskip("airflow_provider_imperva.events.scan._kernel", reason="the extension is not compiled")
    one, other = LONGEST
    body = "".join(f"{HEADER} {WAF} {pair}\n" for pair in (f"{one}=1", f"{other}=2", f"{one}z=3", f"{one[:-1]}z=4"))
    compiled = read(package, body, reader="compiled")
    assert [(row[column_of(one)], row[column_of(other)]) for row in compiled[:2]] == [("1", None), (None, "2")]
    assert [(row[column_of(one)], row[column_of(other)]) for row in compiled[2:]] == [(None, None)] * 2
    assert read(package, body, reader="plain") == compiled
    assert read(package, body, "careful", reader="plain") == compiled
