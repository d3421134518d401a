"""``imperva-logs decode`` writes exact bytes, goes on after a bad log, and needs no Airflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_imperva.testing.forge import KeyPair, forge_events, forge_log

BODY = "".join(f"{event}\n" for event in forge_events(20, seed=4)).encode()

# Any import of Airflow fails.
BLOCKED = """
import sys
class NoAirflow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow":
            raise ImportError("Airflow must not be needed here")
sys.meta_path.insert(0, NoAirflow())
from airflow_provider_imperva.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair.generate("1")


def run(*arguments: str | Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, "decode", *arguments],
        input=stdin,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | env,
    )


def test_logs_of_every_kind_come_out_byte_for_byte(pair: KeyPair, tmp_path: Path) -> None:
    pair.write(tmp_path / "keys", passphrase="pw")
    (tmp_path / "a.log").write_bytes(forge_log(BODY, key=pair))
    (tmp_path / "b.log").write_bytes(forge_log(b"\xff\x00\r\n" + BODY))
    done = run(
        *(tmp_path / "a.log", "-", tmp_path / "b.log"),
        *("--keys", tmp_path / "keys", "--passphrase-env", "SECRET"),
        stdin=forge_log(b'{"a":1}', header=False),
        SECRET="pw",
    )
    assert done.stdout == BODY + b'{"a":1}\n' + b"\xff\x00\r\n" + BODY
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_end_of_a_single_log_is_left_alone(tmp_path: Path) -> None:
    assert run("-", stdin=forge_log(b"CEF:0|x")).stdout == b"CEF:0|x"


def test_a_bad_log_is_reported_and_the_others_go_on(pair: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "cut.log").write_bytes(forge_log(BODY)[:-9])
    (tmp_path / "locked.log").write_bytes(forge_log(BODY, key=pair))
    (tmp_path / "good.log").write_bytes(forge_log(BODY))
    done = run(*(tmp_path / name for name in ("cut.log", "absent.log", "locked.log", "good.log")))
    assert done.stdout == BODY
    assert done.returncode == 1
    errors = [line for line in done.stderr.decode().splitlines() if line.startswith("imperva-logs: ")]
    assert len(errors) == 3
    assert "cut.log: the compressed body ends before its end. Fetch" in errors[0]
    assert "absent.log: No such file or directory." in errors[1]
    assert "Add the private key as 1/Private.key" in errors[2]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--keys", "absent"), "absent: cannot be read"),
        (("--passphrase-env", "HOME"), "--passphrase-env opens keys"),
        (("--keys", ".", "--passphrase-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE: is not set"),
    ],
)
def test_what_cannot_start_says_why(arguments: tuple[str, ...], found: str) -> None:
    done = run("-", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert found in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "large.log").write_bytes(forge_log(BODY * 200))
    command = [sys.executable, "-c", BLOCKED, "decode", str(tmp_path / "large.log")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_help_is_quick_to_load() -> None:
    probe = (
        "import sys, airflow_provider_imperva.cli; print([m for m in ('cryptography', 'pyarrow') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", probe]) == b"[]\n"
