"""The client against real servers on loopback: whole bodies or a clear error, and the key goes nowhere else."""

from __future__ import annotations

import gzip
import logging
import shutil
import socket
import subprocess
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import (
    AuthenticationError,
    ConfigurationError,
    IndexNotFoundError,
    InvalidIndexError,
    LogNotFoundError,
    RepositoryError,
    RepositoryUnavailableError,
)
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing import FakeRepository, Fault
from tests.repository.http_peers import Authority, canned_server, forward_proxy, make_authority

NAME = LogName("8416", 5)
CONTENT = bytes(range(256)) * 40
SECRET = "clé-secrète-☃-4711"


@pytest.fixture(autouse=True)
def no_proxy_or_authority_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle", "netrc"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository(password=SECRET) as repository:
        repository.add(NAME, CONTENT)
        yield repository


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def client(repository: FakeRepository, sleeps: list[float]) -> Iterator[RepositoryClient]:
    with connect(repository, sleep=sleeps.append) as client:
        yield client


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def https_repository(authority: Authority) -> Iterator[FakeRepository]:
    with FakeRepository(password=SECRET, ssl_context=authority.server_context) as repository:
        repository.add(NAME, CONTENT)
        yield repository


def connect(repository: FakeRepository, **options: Any) -> RepositoryClient:
    return client_of(repository.port, **{"url": repository.url, "login": repository.login} | options)


def client_of(port: int, **options: Any) -> RepositoryClient:
    defaults: dict[str, Any] = {
        "url": f"http://127.0.0.1:{port}/8416_17",
        "login": "30432",
        "password": SECRET,
        "sleep": lambda seconds: None,
    }
    return RepositoryClient(**defaults | options)


def statuses(repository: FakeRepository) -> list[int]:
    return [request.status for request in repository.requests]


class TestWholeAnswers:
    def test_the_index_and_a_log_come_as_they_are(self, client: RepositoryClient, repository: FakeRepository) -> None:
        repository.add("8416_10.log", b"")
        assert client.read_index().names == (NAME, LogName("8416", 10))
        assert client.read_log(NAME) == CONTENT
        assert client.read_log(LogName("8416", 10)) == b""

    def test_a_log_is_in_memory_once(self) -> None:
        """Each task has as many under way as ``max_concurrency`` allows."""
        body = bytes(32 << 20)
        with (
            canned_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as peer,
            client_of(peer.port) as client,
        ):
            tracemalloc.start()
            content = client.read_log(NAME)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert content == body
        assert peak < 1.5 * len(body)

    def test_a_log_that_is_itself_gzip_is_not_touched(
        self, client: RepositoryClient, repository: FakeRepository
    ) -> None:
        packed = gzip.compress(b"CEF:0|...")
        repository.add(NAME, packed)
        assert client.read_log(NAME) == packed

    def test_the_credentials_go_with_the_first_request(
        self, client: RepositoryClient, repository: FakeRepository
    ) -> None:
        client.read_index()
        assert [request.authorized for request in repository.requests] == [True]

    @pytest.mark.needs("openssl")
    def test_netrc_does_not_replace_the_credentials(
        self, https_repository: FakeRepository, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        with connect(https_repository, verify=str(authority.bundle)) as client:
            assert client.read_log(NAME) == CONTENT

    def test_the_repository_is_the_last_segment_unless_given(self) -> None:
        assert client_of(1).repository == "8416_17"
        assert client_of(1, repository="").repository == "8416_17"
        assert client_of(1, repository="waf-eu.1").repository == "waf-eu.1"

    def test_it_says_who_asks_and_wants_no_encoding(self) -> None:
        with canned_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as peer, client_of(peer.port) as client:
            client.read_index()
        assert f"User-Agent: airflow-provider-imperva/{__version__}\r\n".encode() in peer.heads[0]
        assert b"Accept-Encoding: identity\r\n" in peer.heads[0]
        assert peer.heads[0].startswith(b"GET /8416_17/logs.index HTTP/1.1\r\n")

    def test_cookies_are_not_kept(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: visid=1; Path=/\r\nContent-Length: 0\r\n\r\n"
        with canned_server(answer, answer) as peer, client_of(peer.port) as client:
            client.read_index()
            client.read_index()
        assert b"Cookie" not in peer.heads[1]

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
            % (len(gzip.compress(CONTENT)), gzip.compress(CONTENT)),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n%s\r\n2700\r\n%s\r\n0\r\n\r\n"
            % (CONTENT[:256], CONTENT[256:]),
            b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT,
        ],
        ids=["gzip", "chunked", "until the connection ends"],
    )
    def test_every_way_http_carries_a_body_gives_the_same_bytes(self, answer: bytes) -> None:
        with canned_server(answer) as peer, client_of(peer.port) as client:
            assert client.read_log(NAME) == CONTENT


class TestBounds:
    """Whoever answers cannot fill a worker's memory."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.0 200 OK\r\n\r\n" + bytes(3 << 20),
            b"HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n" + bytes(3 << 20),
            b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(50 << 20)),
        ],
        ids=["endless", "announced", "gzip bomb"],
    )
    @pytest.mark.parametrize("what", ["log", "index"])
    def test_an_answer_larger_than_any_log_is_not_read_to_its_end(self, answer: bytes, what: str) -> None:
        tracemalloc.start()
        try:
            with (
                canned_server(answer) as peer,
                client_of(peer.port, max_body_bytes=1 << 20) as client,
                pytest.raises(RepositoryError, match="larger than 1,048,576 bytes"),
            ):
                client.read_log(NAME) if what == "log" else client.read_index()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20
        assert len(peer.heads) == 1, "to ask again would bring the same"


class TestRefusals:
    @pytest.mark.parametrize("status", [401, 403])
    def test_wrong_credentials_are_told_at_once(
        self, client: RepositoryClient, repository: FakeRepository, sleeps: list[float], status: int
    ) -> None:
        repository.fail("*", Fault(status=status), Fault(status=status))
        with pytest.raises(AuthenticationError, match=f"HTTP {status}"):
            client.read_index()
        with pytest.raises(AuthenticationError, match=r"8416_5\.log.*API key"):
            client.read_log(NAME)
        assert (len(repository.requests), sleeps) == (2, [])

    def test_the_wrong_key_is_refused_by_the_server(self, repository: FakeRepository) -> None:
        with connect(repository, password="wrong") as client, pytest.raises(AuthenticationError):
            client.read_index()

    def test_a_missing_index_tells_to_wait_or_to_compare_the_url(
        self, client: RepositoryClient, repository: FakeRepository
    ) -> None:
        repository.index_missing = True
        with pytest.raises(IndexNotFoundError, match=r"logs\.index.*minutes to a few hours.*support"):
            client.read_index()
        assert statuses(repository) == [404]

    def test_a_missing_log_is_told_at_once(self, client: RepositoryClient, repository: FakeRepository) -> None:
        with pytest.raises(LogNotFoundError, match=r"8416_6\.log.*left the window"):
            client.read_log(LogName("8416", 6))
        assert statuses(repository) == [404]

    @pytest.mark.parametrize("status", [204, 206, 304, 400, 407])
    def test_another_status_is_an_error_and_not_a_body(
        self, client: RepositoryClient, repository: FakeRepository, status: int
    ) -> None:
        repository.fail(str(NAME), Fault(status=status))
        with pytest.raises(RepositoryError, match=f"HTTP {status}") as caught:
            client.read_log(NAME)
        assert type(caught.value) is RepositoryError
        assert statuses(repository) == [status]

    def test_a_login_page_is_no_index(self, client: RepositoryClient, repository: FakeRepository) -> None:
        repository.fail("logs.index", Fault(html=True))
        with pytest.raises(InvalidIndexError, match="HTML"):
            client.read_index()


class TestAttempts:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=408),
            Fault(status=429),
            Fault(status=500),
            Fault(status=503),
            Fault(status=599),
            Fault(cut=0),
            Fault(cut=5000),
            Fault(wrong_length=1),
            Fault(stall=0.6),
            Fault(html=True),
        ],
        ids=str,
    )
    def test_what_may_pass_is_asked_again(self, repository: FakeRepository, sleeps: list[float], fault: Fault) -> None:
        """A cut log is never given back for a whole one, nor a maintenance page for a log."""
        repository.fail(str(NAME), fault, fault)
        with connect(repository, sleep=sleeps.append, read_timeout=0.3) as client:
            assert client.read_log(NAME) == CONTENT
        assert len(sleeps) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n" + b"x" * 100,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + b"x" * 100 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(CONTENT)[:-9],
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + CONTENT,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(CONTENT)[:10] + b"\xff" * 50,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n" + CONTENT,
            b"4711 is no HTTP\r\n\r\n",
            b"",
        ],
        ids=["cut chunk", "missing last chunk", "cut gzip", "no gzip", "broken gzip", "brotli", "no HTTP", "hung up"],
    )
    def test_a_broken_answer_is_never_a_body(self, answer: bytes) -> None:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlog\n"
        with canned_server(answer, whole) as peer, client_of(peer.port) as client:
            assert client.read_log(NAME) == b"log\n"
        assert len(peer.heads) == 2

    def test_the_server_s_words_are_not_quoted(self, caplog: pytest.LogCaptureFixture) -> None:
        """A broken stream can put log content where a status line should be, and Airflow logs chained errors."""
        caplog.set_level(logging.DEBUG, "airflow_provider_imperva")
        with (
            canned_server(*[b"src=203.0.113.9 suser=alice\r\n\r\n"] * 2) as peer,
            client_of(peer.port, attempts=2) as client,
            pytest.raises(RepositoryUnavailableError) as caught,
        ):
            client.read_log(NAME)
        text = "".join(traceback.format_exception(caught.value)) + caplog.text
        assert "8416_5.log" in text
        assert "alice" not in text

    def test_bytes_beyond_the_announced_length_do_not_spoil_the_next_answer(
        self, client: RepositoryClient, repository: FakeRepository
    ) -> None:
        repository.add("8416_6.log", b"another")
        repository.fail(str(NAME), Fault(wrong_length=-3))
        assert client.read_log(NAME) == CONTENT[:-3]
        assert client.read_log(LogName("8416", 6)) == b"another"

    def test_waits_grow_from_one_attempt_to_the_next(
        self, client: RepositoryClient, repository: FakeRepository, sleeps: list[float]
    ) -> None:
        repository.fail(str(NAME), *[Fault(status=503)] * 4)
        assert client.read_log(NAME) == CONTENT
        assert all(2**n <= seconds <= 2**n + 1 for n, seconds in enumerate(sleeps)), sleeps
        assert len(sleeps) == 4

    def test_giving_up_says_how_often_and_what_came_last(self, repository: FakeRepository, sleeps: list[float]) -> None:
        repository.fail(str(NAME), Fault(cut=10), Fault(status=500), Fault(status=502))
        with (
            connect(repository, attempts=3, sleep=sleeps.append) as client,
            pytest.raises(RepositoryUnavailableError, match=r"8416_5\.log: .*3 attempts.*HTTP 502"),
        ):
            client.read_log(NAME)
        assert len(sleeps) == 2

    def test_an_outage_is_told_and_its_end_is_noticed(self, repository: FakeRepository) -> None:
        with connect(repository, attempts=2) as client:
            assert client.read_log(NAME) == CONTENT
            repository.stop()
            with pytest.raises(RepositoryUnavailableError, match="Connection refused"):
                client.read_log(NAME)
        with connect(repository, sleep=lambda seconds: repository.start() and None) as client:
            assert client.read_log(NAME) == CONTENT

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (7, 7),
            ("0", 0),
            (86_400, 120),
            ("Fri, 31 Dec 2100 23:59:59 GMT", 120),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sun Nov 06 08:49:37 1994", 0),
            ("soon", 1),
            ("-5", 1),
            ("", 1),
        ],
    )
    def test_retry_after_is_honoured(
        self,
        client: RepositoryClient,
        repository: FakeRepository,
        sleeps: list[float],
        value: float | str,
        seconds: float,
    ) -> None:
        """In seconds or as a date, two minutes at most; what is neither counts as not given."""
        repository.fail(str(NAME), Fault(status=429, retry_after=value))
        assert client.read_log(NAME) == CONTENT
        assert sleeps == [pytest.approx(seconds + 0.5, abs=0.51)]

    def test_a_retry_after_date_is_taken_as_a_time_from_now(
        self, client: RepositoryClient, repository: FakeRepository, sleeps: list[float]
    ) -> None:
        when = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        repository.fail(str(NAME), Fault(status=503, retry_after=when))
        client.read_log(NAME)
        assert 50 <= sleeps[0] <= 61

    def test_a_body_that_drips_in_is_given_up(self, repository: FakeRepository) -> None:
        """Each byte comes within the read time-out, the last one would come after hours."""
        repository.fail(str(NAME), *[Fault(drip=20)] * 2)
        started = time.monotonic()
        with (
            connect(repository, read_timeout=5, deadline=0.4, attempts=2) as client,
            pytest.raises(RepositoryUnavailableError, match=r"did not end within 0\.4 s"),
        ):
            client.read_log(NAME)
        assert time.monotonic() - started < 5

    def test_silence_is_given_up_after_the_read_timeout(self, repository: FakeRepository) -> None:
        repository.fail(str(NAME), Fault(stall=30))
        with (
            connect(repository, read_timeout=0.2, attempts=1) as client,
            pytest.raises(RepositoryUnavailableError, match=r"nothing came for 0\.2 s"),
        ):
            client.read_log(NAME)


class TestRedirects:
    def test_one_within_the_host_is_followed(self, client: RepositoryClient, repository: FakeRepository) -> None:
        repository.add("8416_6.log", b"there")
        repository.fail(str(NAME), Fault(redirect="8416_6.log"), Fault(redirect=f"{repository.url}8416_6.log"))
        assert client.read_log(NAME) == b"there"
        assert client.read_log(NAME) == b"there"
        assert all(request.authorized for request in repository.requests)

    def test_one_to_another_host_is_not_followed(self, client: RepositoryClient, repository: FakeRepository) -> None:
        """Another port is another host: the second server must not see even a request without credentials."""
        with FakeRepository(password=SECRET) as other:
            other.add(NAME, b"not ours")
            repository.fail(str(NAME), Fault(redirect=f"{other.url}{NAME}?token=4711"))
            with pytest.raises(
                RepositoryError, match=f"http://127.0.0.1:{other.port}, which was not followed"
            ) as caught:
                client.read_log(NAME)
            assert other.requests == []
        assert "4711" not in str(caught.value)

    @pytest.mark.needs("openssl")
    def test_one_from_https_to_http_is_not_followed(
        self, https_repository: FakeRepository, authority: Authority
    ) -> None:
        plain = https_repository.url.replace("https://", "http://")
        https_repository.fail(str(NAME), Fault(redirect=f"{plain}{NAME}"))
        with (
            connect(https_repository, verify=str(authority.bundle)) as client,
            pytest.raises(RepositoryError, match="redirect"),
        ):
            client.read_log(NAME)
        assert statuses(https_repository) == [302]

    @pytest.mark.parametrize("location", ["https://[", "https://host:port/", "//\x01evil/", "mailto:x", "javascript:0"])
    def test_one_to_nowhere_is_an_error(
        self, client: RepositoryClient, repository: FakeRepository, location: str
    ) -> None:
        repository.fail(str(NAME), Fault(redirect=location))
        with pytest.raises(RepositoryError, match="a place that cannot be read"):
            client.read_log(NAME)

    def test_a_circle_of_them_ends(self, client: RepositoryClient, repository: FakeRepository) -> None:
        repository.fail(str(NAME), *[Fault(redirect=str(NAME))] * 20)
        with pytest.raises(RepositoryError, match="more than 3 redirects"):
            client.read_log(NAME)
        assert len(repository.requests) == 4

    def test_the_body_of_one_is_not_read(self, sleeps: list[float]) -> None:
        """It may be without end."""
        endless = b"HTTP/1.1 302 Found\r\nLocation: 8416_6.log\r\nContent-Length: 4711\r\n\r\nx"
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlog\n"
        with canned_server(endless, whole) as peer, client_of(peer.port, sleep=sleeps.append) as client:
            assert client.read_log(NAME) == b"log\n"
        assert sleeps == []


class TestTls:
    @pytest.mark.needs("openssl")
    def test_an_authority_of_one_s_own(self, https_repository: FakeRepository, authority: Authority) -> None:
        with connect(https_repository, verify=str(authority.bundle)) as client:
            assert client.read_log(NAME) == CONTENT

    @pytest.mark.needs("openssl")
    def test_an_unknown_authority_is_refused_and_told(
        self, https_repository: FakeRepository, sleeps: list[float]
    ) -> None:
        with (
            connect(https_repository, sleep=sleeps.append) as client,
            pytest.raises(ConfigurationError, match=r"does not verify.*`verify`"),
        ):
            client.read_index()
        assert (https_repository.requests, sleeps) == ([], [])

    @pytest.mark.needs("openssl")
    @pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
    def test_verification_can_be_turned_off(
        self, https_repository: FakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "of another authority"))
        with connect(https_repository, verify=False) as client:
            assert client.read_log(NAME) == CONTENT

    @pytest.mark.needs("openssl")
    def test_the_bundle_of_the_environment_counts(
        self, https_repository: FakeRepository, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
        with connect(https_repository) as client:
            assert client.read_log(NAME) == CONTENT

    @pytest.mark.needs("openssl")
    def test_the_bundle_of_the_connection_outranks_it(
        self, https_repository: FakeRepository, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent"))
        with connect(https_repository, verify=str(authority.bundle)) as client:
            assert client.read_log(NAME) == CONTENT

    @pytest.mark.needs("openssl")
    def test_a_folder_of_certificates_is_taken(self, https_repository: FakeRepository, authority: Authority) -> None:
        folder = authority.bundle.parent / "hashed"
        folder.mkdir(exist_ok=True)
        hashing = ["openssl", "x509", "-hash", "-noout", "-in", str(authority.bundle)]
        digest = subprocess.run(hashing, check=True, capture_output=True, text=True).stdout.strip()
        shutil.copy(authority.bundle, folder / f"{digest}.0")
        with connect(https_repository, verify=str(folder)) as client:
            assert client.read_log(NAME) == CONTENT

    @pytest.mark.parametrize("content", [None, "no certificate"])
    def test_a_bundle_that_is_none_is_told(self, tmp_path: Path, content: str | None) -> None:
        bundle = tmp_path / "bundle.pem"
        if content is not None:
            bundle.write_text(content)
        with pytest.raises(ConfigurationError, match=r"bundle\.pem: .*`verify`"):
            client_of(1, verify=str(bundle))

    def test_an_empty_bundle_path_does_not_turn_verification_off(self) -> None:
        with pytest.raises(ConfigurationError, match="CA bundle"):
            client_of(1, verify="")

    def test_plain_http_where_tls_should_be_is_told(self, repository: FakeRepository) -> None:
        with (
            connect(repository, url=repository.url.replace("http:", "https:"), attempts=1) as client,
            pytest.raises(RepositoryUnavailableError, match="SSL"),
        ):
            client.read_index()


class TestProxies:
    @pytest.mark.needs("openssl")
    def test_the_connection_s_proxy_is_used(self, https_repository: FakeRepository, authority: Authority) -> None:
        with (
            forward_proxy() as proxy,
            connect(https_repository, verify=str(authority.bundle), proxy=f"http://127.0.0.1:{proxy.port}") as client,
        ):
            assert client.read_log(NAME) == CONTENT
        assert len(proxy.heads) == 1
        assert proxy.heads[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1." % https_repository.port)
        assert b"Authorization" not in proxy.heads[0]

    @pytest.mark.needs("openssl")
    def test_it_outranks_the_environment(
        self, https_repository: FakeRepository, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with forward_proxy() as ours, forward_proxy() as theirs:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{theirs.port}")
            with connect(https_repository, verify=str(authority.bundle), proxy=f"127.0.0.1:{ours.port}") as client:
                assert client.read_log(NAME) == CONTENT
        assert (len(ours.heads), len(theirs.heads)) == (1, 0)

    @pytest.mark.needs("openssl")
    def test_the_environment_s_proxy_is_used_for_https(
        self, https_repository: FakeRepository, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with forward_proxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            with connect(https_repository, verify=str(authority.bundle)) as client:
                assert client.read_log(NAME) == CONTENT
        assert len(proxy.heads) == 1

    def test_the_environment_s_proxy_never_gets_a_key_in_clear(
        self, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with forward_proxy() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            with connect(repository) as client:
                assert client.read_log(NAME) == CONTENT
        assert proxy.heads == []

    def test_a_plain_request_goes_by_the_connection_s_proxy(self, repository: FakeRepository) -> None:
        with forward_proxy() as proxy, connect(repository, proxy=f"http://127.0.0.1:{proxy.port}") as client:
            assert client.read_log(NAME) == CONTENT
        assert proxy.heads[0].startswith(f"GET {repository.url}{NAME} ".encode())

    @pytest.mark.needs("openssl")
    def test_a_proxy_that_is_down_is_told_without_its_password(
        self, https_repository: FakeRepository, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with (
            connect(https_repository, proxy=f"http://user:hunter2@127.0.0.1:{port}", attempts=2) as client,
            pytest.raises(RepositoryUnavailableError, match="the proxy cannot be used: Connection refused") as caught,
        ):
            client.read_index()
        assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + caplog.text + repr(client)

    @pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://", "http://user:hunter2@:1", "http://h:hunter2"])
    def test_what_is_no_proxy_is_refused_without_quoting_it(self, proxy: str) -> None:
        with pytest.raises(ConfigurationError, match="`proxy`") as caught:
            client_of(1, proxy=proxy)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


class TestThreads:
    def test_threads_share_one_client_within_its_bound(self) -> None:
        names = [LogName("8416", number) for number in range(40)]
        with FakeRepository(password=SECRET, latency=0.02) as repository:
            for name in names:
                repository.add(name, str(name).encode() * 1000)
                repository.fail(str(name), Fault(status=503) if name.sequence % 3 == 0 else Fault())
            with connect(repository, max_concurrency=4) as client, ThreadPoolExecutor(16) as threads:
                bodies = list(threads.map(client.read_log, names))
            assert bodies == [str(name).encode() * 1000 for name in names]
            assert 2 <= repository.peak_requests <= 4


class TestConfiguration:
    @pytest.mark.parametrize(
        "options",
        [
            {"url": "http://logs1.example.com/8416_17"},
            {"url": "https://logs1.example.com/8416%2017"},
            {"repository": ".."},
            {"repository": "a/b"},
            {"repository": "a b"},
            {"repository": "a\n"},
            {"login": ""},
            {"password": ""},
            {"login": "30432:x"},
            {"attempts": 0},
            {"max_concurrency": 0},
            {"read_timeout": -1},
            {"connect_timeout": float("nan")},
        ],
        ids=str,
    )
    def test_a_value_that_cannot_work_is_refused_at_once(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError) as caught:
            client_of(1, **options)
        assert SECRET not in str(caught.value)

    def test_a_host_that_cannot_be_one_is_told_at_once(self, sleeps: list[float]) -> None:
        with (
            client_of(1, url=f"https://{'x' * 64}.example.com/8416_17", sleep=sleeps.append) as client,
            pytest.raises(ConfigurationError, match="cannot use this URL"),
        ):
            client.read_index()
        assert sleeps == []


def test_the_key_is_in_no_message_log_or_repr(repository: FakeRepository, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for fault in (Fault(status=401), Fault(status=400), Fault(status=503), Fault(cut=1), Fault(redirect="https://x/")):
        repository.fail(str(NAME), fault)
        with connect(repository, attempts=1) as client, pytest.raises(RepositoryError) as caught:
            client.read_log(NAME)
        told += [repr(client), str(vars(client)), *traceback.format_exception(caught.value)]
    everything = "".join(told) + caplog.text
    assert SECRET not in everything
    assert "Basic " not in everything


def test_the_debug_log_tells_name_status_and_size(
    client: RepositoryClient, repository: FakeRepository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "airflow_provider_imperva")
    repository.fail(str(NAME), Fault(status=503))
    client.read_log(NAME)
    assert "8416_5.log: HTTP 503" in caplog.text
    assert "attempt 1 of 5 failed (HTTP 503)" in caplog.text
    assert f"8416_5.log: HTTP 200, {len(CONTENT)} bytes" in caplog.text
