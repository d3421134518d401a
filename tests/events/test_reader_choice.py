"""Which reader reads is decided in one place, and can be asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOW = """
import logging, sys
logging.basicConfig()
if "without" in sys.argv:
    sys.modules["airflow_provider_imperva.events.scan._kernel"] = None
from airflow_provider_imperva.events.scan import kernel
print(kernel.find_pairs.__module__.rsplit(".", 2)[-1])
"""
SLOWLY = "Logs are read without the compiled extension"


@pytest.fixture(autouse=True, scope="module")
def reader() -> None:
    """Each test starts a process that chooses by itself."""


def chosen(wanted: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "IMPERVA_READER"}
    environment |= {} if wanted is None else {"IMPERVA_READER": wanted}
    command = [sys.executable, "-c", SHOW, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("wanted", [None, ""])
def test_without_the_extension_the_plain_reader_reads_and_the_log_says_so(wanted: str | None) -> None:
    done = chosen(wanted, "without")
    assert (done.returncode, done.stdout) == (0, "pairs\n")
    assert done.stderr.count(SLOWLY) == 1


@pytest.mark.parametrize("arguments", [(), ("without",)])
def test_the_plain_reader_can_be_asked_for(arguments: tuple[str, ...]) -> None:
    done = chosen("plain", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "pairs\n", "")


@pytest.mark.parametrize("wanted", [None, "compiled"])
def test_where_the_extension_is_it_reads(wanted: str | None) -> None:
    pytest.importorskip("airflow_provider_imperva.events.scan._kernel", reason="the extension is not compiled")
    done = chosen(wanted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "_kernel\n", "")


@pytest.mark.parametrize(
    ("wanted", "message"), [("compiled", "_kernel"), ("fast", "there is no reader 'fast'. Set IMPERVA_READER")]
)
def test_what_cannot_be_had_is_an_error(wanted: str, message: str) -> None:
    done = chosen(wanted, "without")
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
