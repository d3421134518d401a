"""A lake on S3 keeps the same rules as one on a disk: on SeaweedFS, a real server, and on moto behind a front."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
import tracemalloc
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import fsspec
import pytest

from airflow_provider_imperva.clock import wall_clock
from airflow_provider_imperva.errors import LakeError, ObjectExistsError
from airflow_provider_imperva.lake.bucket import S3Store
from airflow_provider_imperva.lake.store import Store, open_store
from tests.crash.object_server import BUCKET, KEY, READER, SESSION, WITHOUT_TLS
from tests.lake import test_store
from tests.lake.s3_front import Front, Refusal

MB = 1 << 20


def seaweedfs_filesystem(url: str, *, key: str = KEY, **options: Any) -> fsspec.AbstractFileSystem:
    settings: dict[str, Any] = {
        "client_kwargs": WITHOUT_TLS,
        "key": key,
        "secret": key,
        "endpoint_url": url,
        "session": SESSION,
    }
    return fsspec.filesystem("s3", skip_instance_cache=True, **settings | options)


@pytest.fixture(params=["seaweedfs", "moto"])
def fs(request: pytest.FixtureRequest) -> fsspec.AbstractFileSystem:
    if request.param == "moto":
        return request.getfixturevalue("front").filesystem()
    return seaweedfs_filesystem(request.getfixturevalue("s3_url"))


@pytest.fixture
def root() -> str:
    return f"{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def store(fs: fsspec.AbstractFileSystem, root: str) -> Store:
    return open_store(f"s3://{root}", fs=fs)


class TestAnyS3(test_store.TestAnyStore):
    """All that holds for any store, and what is S3's own."""

    @pytest.mark.parametrize("content", test_store.CONTENTS, ids=["small", "5 MB"])
    def test_of_eight_threads_that_create_exactly_one_wins(self, store: Store, content: bytes) -> None:
        test_store.create_at_once(store, content)

    def test_what_another_process_writes_is_seen_at_once(
        self, store: Store, fs: fsspec.AbstractFileSystem, root: str
    ) -> None:
        """It has a filesystem of its own, so nothing it does reaches the listings that this one may remember."""
        of_another = type(fs)(**fs.storage_options, skip_instance_cache=True)
        other = open_store(f"s3://{root}", fs=of_another)
        store.write("a/1", b"")
        assert len(store.objects("a")) == 1
        other.write("a/2", b"")
        assert len(store.objects("a")) == 2
        other.delete(["a/1"])
        assert not store.exists("a/1")

    def test_thirty_read_side_by_side(self, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        """By itself botocore opens ten connections, and an audit of a year would wait for them."""
        store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
        store.write("a/1", b"1")
        all_here, app = threading.Barrier(30), front._app

        def wait_for_all(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            with suppress(threading.BrokenBarrierError):
                all_here.wait(timeout=20)
            return app(environ, start_response)

        monkeypatch.setattr(front, "_app", wait_for_all)
        with ThreadPoolExecutor(30) as pool:
            assert list(pool.map(store.read, ["a/1"] * 30)) == [b"1"] * 30
        assert not all_here.broken

    def test_a_large_object_is_seen_when_its_last_piece_is_there(self, store: Store) -> None:
        piece = bytes(range(256)) * 4096
        with store.writer("a/part") as file:
            for _ in range(50):
                file.write(piece)
            assert not store.exists("a/part")
        assert store.read("a/part") == piece * 50


def test_a_listing_goes_on_beyond_a_thousand_names(s3_url: str, root: str) -> None:
    store = open_store(f"s3://{root}", fs=seaweedfs_filesystem(s3_url))
    names = [f"raw/{number:05d}" for number in range(1105)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.write(name, b""), names))
    assert [item.path for item in store.objects("raw")] == names


def test_pieces_of_the_dead_are_given_up_after_a_day_and_those_of_the_living_are_not(s3_url: str, root: str) -> None:
    fs = seaweedfs_filesystem(s3_url)
    store = S3Store(fs, root)
    ours = {"Bucket": BUCKET, "Key": f"{root.partition('/')[2]}/events/part"}
    foreign = {"Bucket": BUCKET, "Key": f"{uuid.uuid4().hex}/part"}
    for place in (ours, foreign):
        upload = fs.call_s3("create_multipart_upload", **place)
        fs.call_s3("upload_part", PartNumber=1, UploadId=upload["UploadId"], Body=b"x", **place)

    def uploads(place: dict[str, str]) -> int:
        found = fs.call_s3("list_multipart_uploads", Bucket=BUCKET, Prefix=place["Key"])
        return len(found.get("Uploads", []))

    store.sweep()
    assert uploads(ours) == 1
    store.sweep(clock=lambda: wall_clock() + timedelta(days=1, minutes=1))
    assert (uploads(ours), uploads(foreign)) == (0, 1)


def test_a_part_on_its_way_takes_no_more_memory_than_a_few_pieces(s3_url: str, root: str) -> None:
    """However large it is: it goes from a scratch file to the server, four pieces of 8 MiB at once."""
    store = open_store(f"s3://{root}", fs=seaweedfs_filesystem(s3_url))
    piece = b"x" * MB
    store.write("warm", b"")
    tracemalloc.start()
    with store.writer("part") as file:
        for _ in range(200):
            file.write(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * MB
    assert store.objects("")[0].size == 200 * MB


def test_a_large_part_goes_up_in_pieces(front: Front) -> None:
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    with store.writer("part") as file:
        file.write(b"x" * (50 * MB))
    pieces = [request.size for request in front.requests if "partNumber" in request.query]
    assert sum(pieces) >= 50 * MB
    assert max(pieces) < 9 * MB


def test_a_part_that_fails_to_go_up_leaves_nothing(front: Front) -> None:
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    front.refusals.append(Refusal("AccessDenied", methods=("PUT",), after=1))
    with pytest.raises(LakeError), store.writer("part") as file:
        file.write(b"x" * (50 * MB))
    front.refusals.clear()
    assert store.objects("") == []
    assert front.filesystem().list_multipart_uploads(BUCKET) == []


OPTIONS = {
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "alias/lake",
    "ACL": "bucket-owner-full-control",
    "Tagging": "team=security&lake=imperva",
}


@pytest.mark.parametrize("how", ["create", "write", "small part", "large part"])
def test_encryption_acl_and_tags_go_with_every_write(front: Front, how: str) -> None:
    fs = front.filesystem(s3_additional_kwargs=OPTIONS)
    store = open_store(f"s3://{BUCKET}/lake", fs=fs)
    if how in ("create", "write"):
        getattr(store, how)("x", b"content")
    else:
        with store.writer("x") as file:
            file.write(b"x" * (MB if how == "small part" else 20 * MB))
    where = {"Bucket": BUCKET, "Key": "lake/x"}
    head = fs.call_s3("head_object", **where)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")
    tags = {tag["Key"]: tag["Value"] for tag in fs.call_s3("get_object_tagging", **where)["TagSet"]}
    assert tags == {"team": "security", "lake": "imperva"}


def test_a_store_that_is_busy_is_asked_again(front: Front) -> None:
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    busy = Refusal("SlowDown", methods=("PUT", "GET"), times=3)
    front.refusals.append(busy)
    store.create("plan.json", b"plan")
    busy.times = 3
    assert store.read("plan.json") == b"plan"
    busy.times = 3
    assert len(store.objects("")) == 1
    assert busy.times == 0


def test_a_creation_whose_answer_was_lost_is_told_as_a_conflict(front: Front) -> None:
    """The ledger reads what is there, and sees that it is its own."""
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    front.filesystem().pipe_file(f"{BUCKET}/lake/plan.json", b"plan")
    with pytest.raises(ObjectExistsError):
        store.create("plan.json", b"plan")


def test_a_creation_that_meets_another_under_way_is_tried_again(front: Front) -> None:
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    front.refusals.append(Refusal("ConditionalRequestConflict", times=2))
    store.create("plan.json", b"plan")
    assert store.read("plan.json") == b"plan"


def test_one_request_reads_an_object_and_one_tells_that_there_is_none(front: Front) -> None:
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    store.write("plan.json", b"plan")
    before = len(front.requests)
    assert store.read("plan.json") == b"plan"
    assert store.exists("plan.json")
    assert not store.exists("commit.json")
    assert [request.method for request in front.requests[before:]] == ["GET", "HEAD", "HEAD"]


@pytest.mark.parametrize("others", [0, 1])
def test_one_request_lists_a_folder_even_an_empty_one(front: Front, others: int) -> None:
    """An empty one's parent may hold thousands of names, which nobody asked for."""
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    store.write("raw/000000001/8416_1.log", b"")
    for number in range(others):
        store.write(f"raw/000000000/{number}.log", b"")
    before = len(front.requests)
    assert len(store.objects("raw/000000000")) == others
    assert store.folders("raw/000000000") == []
    assert len(front.requests) == before + 2


def test_an_object_that_marks_a_folder_is_not_in_it(front: Front) -> None:
    """The web consoles of object stores make one where a person makes a folder."""
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    for key in ("lake/raw/", "lake/raw/below/", "lake/raw/8416_1.log"):
        front.filesystem().call_s3("put_object", Bucket=BUCKET, Key=key, Body=b"")
    assert [item.path for item in store.objects("raw")] == ["raw/8416_1.log"]
    assert store.folders("raw") == ["below"]


Act = Callable[[Store], object]
ACTS: dict[str, Act] = {
    "create": lambda store: store.create("a/x", b"content"),
    "write": lambda store: store.write("a/x", b"content"),
    "part": lambda store: write_part(store),
}
LOOKS: dict[str, Act] = {
    "read": lambda store: store.read("a/x"),
    "exists": lambda store: store.exists("a/x"),
    "objects": lambda store: store.objects("a"),
    "folders": lambda store: store.folders("a"),
}


def write_part(store: Store) -> None:
    with store.writer("a/x") as file:
        file.write(b"content")


def refused(act: Act, fs: fsspec.AbstractFileSystem, root: str) -> LakeError:
    store = open_store(f"s3://{root}", fs=fs)
    assert isinstance(store, S3Store)
    with pytest.raises(LakeError) as caught:
        act(store)
    assert not isinstance(caught.value, ObjectExistsError)
    assert str(caught.value.about).startswith(f"s3://{root}")
    assert "own words" not in "".join(traceback.format_exception(caught.value, limit=0))
    return caught.value


class TestRefusals:
    """Each says what is wrong and what to do, and quotes nothing of the server."""

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_a_bucket_that_is_not_there(self, act: Act, front: Front) -> None:
        error = refused(act, front.filesystem(), "no-such-bucket/lake")
        assert "no such bucket" in str(error)
        assert "correct the lake's URI" in error.do

    @pytest.mark.parametrize("act", (ACTS | LOOKS).values(), ids=ACTS | LOOKS)
    def test_a_key_that_nobody_knows(self, act: Act, s3_url: str, root: str) -> None:
        error = refused(act, seaweedfs_filesystem(s3_url, key="nobody"), root)
        assert "does not accept the credentials" in str(error) or "do not allow" in str(error)
        assert "nobody" not in str(error)

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_a_wrong_secret(self, act: Act, s3_url: str, root: str) -> None:
        error = refused(act, seaweedfs_filesystem(s3_url, secret="not-the-secret"), root)
        assert "does not accept the credentials" in str(error)
        assert "not-the-secret" not in str(error)

    @pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
    def test_credentials_that_only_read(self, act: Act, s3_url: str, root: str) -> None:
        error = refused(act, seaweedfs_filesystem(s3_url, key=READER), root)
        assert "do not allow this (AccessDenied)" in str(error)
        assert "s3:PutObject" in error.do

    @pytest.mark.parametrize("act", (ACTS | LOOKS).values(), ids=ACTS | LOOKS)
    def test_no_credentials_at_all(self, act: Act, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        error = refused(act, front.filesystem(key=None, secret=None, session=None), f"{BUCKET}/lake")
        assert "there are no credentials for the store (NoCredentialsError)" in str(error)

    @pytest.mark.parametrize(
        ("code", "found"),
        [
            ("ExpiredToken", "the credentials have expired"),
            ("AccessDenied", "the credentials do not allow this"),
            ("KMS.DisabledException", "the store cannot use the KMS key"),
            ("XMinioStorageFull", "no space is left"),
            ("SomethingNew", "the store fails (SomethingNew)"),
        ],
    )
    def test_what_the_server_answers(self, front: Front, code: str, found: str) -> None:
        front.refusals.append(Refusal(code, methods=("PUT", "POST", "GET")))
        for act in (*ACTS.values(), LOOKS["read"], LOOKS["objects"], LOOKS["folders"]):
            assert found in str(refused(act, front.filesystem(), f"{BUCKET}/lake"))

    def test_a_refusal_that_has_but_a_status_is_no_missing_object(self, front: Front) -> None:
        """The answer to HEAD has no body; taken for "not there", it would make a committed plan look uncommitted."""
        front.refusals.append(Refusal("AccessDenied", methods=("HEAD",)))
        assert "do not allow this" in str(refused(LOOKS["exists"], front.filesystem(), f"{BUCKET}/lake"))

    def test_a_store_that_stays_busy(self, front: Front) -> None:
        front.refusals.append(Refusal("SlowDown"))
        error = refused(ACTS["create"], front.filesystem(), f"{BUCKET}/lake")
        assert "asks to slow down, in every attempt" in str(error)

    @pytest.mark.parametrize("act", (ACTS | LOOKS).values(), ids=ACTS | LOOKS)
    def test_a_server_that_is_not_there(self, act: Act, front: Front) -> None:
        fs = front.filesystem(endpoint_url="http://127.0.0.1:9")
        assert "cannot be reached" in str(refused(act, fs, f"{BUCKET}/lake"))

    def test_credentials_that_expire_while_an_object_is_read(self, front: Front) -> None:
        store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
        store.write("a/x", b"x" * (40 * MB))
        with pytest.raises(LakeError, match="have expired"), store.reader("a/x") as file:  # noqa: PT012
            file.read(1)
            front.refusals.append(Refusal("ExpiredToken", methods=("GET",)))
            file.read()

    def test_an_error_of_the_block_that_reads_stays_what_it_is(self, front: Front) -> None:
        store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
        store.write("a/x", b"")
        with pytest.raises(BrokenPipeError), store.reader("a/x"):
            raise BrokenPipeError


def test_412_alone_says_that_the_object_is_there(front: Front) -> None:
    """Credentials may not allow to look, and an answer to a look may be lost."""
    store = open_store(f"s3://{BUCKET}/lake", fs=front.filesystem())
    store.create("plan.json", b"first")
    front.refusals.append(Refusal("AccessDenied", methods=("HEAD", "GET")))
    front.requests.clear()
    with pytest.raises(ObjectExistsError):
        store.create("plan.json", b"second")
    assert [request.method for request in front.requests] == ["PUT"]


def test_a_lake_at_a_buckets_root(front: Front) -> None:
    store = open_store(f"s3://{BUCKET}", fs=front.filesystem())
    store.write("notes.txt", b"1")
    store.write("raw/x", b"2")
    assert store.uri("raw/x") == f"s3://{BUCKET}/raw/x"
    assert [item.path for item in store.objects("")] == ["notes.txt"]
    assert store.folders("") == ["raw"]
    assert [item.path for item in store.objects("raw")] == ["raw/x"]


OPEN_LAKE = """
import sys

from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.lake.store import open_store

sys.modules["s3fs"] = None
try:
    open_store("s3://lake/lake").create("x", b"1")
except ImpervaError as error:
    print(error)
"""


def test_without_s3fs_it_says_what_to_install() -> None:
    command = [sys.executable, "-c", OPEN_LAKE]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "s3://lake/lake: a lake on S3 needs the library s3fs, which is not installed" in told
    assert "pip install 's3fs>=" in told
