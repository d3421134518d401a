"""The URI of a lake: one form for all spellings, and a refusal in words of whatever is not an absolute address."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.uri import LakeUri, check_lake_uri


@pytest.mark.parametrize(
    ("given", "shown", "opened"),
    [
        ("/srv/lake", "file:///srv/lake", "/srv/lake"),
        ("/srv/lake/", "file:///srv/lake", "/srv/lake"),
        ("//srv//lake", "file:///srv/lake", "/srv/lake"),
        ("file:///srv/lake//", "file:///srv/lake", "/srv/lake"),
        ("FILE:///srv/lake", "file:///srv/lake", "/srv/lake"),
        ("local:///srv/lake", "file:///srv/lake", "/srv/lake"),
        ("file:///a%20b", "file:///a%20b", "/a b"),
        ("file:///a b", "file:///a%20b", "/a b"),
        ("/a b", "file:///a%20b", "/a b"),
        ("/a%20b", "file:///a%2520b", "/a%20b"),
        ("file:///l%C3%A4ke", "file:///l%C3%A4ke", "/läke"),
        ("/", "file:///", "/"),
        ("s3://bucket", "s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket", "s3://bucket"),
        ("S3A://bucket/lake/", "s3://bucket/lake", "s3://bucket/lake"),
        ("s3n://bucket/a%20b/~x", "s3://bucket/a%20b/~x", "s3://bucket/a%20b/~x"),
        ("gs://bucket/lake", "gs://bucket/lake", "gs://bucket/lake"),
        ("abfss://logs@account.dfs.core.windows.net/x", *["abfss://logs@account.dfs.core.windows.net/x"] * 2),
        ("memory://top/lake", "memory://top/lake", "memory://top/lake"),
    ],
)
def test_all_spellings_have_one_form(given: str, shown: str, opened: str) -> None:
    uri = LakeUri.parse(given)
    assert (str(uri), uri.address) == (shown, opened)


REFUSED = [
    ("", "it is empty"),
    ("  ", "it is empty"),
    (" /srv/lake", "blanks around it"),
    ("s3://bucket/lake ", "blanks around it"),
    ("/srv/la\nke", "line ends"),
    ("lake", "'lake' is relative"),
    ("./lake", "is relative"),
    ("bucket/lake", "is relative"),
    ("file:lake", "is relative"),
    ("$HOME/lake", "holds a variable or '~'"),
    ("${HOME}/lake", "holds a variable or '~'"),
    ("file:///$LAKE", "holds a variable or '~'"),
    ("s3://$BUCKET/lake", "holds a variable or '~'"),
    ("~/lake", "holds a variable or '~'"),
    ("/~/lake", "holds a variable or '~'"),
    ("file:///%7E/lake", "holds a variable or '~'"),
    ("file://localhost/srv/lake", "read as the name of a machine"),
    ("file://srv/lake", "read as the name of a machine"),
    ("file:///srv/x#y", "holds '?' or '#'"),
    ("/srv/x?y", "holds '?' or '#'"),
    ("s3://bucket/x#y", "holds '?' or '#'"),
    ("s3://bucket/x?versionId=1", "holds '?' or '#'"),
    ("s3://", "names no bucket"),
    ("s3:///lake", "names no bucket"),
    ("s3://bucket//lake", "doubled slashes or dots"),
    ("s3://bucket/a/../lake", "doubled slashes or dots"),
    ("s3://bucket/./lake", "doubled slashes or dots"),
    ("s3://AKIAHIDDEN:SECRET@bucket/lake", "holds a user, a key or a password"),
    ("s3://AKIAHIDDEN@bucket/lake", "holds a user, a key or a password"),
    ("abfss://logs:SECRET@account.dfs.core.windows.net/x", "holds a user, a key or a password"),
    ("sftp://root@HIDDEN/lake", "holds a user, a key or a password"),
    ("file://HIDDEN@host/lake", "holds a user, a key or a password"),
    ("simplecache::s3://key:SECRET@bucket/lake", "does not begin with a single protocol"),
    ("key:SECRET@bucket/lake", "it is relative"),
    ("{{ var.value.lake }}", "it is a template"),
]


@pytest.mark.parametrize(("given", "found"), REFUSED)
def test_whatever_is_not_an_absolute_address_is_refused(given: str, found: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(found)) as caught:
        LakeUri.parse(given)
    assert "the lake's URI cannot be used" in str(caught.value)
    assert "HIDDEN" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_key_in_its_place_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        LakeUri.parse("-----BEGIN RSA PRIVATE KEY----- MIIEpAIBAAK")
    assert "MIIE" not in str(caught.value)


@pytest.mark.parametrize("given", [None, "", "lake", Path("/srv/lake")])
def test_a_task_is_refused_while_its_dag_is_parsed(given: object) -> None:
    with pytest.raises(ConfigurationError):
        check_lake_uri(given)


def test_what_only_a_run_can_tell_is_looked_at_then() -> None:
    check_lake_uri("{{ var.value.lake }}")
    check_lake_uri(object())


@example("/.")
@example("/a/./b/.")
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).map(lambda text: f"/{text.strip('/')}"))
def test_the_uri_of_a_folder_leads_back_to_it(path: str) -> None:
    """Which :meth:`pathlib.Path.as_uri` writes, also of a name with percent signs, blanks or umlauts."""
    try:
        uri = LakeUri.parse(path)
    except ConfigurationError:
        return
    assert LakeUri.parse(str(uri)) == uri
    assert LakeUri.parse(Path(uri.path).as_uri()) == uri


def test_a_blank_in_a_folders_name_is_a_blank_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    open_store(folder.as_uri()).write("x", b"1")
    assert (folder / "x").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_at_a_shell_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert LakeUri.of_shell("lake").path == f"{tmp_path}/lake"
    assert str(LakeUri.of_shell("s3://bucket/lake")) == "s3://bucket/lake"
    for wrong in ("", " lake", "~/lake", "$HOME/lake", "file://srv/lake", "s3://k:s@bucket/x"):
        with pytest.raises(ConfigurationError):
            LakeUri.of_shell(wrong)


@pytest.mark.parametrize("command", [["verify"], ["coverage"], ["deliveries"]])
def test_the_command_line_refuses_in_the_same_words(command: list[str]) -> None:
    extra = ["one", "two"] if command == ["deliveries"] else []
    program = [sys.executable, "-m", "airflow_provider_imperva.cli", *command, "s3://AKIA:HIDDEN@bucket/x", *extra]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds a user, a key or a password" in done.stderr
    assert "HIDDEN" not in done.stderr
