"""What is distributed: the wheel and the source distribution."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import airflow_provider_imperva
from airflow_provider_imperva.testing import KeyPair, forge_log
from tests.once import made_once

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "airflow_provider_imperva"
NAME = "airflow-provider-imperva"
KERNEL = "airflow_provider_imperva/events/scan/_kernel.abi3.so"
VERSION = airflow_provider_imperva.__version__


@pytest.fixture(scope="module")
def dist(shared_folder: Path) -> Path:
    """A folder with both distributions: the one that DIST names, or one built now, the wheel out of the sdist."""
    if named := os.environ.get("DIST"):
        return ROOT / named

    def build(folder: Path) -> None:
        run("-m", "build", "--no-isolation", "--outdir", folder, copy_to(folder / "source"))

    return made_once(shared_folder, "dist", build)


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path, shared_folder: Path) -> Path:
    """A folder with the wheel installed in it, and nothing else."""

    def install(folder: Path) -> None:
        run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", folder, wheel)

    return made_once(shared_folder, "site", install)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Tests, demo and caches stay at home; no module is forgotten, nor the marker that says the types may be used."""
    ours = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    ours = {name for name in ours if "__pycache__" not in name and not name.endswith(".so")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held - {KERNEL} == ours
    assert "airflow_provider_imperva/py.typed" in held


@pytest.mark.slow
def test_the_wheel_serves_every_python_from_the_lowest_on(wheel: Path) -> None:
    """The kernel is compiled, against the limited API of the first Python that is supported."""
    assert re.search(r"-cp311-abi3-[a-z0-9_.]+\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        assert KERNEL in archive.namelist()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_kernel_in_the_wheel_runs_on(version: str, site: Path) -> None:
    """It needs no package, only a Python, so that each can be tried that is installed here."""
    installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
    candidates = [f"python{version}", *map(str, installed)]
    python = next((found for found in candidates if shutil.which(found) and _runs(found)), None)
    if python is None:
        pytest.skip(f"no Python {version} is installed here")
    done = subprocess.run(
        [python, ROOT / ".ci" / "wheel.py"],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{site / KERNEL} works\n", done.stderr


def _runs(python: str) -> bool:
    """Whether it is more than pyenv's stand-in for a Python that was not chosen."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


PARSED = """
import logging
logging.basicConfig(format="%(levelname)s %(name)s")
from airflow_provider_imperva.events import LogSource, parse
line = b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=7 src=192.0.2.1 start=1767225600000\\n"
for _ in range(2):
    print([block.events["client_ip"].to_pylist() for block in parse([line], LogSource(file="8416_1.log"))])
"""


@pytest.mark.slow
def test_without_a_compiler_it_installs_and_says_once_that_it_reads_slowly(tmp_path: Path) -> None:
    """As `pip install` of the source does, where the compiler fails as one that is not there."""
    source, site = copy_to(tmp_path / "source"), tmp_path / "site"
    options: list[str | Path] = [
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--no-compile",
        "--target",
        site,
    ]
    run("-m", "pip", "install", *options, source, env={"CC": "/bin/false", "LDSHARED": "/bin/false"})
    assert not [*site.rglob("*.so")]
    assert not (source / "build").exists(), "the next wheel would hold what an older version left there"
    done = subprocess.run(
        [sys.executable, "-c", PARSED],
        env=os.environ | {"PYTHONPATH": str(site), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[['192.0.2.1']]\n" * 2
    assert done.stderr == "WARNING airflow_provider_imperva.events.scan.kernel\n"


@pytest.mark.slow
def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Version from the code, licence with its text."""
    with zipfile.ZipFile(wheel) as archive:
        info = f"airflow_provider_imperva-{VERSION}.dist-info"
        metadata: Message = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        licence = archive.read(f"{info}/licenses/LICENSE")
    assert (metadata["Name"], metadata["Version"]) == (NAME, VERSION)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()


@pytest.mark.slow
def test_the_sdist_can_be_worked_with(dist: Path) -> None:
    """Whoever unpacks it can run the tests: all that `make test` reads is there, and nothing that runs left behind."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held >= {"Makefile", "pyproject.toml", "requirements/run.txt", "README.md", "LICENSE"}
    assert held >= {"setup.py", "MANIFEST.in", "kernel/kernel.h", "kernel/module.c", "docs/index.md"}
    assert held >= {".ci/run", ".ci/install", "tests/test_package.py"}
    assert not [name for name in held if name.startswith((".venv", ".git/", "dist", "lake", "logs"))]


@pytest.mark.slow
def test_the_installed_wheel_can_be_used(site: Path, tmp_path: Path) -> None:
    """All entry points lead somewhere, and the version is the same from inside and outside."""
    program = f"""
import importlib.metadata, json
import airflow_provider_imperva as package

installed = importlib.metadata.distribution("{NAME}")
loaded = {{point.name: point.load() for point in installed.entry_points}}
print(json.dumps([
    package.__file__, installed.version, package.__version__,
    loaded["provider_info"]()["package-name"], callable(loaded["imperva-logs"]), loaded["imperva"].name,
]))
"""
    file, *rest = json.loads(run("-c", program, site=site, cwd=tmp_path))
    assert Path(file).is_relative_to(site)
    assert rest == [VERSION, VERSION, NAME, True, "imperva"]


@pytest.mark.airflow
@pytest.mark.slow
def test_airflow_lists_the_provider(site: Path, tmp_path: Path) -> None:
    """Installing the wheel is all it takes."""
    printed = run("-m", "airflow", "providers", "list", "--output", "json", site=site, cwd=tmp_path)
    providers = json.loads(printed[printed.index("[{") :])
    assert [found["version"] for found in providers if found["package_name"] == NAME] == [VERSION]


@pytest.mark.slow
def test_decode_works_where_airflow_is_not_installed(site: Path, tmp_path: Path) -> None:
    """A Python that has the wheel and the libraries decoding needs, and nothing else."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser", "isal"):
        if found := importlib.util.find_spec(name):
            origin = Path(str(found.origin))
            source = origin.parent if origin.name == "__init__.py" else origin
            (libraries / source.name).symlink_to(source)
    log = tmp_path / "8416_1.log"
    key = KeyPair.generate("7")
    key.write(tmp_path / "keys")
    log.write_bytes(forge_log(b"CEF:0|one\nCEF:0|two\n", key=key))
    program = (
        "import sys; from importlib.util import find_spec; assert find_spec('airflow') is None;"
        "from airflow_provider_imperva.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-S", "-c", program, "decode", str(log), "--keys", str(tmp_path / "keys")]
    done = subprocess.run(
        command, capture_output=True, env={"PYTHONPATH": f"{site}{os.pathsep}{libraries}"}, check=False
    )
    assert (done.stdout, done.returncode) == (b"CEF:0|one\nCEF:0|two\n", 0), done.stderr.decode()


AS_ANOTHER_USER = """
import json, os, sys
from pathlib import Path

prepared, place = Path(sys.argv[1]), Path(sys.argv[2])
written, compiled = [], []

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(arguments[0])
    elif event == "compile" and isinstance(arguments[1], str):
        compiled.append(arguments[1])

sys.addaudithook(note)
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account

with FakeRepository() as repository:
    account = Account(repository, place / "lake")
    account.serve(1, 2)
    rows = account.run_some().totals.rows
modules = [module for name, module in sys.modules.items() if name.startswith("airflow_provider_imperva")]
print(json.dumps({
    "user": os.getuid(),
    "rows": rows,
    "from elsewhere": [module.__file__ for module in modules if not Path(module.__file__).is_relative_to(prepared)],
    "extension": "airflow_provider_imperva.events.scan._kernel" in sys.modules,
    "compiled": [name for name in compiled if Path(name).is_relative_to(prepared)],
    "written": [name for name in written if not Path(name).is_relative_to(place) and name != os.devnull],
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user; .ci/run is root")
@pytest.mark.parametrize("prepared", [True, False], ids=["as the image does", "without compiling"])
def test_another_user_finds_all_prepared_and_writes_nothing_beside_the_lake(
    wheel: Path, tmp_path: Path, prepared: bool
) -> None:
    """In the image root installs, and somebody else runs. The second case shows that the count can be other than 0."""
    site, place = tmp_path / "site", tmp_path / "place"
    options = ["--quiet", "--no-deps", "--no-index", *([] if prepared else ["--no-compile"])]
    run("-m", "pip", "install", *options, "--target", site, wheel)
    run("-m", "compileall", "-q", ROOT / "tests")
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    # May read everything, since a Python may be in a home that is closed to others; may write only what is its own.
    privileges = [f"--{kind}-caps=-all,+dac_read_search" for kind in ("inh", "ambient")]
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *privileges]
    done = subprocess.run(
        [*user, "--bounding-set=-all,+dac_read_search", sys.executable, "-c", AS_ANOTHER_USER, site, place],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            "HOME": "/nonexistent",
            "TMPDIR": str(place),
        },
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    compiled, written = told.pop("compiled"), told.pop("written")
    assert told == {"user": 65534, "rows": 10, "from elsewhere": [], "extension": True}
    assert bool(compiled) is not prepared
    # What else is in this Python's own folder was compiled or not by whoever installed it.
    own = [name for name in written if not ("__pycache__" in name and (not prepared or name.startswith(sys.prefix)))]
    assert own == []


def test_the_changelog_knows_this_version() -> None:
    """Either released under its number, or in the making."""
    assert re.search(rf"^## .*\b{re.escape(VERSION)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def copy_to(folder: Path) -> Path:
    """Copy the sources, without what git ignores: setuptools writes beside them, and tests run side by side."""
    lines = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line[:1] not in ("", "#")]
    anywhere = shutil.ignore_patterns(".git", *(line for line in lines if line[0] != "/"))
    at_the_top = shutil.ignore_patterns(*(line[1:] for line in lines if line[0] == "/"))

    def ignored(parent: str, names: list[str]) -> set[str]:
        return anywhere(parent, names) | (at_the_top(parent, names) if Path(parent) == ROOT else set())

    return Path(shutil.copytree(ROOT, folder, ignore=ignored))


def run(
    *arguments: str | Path, site: Path | None = None, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run Python, with the wheel in `site` before whatever else is installed, in an Airflow home of its own."""
    env = os.environ | (env or {})
    if site and cwd:
        env |= {"PYTHONPATH": str(site), "AIRFLOW_HOME": str(cwd), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(command[1:3])}:\n{done.stdout}{done.stderr}"
    return done.stdout
